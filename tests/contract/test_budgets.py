"""Request counts of each operation, measured over HTTP."""

from __future__ import annotations

import asyncio
import importlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.format.borrowing import BorrowPolicy
from langgraph_checkpoint_s3.format.checkpoint import Origin
from langgraph_checkpoint_s3.format.checkpoint_writer import draft, serialize
from langgraph_checkpoint_s3.format.keys import CheckpointLeaf, Layout, WritesLeaf
from langgraph_checkpoint_s3.format.writes import Task, encode_tasks
from tests.contract.front import Answer, Front, Hold
from tests.contract.support import (
    Calls,
    MakeCalls,
    MakeSaver,
    Place,
    at,
    build_thread,
    checkpoint,
    metadata,
)
from tests.format.made import key_at

MANY = 1200
"""Checkpoints of a long thread: more than a page of a listing."""


def identifier(number: int) -> str:
    return f"1f0f0000-{number // 10_000:04x}-6000-8000-{number:012d}"


def seed(place: Place, saver: S3Saver, count: int, *, tasks: int = 0, delta: str | None = None) -> list[str]:
    """Put a long thread as the saver would have, only faster; its ids, oldest first."""
    layout = Layout(saver.config.prefix)
    ids = [identifier(number) for number in range(count)]
    made: list[tuple[str, bytes]] = []
    for number, name in enumerate(ids):
        parent = ids[number - 1] if number else None
        origin = Origin("", name, number + 1, "seed")
        complete = metadata(number, run_id=f"run-{number % 7}")
        values = {"text": f"step {number}"}
        if delta and number == 0:
            values[delta] = "seed"
        leaf = CheckpointLeaf.of(complete, parent)
        content = serialize(saver.serde, checkpoint(values, checkpoint_id=name), complete, parent)
        key = layout.key("thread", "", name, leaf)
        body = draft(content, {}, origin, key_at(key), "none", BorrowPolicy(horizon=0)).body
        made.append((key, body))
        for task in range(tasks):
            wrote = {0: (delta or "text", f"{number}.{task}")}
            end = WritesLeaf.of(f"task-{task}", wrote)
            tasked = [Task.of(saver.serde, wrote, f"task-{task}", f"~{task}")]
            body = encode_tasks("none", origin, end.encode(), tasked)
            made.append((layout.key("thread", "", name, end), body))
    if place.server.name == "moto":  # it is in this process: straight into its memory
        backend = moto_backends()["123456789012"]["aws"]
        for key, body in made:
            backend.put_object(place.bucket, key, body)
    else:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda pair: place.write(*pair), made))
    return ids


def moto_backends() -> Any:
    return importlib.import_module("moto.s3.models").s3_backends


class TestBudgetsOfASmallThread:
    def test_put_is_one_put(self, calls: Calls, front: Front) -> None:
        calls.put(at(), checkpoint(), metadata(), {})
        assert front.counts() == {"PutObject": 1}

    def test_put_sends_its_body_at_once(self, calls: Calls, front: Front) -> None:
        config = calls.put(at(), checkpoint({"big": "x" * 100_000}), metadata(), {})
        calls.put_writes(config, [("a", "x" * 100_000)], "task")
        puts = [seen for seen in front.log if seen.operation == "PutObject"]
        assert len(puts) == 2
        assert not [seen for seen in puts if "expect" in seen.headers]

    @pytest.mark.parametrize("writes", [1, 50])
    def test_put_writes_is_one_put(self, calls: Calls, front: Front, writes: int) -> None:
        config = at(checkpoint_id=identifier(1))
        calls.put_writes(config, [(f"channel-{number}", number) for number in range(writes)], "task")
        assert front.counts() == {"PutObject": 1}

    def test_put_writes_of_nothing_is_nothing(self, calls: Calls, front: Front) -> None:
        calls.put_writes(at(checkpoint_id=identifier(1)), [], "task")
        assert front.counts() == {}

    def test_fifty_tasks_write_and_read_one_object(
        self, make_saver: MakeSaver, make_calls: MakeCalls, front: Front
    ) -> None:
        writer = make_saver()
        config = writer.put(at(), checkpoint(), metadata(), {})

        async def write() -> None:
            async with writer:
                await asyncio.gather(
                    *(writer.aput_writes(config, [("text", n)], f"task-{n:02}") for n in range(50))
                )

        with front.counted() as found:
            asyncio.run(write())
        assert found == {"PutObject": 1}
        assert writer.stats().operations["put_writes"] == 50
        reader = make_calls()
        with front.counted() as found:
            shown = reader.get_tuple(at())
        assert shown.pending_writes == [(f"task-{n:02}", "text", n) for n in range(50)]
        assert found == {"ListObjectsV2": 1, "GetObject": 2}

    @pytest.mark.parametrize(("tasks", "named"), [(0, False), (1, True), (5, False)])
    def test_a_cold_get_tuple_is_a_list_and_its_objects(
        self, make_saver: MakeSaver, make_calls: MakeCalls, front: Front, tasks: int, named: bool
    ) -> None:
        [config] = build_thread(make_saver(), checkpoints=1, tasks=tasks)
        reader = make_calls()
        front.reset()
        with front.rounds() as rounds:
            found = reader.get_tuple(config if named else at())
        assert len(found.pending_writes) == 2 * tasks
        assert front.counts() == {"ListObjectsV2": 1, "GetObject": 1 + tasks}
        assert rounds == [1, 1 + tasks]

    def test_get_tuple_of_what_was_written_here_is_one_list(self, calls: Calls, front: Front) -> None:
        config = build_thread(calls, checkpoints=2)[-1]
        for again in (at(), config, at()):
            with front.counted() as found:
                assert calls.get_tuple(again)
            assert found == {"ListObjectsV2": 1}

    def test_get_tuple_of_what_was_read_here_is_one_list(
        self, make_saver: MakeSaver, make_calls: MakeCalls, front: Front
    ) -> None:
        build_thread(make_saver(), checkpoints=2)
        reader = make_calls()
        reader.get_tuple(at())
        with front.counted() as found:
            reader.get_tuple(at())
        assert found == {"ListObjectsV2": 1}

    def test_what_another_process_overwrote_is_read_anew(self, make_saver: MakeSaver, front: Front) -> None:
        one, other = make_saver(), make_saver()
        config = build_thread(one, checkpoints=1, tasks=0)[0]
        one.put_writes(config, [("__error__", "first")], "task")
        other.put_writes(config, [("__error__", "second")], "task")
        with front.counted() as found:
            shown = one.get_tuple(at())
        assert shown is not None
        assert shown.pending_writes == [("task", "__error__", "second")]
        assert found == {"ListObjectsV2": 1, "GetObject": 1}

    def test_without_a_cache_everything_is_read(
        self, make_saver: MakeSaver, make_calls: MakeCalls, front: Front
    ) -> None:
        calls = make_calls(cache_bytes=0)
        build_thread(calls, checkpoints=1, tasks=2)
        with front.counted() as found:
            calls.get_tuple(at())
        assert found == {"ListObjectsV2": 1, "GetObject": 3}

    def test_list_takes_two_round_trips(
        self, make_saver: MakeSaver, make_calls: MakeCalls, front: Front
    ) -> None:
        build_thread(make_saver(), checkpoints=5, tasks=1)
        reader = make_calls()
        front.reset()
        with front.rounds() as rounds:
            assert len(reader.list(at(), limit=3)) == 3
        assert front.counts() == {"ListObjectsV2": 1, "GetObject": 6}
        assert rounds == [1, 6]

    def test_list_of_all_namespaces_takes_two_round_trips(
        self, make_saver: MakeSaver, make_calls: MakeCalls, front: Front
    ) -> None:
        writer = make_saver()
        build_thread(writer, checkpoints=2, tasks=0)
        build_thread(writer, ns="inner|1", checkpoints=2, tasks=0)
        reader = make_calls()
        front.reset()
        with front.rounds() as rounds:
            assert len(reader.list(at(ns=None))) == 4
        assert front.counts() == {"ListObjectsV2": 2, "GetObject": 4}  # one for the names of the namespaces
        assert rounds == [2, 4]

    def test_list_of_nothing_asks_nothing(self, calls: Calls, front: Front) -> None:
        assert calls.list(at(), limit=0) == []
        assert front.counts() == {}

    def test_filters_in_the_key_read_only_what_matches(
        self, make_saver: MakeSaver, make_calls: MakeCalls, front: Front
    ) -> None:
        build_thread(make_saver(), checkpoints=6, tasks=0)
        reader = make_calls()
        front.reset()
        assert len(reader.list(at(), filter={"run_id": "run-1", "step": 3})) == 1
        assert front.counts() == {"ListObjectsV2": 1, "GetObject": 1}

    def test_delete_thread(self, calls: Calls, front: Front, place: Place) -> None:
        build_thread(calls, checkpoints=4, tasks=2)
        with front.counted() as found:
            calls.delete_thread("thread")
        assert found == {"ListObjectsV2": 1, "DeleteObjects": 1}
        assert place.listing() == []
        with front.counted() as found:
            calls.delete_thread("thread")
        assert found == {"ListObjectsV2": 1}

    def test_copy_thread_is_a_server_side_copy_an_object(self, calls: Calls, front: Front) -> None:
        build_thread(calls, checkpoints=4, tasks=2)
        with front.counted() as found, front.rounds() as rounds:
            calls.copy_thread("thread", "copy")
        assert found == {"ListObjectsV2": 1, "CopyObject": 12}
        assert rounds == [1, 8, 3, 1]  # the list, the writes, the past, the latest
        assert len(calls.list(at("copy"))) == 4

    def test_retries_are_counted_too(self, calls: Calls, front: Front) -> None:
        front.fail("PutObject", Answer(503, "SlowDown"))
        calls.put(at(), checkpoint(), metadata(), {})
        assert front.counts() == {"PutObject": 2}
        assert calls.saver.stats().requests == {"PutObject": 2}
        assert calls.saver.stats().retries == 1


class TestBudgetsOfALongThread:
    """More checkpoints than a page of a listing has; moto lists them slowly."""

    def test_of_a_long_thread(self, make_saver: MakeSaver, front: Front, place: Place) -> None:
        ids = seed(place, make_saver(), MANY)
        for asynchronous in (False, True):
            with Calls(make_saver(), asynchronous=asynchronous) as calls:
                self._read(calls, front, ids)
        with front.counted() as found:
            make_saver().delete_thread("thread")
        assert found == {"ListObjectsV2": 2, "DeleteObjects": 2}
        assert place.listing() == []

    def _read(self, calls: Calls, front: Front, ids: list[str]) -> None:
        def take(call: Any, *args: Any, **kwargs: Any) -> tuple[Any, dict[str, int]]:
            with front.counted() as found:
                answer = call(*args, **kwargs)
            return answer, found

        newest, found = take(calls.get_tuple, at())
        assert newest.metadata["step"] >= MANY - 1
        assert found == {"ListObjectsV2": 1, "GetObject": 1 + len(newest.pending_writes)}
        assert [seen.query["max-keys"] for seen in front.log if seen.query.get("list-type")][-1] == "64"

        middle, found = take(calls.get_tuple, at(checkpoint_id=ids[600]))
        assert middle.metadata["step"] == 600
        assert found == {"ListObjectsV2": 1, "GetObject": 1}

        fresh = checkpoint(checkpoint_id=identifier(newest.metadata["step"] + 1))
        step = newest.metadata["step"] + 1
        config, found = take(calls.put, newest.config, fresh, metadata(step), {})
        assert found == {"PutObject": 1}
        _, found = take(calls.put_writes, config, [("text", 1)], "task")
        assert found == {"PutObject": 1}
        again, found = take(calls.get_tuple, at())
        assert again.config == config
        assert found == {"ListObjectsV2": 1}

        page, found = take(calls.list, at(), limit=5, before=config)
        assert [shown.metadata["step"] for shown in page] == list(range(step - 1, step - 6, -1))
        assert found == {"ListObjectsV2": 1, "GetObject": 4}  # the newest one's objects are known

        old, found = take(calls.list, at(), limit=2, before=at(checkpoint_id=ids[1000]))
        assert [shown.checkpoint["id"] for shown in old] == [ids[999], ids[998]]
        assert found == {"ListObjectsV2": 1, "GetObject": 2}

        [last], found = take(calls.list, at(), filter={"step": MANY - 20}, limit=1)
        assert last.checkpoint["id"] == ids[-20]
        assert found == {"ListObjectsV2": 1, "GetObject": 1}

        if not calls.asynchronous:  # once, as it takes moto seconds
            [last], found = take(calls.list, at(), filter={"step": MANY - 10})
            assert last.checkpoint["id"] == ids[-10]
            assert found == {"ListObjectsV2": 2, "GetObject": 1}  # all keys, since nothing limits it

        page, found = take(calls.list, at(ns=None), limit=1)
        assert [shown.config for shown in page] == [config]
        assert found == {"ListObjectsV2": 2}


class TestBudgetOfADeltaChannel:
    @pytest.mark.parametrize("depth", [10, 40])
    def test_history_takes_windows_that_double(
        self, place: Place, make_saver: MakeSaver, make_calls: MakeCalls, front: Front, depth: int
    ) -> None:
        ids = seed(place, make_saver(), depth + 1, tasks=1, delta="delta")
        reader = make_calls()
        front.reset()
        history = reader.get_delta_channel_history(config=at(checkpoint_id=ids[-1]), channels=["delta"])
        assert [value for _, _, value in history["delta"]["writes"]] == [f"{step}.0" for step in range(depth)]
        assert history["delta"]["seed"] == "seed"
        counts = Counter(front.counts())
        assert counts["GetObject"] == 2 * depth
        assert counts["ListObjectsV2"] <= 3
        assert set(counts) == {"GetObject", "ListObjectsV2"}


class State(TypedDict):
    text: str


def two_nodes(saver: Any) -> Any:
    builder = StateGraph(State)
    builder.add_node("one", lambda state: {"text": state["text"] + "1"})
    builder.add_node("two", lambda state: {"text": state["text"] + "2"})
    builder.add_edge(START, "one")
    builder.add_edge("one", "two")
    builder.add_edge("two", END)
    return builder.compile(checkpointer=saver)


class Recorder(S3Saver):
    """Notes LangGraph's own calls."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.made: Counter[str] = Counter()

    def put(self, *args: Any) -> Any:
        self.made["put"] += 1
        return super().put(*args)

    async def aput(self, *args: Any) -> Any:
        self.made["put"] += 1
        return await super().aput(*args)

    def put_writes(self, *args: Any) -> None:
        self.made["put_writes"] += 1
        super().put_writes(*args)

    async def aput_writes(self, *args: Any) -> None:
        self.made["put_writes"] += 1
        await super().aput_writes(*args)

    def get_tuple(self, *args: Any) -> Any:
        self.made["get_tuple"] += 1
        return super().get_tuple(*args)

    async def aget_tuple(self, *args: Any) -> Any:
        self.made["get_tuple"] += 1
        return await super().aget_tuple(*args)


class TestBudgetOfAGraph:
    def test_a_run_is_its_own_calls_and_one_list(self, place: Place, driver: str, front: Front) -> None:
        with (
            Recorder(**place.arguments()) as saver,
            Calls(saver, asynchronous=driver == "async") as calls,
        ):
            graph = two_nodes(saver)
            for run in range(2):  # the second one goes on from what this process wrote
                saver.made.clear()
                with front.counted() as found:
                    if driver == "sync":
                        state = graph.invoke({"text": f"{run}"}, at("graph"))
                    else:
                        state = calls.run(graph.ainvoke({"text": f"{run}"}, at("graph")))
                assert state == {"text": f"{run}12"}
                assert saver.made["get_tuple"] == 1
                assert found == {
                    "ListObjectsV2": 1,
                    "PutObject": saver.made["put"] + saver.made["put_writes"],
                }
                assert saver.made["put"] == 4

    def test_max_concurrency_bounds_an_operation(
        self, make_saver: MakeSaver, make_calls: MakeCalls, front: Front
    ) -> None:
        build_thread(make_saver(), checkpoints=20, tasks=0)
        reader = make_calls(max_concurrency=3)
        front.reset()
        front.fail("GetObject", Hold(0.03), times=100)
        assert len(reader.list(at(), limit=20)) == 20
        assert 2 <= front.most_at_once("GetObject") <= 3


class TestStatistics:
    def test_they_agree_with_the_edge(self, make_saver: MakeSaver, front: Front) -> None:
        saver = make_saver()
        build_thread(saver, checkpoints=3)
        asyncio.run(saver.aget_tuple(at()))
        saver.copy_thread("thread", "copy")
        saver.delete_thread("thread")
        assert saver.stats().requests == front.counts()
        sent = sum(seen.size for seen in front.log if seen.operation == "PutObject")
        assert saver.stats().bytes_sent == sent
        assert saver.stats().cache_hits == 3
