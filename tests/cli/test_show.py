"""Showing checkpoints: the state, how two differ, and what would run next."""

from __future__ import annotations

import operator
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send, interrupt
from typing_extensions import TypedDict

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.admin.usage.resume_point import derive
from tests.cli.conftest import Cli
from tests.support.checkpoints import make_checkpoint, place


def put(saver: S3Saver, thread: str, name: str, values: dict[str, Any], parent: str | None = None) -> None:
    checkpoint = make_checkpoint(name, values)
    saver.put(
        place(thread, parent), checkpoint, {"source": "loop", "step": 1}, checkpoint["channel_versions"]
    )


@pytest.fixture
def chat(saver: S3Saver) -> str:
    said: list[Any] = [HumanMessage("What's the weather\nin Oslo?", id="1")]
    put(saver, "chat", "00000001", {"messages": said, "city": "Oslo", "tries": [1]})
    call = {"name": "weather", "args": {"city": "Oslo"}, "id": "c", "type": "tool_call"}
    said = [
        *said,
        AIMessage("", tool_calls=[call], id="2"),
        ToolMessage("rain", tool_call_id="c", name="weather", id="3"),
    ]
    put(saver, "chat", "00000002", {"messages": said, "city": "Oslo", "mood": "wet"}, "00000001")
    return "chat"


class TestShow:
    def test_messages_are_a_conversation(self, cli: Cli, chat: str) -> None:
        out = cli("show", chat).out
        assert '  ai: → weather(city="Oslo")\n' in out
        assert "  tool (weather): rain\n" in out
        assert "  human: What's the weather\n    in Oslo?\n" in out
        assert "city\n  Oslo\n" in out

    def test_an_older_one_a_channel_and_writes(self, cli: Cli, chat: str, saver: S3Saver) -> None:
        saver.put_writes(place(chat, "00000001"), [("city", "Bergen")], "task-1")
        out = cli("show", chat, "00000001", "--channel", "tries").out
        assert "mood" not in out
        assert "Oslo" not in out
        assert "tries\n  [\n    1\n  ]\n" in out
        assert "write of task task-1 to city\n  Bergen\n" in out

    def test_json(self, cli: Cli, chat: str) -> None:
        found = cli("show", chat, "--json").data
        assert found["checkpoint_id"] == "00000002"
        assert found["channel_values"]["messages"][0]["content"] == "What's the weather\nin Oslo?"
        assert found["metadata"]["step"] == 1
        assert found["pending_writes"] == []

    def test_an_unknown_channel_names_those_there_are(self, cli: Cli, chat: str) -> None:
        ran = cli("show", chat, "--channel", "x")
        assert ran.code == 3
        assert "city, messages, mood" in ran.err


class TestDiff:
    def test_with_the_parent(self, cli: Cli, chat: str) -> None:
        out = cli("diff", chat).out
        assert out.startswith("--- 00000001\n+++ 00000002\n")
        assert "mood: added\n@@ -0,0 +1 @@\n+wet\n" in out
        assert "tries: removed" in out
        assert "+tool (weather): rain\n" in out
        assert "\n-human" not in out
        assert "city" not in out.replace("(city=", "")

    def test_two_that_are_named_and_json(self, cli: Cli, chat: str) -> None:
        found = cli("diff", chat, "00000002", "00000001", "--json").data
        assert (found["a"], found["b"]) == ("00000002", "00000001")
        assert found["changes"]["mood"] == {"before": "wet", "after": None, "change": "removed"}
        assert "city" not in found["changes"]
        assert cli("diff", chat, "00000001", "00000001").out.endswith("Their states are equal.\n")

    def test_a_root_has_no_parent_to_compare(self, cli: Cli, chat: str) -> None:
        ran = cli("diff", chat, "", "00000001")
        assert ran.code == 2
        assert "no parent" in ran.err


class Counted(TypedDict):
    n: Annotated[int, operator.add]


def graph(saver: Any, second: Any) -> Any:
    """Return a graph of `a`, then `b` (which is `second`) and `c` in parallel, then `d`."""
    builder = StateGraph(Counted)
    builder.add_node("a", lambda state: {"n": 1})
    builder.add_node("b", second)
    builder.add_node("c", lambda state: {"n": 1})
    builder.add_node("d", lambda state: {"n": 1})
    builder.add_edge(START, "a")
    builder.add_edge("a", "b")
    builder.add_edge("a", "c")
    builder.add_edge(["b", "c"], "d")
    builder.add_edge("d", END)
    return builder.compile(checkpointer=saver)


def fail(state: Counted) -> Counted:
    raise ValueError("no luck")


def assert_as_langgraph(made: Any, saver: S3Saver) -> None:
    """Assert that the next steps of every checkpoint are LangGraph's."""
    for state in made.get_state_history(place("t")):
        found = saver.get_tuple(state.config)
        assert found is not None
        assert derive(found, {}).next == state.next


class TestResumePoint:
    def test_it_is_what_langgraph_would_run_at_every_checkpoint(self, saver: S3Saver) -> None:
        made = graph(saver, lambda state: {"n": 1})
        config = place("t")
        made.invoke({"n": 1}, config)
        history = list(made.get_state_history(config))
        assert len(history) == 5
        for state in history:
            found = saver.get_tuple(state.config)
            assert found is not None
            assert derive(found, {}).next == tuple(sorted(state.next))

    def test_a_loop_runs_again(self, saver: S3Saver) -> None:
        builder = StateGraph(Counted)
        builder.add_node("again", lambda state: {"n": 1})
        builder.add_edge(START, "again")
        builder.add_conditional_edges("again", lambda state: "again" if state["n"] < 4 else END)
        made = builder.compile(checkpointer=saver)
        made.invoke({"n": 1}, place("t"))
        assert_as_langgraph(made, saver)

    def test_sends(self, saver: S3Saver) -> None:
        builder = StateGraph(Counted)
        builder.add_node("fan", lambda state: {"n": 1})
        builder.add_node("one", lambda state: {"n": 1})
        builder.add_edge(START, "fan")
        builder.add_conditional_edges("fan", lambda state: [Send("one", {"n": 1})] * 2)
        made = builder.compile(checkpointer=saver)
        made.invoke({"n": 1}, place("t"))
        assert_as_langgraph(made, saver)

    def test_a_version_that_was_seen_triggers_nothing(self, saver: S3Saver) -> None:
        put(saver, "t", "00000001", {"branch:to:a": None, "own": 1})
        found = saver.get_tuple(place("t"))
        assert found is not None
        versions = found.checkpoint["channel_versions"]
        found.checkpoint["versions_seen"] = {"a": {"branch:to:a": versions["branch:to:a"]}}
        assert derive(found, {}).next == ()
        found.checkpoint["versions_seen"] = {"b": {"own": "0"}}
        assert derive(found, {}).next == ("a", "b")

    def test_a_question(self, cli: Cli, saver: S3Saver) -> None:
        made = graph(saver, lambda state: {"n": interrupt({"really": "?"})})
        made.invoke({"n": 1}, place("t"))
        found = cli("resume-point", "t", "--json").data
        assert (found["state"], found["next"], found["interrupts"]) == (
            "waiting",
            ["b"],
            [{"really": "?"}],
        )
        assert found["done"] == ["c"]
        out = cli("resume-point", "t").out
        assert "waits for an answer to:\n" in out
        assert '"really": "?"' in out
        made.invoke(Command(resume=5), place("t"))
        assert cli("resume-point", "t", "--json").data["state"] == "finished"

    def test_a_failure(self, cli: Cli, saver: S3Saver) -> None:
        with pytest.raises(ValueError, match="no luck"):
            graph(saver, fail).invoke({"n": 1}, place("t"))
        ran = cli("resume-point", "t")
        assert ": failed\n" in ran.out
        assert "no luck" in ran.out
        assert "Not known" in ran.out
