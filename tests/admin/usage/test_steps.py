"""Summaries of a history's steps, compared with LangGraph's own snapshots."""

from __future__ import annotations

import operator
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, Send, interrupt
from typing_extensions import TypedDict

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.admin import History, S3Admin, StepSummary
from langgraph_checkpoint_s3.admin.usage.steps import MAX_CHARACTERS, shorten
from langgraph_checkpoint_s3.text.messages import parse_conversation, parse_message
from tests.support.checkpoints import make_checkpoint, place
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver

CALLS: list[Any] = [
    {"name": "weather", "args": {"city": "Oslo"}, "id": "1"},
    {"name": "weather", "args": {"city": "Rome"}, "id": "2"},
]


class Chat(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]
    found: Annotated[list[str], operator.add]
    mood: str


def model(state: Chat) -> Chat:
    if isinstance(state["messages"][-1], HumanMessage):
        return {"messages": [AIMessage("Let me\n look.", tool_calls=CALLS)]}
    return {"messages": [AIMessage("Rain. " * 100)], "mood": "wet"}


def tool(state: Any) -> Chat:
    return {"messages": [ToolMessage("rain", name="weather", tool_call_id=state["id"])], "found": ["rain"]}


def review(state: Chat) -> Chat:
    return {"mood": interrupt({"really": "Send it?"})}


def route(state: Chat) -> Any:
    last = state["messages"][-1]
    calls = last.tool_calls if isinstance(last, AIMessage) else []
    return [Send("tool", call) for call in calls] or "review"


def agent(saver: S3Saver) -> Any:
    builder = StateGraph(Chat)
    builder.add_node("model", model)
    builder.add_node("tool", tool)
    builder.add_node("review", review)
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", route)
    builder.add_edge("tool", "model")
    builder.add_edge("review", END)
    return builder.compile(checkpointer=saver)


@pytest.fixture
def chat(saver: S3Saver) -> Any:
    """An agent that asked, was answered, got another input, and asks again."""
    graph = agent(saver)
    graph.invoke({"messages": [("user", "What's the weather?")]}, place("t"))
    graph.invoke(Command(resume="yes"), place("t"))
    graph.update_state(place("t"), {"mood": "dry"}, as_node="review")
    graph.invoke({"messages": "And tomorrow?"}, place("t"))
    return graph


def id_of(config: Any) -> str:
    return str(config["configurable"]["checkpoint_id"])


def ran(graph: Any) -> dict[str, list[str]]:
    """Return the nodes that LangGraph says ran before each checkpoint that a step led to."""
    snapshots = {
        each.config["configurable"]["checkpoint_id"]: each for each in graph.get_state_history(place("t"))
    }
    return {
        name: sorted(
            task.name for task in snapshots[each.parent_config["configurable"]["checkpoint_id"]].tasks
        )
        for name, each in snapshots.items()
        if each.metadata["source"] == "loop"
    }


def test_the_nodes_are_those_that_langgraph_ran(fake: FakeS3, chat: Any) -> None:
    found = S3Admin(make_saver(fake)).history("t")
    nodes = {entry.checkpoint_id: list(entry.summary.nodes) for entry in found}
    assert {name: nodes[name] for name in ran(chat)} == ran(chat)
    assert ["tool", "tool"] in nodes.values()
    assert all(not entry.summary.nodes for entry in found if entry.source != "loop")


def test_what_the_steps_of_a_chat_did(fake: FakeS3, chat: Any) -> None:
    found = S3Admin(make_saver(fake)).history("t")
    first, second = 'weather(city="Oslo")', 'weather(city="Rome")'
    calls = [("said", "ai: Let me look."), ("call", f"→ {first}"), ("call", f"→ {second}")]
    rain = ("said", f"ai: {'Rain. ' * 33}R…")
    asks = ("asks", 'asks: {"really": "Send it?"}')
    results = [("said", "tool (weather): rain (+1)")]
    assert [(entry.step, entry.summary.parts) for entry in found] == [
        (10, [asks, rain]),
        (9, results),
        (8, calls),
        (7, []),  # what the input before it said
        (6, [("said", "human: And tomorrow?")]),
        (5, [("wrote", "set mood")]),
        (4, [("wrote", "set mood")]),
        (3, [rain, ("asked", 'asked: {"really": "Send it?"} → yes')]),
        (2, results),
        (1, calls),
        (0, []),
        (-1, [("said", "user: What's the weather?")]),
    ]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"messages": "Hi"}, "human: Hi"),
        ({"n": 1, "messages": [("user", "Hi")]}, "user: Hi"),
        (
            {"messages": {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "image"}]}},
            "user: Hi [image]",
        ),
        ({"cities": ["Oslo", "Rome"]}, '{"cities": ["Oslo", "Rome"]}'),
        ("go", "go"),
        (b"ab", '{"base64": "YWI="}'),
    ],
    ids=repr,
)
def test_inputs(saver: S3Saver, given: Any, told: str) -> None:
    put(saver, "1", None, {"__start__": given}, source="input")
    assert [text for _, text in only(saver).parts] == [told]


def test_a_checkpoint_whose_parent_is_left_out(saver: S3Saver, chat: Any) -> None:
    """The last step's nodes saw the newest versions, and the channels that it changed are noted."""
    latest = only(saver, 1)
    assert (latest.nodes, latest.author) == (("model",), "ai")
    assert latest == S3Admin(saver).history("t")[0].summary


def test_the_messages_of_a_delta_channel_are_in_the_parents_writes(saver: S3Saver) -> None:
    put(saver, "1", None, {"other": 1})
    saver.put_writes(place("t", "1"), [("messages", [AIMessage("Hello")])], "task")
    put(saver, "2", "1", {"other": 1}, channel_versions={"other": "1", "messages": "2"})
    assert only(saver).parts == [("said", "ai: Hello")]


def test_a_message_that_stays_the_last_one_is_told_once(saver: S3Saver) -> None:
    said = [HumanMessage("a", id="1"), HumanMessage("b", id="2")]
    put(saver, "1", None, {"messages": said})
    put(saver, "2", "1", {"messages": said[1:]}, channel_versions={"messages": "9"})  # one was removed
    assert only(saver).parts == [("wrote", "set messages")]


def test_a_question_that_was_passed_over_and_an_error(saver: S3Saver) -> None:
    put(saver, "1", None, {})
    saver.put_writes(place("t", "1"), [("__interrupt__", [{"value": "Sure?"}])], "a")
    saver.put_writes(place("t", "1"), [("__error__", "TimeoutError(10)")], "b")
    assert only(saver).parts == [("failed", "failed: TimeoutError(10)"), ("asks", 'asks: {"value": "Sure?"}')]
    put(saver, "2", "1", {})
    first = S3Admin(saver).history("t")[1]
    assert (first.interrupts, first.summary.asks, first.summary.asked) == (0, (), ('{"value": "Sure?"}',))


def test_a_history_made_of_entries_of_another_says_the_same(saver: S3Saver, chat: Any) -> None:
    found = S3Admin(saver).history("t")
    assert History("t", found.entries) == found
    assert History("t", found[2:5]).entries[1:] == found[3:5]


def test_texts_are_cut() -> None:
    assert shorten(" a\n\tb ") == "a b"
    for value in ("x" * 1000, "\n" * 10**6 + "x", {"a": ["x" * 1000]}, ["x"] * 1000):
        assert len(shorten(value)) <= MAX_CHARACTERS
        assert shorten(value).endswith("…")


def test_messages_of_other_forms() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    message = parse_message({"role": "assistant", "content": "", "tool_calls": [call]})
    assert message is not None
    assert [str(each) for each in message.calls] == ["f(a=1)"]
    call["function"] = {"name": "f", "arguments": "[" * 100_000}
    assert parse_conversation([{"role": "assistant", "content": "", "tool_calls": [call]}])
    assert parse_message({"role": "tool", "content": "x", "tool_call_id": "1"}) == (
        *("tool", None, "x", (), "1", None),
    )
    for value in (None, 1, "text", {"role": 1, "content": "x"}, {"role": "x", "content": None}):
        assert parse_message(value) is None
    assert parse_conversation([]) is parse_conversation([1]) is parse_conversation("x") is None


def only(saver: S3Saver, limit: int | None = None) -> StepSummary:
    """Return the latest step's summary."""
    return S3Admin(saver).history("t", limit=limit)[0].summary


def put(
    saver: S3Saver, name: str, parent: str | None, values: dict[str, Any], source: str = "loop", **fields: Any
) -> None:
    checkpoint: Any = {**make_checkpoint(name, values), "versions_seen": {}, **fields}
    metadata: Any = {"source": source, "step": int(name)}
    saver.put(place("t", parent), checkpoint, metadata, checkpoint["channel_versions"])
