"""What a process does: it runs graphs, reads, deletes, copies and moves threads, as chance has it.

Each action is an operation of the saver or the admin, what the oracle is told of it, and how its outcome is judged.
"""

from __future__ import annotations

import asyncio
import io
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from langgraph.checkpoint.base import Checkpoint
from langgraph.checkpoint.serde.types import RESUME

from langgraph_checkpoint_s3 import ConflictError, InvalidKeyError, S3Saver, StorageUnavailableError
from langgraph_checkpoint_s3.admin import S3Admin
from tests.plans.borrowers import succeed
from tests.simulation.model import Content, Model, Op, Place, Values, Violation, place_of
from tests.simulation.world import Running, World
from tests.support.checkpoints import place

if TYPE_CHECKING:
    from tests.simulation.history import History

Judge: TypeAlias = Callable[[Op, Any], None]

_POOL: Final = random.Random(0).randbytes(1 << 18)
RUNS: Final = ("r0", "r1", "r2")
TASKS: Final = ("task-1", "task-2", "special-1")


@dataclass(frozen=True)
class Action:
    """Something to do.

    Attributes:
        name: For the trace.
        run: Does it.
        tell: Tells the oracle that it has begun.
        done: Judges what it returned.
        conflicts: Whether a `ConflictError` is right.
        again: Whether it may be done again if it failed.
        missing: Whether there may be nothing to do it with.
    """

    name: str
    run: Callable[[], Coroutine[Any, Any, Any]]
    tell: Callable[[Op], None]
    done: Judge
    conflicts: Callable[[Op], bool]
    again: bool = True
    missing: bool = False


def _nothing(*_: object) -> None:
    """Nothing is told or judged."""


@dataclass
class Known:
    """A checkpoint that a process has put or read last in a namespace.

    Attributes:
        checkpoint: The checkpoint; `None` where there was none.
        seen: When what brought it here began.
    """

    checkpoint: Checkpoint | None
    seen: int


class Process:
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
        self.model: Model = history.model
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
        self.next, self.action = None, action
        op = Op(f"{self.name} {action.name}", self.world.step)
        action.tell(op)
        self.world.note(op.name, "begins")
        self.running = Running(self.world, op, action.run())
        self.running.start()

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
        """Choose what to do next."""
        kinds = self.history.kinds
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
        child = succeed(new, parent, **changed)
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
            return parent is not None and self.model.deleted_since(thread, known.seen)

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

        return self._reading(f"get {thread}/{ns}", thread, lambda: self.saver.aget_tuple(place(thread, None, ns)), done)

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
            f"get {thread}/{ns} {wanted}", thread, lambda: self.saver.aget_tuple(place(thread, wanted, ns)), done
        )

    def list_some(self) -> Action:
        """List a thread, a namespace, or everything."""
        thread, ns = self._somewhere()
        config, of = self.chosen.choice(
            [(place(thread, None, ns), (thread, ns)), (place(thread, None, None), (thread, None)), (None, (None, None))]
        )

        async def collect() -> list[Any]:
            return [each async for each in self.saver.alist(config)]

        def done(op: Op, found: Any) -> None:
            check_listed(self.model, found, op.begun, self.world.step, *of)

        return self._reading(f"list {'/'.join(map(str, of))}", of[0], collect, done)

    def _reading(
        self, name: str, thread: str | None, run: Callable[[], Coroutine[Any, Any, Any]], done: Judge
    ) -> Action:
        def conflicts(op: Op) -> bool:
            return self.model.disturbed([thread] if thread else self.history.all_threads, op)

        return Action(name, run, _nothing, done, conflicts, again=False)

    def put_writes(self) -> Action | None:
        """Write what a task of a known checkpoint wrote."""
        known = [(*where, each.checkpoint["id"]) for where, each in self.known.items() if each.checkpoint]
        if not known:
            return None
        where = thread, ns, wanted = self.chosen.choice(known)
        task = self.chosen.choice(TASKS)
        value = f"{self.history.new_id()} " + "x" * self.chosen.choice([0, 50, 9000])
        values: Values = ((RESUME, value),) if task.startswith("special") else (("w", value), ("v", value[:9]))
        return Action(
            f"put_writes {thread}/{ns} {wanted} {task} {value[:9]}",
            lambda: self.saver.aput_writes(place(thread, wanted, ns), list(values), task),
            lambda op: self.model.write(where, task, op, values),
            _nothing,
            lambda op: False,
        )

    def _removing(self, name: str, threads: list[str], run: Any, tell: Callable[[Op], None]) -> Action:
        return Action(name, run, tell, _nothing, lambda op: self._busy(op))

    def _busy(self, op: Op) -> bool:
        """Whether any other operation was under way at the same time."""
        return any(each is not op and each.closed >= op.begun for each in self.history.writers)

    def prune(self) -> Action:
        """Prune a thread to its latest checkpoints."""
        thread = self._somewhere()[0]
        return self._removing(
            f"prune {thread}", [thread], lambda: self.saver.aprune([thread]), lambda op: self.model.prune(op, thread)
        )

    def prune_to_two(self) -> Action:
        """Prune a thread to its latest two."""
        thread = self._somewhere()[0]

        async def run() -> None:
            (await self.admin.aprune_threads(2, thread_ids=[thread], dry_run=False)).raise_errors()

        return self._removing(f"prune_threads {thread}", [thread], run, lambda op: self.model.prune(op, thread, 2))

    def delete_runs(self) -> Action:
        """Delete a run."""
        run = self.chosen.choice(RUNS)
        return self._removing(
            f"delete_for_runs {run}", self.history.all_threads, lambda: self.saver.adelete_for_runs([run]),
            lambda op: self.model.delete_runs(op, run),
        )

    def delete_thread(self) -> Action:
        """Delete a thread."""
        some = [each for each in self.history.all_threads if self.model.places(each)]
        thread = self.chosen.choice(some or self.history.threads)
        return self._removing(
            f"delete_thread {thread}", [thread], lambda: self.saver.adelete_thread(thread),
            lambda op: self.model.delete_thread(op, thread),
        )

    def delete_one(self) -> Action | None:
        """Delete a checkpoint."""
        places = self.model.places()
        if not places:
            return None
        where = self.chosen.choice(places)

        async def run() -> None:
            for result in await self.admin.abatch_delete([place(where[0], where[2], where[1])]):
                if result.error is not None:
                    raise result.error

        return self._removing(f"batch_delete {where}", [where[0]], run, lambda op: self.model.delete_one(op, where))

    def copy(self) -> Action | None:
        """Copy a thread to one that copies alone go to; more than once to the same, at times."""
        source = self.chosen.choice(self.history.threads)
        target = self.chosen.choice(self.history.targets[source])
        return Action(
            f"copy_thread {source}→{target}",
            lambda: self.saver.acopy_thread(source, target),
            lambda op: self.model.copies.append(self.history.copy(op, source, target)),
            _nothing,
            lambda op: self.model.disturbed([source], op),
        )

    def export(self) -> Action:
        """Export a thread, and import it next."""
        thread = self.chosen.choice(self.history.threads)
        file = io.BytesIO()
        begun: list[Op] = []

        def done(op: Op, _: Any) -> None:
            self.next = self.bring_in(thread, file.getvalue(), op)

        return Action(
            f"export_thread {thread}", lambda: self.admin.aexport_thread(thread, file), begun.append, done,
            lambda op: self.model.disturbed([thread], op), again=False, missing=True,
        )

    def bring_in(self, thread: str, data: bytes, exported: Op) -> Action:
        """Import what was exported: into the same thread again, or into another one."""
        target = thread
        if not self.history.sealed and self.chosen.random() < 0.5:
            target = self.history.imports[thread]
        model, ended = self.model, exported.ended or 0
        places = [at for at in model.places(thread) if model.possible(at, exported.begun, ended)]
        certain = {at for at in places if model.certain(at, exported.begun, ended)}
        written = {at: model.written(at) for at in places}

        def tell(op: Op) -> None:
            for at in places:
                where: Place = (target, *at[1:])
                model.make(where, op, lambda at=at: at in certain)  # type: ignore[misc]
                for task, calls in written[at].items():
                    for call in calls:
                        model.write(where, task, op, call.values, lambda: False, ordered=False)

        return Action(
            f"import_thread {thread}→{target}", lambda: self.admin.aimport_thread(io.BytesIO(data), target), tell,
            _nothing, lambda op: self.model.disturbed([target], op),
        )

    def undelete(self) -> Action:
        """Bring a thread back."""
        thread = self.chosen.choice(self.history.threads)
        return Action(
            f"undelete_thread {thread}", lambda: self.admin.aundelete_thread(thread),
            lambda op: self.model.undelete(op, thread), _nothing, lambda op: self._busy(op),
        )

    def restore(self) -> Action | None:
        """Restore a version of a checkpoint."""
        places = [at for at in self.model.places() if at[0] in self.history.threads]
        if not places:
            return None
        where = thread, ns, wanted = self.chosen.choice(places)

        async def run() -> bool:
            versions = await self.admin.alist_checkpoint_versions(thread, wanted, ns)
            old = [each.version_id for each in versions if not each.delete_marker]
            if not old:
                return False
            await self.admin.arestore_checkpoint_version(thread, wanted, self.chosen.choice(old), ns)
            return True

        restored: list[bool] = []

        def tell(op: Op) -> None:
            self.model.make(where, op, lambda: bool(restored))
            for task, calls in self.model.written(where).items():
                for call in calls:
                    self.model.write(where, task, op, call.values, lambda: False, ordered=False)

        def done(op: Op, result: Any) -> None:
            if result:
                restored.append(True)

        return Action(f"restore {where}", run, tell, done, lambda op: self._busy(op), again=False, missing=True)


def check_listed(
    model: Model, found: list[Any], since: float, until: float, thread: str | None, ns: str | None
) -> None:
    """Check what was listed."""
    ids = [each.checkpoint["id"] for each in found]
    if ids != sorted(ids, reverse=True):
        raise Violation("listed in another order", str(ids))
    places = {place_of(each.config): each for each in found}
    if len(places) < len(found):
        raise Violation("listed twice", str(ids))
    model.check_all(places, since, until, thread, ns)


def evolve(chosen: random.Random, values: dict[str, Any]) -> dict[str, Any]:
    """What a step of a graph changes: a document that stays, as a rule, a log, and messages that grow."""
    changed: dict[str, Any] = {}
    if not values:
        changed["doc"] = _noise(chosen, chosen.choice([0, 6_000, 18_000, 40_000]))
        changed["log"] = _noise(chosen, chosen.choice([100, 5_000, 20_000]))
        changed["messages"] = [_text(chosen) for _ in range(chosen.randrange(1, 20))]
        return changed
    if chosen.random() < 0.1:
        doc, at = values["doc"], chosen.randrange(len(values["doc"]) + 1)
        changed["doc"] = chosen.choice([doc[:at] + b"edited" + doc[at:], doc[at:], _noise(chosen, 18_000)])
    if chosen.random() < 0.6:
        log, at = values["log"], chosen.randrange(len(values["log"]) + 1)
        added = _noise(chosen, chosen.choice([20, 800, 5_000, 18_000]))
        changed["log"] = chosen.choice([log + added, log + added, log + added, log[at:] + added, log[:at]])
    if chosen.random() < 0.7 or not changed:
        changed["messages"] = [*values["messages"], *(_text(chosen) for _ in range(chosen.randrange(1, 4)))]
    return changed


def _noise(chosen: random.Random, size: int) -> bytes:
    at = chosen.randrange(len(_POOL) - size)
    return _POOL[at : at + size]


def _text(chosen: random.Random) -> str:
    return f"message {chosen.randrange(1000)} " + "and more " * chosen.choice([3, 40, 150])
