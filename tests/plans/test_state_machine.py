"""Random histories against LangGraph's own InMemorySaver: no answer may differ.

`STATE_MACHINE_EXAMPLES=5000 pytest tests/plans/test_state_machine.py` runs more of them, each
time others.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timezone
from typing import Any
from unittest import mock
from uuid import UUID

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from langchain_core.messages import AIMessage
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointTuple
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT, RESUME, SCHEDULED

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.plans.scan import Scan
from langgraph_checkpoint_s3.plans.transfer import Sizes
from tests.plans.borrowers import eager
from tests.plans.oracle import COUNTERS, EDITS, Model, derive
from tests.support import inside
from tests.support.checkpoints import make_checkpoint, place, shown
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver

EXAMPLES = os.environ.get("STATE_MACHINE_EXAMPLES")

THREADS = ["a", "a/b", "b", "a.thread", "a.2Fb", "..", "ü 💥", "%2F~"]
NAMESPACES = ["", "__default__", "a|b", "a:1|b:2", ".ns/", "é"]
IDS = ["1f0c-a", "1f0c-b", "1f0d", "1f0e", "1f0f", "1f10", "1f", "a", "a/b", "ab", "é", "~", "💥"]
TASKS = ["t1", "t2", "", "t/1.w0", "6f2b-é"]
PATHS = ["", "~__pregel_pull, a", "~__pregel_push, 0000000001", "b"]
CHANNELS = ["d", "e", "messages", "ü"]
SPECIAL = [ERROR, INTERRUPT, RESUME, SCHEDULED]
RUNS = ["run-1", "run-2", "r/3"]
WHEN = datetime(2026, 5, 17, 8, 30, tzinfo=timezone.utc)


def _noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def _zeros(size: int) -> str:
    return "0" * size


values = st.one_of(
    st.none(),
    st.integers(-5, 5),
    st.sampled_from(["", "text", "ü\0\n", [], {}, {"a": [1, {"b": None}]}, (1, 2), {1, 2}, b"", 1.5]),
    st.sampled_from([WHEN, UUID(int=7), AIMessage("hello", id="1"), bytearray(b"xy")]),
    # Frames of their own, that compress well and not at all; some objects go in parts.
    st.builds(_zeros, st.just(9000)),
    st.builds(_noise, st.sampled_from([3000, 20_000])),
)
metadata = st.fixed_dictionaries(
    {},
    optional={
        "source": st.sampled_from(["loop", "input", "", 5, None]),
        "step": st.sampled_from([-1, 0, 1, 2, True, "1", 1.0]),
        "run_id": st.sampled_from([*RUNS, 7]),
        "k": st.sampled_from([None, 0, 1, "v", WHEN, [1], {"a": 1}]),
        "parents": st.just({"": "x"}),
        "big": st.builds(_noise, st.sampled_from([100, 17_000])),
        COUNTERS: st.dictionaries(st.sampled_from(CHANNELS), st.just([1, 2]), max_size=3),
    },
)
filters = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {},
        optional={
            "source": st.sampled_from(["loop", "input", "", 5, None]),
            "step": st.sampled_from([-1, 0, 1, 2, True, "1"]),
            "run_id": st.sampled_from([*RUNS, 7, None]),
            "k": st.sampled_from([None, 0, 1, "v", WHEN, [1], {"a": 1}]),
            "user": st.just("u"),
        },
    ),
)
threads, namespaces, ids = st.sampled_from(THREADS), st.sampled_from(NAMESPACES), st.sampled_from(IDS)
# A few of each are likely, so that histories of one checkpoint come about.
threads = st.one_of(st.just("a"), st.just("a/b"), threads)
namespaces = st.one_of(st.just(""), st.just("__default__"), namespaces)
maybe_ids = st.one_of(st.none(), ids)
channel_values = st.dictionaries(st.sampled_from(CHANNELS), values, max_size=4)
writes = st.lists(st.tuples(st.sampled_from([*CHANNELS, *SPECIAL]), values), max_size=4)
limits = st.one_of(st.none(), st.integers(0, 4))

SMALL, MIDDLING = Sizes(multipart_threshold=6_000, part_size=2_500), Sizes(25_000, 10_000)
# Pages and batches of a few keys, so that short histories cross their ends everywhere.
PLANS = "langgraph_checkpoint_s3.plans."
SMALL_PAGES: list[Any] = [
    *(
        mock.patch(PLANS + name, size)
        for name, size in {
            "scan.PAGE": 4,
            "list_checkpoints.PAGE": 3,
            "list_checkpoints._FIRST_WINDOW": 2,
            "list_checkpoints._MOST_STREAMS": 2,
            "get_tuple._LATEST_PAGE": 2,
            "delta_history._FIRST_PAGE": 2,
            "delta_history._FIRST_WINDOW": 1,
            "delete._BATCH": 3,
            "copy_thread._BATCH": 3,
        }.items()
    ),
    mock.patch.object(Scan.__init__, "__kwdefaults__", {"start_after": None, "page": 5}),
]


class Histories(RuleBasedStateMachine):
    """One bucket, three processes that share it, and the oracle.

    Two of them borrow, as soon as there are a few bytes. What an id is put for again after it was
    deleted, a process that still knows the first can't tell from it: it reads its parent then.
    """

    small_pages: Sequence[Any] = SMALL_PAGES

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.savers = self.make_savers()
        self.known: list[set[tuple[str, str, str]]] = [set() for _ in self.savers]
        """The keys that each saver has put or read since an id of their namespace was put again."""
        self.deleted: set[tuple[str, str, str]] = set()
        clock = itertools.count(1)
        for saver in self.savers:  # processes of one machine: they see one clock
            now: Any = clock.__next__
            inside.set_clock(saver, now)
        self.loop = asyncio.new_event_loop()
        self.patches = ExitStack()
        for patch in self.small_pages:
            self.patches.enter_context(patch)
        self.use(0, is_async=False)

    def make_savers(self) -> list[S3Saver]:
        self.fake = FakeS3()
        self.fake.shuffle = random.Random(0)
        return [
            eager(self.fake, sizes=SMALL),
            make_saver(self.fake, cache_bytes=0, compression="none", sizes=MIDDLING),
            eager(self.fake, cache_bytes=12_000, compression="gzip"),
        ]

    def use(self, number: int, *, is_async: bool) -> None:
        self.number, self.saver, self.is_async = number, self.savers[number], is_async

    def teardown(self) -> None:
        try:
            for number in range(len(self.savers)):
                self.use(number, is_async=False)
                self.same_list(None, None, None, None)
            assert not self.uploads()
        finally:
            self.patches.close()
            self.close()

    def uploads(self) -> Any:
        return self.fake.uploads

    def close(self) -> None:
        self.loop.close()

    def call(self, name: str, *arguments: Any, **keywords: Any) -> Any:
        """Call a method of the saver, or its async twin."""
        if self.is_async:
            method: Callable[..., Coroutine[Any, Any, Any]] = getattr(self.saver, f"a{name}")
            return self.loop.run_until_complete(method(*arguments, **keywords))
        return getattr(self.saver, name)(*arguments, **keywords)

    def listed(self, *arguments: Any, **keywords: Any) -> list[CheckpointTuple]:
        if not self.is_async:
            return list(self.saver.list(*arguments, **keywords))

        async def collect(saver: S3Saver) -> list[CheckpointTuple]:
            return [each async for each in saver.alist(*arguments, **keywords)]

        return self.loop.run_until_complete(collect(self.saver))

    @initialize(number=st.integers(0, 2), is_async=st.booleans(), saves=st.integers(0, 3))
    def begin(self, number: int, is_async: bool, saves: int) -> None:
        self.use(number, is_async=is_async)
        if saves:  # something to go on from
            held = {name: derive(None, "append", saves) for name in CHANNELS[:saves]}
            self.put("a", "", "1f", None, held, {}, user=False)

    @rule(number=st.integers(0, 2), is_async=st.booleans())
    def switch(self, number: int, is_async: bool) -> None:
        self.use(number, is_async=is_async)

    @rule(
        thread=threads,
        ns=namespaces,
        new=ids,
        parent=maybe_ids,
        held=channel_values,
        said=metadata,
        user=st.booleans(),
    )
    def put(
        self, thread: str, ns: str, new: str, parent: str | None, held: dict[str, Any], said: Any, user: bool
    ) -> None:
        if new == parent or self.is_ancestor(thread, ns, new, of=parent):
            parent = None  # the oracle would walk in a circle for ever
        checkpoint = make_checkpoint(new, held, absent=[name for name in CHANNELS if name not in held])
        self.store(place(thread, parent, ns), checkpoint, said, checkpoint["channel_versions"], user=user)

    @rule(
        which=st.integers(0, 100),
        news=st.lists(ids, min_size=1, max_size=4, unique=True),
        edits=st.dictionaries(st.sampled_from(CHANNELS), st.sampled_from(EDITS), min_size=1),
        seed=st.integers(0, 1000),
        said=metadata,
    )
    def go_on(self, which: int, news: list[str], edits: dict[str, str], seed: int, said: Any) -> None:
        """Put a line of children, each with most of what its parent has."""
        there = self.model.all_keys()
        if not there:
            return
        thread, ns, parent = there[which % len(there)]
        for number, new in enumerate(news):
            if new == parent or self.is_ancestor(thread, ns, new, of=parent):
                continue
            found = self.model.get_tuple(place(thread, parent, ns))
            assert found is not None
            old, versions = found.checkpoint["channel_values"], found.checkpoint["channel_versions"]
            kept = {name for name in old if edits.get(name, "keep") == "keep"}
            held = {name: derive(old.get(name), edit, seed + number) for name, edit in edits.items()}
            held |= {name: old[name] for name in kept}
            checkpoint = make_checkpoint(new, held, absent=[name for name in CHANNELS if name not in held])
            checkpoint["channel_versions"] |= {name: versions[name] for name in kept}
            changed = {
                name: each for name, each in checkpoint["channel_versions"].items() if name not in kept
            }
            if not self.store(place(thread, parent, ns), checkpoint, said, changed):
                return
            parent = new

    def store(
        self, config: Any, checkpoint: Checkpoint, said: Any, changed: ChannelVersions, *, user: bool = False
    ) -> bool:
        """Put a checkpoint; whether it is there."""
        thread, ns = config["configurable"]["thread_id"], config["configurable"]["checkpoint_ns"]
        new, parent = checkpoint["id"], config["configurable"].get("checkpoint_id")
        if (
            parent is not None
            and (thread, ns, parent) not in self.known[self.number]
            and self.call("get_tuple", config) is None
        ):
            config = place(thread, None, ns)
        if user:
            config["metadata"] = {"user": "u", "thread_id": thread}
            config["configurable"]["user"] = "u"
        expected = self.model.put(config, checkpoint, said, changed)
        run = self.model.serde.loads_typed(self.model.storage[thread][ns][new][1]).get("run_id")
        self.model.runs.setdefault((thread, ns, new), set()).add(run)
        assert self.call("put", config, checkpoint, said, changed) == expected
        self.note_new({(thread, ns, new)})
        self.known[self.number].add((thread, ns, new))
        return True

    def note_new(self, keys: set[tuple[str, str, str]]) -> None:
        """If one of them was there before and was deleted, nothing that was known of its namespace counts."""
        again = {key[:2] for key in keys & self.deleted}
        self.deleted -= keys
        for known in self.known:
            known.difference_update([key for key in known if key[:2] in again])

    @contextmanager
    def deleting(self) -> Iterator[None]:
        before = set(self.model.all_keys())
        yield
        self.deleted |= before - set(self.model.all_keys())

    def is_ancestor(self, thread: str, ns: str, wanted: str, of: str | None) -> bool:
        while of is not None:
            if of == wanted:
                return True
            of = self.model.parent(thread, ns, of)
        return False

    @rule(
        thread=threads,
        ns=namespaces,
        to=ids,
        what=writes,
        task=st.sampled_from(TASKS),
        path=st.sampled_from(PATHS),
    )
    def put_writes(self, thread: str, ns: str, to: str, what: Any, task: str, path: str) -> None:
        config = place(thread, to, ns)
        self.model.put_writes(config, what, task, path)
        assert self.call("put_writes", config, what, task, path) is None

    @rule(thread=threads, ns=namespaces, wanted=maybe_ids)
    def get(self, thread: str, ns: str, wanted: str | None) -> None:
        config = place(thread, wanted, ns)
        found = self.call("get_tuple", config)
        assert shown(found) == shown(self.model.get_tuple(config))
        if found is not None:
            self.known[self.number].add((thread, ns, found.checkpoint["id"]))

    @rule(
        thread=threads,
        ns=st.one_of(st.none(), namespaces),
        wanted=maybe_ids,
        by=filters,
        before=maybe_ids,
        limit=limits,
    )
    def list_thread(
        self, thread: str, ns: str | None, wanted: str | None, by: Any, before: str | None, limit: int | None
    ) -> None:
        self.same_list(place(thread, wanted, ns), by, before, limit)

    @rule(by=filters, before=maybe_ids, limit=limits)
    def list_all(self, by: Any, before: str | None, limit: int | None) -> None:
        self.same_list(None, by, before, limit)

    def same_list(self, config: Any, by: Any, before: str | None, limit: int | None) -> None:
        until = None if before is None else place("any", before)
        found = [shown(each) for each in self.listed(config, filter=by, before=until, limit=limit)]
        every = [shown(each) for each in self.model.list(config, filter=by, before=until)]
        every.sort(key=lambda each: each[0][2], reverse=True)
        expected = every[:limit]
        assert [each[0][2] for each in found] == [each[0][2] for each in expected]
        assert len({each[0] for each in found}) == len(found)
        assert all(each in every for each in found)  # equal ids of several namespaces come in any order

    @rule(
        thread=threads,
        ns=namespaces,
        wanted=maybe_ids,
        channels=st.lists(st.sampled_from([*CHANNELS, "never"]), unique=True),
    )
    def delta_history(self, thread: str, ns: str, wanted: str | None, channels: list[str]) -> None:
        config = place(thread, wanted, ns)
        expected = self.model.get_delta_channel_history(config=config, channels=channels)
        assert self.call("get_delta_channel_history", config=config, channels=channels) == expected

    @rule(thread=threads)
    def delete_thread(self, thread: str) -> None:
        with self.deleting():
            self.model.delete_thread(thread)
        self.call("delete_thread", thread)

    @rule(runs=st.lists(st.sampled_from(RUNS), max_size=2))
    def delete_for_runs(self, runs: list[str]) -> None:
        with self.deleting():
            self.model.delete_for_runs(runs)
        self.call("delete_for_runs", runs)

    @rule(source=threads, new=threads)
    def copy_thread(self, source: str, new: str) -> None:
        if self.model.has_thread(new):
            return  # `test_semantics` says what happens then
        before = set(self.model.all_keys())
        self.model.copy_thread(source, new)
        self.note_new(set(self.model.all_keys()) - before)
        self.call("copy_thread", source, new)

    @rule(
        which=st.lists(threads, max_size=3),
        strategy=st.sampled_from(["keep_latest", "keep_latest", "keep_latest", "delete", "delete_all"]),
    )
    def prune(self, which: list[str], strategy: str) -> None:
        with self.deleting():
            self.model.prune(which, strategy=strategy)
        self.call("prune", which, strategy=strategy)


TestHistories = Histories.TestCase
TestHistories.settings = settings(
    derandomize=EXAMPLES is None,
    max_examples=int(EXAMPLES or 60),
    stateful_step_count=30,
    database=None,
    suppress_health_check=list(HealthCheck),
)
