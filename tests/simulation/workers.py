"""A process: it runs graphs and reads, as chance has it, and judges what it is told.

Each action is an operation of the saver, what the oracle is told of it, and how its outcome is judged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final

from langgraph.checkpoint.base import Checkpoint
from langgraph.checkpoint.serde.types import RESUME

from langgraph_checkpoint_s3 import ConflictError, InvalidKeyError, S3Saver, StorageUnavailableError
from langgraph_checkpoint_s3.admin import S3Admin
from tests.simulation.actions import Action, Judge, Known, evolve, nothing, succeed
from tests.simulation.facts import Content, Op, Place, Values, Violation, place_of
from tests.simulation.oracle import Oracle
from tests.simulation.world import Running, World
from tests.support import inside
from tests.support.checkpoints import place

if TYPE_CHECKING:
    from tests.simulation.history import History

RUNS: Final = ("r0", "r1", "r2")
DELETIONS: Final = {
    "prune": 1.5,
    "prune_to_two": 0.7,
    "delete_runs": 1.5,
    "delete_thread": 1.0,
    "delete_one": 0.7,
}
TASKS: Final = ("task-1", "task-2", "special-1")
JOINT: Final = ("joint-1", "joint-2", "joint-3")


class Worker:
    """A process: a saver, and what it knows.

    Args:
        history: The history that it is in.
        number: Its number.
        name: Its name.
    """

    def __init__(self, history: History, number: int, name: str) -> None:
        self.name = name
        self.history = history
        self.world: World = history.world
        self.model: Oracle = history.model
        self.chosen = history.world.chosen
        self.saver: S3Saver = history.make_saver(number)
        self.admin = S3Admin(self.saver)
        self.running: Running | None = None
        self.action: Action | None = None
        self.next: Action | None = None
        self.known: dict[tuple[str, str], Known] = {}
        self.older: list[tuple[str, str, Known]] = []
        self.run_id = self.chosen.choice(RUNS)

    # How actions begin and end

    def begin(self, action: Action | None = None) -> None:
        """Begin something."""
        action = action or self.next or self.choose()
        while action.removes and self._may_lose_tombstones():
            action = self.choose()
        self.next, self.action = None, action
        op = Op(f"{self.name} {action.name}", self.world.step)
        action.tell(op)
        self.world.note(op.name, "begins")
        self.running = Running(self.world, op, action.run())
        self.running.start()

    def _may_lose_tombstones(self) -> bool:
        """Return if a deletion is under way on a store without conditions, which keeps one's tombstones."""
        return self.history.bucket.plain and any(
            each.action is not None and each.action.removes for each in self.history.processes
        )

    def end(self) -> None:
        """Judge what has ended."""
        running, action = self.running, self.action
        assert running is not None
        assert action is not None
        self.running = self.action = None
        op, error = running.op, running.error
        self.world.note(op.name, f"ends: {'done' if error is None else repr(error)}")
        if error is None:
            action.done(op, running.result)
            return
        if isinstance(error, (Violation, AssertionError)):
            raise error
        if isinstance(error, ConflictError):
            kind = f"{action.name.split()[0]}: a conflict without a reason"
            if not action.conflicts(op) and kind not in self.history.ignored:
                raise Violation(kind, str(error)) from error
            return
        expected = (
            (isinstance(error, StorageUnavailableError) and op.faults)
            or (isinstance(error, asyncio.CancelledError) and "cancelled" in op.faults)
            or (isinstance(error, InvalidKeyError) and action.missing)
        )
        if not expected:
            name = action.name.split()[0]
            assert isinstance(error, Exception)
            raise self.history.damage(error, name, f"{name} raises {type(error).__name__}") from error
        if action.again and self.chosen.random() < 0.6:
            self.next = action

    # What there is to do

    def choose(self) -> Action:
        """Choose what to do next: often a deletion, if somebody else's write takes its time."""
        kinds = self.history.kinds
        if self.world.slow() and self.chosen.random() < 0.5:
            kinds = {name: weight for name, weight in kinds.items() if name in DELETIONS} or kinds
        while True:
            kind = self.chosen.choices(list(kinds), list(kinds.values()))[0]
            action: Action | None = getattr(self, kind)()
            if action is not None:
                return action

    def _somewhere(self) -> tuple[str, str]:
        return self.chosen.choice(self.history.threads), self.chosen.choice(self.history.namespaces)

    def go_on(self) -> Action:
        """Put a child of what is known; where nothing is, read the latest first, as LangGraph does."""
        thread, ns = where = self._somewhere()
        known = self.known.get(where)
        if known is None:
            return self.get_latest(where)
        if self.older and self.chosen.random() < 0.15:
            thread, ns, known = self.chosen.choice(self.older)
        return self.put(thread, ns, known)

    def put(self, thread: str, ns: str, known: Known) -> Action:
        """Put a child of a checkpoint, or a first one."""
        chosen, parent = self.chosen, known.checkpoint
        if chosen.random() < 0.3:
            self.run_id = chosen.choice(RUNS)
        new, run = self.history.new_id(), self.run_id
        changed = evolve(chosen, parent["channel_values"] if parent else {})
        child = succeed(new, parent, changed, f"{int(new):032}.5")
        versions = {name: child["channel_versions"][name] for name in changed}
        metadata: Any = {"source": "loop", "step": int(new), "run_id": run}
        old = parent["id"] if parent else None
        where = (thread, ns, new)
        self.model.contents[ns, new] = Content(child, metadata, old, run)

        def done(op: Op, result: Any) -> None:
            if place_of(result) != where:
                raise Violation("put returns another config", str(result))
            self._know(thread, ns, child, op.begun)

        def conflicts(op: Op) -> bool:
            self.known.pop((thread, ns), None)
            if parent is None:
                return self.model.taken(where, op)
            # A parent that was never acknowledged may have been shown before its put was refused.
            kept = any(made.op.done for made in self.model.made((thread, ns, parent["id"])))
            return not kept or self.model.deleted_since(thread, known.seen) or self.model.taken(where, op)

        return Action(
            f"put {thread}/{ns} {old}→{new} ({run})",
            lambda: self.saver.aput(place(thread, old, ns), child, metadata, versions),
            lambda op: self.model.make(where, op),
            done,
            conflicts,
        )

    def _know(self, thread: str, ns: str, checkpoint: Checkpoint | None, seen: int) -> None:
        known = Known(checkpoint, seen)
        self.known[thread, ns] = known
        if checkpoint is not None:
            self.older.append((thread, ns, known))

    def get_latest(self, where: tuple[str, str] | None = None) -> Action:
        """Read the latest checkpoint of a namespace, and go on from it."""
        thread, ns = where or self._somewhere()

        def done(op: Op, found: Any) -> None:
            self.model.check_newest(thread, ns, found, op.begun, self.world.step)
            self._know(thread, ns, found.checkpoint if found else None, op.begun)

        return self._reading(
            f"get {thread}/{ns}", thread, lambda: self.saver.aget_tuple(place(thread, None, ns)), done
        )

    def get_one(self) -> Action | None:
        """Read a checkpoint, and go on from it: a fork."""
        places = self.model.places()
        if not places:
            return None
        where = thread, ns, wanted = self.chosen.choice(places)

        def done(op: Op, found: Any) -> None:
            self.model.check_got(where, found, op.begun, self.world.step)
            if found is not None and thread in self.history.threads:
                self._know(thread, ns, found.checkpoint, op.begun)

        return self._reading(
            f"get {thread}/{ns} {wanted}",
            thread,
            lambda: self.saver.aget_tuple(place(thread, wanted, ns)),
            done,
        )

    def list_some(self) -> Action:
        """List a thread, a namespace, or everything."""
        thread, ns = self._somewhere()
        config, of = self.chosen.choice(
            [
                (place(thread, None, ns), (thread, ns)),
                (place(thread, None, None), (thread, None)),
                (None, (None, None)),
            ]
        )

        async def collect() -> list[Any]:
            return [each async for each in self.saver.alist(config)]

        def done(op: Op, found: Any) -> None:
            self.model.check_listed(found, op.begun, self.world.step, *of)

        return self._reading(f"list {'/'.join(map(str, of))}", of[0], collect, done)

    def _reading(
        self, name: str, thread: str | None, run: Callable[[], Coroutine[Any, Any, Any]], done: Judge
    ) -> Action:
        def conflicts(op: Op) -> bool:
            return self.model.disturbed([thread] if thread else self.history.all_threads, op)

        return Action(name, run, nothing, done, conflicts, again=False)

    def put_writes(self) -> Action | None:
        """Write what a task of a known checkpoint wrote."""
        where = self._known_place()
        if where is None:
            return None
        thread, ns, wanted = where
        task = self.chosen.choice(TASKS)
        value = f"{self.history.new_id()} " + "x" * self.chosen.choice([0, 50, 9000])
        values: Values = (
            ((RESUME, value),) if task.startswith("special") else (("w", value), ("v", value[:9]))
        )
        return Action(
            f"put_writes {thread}/{ns} {wanted} {task} {value[:9]}",
            lambda: self.saver.aput_writes(place(thread, wanted, ns), list(values), task),
            lambda op: self.model.write(where, task, op, values),
            nothing,
            lambda op: False,
        )

    def put_writes_together(self) -> Action | None:
        """Write what several tasks wrote at once, as one object."""
        where = self._known_place()
        if where is None:
            return None
        thread, ns, wanted = where
        value = self.history.new_id()
        tasks = {task: (("w", f"{task} {value}"), ("v", value)) for task in JOINT}
        store: Any = inside.store(self.saver)

        async def run() -> None:
            waiting = store.together = []
            try:
                for task, values in tasks.items():
                    await self.saver.aput_writes(place(thread, wanted, ns), list(values), task)
            finally:
                store.together = None
            await store.arun(waiting[0][1]([item for item, _ in waiting]))

        def tell(op: Op) -> None:
            for task, values in tasks.items():
                self.model.write(where, task, op, values)

        name = f"put_writes {thread}/{ns} {wanted} together {value}"
        return Action(name, run, tell, nothing, lambda op: False)

    def _known_place(self) -> Place | None:
        known = [(*where, each.checkpoint["id"]) for where, each in self.known.items() if each.checkpoint]
        return self.chosen.choice(known) if known else None
