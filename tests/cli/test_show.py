"""Showing checkpoints: the state, how two differ, and what would run next."""

from __future__ import annotations

import operator
import re
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Interrupt, Send, interrupt
from rich.cells import cell_len
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
        assert "\ncity  Oslo\n" in out

    def test_an_older_one_a_channel_and_writes(self, cli: Cli, chat: str, saver: S3Saver) -> None:
        saver.put_writes(place(chat, "00000001"), [("city", "Bergen")], "task-1")
        out = cli("show", chat, "00000001", "--channel", "tries").out
        assert "mood" not in out
        assert "Oslo" not in out
        assert "\ntries  [1]\n" in out
        assert "\ntask task-1 wrote city  Bergen\n" in out

    def test_the_conversation_is_first_and_edges_are_hidden(self, cli: Cli, saver: S3Saver) -> None:
        said = [HumanMessage("Hi", id="1")]
        put(saver, "t", "00000001", {"branch:to:model": None, "a": 1, "messages": said, "also": said})
        saver.put_writes(place("t", "00000001"), [("branch:to:end", None), ("a", 2)], "task-1")
        lines = cli("show", "t").out.splitlines()[1:]
        assert lines == [
            *("messages", "  human: Hi", "also", "  human: Hi", "a  1", "task task-1 wrote a  2"),
            "1 channel of LangGraph's edges: --all shows them.",
        ]
        out = cli("show", "t", "--all").out
        assert "\nbranch:to:model  null\n" in out
        assert "wrote branch:to:end" in out
        assert cli("show", "t", "--channel", "branch:to:model").out.splitlines()[1] == (
            "branch:to:model  null"
        )
        assert "branch:to:model" in cli("show", "t", "--json").data["channel_values"]

    def test_long_values_are_cut_with_their_size(self, cli: Cli, saver: S3Saver) -> None:
        values: dict[str, Any] = {
            "text": "ü" * 150_000,
            "rows": [{"n": number} for number in range(10_000)],
            "nested": {"first": "x" * 5_000, "last": "seen"},
            "image": b"\x89PNG" + bytes(1_000_000),
            "inside": {"file": bytearray(b"%PDF-1.7")},
            "messages": [HumanMessage("a" * 9_000, id=str(number)) for number in range(50)],
        }
        put(saver, "t", "00000001", values)
        out = cli("show", "t").out
        assert len(out) < 40 * 2_200 + 10_000
        for part in (
            "ü… 300.0 kB, --full\n",
            "\n  … 228.9 kB, --full\n",
            'x… 5.0 kB",\n',
            '"last": "seen"',
            "\nimage  bytes, 1.0 MB (PNG)\n",
            'inside  {"file": "bytes, 8 B (PDF)"}',
            "  10 messages before these: --full shows them.\n",
            "a… 9.0 kB, --full\n",
        ):
            assert part in out
        out = cli("show", "t", "--full").out
        assert len(out) > 800_000
        assert ", --full" not in out
        assert "image  bytes, 1.0 MB (PNG)" in out

    def test_questions_and_errors_stand_above_the_state(self, cli: Cli, saver: S3Saver) -> None:
        put(saver, "t", "00000001", {"n": 1})
        saver.put_writes(
            place("t", "00000001"), [("__interrupt__", (Interrupt({"sure": "?"}, id="1"),))], "a"
        )
        saver.put_writes(place("t", "00000001"), [("__error__", "ValueError(1)")], "b")
        lines = cli("show", "t").out.splitlines()
        assert lines[1:3] == ["failed: ValueError(1)", 'asks: {"sure": "?"}']
        assert lines[3:] == ["n  1", 'task a asked  {"sure": "?"}', "task b failed  ValueError(1)"]
        assert "asked: {" in cli("show", "t", "00000001").out  # whether it waits isn't known of it

    def test_a_terminals_lines_end_between_words(
        self, cli: Cli, saver: S3Saver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        said = ["many words of a length " * 20, "x" * 100, "日本 語 " * 30]
        put(saver, "t", "00000001", {"messages": [{"type": "ai", "content": each} for each in said]})
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("COLUMNS", "60")
        lines = re.sub(r"\x1b\[[0-9;]*m", "", cli("show", "t").out).splitlines()
        assert [line for line in lines[1:] if cell_len(line) > 60] == [f"    {'x' * 100}"]
        assert "".join(lines).replace(" ", "").count("manywordsofalength") == 20

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
        assert "mood: added\n+wet\n" in out
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

    def test_edges_and_long_differences(self, cli: Cli, saver: S3Saver) -> None:
        put(saver, "t", "00000001", {"branch:to:a": None, "n": ["x" * 9_000]})
        put(saver, "t", "00000002", {"branch:to:b": None, "n": ["x" * 9_000]}, "00000001")
        assert cli("diff", "t").out.endswith("Only LangGraph's edges differ: --all shows them.\n")
        assert "branch:to:b: added" in cli("diff", "t", "--all").out
        put(saver, "t", "00000003", {"n": ["y" * 9_000, *range(500)], "b": b"1"}, "00000002")
        put(saver, "t", "00000004", {"n": list(range(5_000)), "b": b"2"}, "00000003")
        out = cli("diff", "t", "latest~2", "latest~1").out
        assert "y… 9.0 kB\n" in out
        assert "… 502 lines: --full shows them.\n" in out
        assert out.count("\n") < 210
        assert "y" * 9_000 in cli("diff", "t", "latest~2", "latest~1", "--full").out
        out = cli("diff", "t").out
        assert "b: changed\n  What differs isn't in the text: --json has it.\n" in out
        assert "n: changed\n  More than 2,000 lines differ" in out

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
        assert "Read from stored data only" not in cli("resume-point", "t").out

    def test_a_failure(self, cli: Cli, saver: S3Saver) -> None:
        with pytest.raises(ValueError, match="no luck"):
            graph(saver, fail).invoke({"n": 1}, place("t"))
        ran = cli("resume-point", "t")
        assert ": failed\n" in ran.out
        assert "no luck" in ran.out
        assert "Read from stored data only" in ran.out
