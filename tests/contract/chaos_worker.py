"""A worker for the chaos tests: it records what must be stored and what may be."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from langgraph_checkpoint_s3 import S3CheckpointError, S3Saver, StorageUnavailableError
from tests.contract.support import MIB, at, noise
from tests.support.checkpoints import make_checkpoint

LARGE = 5 * MIB + 1000
"""Bytes of what goes in parts."""
_RUN = 4
"""Checkpoints that one run puts."""
_MOST_TRIES = 60

Writes = dict[str, list[Any]]


class Expected:
    """The expected contents of a thread. Operations that failed may or may not have taken effect."""

    def __init__(self, thread: str) -> None:
        self.thread = thread
        self.checkpoints: dict[str, Any] = {}  # acknowledged, oldest first
        self.unknown: dict[str, Any] = {}
        self.writes: dict[str, Writes] = {}
        self.unknown_writes: dict[str, Writes] = {}

    @property
    def latest(self) -> str | None:
        """The newest that was acknowledged."""
        return next(reversed(self.checkpoints), None)

    def copied_to(self, thread: str) -> Expected:
        copied = Expected(thread)
        copied.checkpoints, copied.unknown = dict(self.checkpoints), dict(self.unknown)
        copied.writes = {each: dict(writes) for each, writes in self.writes.items()}
        copied.unknown_writes = {each: dict(writes) for each, writes in self.unknown_writes.items()}
        return copied

    def forget(self, gone: Callable[[str], bool]) -> None:
        """These were deleted, and the deletion acknowledged: none may be seen again."""
        for known in (self.checkpoints, self.unknown, self.writes, self.unknown_writes):
            for checkpoint_id in [each for each in known if gone(each)]:
                del known[checkpoint_id]

    def pruned_to(self, kept: str | None) -> None:
        """All went but this one: the latest, whether or not its `put` had been acknowledged."""
        assert (kept or "") >= (self.latest or ""), f"{self.thread} has {kept} left, older than {self.latest}"
        if kept is not None and kept not in self.checkpoints:
            assert kept in self.unknown, f"{self.thread} has {kept} left, which was deleted"
            self.checkpoints[kept] = self.unknown.pop(kept)
        self.forget(lambda each: each != kept)

    def check(self, shown: Any) -> None:
        """Check that a checkpoint is as it was put, with each acknowledged write once."""
        checkpoint_id = shown.checkpoint["id"]
        expected = self.checkpoints.get(checkpoint_id) or self.unknown.get(checkpoint_id)
        assert expected is not None, f"{self.thread} {checkpoint_id} was deleted, and is there"
        assert shown.checkpoint == expected, f"{self.thread} {checkpoint_id} reads wrong"
        found: dict[str, list[Any]] = {}
        for task, channel, value in shown.pending_writes:
            found.setdefault(task, []).append((channel, value))
        known, unknown = (each.get(checkpoint_id, {}) for each in (self.writes, self.unknown_writes))
        assert known.keys() <= found.keys() <= known.keys() | unknown.keys()
        for task, writes in found.items():
            whole = {**unknown, **known}[task]
            parts = [whole]
            if (
                task not in known
            ):  # its special writes are an object of their own, and either may be there alone
                parts += [
                    [write for write in whole if (write[0] == "__error__") == own] for own in (True, False)
                ]
            assert sorted(writes) in map(sorted, parts), f"{self.thread} {task} reads wrong"

    def check_all(self, saver: S3Saver) -> None:
        """At the end, by a reader that knows nothing: all of it, at rest."""
        listed = list(saver.list(at(self.thread)))
        shown = {each.checkpoint["id"]: each for each in listed}
        assert len(listed) == len(shown), f"{self.thread} lists one twice"
        assert self.checkpoints.keys() <= shown.keys(), f"{self.thread} lacks some"
        assert shown.keys() <= self.checkpoints.keys() | self.unknown.keys(), f"{self.thread} has some again"
        for each in listed:
            self.check(each)


class Worker:
    """One that works on a thread of its own and on copies of it.

    What failed of a deletion or a copy is done again until it is acknowledged, as the errors advise.

    Args:
        saver: Writes, and reads half of the time.
        reader: Reads the other half: it has no cache.
        name: The thread.
        seed: Decides what is done.

    Attributes:
        done: How often each operation was acknowledged.
        errors: What the others ended with.
    """

    def __init__(self, saver: Any, reader: Any, name: str, seed: int) -> None:
        self._saver = saver
        self._reader = reader
        self._draw = random.Random(f"{seed} {name}")
        self._own = Expected(name)
        self._copies: list[Expected] = []
        self._number = 0  # of the next checkpoint: no id comes twice
        self._values: dict[str, Any] = {"log": [], "documents": noise(20_000, self._draw.randrange(100))}
        self.done: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()

    def work(self, operations: int) -> None:
        """Do so many operations that are acknowledged."""
        doings = {
            self._put: 40,
            self._put_writes: 40,
            self._get: 30,
            self._list: 10,
            self._prune: 4,
            self._delete_thread: 3,
            self._copy_thread: 3,
            self._delete_for_runs: 3,
        }
        while self.done.total() < operations:
            [do] = self._draw.choices(list(doings), list(doings.values()))
            try:
                do()
                self.done[do.__name__.lstrip("_")] += 1
            except StorageUnavailableError as error:
                self.errors[type(error).__name__] += 1
            except S3CheckpointError as error:  # damage, or what wouldn't stay: of reads alone
                if do in (self._put, self._put_writes):
                    raise
                self.errors[type(error).__name__] += 1

    def check_all(self, saver: S3Saver) -> None:
        """At the end: the thread and its copies."""
        for each in (self._own, *self._copies):
            each.check_all(saver)

    def leave(self) -> None:
        """Delete the thread and its copies."""
        for each in (self._own, *self._copies):
            self._insist(partial(self._saver.delete_thread, each.thread))

    def _insist(self, do: Callable[[], Any]) -> Any:
        for _ in range(_MOST_TRIES):
            try:
                return do()
            except S3CheckpointError as error:
                self.errors[type(error).__name__] += 1
        return do()

    def _put(self) -> None:
        number, self._number = self._number, self._number + 1
        own, checkpoint_id = self._own, f"{number:08}"
        self._values = {
            **self._values,
            "log": [*self._values["log"][-50:], f"entry {number}" * 5],
            "n": number,
        }
        if self._draw.random() < 0.02:
            self._values["large"] = noise(LARGE, number)
        elif self._draw.random() < 0.5:
            self._values.pop("large", None)
        checkpoint = make_checkpoint(checkpoint_id, self._values)
        own.unknown[checkpoint_id] = checkpoint
        self._saver.put(
            at(own.thread, checkpoint_id=own.latest),
            checkpoint,
            {"source": "loop", "step": number, "run_id": self._run(checkpoint_id)},
            checkpoint["channel_versions"],
        )
        own.checkpoints[checkpoint_id] = own.unknown.pop(checkpoint_id)

    def _put_writes(self) -> None:
        checkpoint_id = self._own.latest
        if checkpoint_id is None:
            return
        known = self._own.writes.setdefault(checkpoint_id, {})
        unknown = self._own.unknown_writes.setdefault(checkpoint_id, {})
        task = f"task-{len(known) + len(unknown)}"
        wrote: list[Any] = [("a", self._draw.random()), ("b", [task])]
        if self._draw.random() < 0.3:
            wrote.append(("__error__", task))
        if self._draw.random() < 0.01:
            wrote.append(("c", noise(LARGE, len(known))))
        unknown[task] = wrote
        self._saver.put_writes(at(self._own.thread, checkpoint_id=checkpoint_id), wrote, task)
        known[task] = unknown.pop(task)

    def _get(self) -> None:
        own = self._own
        shown = self._either().get_tuple(at(own.thread))
        if shown is None:
            assert not own.checkpoints, f"{own.thread} reads as absent"
            return
        own.check(shown)
        assert shown.checkpoint["id"] >= (own.latest or ""), f"{own.thread} reads as older"

    def _list(self) -> None:
        own = self._draw.choice([self._own, self._own, *self._copies])
        limit = self._draw.choice([None, 5])
        wanted = self._draw.choice([None, {"source": "loop"}, {"writer": None}])
        shown = list(self._either().list(at(own.thread), limit=limit, filter=wanted))
        ids = [each.checkpoint["id"] for each in shown]
        assert ids == sorted(set(ids), reverse=True), f"{own.thread} lists one twice, or out of order"
        for each in shown:
            own.check(each)
        must = sorted(own.checkpoints, reverse=True)
        if limit is not None:
            must = [each for each in must[:limit] if not ids or each >= ids[-1]]
        assert set(must) <= set(ids), f"{own.thread} lacks {set(must) - set(ids)}"

    def _delete_thread(self) -> None:
        of = self._draw.choice([self._own, *self._copies])
        self._insist(lambda: self._saver.delete_thread(of.thread))
        of.forget(lambda _: True)

    def _prune(self) -> None:
        of = self._draw.choice([self._own, self._own, *self._copies])
        self._insist(lambda: self._saver.prune([of.thread]))
        shown = self._insist(lambda: list(self._reader.list(at(of.thread))))
        ids = [each.checkpoint["id"] for each in shown]
        assert len(ids) <= 1, f"{of.thread} has {ids} left, and not the latest alone"
        of.pruned_to(ids[0] if ids else None)

    def _copy_thread(self) -> None:
        copied = self._own.copied_to(f"{self._own.thread}-copy-{len(self._copies)}")
        self._insist(lambda: self._saver.copy_thread(self._own.thread, copied.thread))
        self._copies.append(copied)

    def _delete_for_runs(self) -> None:
        if not self._own.checkpoints:
            return
        run = self._run(self._draw.choice(list(self._own.checkpoints)))
        self._insist(lambda: self._saver.delete_for_runs([run]))
        for of in (self._own, *self._copies):  # the copies are of the same runs
            of.forget(lambda each: self._run(each) == run)

    def _run(self, checkpoint_id: str) -> str:
        return f"{self._own.thread}-{int(checkpoint_id) // _RUN}"

    def _either(self) -> Any:
        return self._draw.choice([self._saver, self._reader])
