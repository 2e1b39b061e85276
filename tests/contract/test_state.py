"""`save_checkpoint` and `load_checkpoint`: values, graphs that read them, requests, and concurrent saves."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.base.id import UUID
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, Send, interrupt
from typing_extensions import TypedDict

from langgraph_checkpoint_s3 import InvalidKeyError, NotSupportedError
from langgraph_checkpoint_s3.plans.state import new_id
from tests.contract.admin.drivers import async_mostly, sync_mostly
from tests.contract.front import Front
from tests.contract.support import Calls, MakeCalls, MakeSaver, Place, at, checkpoint, metadata, noise
from tests.contract.test_budgets import seed

AHEAD = 3600 * 10_000_000
"""An hour, in the units of UUIDs."""


class Talk(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]
    topics: Annotated[list[str], operator.add]
    answer: str


def talk(calls: Calls, *, ask: bool = False) -> Any:
    """A graph of two nodes: the second one may ask."""

    def model(state: Talk) -> Any:
        return {"messages": [AIMessage(f"message {len(state.get('messages', ()))}")], "topics": ["models"]}

    def review(state: Talk) -> Any:
        return {"answer": interrupt("good?") if ask else f"{len(state['messages'])} messages"}

    builder = StateGraph(Talk)
    builder.add_node("model", model)
    builder.add_node("review", review)
    builder.add_edge(START, "model")
    builder.add_edge("model", "review")
    return builder.compile(checkpointer=calls.saver)


@dataclass
class Question:
    """A type that a strict serializer doesn't revive."""

    text: str


def contents(values: Mapping[str, Any]) -> dict[str, Any]:
    return {**values, "messages": [message.content for message in values["messages"]]}


class TestSavedValues:
    def test_what_is_saved_is_loaded(self, calls: Calls) -> None:
        first = {
            "text": "hello",
            "list": [1, {"a": None}],
            "raw": b"\x00",
            "message": HumanMessage("hi", id="1"),
        }
        one = calls.save_checkpoint("thread", first)
        two = calls.save_checkpoint("thread", {"text": "bye"})
        assert calls.load_checkpoint("thread") == {"text": "bye"}
        assert calls.load_checkpoint("thread", two) == {"text": "bye"}
        assert calls.load_checkpoint("thread", one) == first
        assert two > one

    def test_what_is_not_there_is_none(self, calls: Calls) -> None:
        assert calls.load_checkpoint("thread") is None
        name = calls.save_checkpoint("thread", {})
        assert calls.load_checkpoint("thread", name) == {}
        assert calls.load_checkpoint("thread", f"{name}0") is None
        assert calls.load_checkpoint("threa") is None

    def test_each_save_follows_the_last_one(self, calls: Calls) -> None:
        names = [calls.save_checkpoint("thread", {"number": number}) for number in range(3)]
        shown = calls.list(at())
        assert [each.checkpoint["id"] for each in shown] == names[::-1]
        assert [each.metadata for each in shown] == [
            {"source": "update", "step": step, "parents": {}} for step in (2, 1, 0)
        ]
        parents = [
            each.parent_config and each.parent_config["configurable"]["checkpoint_id"] for each in shown
        ]
        assert parents == [names[1], names[0], None]

    def test_versions_of_changed_values_move(self, calls: Calls) -> None:
        values = {"same": [1, 2], "changed": 1, "removed": 1}
        calls.save_checkpoint("thread", values)
        before = calls.get_tuple(at()).checkpoint["channel_versions"]
        calls.save_checkpoint("thread", {"same": [1, 2], "changed": True, "new": 1})
        after = calls.get_tuple(at()).checkpoint["channel_versions"]
        assert after["same"] == before["same"]
        assert after["changed"] == after["new"] > before["changed"]  # 1 and True are equal, not the same
        assert set(after) == {"same", "changed", "new"}

    def test_a_checkpoint_that_lacks_much_can_be_followed(self, calls: Calls) -> None:
        bare: Any = {"id": "00000001", "channel_values": {"text": "old"}}
        calls.put(at(), bare, {"step": None}, {})  # as others may write it
        assert calls.load_checkpoint("thread") == {"text": "old"}
        calls.save_checkpoint("thread", {"text": "new"})
        found = calls.get_tuple(at())
        assert found.metadata["step"] == 0
        assert found.checkpoint["channel_values"] == {"text": "new"}
        assert list(found.checkpoint["channel_versions"]) == ["text"]

    def test_other_namespaces_stay_apart(self, calls: Calls) -> None:
        calls.put(at(ns="sub"), checkpoint(), metadata(), {})
        assert calls.load_checkpoint("thread") is None
        calls.save_checkpoint("thread", {"text": "root"})
        assert calls.get_tuple(at(ns="sub")).parent_config is None
        assert calls.load_checkpoint("thread") == {"text": "root"}

    def test_what_is_unchanged_is_borrowed(self, calls: Calls, make_calls: MakeCalls) -> None:
        documents = noise(100_000)
        calls.save_checkpoint("thread", {"documents": documents, "turn": 1})
        calls.save_checkpoint("thread", {"documents": documents, "turn": 2})
        other = make_calls()  # knows nothing of the first two
        other.save_checkpoint("thread", {"documents": documents, "turn": 3})
        sizes = [size.bytes for size in admin_of(calls).checkpoint_sizes("thread")]
        assert sorted(size > 100_000 for size in sizes) == [False, False, True]
        assert make_calls().load_checkpoint("thread") == {"documents": documents, "turn": 3}

    @pytest.mark.parametrize(
        ("values", "reason"),
        [
            ([("a", 1)], "must be a mapping"),
            (None, "must be a mapping"),
            ({1: 2}, "must be strings, not int"),
            ({"__start__": 1}, "'__start__' can't be saved"),
            ({"branch:to:model": None}, "'branch:to:model' can't be saved"),
        ],
    )
    def test_invalid_values_are_refused(self, calls: Calls, front: Front, values: Any, reason: str) -> None:
        with pytest.raises(InvalidKeyError, match=reason):
            calls.save_checkpoint("thread", values)
        assert front.counts() == {}

    def test_other_states_are_told_how_to_become_one(self, calls: Calls) -> None:
        @dataclass
        class State:
            text: str

        with pytest.raises(InvalidKeyError, match=r"not State: of a dataclass pass vars\(…\)"):
            calls.save_checkpoint("thread", State("a"))

    @pytest.mark.parametrize(("thread", "name"), [("", None), (None, None), ("thread", "")])
    def test_invalid_ids_are_refused(self, calls: Calls, front: Front, thread: Any, name: Any) -> None:
        with pytest.raises(InvalidKeyError):
            calls.load_checkpoint(thread, name)
        if name is None:
            with pytest.raises(InvalidKeyError):
                calls.save_checkpoint(thread, {})
        assert front.counts() == {}


def admin_of(calls: Calls) -> Any:
    from langgraph_checkpoint_s3.admin import S3Admin

    return S3Admin(calls.saver)


class TestSavedForGraphs:
    def test_a_graph_reads_what_was_saved_and_goes_on(self, calls: Calls) -> None:
        calls.save_checkpoint("thread", {"messages": [HumanMessage("hello", id="1")], "topics": ["a"]})
        graph = talk(calls)
        shown = graph.get_state(at())
        assert contents(shown.values) == {"messages": ["hello"], "topics": ["a"]}
        assert shown.next == ()
        assert contents(graph.invoke(None, at())) == contents(shown.values)  # there is nothing to do
        done = graph.invoke({"messages": [HumanMessage("more", id="2")]}, at())
        expected = {
            "messages": ["hello", "more", "message 2"],
            "topics": ["a", "models"],
            "answer": "3 messages",
        }
        assert contents(done) == expected
        assert contents(calls.load_checkpoint("thread")) == expected
        assert [each.metadata["step"] for each in graph.get_state_history(at())][-1] == 0

    def test_a_graph_goes_on_from_what_was_saved_over_its_state(self, calls: Calls) -> None:
        graph = talk(calls)
        graph.invoke({"messages": [HumanMessage("hello", id="1")], "topics": ["a"]}, at())
        values = calls.load_checkpoint("thread")
        assert values == graph.get_state(at()).values
        # Without `topics`: LangGraph must not rebuild them from what earlier steps wrote.
        calls.save_checkpoint("thread", {"messages": values["messages"][:1], "answer": "mine"})
        assert contents(graph.get_state(at()).values) == {
            "messages": ["hello"],
            "answer": "mine",
            "topics": [],
        }
        done = graph.invoke({"messages": [HumanMessage("more", id="2")]}, at())
        assert contents(done) == {
            "messages": ["hello", "more", "message 2"],
            "topics": ["models"],
            "answer": "3 messages",
        }

    def test_a_paused_graph_stays_where_it_is(self, calls: Calls) -> None:
        graph = talk(calls, ask=True)
        graph.invoke({"messages": [HumanMessage("hello", id="1")]}, at())
        values = calls.load_checkpoint("thread")
        assert set(values) == {"messages", "topics"}
        calls.save_checkpoint("thread", {**values, "topics": ["mine"]})
        shown = graph.get_state(at())
        assert shown.next == ("review",)
        assert shown.values["topics"] == ["mine"]
        assert "__interrupt__" in graph.invoke(None, at())
        assert graph.invoke(Command(resume="yes"), at())["answer"] == "yes"

    def test_what_is_langgraphs_own_is_taken_over_unread(self, calls: Calls, make_calls: MakeCalls) -> None:
        """A strict serializer would make plain data of unfinished sends."""
        builder = StateGraph(Talk)
        builder.add_node("model", lambda state: {"topics": ["models"]})
        builder.add_node("ask", lambda item: {"topics": [interrupt(item.text)]})
        builder.add_edge(START, "model")
        builder.add_conditional_edges("model", lambda state: [Send("ask", Question("a"))], ["ask"])
        graph = builder.compile(checkpointer=calls.saver)
        graph.invoke({"topics": ["first"]}, at())
        strict = make_calls(serde=JsonPlusSerializer(allowed_msgpack_modules=None))
        strict.save_checkpoint("thread", {**strict.load_checkpoint("thread"), "topics": ["mine"]})
        assert graph.get_state(at()).next == ("ask",)
        assert "__interrupt__" in graph.invoke(None, at())
        assert graph.invoke(Command(resume="yes"), at())["topics"] == ["mine", "yes"]

    @async_mostly
    def test_saving_equals_updating(self, calls: Calls) -> None:
        """Compare with what `update_state` leaves, but for the node that it comes from."""
        graph = talk(calls)
        for thread in ("thread", "other"):
            graph.invoke({"messages": [HumanMessage("hello", id="1")]}, at(thread))
        values = calls.load_checkpoint("thread")
        calls.save_checkpoint("thread", {**values, "answer": "new"})
        graph.update_state(at("other"), {"answer": "new"}, as_node="review")
        saved, updated = calls.get_tuple(at()), calls.get_tuple(at("other"))
        assert saved.metadata == updated.metadata
        assert saved.checkpoint.keys() == updated.checkpoint.keys()
        for name in ("v", "updated_channels"):
            assert saved.checkpoint[name] == updated.checkpoint[name]
        assert saved.checkpoint["channel_values"].keys() == updated.checkpoint["channel_values"].keys()
        numbers = [
            {name: version.partition(".")[0] for name, version in each.checkpoint["channel_versions"].items()}
            for each in (saved, updated)
        ]
        assert numbers[0] == numbers[1]


def extend(found: list[str], writes: Any) -> list[str]:
    return [*found, *(item for write in writes for item in write)]


class Log(TypedDict, total=False):
    log: Annotated[list[str], DeltaChannel(extend, list, snapshot_frequency=2)]


class TestSavedDeltaChannels:
    @pytest.fixture
    def graph(self, calls: Calls) -> Any:
        builder = StateGraph(Log)
        builder.add_node("model", lambda state: {"log": [f"model {len(state['log'])}"]})
        builder.add_edge(START, "model")
        return builder.compile(checkpointer=calls.saver)

    @async_mostly
    def test_a_value_that_only_a_graph_can_rebuild_is_an_error(self, calls: Calls, graph: Any) -> None:
        loaded, refused = 0, []
        for _ in range(3):
            graph.invoke({"log": ["input"]}, at())
            for shown in graph.get_state_history(at()):
                name = shown.config["configurable"]["checkpoint_id"]
                try:
                    values = calls.load_checkpoint("thread", name)
                except NotSupportedError as error:
                    refused.append(str(error))
                else:
                    loaded += 1
                    assert values.get("log", []) == shown.values["log"]
        assert loaded
        assert refused
        assert all("'log'" in each and "graph.get_state" in each for each in refused)

    @sync_mostly
    def test_what_is_saved_is_what_the_graph_goes_on_from(self, calls: Calls, graph: Any) -> None:
        graph.invoke({"log": ["input"]}, at())
        calls.save_checkpoint("thread", {"log": ["mine"]})
        assert calls.load_checkpoint("thread") == {"log": ["mine"]}
        assert graph.get_state(at()).values == {"log": ["mine"]}
        assert graph.invoke({"log": ["more"]}, at())["log"] == ["mine", "more", "model 2"]
        assert graph.get_state(at()).values["log"] == ["mine", "more", "model 2"]
        calls.save_checkpoint("thread", {})
        assert graph.get_state(at()).values == {"log": []}
        assert graph.invoke({"log": ["again"]}, at())["log"] == ["again", "model 1"]


class TestBudgetsOfSaves:
    def test_a_save_is_a_list_and_a_put(self, calls: Calls, front: Front) -> None:
        for number in range(3):
            with front.counted() as found:
                calls.save_checkpoint("thread", {"number": number, "text": "x" * 1000})
            assert found == {"ListObjectsV2": 1, "PutObject": 1}

    def test_behind_another_process_it_reads_the_latest(
        self, calls: Calls, make_calls: MakeCalls, front: Front
    ) -> None:
        calls.save_checkpoint("thread", {"number": 1})
        config = calls.get_tuple(at()).config
        calls.put_writes(config, [("number", 2)], "task")  # which isn't read
        other = make_calls()
        with front.counted() as found:
            other.save_checkpoint("thread", {"number": 2})
        assert found == {"ListObjectsV2": 1, "GetObject": 1, "PutObject": 1}

    def test_with_borrowing_it_takes_a_get_and_a_head_more(self, calls: Calls, front: Front) -> None:
        for number in range(3):
            with front.counted() as found:
                calls.save_checkpoint("thread", {"number": number, "raw": noise(50_000)})
            beside = {"GetObject": 1, "HeadObject": 1} if number else {}
            assert found == {"ListObjectsV2": 1, "PutObject": 1, **beside}

    def test_a_load_is_a_list_and_a_get(self, calls: Calls, make_calls: MakeCalls, front: Front) -> None:
        name = calls.save_checkpoint("thread", {"number": 1})
        calls.put_writes(calls.get_tuple(at()).config, [("number", 2)], "task")
        with front.counted() as found:
            calls.load_checkpoint("thread")
        assert found == {"ListObjectsV2": 1}
        other = make_calls()
        with front.counted() as found:
            other.load_checkpoint("thread", name)
        assert found == {"ListObjectsV2": 1, "GetObject": 1}
        with front.counted() as found:
            other.save_checkpoint("thread", {"number": 2})
        assert found == {"ListObjectsV2": 1, "PutObject": 1}

    def test_the_thread_s_length_makes_no_difference(self, calls: Calls, place: Place, front: Front) -> None:
        seed(place, calls.saver, 100)
        calls.save_checkpoint("thread", {"number": 99})
        with front.counted() as found:
            calls.save_checkpoint("thread", {"number": 100})
        assert found == {"ListObjectsV2": 1, "PutObject": 1}

    def test_the_operations_are_counted(self, calls: Calls) -> None:
        calls.save_checkpoint("thread", {})
        calls.load_checkpoint("thread")
        operations = calls.saver.stats().operations
        assert (operations["save_checkpoint"], operations["load_checkpoint"]) == (1, 1)


class TestConcurrentSaves:
    def test_concurrent_saves_lose_nothing(self, make_saver: MakeSaver) -> None:
        savers = [make_saver() for _ in range(4)]
        savers[0].save_checkpoint("thread", {"raw": noise(50_000), "number": -1})

        def save(number: int) -> str:
            return savers[number % 4].save_checkpoint("thread", {"raw": noise(50_000), "number": number})

        with ThreadPoolExecutor(8) as pool:
            names = list(pool.map(save, range(16)))
        reader = make_saver()
        assert len(set(names)) == 16
        for number, name in enumerate(names):
            assert reader.load_checkpoint("thread", name) == {"raw": noise(50_000), "number": number}
        listed = [each.checkpoint["id"] for each in reader.list(at())]
        assert set(names) < set(listed)
        assert listed[0] == max(names)
        assert reader.load_checkpoint("thread")["number"] == names.index(max(names))  # type: ignore[index]  # it is there


class TestClocksOfSaves:
    @pytest.fixture
    def ahead(self, calls: Calls) -> str:
        """A checkpoint by somebody whose clock is an hour ahead."""
        now = new_id(3)
        name = str(UUID(int=now.int + (AHEAD << 80 >> 12 & ~((1 << 80) - 1))))
        calls.put(at(), checkpoint(checkpoint_id=name), metadata(), {})
        return name

    def test_what_was_saved_is_the_latest_whatever_the_clocks_say(self, calls: Calls, ahead: str) -> None:
        one = calls.save_checkpoint("thread", {"number": 1})
        two = calls.save_checkpoint("thread", {"number": 2})
        assert ahead < one < two
        assert calls.load_checkpoint("thread") == {"number": 2}
        assert UUID(hex=one).version == UUID(hex=two).version == 6
        assert UUID(hex=two).time == UUID(hex=one).time + 1 == UUID(hex=ahead).time + 2

    @pytest.mark.parametrize("name", ["zzz", "ffffffff-ffff-4fff-8fff-ffffffffffff"])
    def test_behind_ids_that_end_the_alphabet_nothing_can_be_saved(
        self, calls: Calls, front: Front, name: str
    ) -> None:
        calls.put(at(), checkpoint(checkpoint_id=name), metadata(), {})
        with front.counted() as found, pytest.raises(InvalidKeyError, match="sorts after any"):
            calls.save_checkpoint("thread", {"number": 1})
        assert "PutObject" not in found

    def test_other_ids_that_sort_before_are_fine(self, calls: Calls) -> None:
        calls.put(at(), checkpoint(checkpoint_id="00000001"), metadata(), {})
        calls.save_checkpoint("thread", {"number": 1})
        assert calls.load_checkpoint("thread") == {"number": 1}
