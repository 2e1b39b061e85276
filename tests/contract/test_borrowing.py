"""Checkpoints that borrow from earlier ones, over HTTP: what that asks, what is stored, who may delete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import pytest
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

from langgraph_checkpoint_s3 import CorruptObjectError
from tests.contract.admin.drivers import async_mostly, sync_mostly
from tests.contract.front import Front
from tests.contract.support import Calls, MakeCalls, Place, at, checkpoint, metadata, noise

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

DOCUMENTS = noise(60_000).hex()
BORROWING = {"PutObject": 1, "GetObject": 1, "HeadObject": 1}  # beside it: tombstones, and the oldest lender


def put_chain(calls: Calls, steps: int, thread: str = "thread") -> list[RunnableConfig]:
    """A line of checkpoints with documents that never change, and notes that grow by 5 kB a step."""
    config = at(thread)
    made: list[RunnableConfig] = []
    for step in range(steps):
        state = checkpoint(
            {"documents": DOCUMENTS, "notes": [noise(2_500, number).hex() for number in range(step)]}
        )
        state["channel_versions"]["notes"] = f"{step + 1:032}.5"
        config = calls.put(
            config, state, metadata(step, run_id=f"run-{step}"), {"notes": state["channel_versions"]["notes"]}
        )
        made.append(config)
    return made


def expected(step: int) -> dict[str, Any]:
    return {"documents": DOCUMENTS, "notes": [noise(2_500, number).hex() for number in range(step)]}


def values(calls: Calls, config: RunnableConfig) -> dict[str, Any]:
    found: dict[str, Any] = calls.get_tuple(config).checkpoint["channel_values"]
    return found


class TestBorrowing:
    def test_a_checkpoint_holds_only_what_is_new(
        self, make_calls: MakeCalls, front: Front, place: Place
    ) -> None:
        writer = make_calls()
        *_, last = put_chain(writer, 2)
        assert front.counts() == {**BORROWING, "PutObject": 2}
        first, second = (len(place.read(key)) for key in reversed(place.listing()))
        assert first > 60_000
        assert second < 8_000
        front.reset()
        assert values(writer, last) == expected(1)
        assert front.counts() == {"ListObjectsV2": 1}
        front.reset()
        assert values(make_calls(), last) == expected(1)
        assert front.counts() == {"ListObjectsV2": 1, "GetObject": 2}

    def test_a_process_that_read_the_parent_borrows_and_one_that_did_not_writes_whole(
        self, make_calls: MakeCalls, front: Front
    ) -> None:
        *_, last = put_chain(make_calls(), 2)
        for reads in (True, False):
            calls = make_calls()
            if reads:
                calls.get_tuple(last)
            front.reset()
            config = calls.put(last, checkpoint(expected(9)), metadata(9), {"documents": 1, "notes": 1})
            assert front.counts() == (BORROWING if reads else {"PutObject": 1})
            assert values(make_calls(), config) == expected(9)

    def test_a_lender_that_is_gone(self, make_calls: MakeCalls, front: Front, place: Place) -> None:
        writer = make_calls()
        first, second = put_chain(writer, 2)
        for key in place.listing():
            if f"p{first['configurable']['checkpoint_id']}" not in key:
                place.client.delete_object(Bucket=place.bucket, Key=key)
        front.reset()
        third = writer.put(second, checkpoint(expected(2)), metadata(2), {"notes": 1})
        assert front.counts()["PutObject"] == 2
        assert values(make_calls(), third) == expected(2)
        with pytest.raises(CorruptObjectError) as caught:
            make_calls().get_tuple(second)
        assert (
            second["configurable"]["checkpoint_id"] not in (caught.value.key or "").split("/checkpoint.")[1]
        )
        assert "borrows from" in str(caught.value)

    def test_what_stays_is_freed_before_its_lenders_go(self, make_calls: MakeCalls, front: Front) -> None:
        writer = make_calls()
        *_, last = put_chain(writer, 4)
        front.reset()
        make_calls().prune(["thread"])
        order = [seen.operation for seen in front.log]
        assert order.index("PutObject") < order.index("DeleteObjects")
        assert front.counts()["PutObject"] == 1 + 1  # the tombstones
        assert [shown.config for shown in make_calls().list(at())] == [last]
        assert values(make_calls(), last) == expected(3)
        after = writer.put(last, checkpoint(expected(4)), metadata(4), {"notes": 1})  # its lenders are gone
        assert values(make_calls(), after) == expected(4)

    @async_mostly
    def test_a_run_is_deleted_from_under_later_ones(self, make_calls: MakeCalls) -> None:
        made = put_chain(make_calls(), 5)
        make_calls().delete_for_runs(["run-0", "run-3"])
        for step, config in enumerate(made):
            found = make_calls().get_tuple(config)
            assert (found is None) == (step in (0, 3))
            if found is not None:
                assert found.checkpoint["channel_values"] == expected(step)

    @sync_mostly
    def test_a_copy_stands_alone(self, make_calls: MakeCalls) -> None:
        made = put_chain(make_calls(), 4)
        other = make_calls()
        other.copy_thread("thread", "copy")
        other.delete_thread("thread")
        for step, config in enumerate(made):
            name = config["configurable"]["checkpoint_id"]
            assert values(make_calls(), at("copy", checkpoint_id=name)) == expected(step)

    def test_a_damaged_lender_is_named(self, make_calls: MakeCalls, place: Place) -> None:
        *_, last = put_chain(make_calls(), 2)
        lender = place.listing()[-1]
        body = place.read(lender)
        place.write(lender, body[:-5] + bytes([body[-5] ^ 1]) + body[-4:])
        with pytest.raises(CorruptObjectError) as caught:
            make_calls().get_tuple(last)
        assert lender in str(caught.value)
        assert caught.value.key == place.listing()[0]


class Conversation(TypedDict, total=False):
    """A state that grows."""

    documents: str
    notes: Annotated[list[str], lambda old, new: [*old, *new]]


class TestAGraphThatGrows:
    TURNS = 10
    NOTE = 2_000
    """Half the letters that a turn adds. What they add up to is soon more than 16 KiB."""

    @async_mostly
    def test_its_storage_grows_with_its_state(
        self, make_calls: MakeCalls, front: Front, place: Place
    ) -> None:
        calls = make_calls()
        builder = StateGraph(Conversation)
        builder.add_node("write", lambda state: {"notes": [noise(self.NOTE, len(state["notes"])).hex()]})
        builder.add_edge(START, "write")
        graph = builder.compile(checkpointer=calls.saver)
        config = at()
        for turn in range(self.TURNS):
            entered: Conversation = {"notes": []} if turn else {"notes": [], "documents": DOCUMENTS}
            if calls.asynchronous:
                calls.run(graph.ainvoke(entered, config, durability="sync"))
            else:
                graph.invoke(entered, config, durability="sync")
        counts = front.counts()
        assert counts["PutObject"] == 5 * self.TURNS
        assert counts["ListObjectsV2"] == self.TURNS
        assert counts["HeadObject"] == counts["GetObject"] <= 3 * self.TURNS  # once for each put, at most
        assert set(counts) == {"PutObject", "GetObject", "HeadObject", "ListObjectsV2"}
        stored = sum(len(place.read(key)) for key in place.listing())
        state = len(DOCUMENTS) + self.TURNS * 2 * self.NOTE
        assert stored < 3 * state
        assert len(place.listing()) == 5 * self.TURNS
        found = values(make_calls(), config)
        assert found["documents"] == DOCUMENTS
        assert found["notes"] == [noise(self.NOTE, number).hex() for number in range(self.TURNS)]
