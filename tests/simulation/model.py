"""The oracle: what was asked for and when, and so what a reader must see, may see, and can't see.

It knows nothing of objects and keys. A time is the number of a step. An operation has an effect at some time between
its beginning and its end; one that failed or was killed at any time until the last of its requests has arrived, or
never. What may be in any order may have happened in any.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from langgraph.checkpoint.base import CheckpointTuple

Place: TypeAlias = tuple[str, str, str]
"""A checkpoint: its thread, its namespace and its id."""
Values: TypeAlias = tuple[tuple[str, Any], ...]

FOREVER: Final = math.inf


class Violation(Exception):  # noqa: N818  # it is what is looked for
    """Something that must not be.

    Args:
        kind: What it is, in a few words that are the same for all of its kind.
        text: What it is exactly.
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind


@dataclass(eq=False)
class Op:
    """An operation.

    Attributes:
        name: For the trace.
        begun: When it began.
        ended: When it ended; `None` if it is under way.
        outcome: `done`, `failed` or `killed`, once it has ended.
        flying: How many of its requests are under way, or may still arrive.
        landed: When the last of them arrived.
        faults: What went wrong.
    """

    name: str
    begun: int
    ended: int | None = None
    outcome: str = ""
    flying: int = 0
    landed: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def done(self) -> bool:
        """Whether it was acknowledged."""
        return self.outcome == "done"

    @property
    def closed(self) -> float:
        """From when on it can have no effect any more."""
        return FOREVER if self.ended is None or self.flying else max(self.ended, self.landed)


@dataclass(frozen=True)
class Content:
    """What a checkpoint holds. Its copies hold the same."""

    checkpoint: Mapping[str, Any]
    metadata: Mapping[str, Any]
    parent: str | None
    run: str


@dataclass(frozen=True, eq=False)
class Made:
    """Something that an operation makes.

    Attributes:
        op: The operation.
        sure: Whether it is there once that is acknowledged.
    """

    op: Op
    sure: Callable[[], bool]


@dataclass(frozen=True, eq=False)
class Written(Made):
    """A task's writes.

    Attributes:
        values: Channels and values.
        ordered: Whether it counts who came first, or last: of copies it isn't known.
    """

    values: Values = ()
    ordered: bool = True


@dataclass(frozen=True, eq=False)
class Removal:
    """A deletion.

    Attributes:
        op: The operation.
        thread: The thread, if it is all of one that goes.
        may: Whether a checkpoint may go.
        must: Whether one goes that was there when the deletion began.
        keeps: Whether it leaves each namespace something as late as the latest.
    """

    op: Op
    thread: str | None
    may: Callable[[Place], bool]
    must: Callable[[Place], bool]
    keeps: bool = False


@dataclass(frozen=True, eq=False)
class Copy:
    """A copy of a thread: what it makes depends on what is there meanwhile."""

    op: Op
    source: str
    target: str


def always() -> bool:
    """What is sure as soon as it is acknowledged."""
    return True


class Model:
    """All that was asked for so far.

    Attributes:
        exact: Whether the store heeds conditions: what was deleted doesn't come back, first writes stay.
    """

    def __init__(self) -> None:
        self.exact = True
        self.contents: dict[tuple[str, str], Content] = {}
        self.removals: list[Removal] = []
        self.copies: list[Copy] = []
        self._made: dict[Place, list[Made]] = {}
        self._written: dict[Place, dict[str, list[Written]]] = {}

    # What was asked for

    def make(self, where: Place, op: Op, sure: Callable[[], bool] = always) -> None:
        """An operation makes a checkpoint."""
        self._made.setdefault(where, []).append(Made(op, sure))

    def write(
        self, where: Place, task: str, op: Op, values: Values, sure: Callable[[], bool] = always, *,
        ordered: bool = True,
    ) -> None:
        """An operation makes a task's writes."""
        calls = self._written.setdefault(where, {}).setdefault(task, [])
        calls.append(Written(op, sure, values, ordered))

    def delete_thread(self, op: Op, thread: str) -> None:
        """A thread goes."""
        self.removals.append(Removal(op, thread, lambda at: at[0] == thread, lambda at: at[0] == thread))

    def delete_runs(self, op: Op, run: str) -> None:
        """A run goes."""

        def is_of(where: Place) -> bool:
            return self.contents[where[1:]].run == run

        self.removals.append(Removal(op, None, is_of, is_of))

    def delete_one(self, op: Op, where: Place) -> None:
        """A checkpoint goes."""
        self.removals.append(Removal(op, None, where.__eq__, where.__eq__))

    def prune(self, op: Op, thread: str, keep: int = 1) -> None:
        """All but the latest of each namespace of a thread go."""

        def may(where: Place) -> bool:
            if where[0] != thread:
                return False
            later = [at for at in self.beside(where) if at[2] > where[2]]
            return sum(any(made.op.begun < op.closed for made in self.made(at)) for at in later) >= keep

        def must(where: Place) -> bool:
            if where[0] != thread:
                return False
            later = [at for at in self.beside(where) if at[2] > where[2]]
            ended = op.ended if op.ended is not None else op.begun
            return sum(self.certain(at, op.begun, ended, despite=removal) for at in later) >= keep

        removal = Removal(op, None, may, must, keeps=True)
        self.removals.append(removal)

    def undelete(self, op: Op, thread: str) -> None:
        """Whatever there ever was of a thread comes back."""
        for where in self.places(thread):
            before = list(self.made(where))
            self.make(where, op, lambda before=before: _was(before, op))  # type: ignore[misc]
            for task, calls in self.written(where).items():
                for call in list(calls):
                    self.write(where, task, op, call.values, lambda call=call: _was([call], op), ordered=False)  # type: ignore[misc]

    # What follows from it

    def places(self, thread: str | None = None) -> list[Place]:
        """All checkpoints that were ever made, or begun to be."""
        found = dict.fromkeys(at for at in self._made if thread in (None, at[0]))
        for copy in self.copies:
            if thread in (None, copy.target):
                found |= dict.fromkeys((copy.target, *at[1:]) for at in self._made if at[0] == copy.source)
        return list(found)

    def beside(self, where: Place) -> list[Place]:
        """All in the same namespace."""
        return [at for at in self.places(where[0]) if at[1] == where[1]]

    def made(self, where: Place) -> Iterator[Made]:
        """What made a checkpoint, or may have."""
        yield from self._made.get(where, ())
        for copy in self.copies:
            if copy.target == where[0]:
                source = (copy.source, *where[1:])
                if any(each.op.begun < copy.op.closed for each in self._made.get(source, ())):
                    yield Made(copy.op, lambda copy=copy, at=source: self._copied(copy, at))  # type: ignore[misc]

    def written(self, where: Place) -> dict[str, list[Written]]:
        """What was written for a checkpoint, by task."""
        found = {task: list(calls) for task, calls in self._written.get(where, {}).items()}
        for copy in self.copies:
            if copy.target != where[0]:
                continue
            for task, calls in self._written.get((copy.source, *where[1:]), {}).items():
                for call in calls:
                    if call.op.begun < copy.op.closed:
                        def sure(copy: Copy = copy, call: Written = call) -> bool:
                            return self._copied(copy, (copy.source, *where[1:])) and _was([call], copy.op)

                        found.setdefault(task, []).append(Written(copy.op, sure, call.values, ordered=False))
        return found

    def _copied(self, copy: Copy, source: Place) -> bool:
        return copy.op.ended is not None and self.certain(source, copy.op.begun, copy.op.ended)

    def certain(self, where: Place, since: float, until: float, despite: Removal | None = None) -> bool:
        """Whether a checkpoint is there all the time from one step to another.

        Args:
            where: The checkpoint.
            since: The one step.
            until: The other.
            despite: A deletion that doesn't count.
        """
        return any(
            made.op.done
            and made.op.ended is not None
            and made.op.ended <= since
            and not self._threatened(where, made, until, despite)
            and made.sure()
            for made in self.made(where)
        )

    def _threatened(self, where: Place, made: Made, until: float, despite: Removal | None = None) -> bool:
        return any(
            each is not despite and each.op.closed > made.op.begun and each.op.begun < until and each.may(where)
            for each in self.removals
        )

    def stays(self, where: Place, since: float, until: float) -> bool:
        """Whether a checkpoint, or a later one, is there all the time: nothing but a pruning can have taken it.

        A pruning may have taken it for a later one's sake, and something else that one since.
        """

        def threatening(at: Place, *, keeps: bool, after: float) -> Iterator[Removal]:
            return (
                each
                for each in self.removals
                if each.keeps == keeps
                and each.op.closed > after
                and each.op.begun < until
                and each.may(at)
            )

        later = [at for at in self.beside(where) if at[2] > where[2]]
        return any(
            made.op.done
            and made.op.ended is not None
            and made.op.ended <= since
            and made.sure()
            and not any(threatening(where, keeps=False, after=made.op.begun))
            and not any(
                any(threatening(at, keeps=False, after=pruning.op.begun))
                for pruning in threatening(where, keeps=True, after=made.op.begun)
                for at in later
            )
            for made in self.made(where)
        )

    def possible(self, where: Place, since: float, until: float) -> bool:
        """Whether a checkpoint may be there at some time from one step to another."""
        return any(
            made.op.begun < until
            and not (self.exact and any(self._removed(each, where, made, since) for each in self.removals))
            for made in self.made(where)
        )

    @staticmethod
    def _removed(removal: Removal, where: Place, made: Made, since: float) -> bool:
        op = removal.op
        return (
            op.done
            and op.ended is not None
            and op.begun > made.op.closed
            and op.ended <= since
            and removal.must(where)
        )

    def deleted_since(self, thread: str, step: int) -> bool:
        """Whether all of a thread may have been deleted since a step."""
        return any(each.thread == thread and each.op.closed >= step for each in self.removals)

    def disturbed(self, threads: Iterable[str], op: Op) -> bool:
        """Whether anything may have gone from some threads while an operation went on."""
        places = [at for thread in threads for at in self.places(thread)]
        until = FOREVER if op.ended is None else op.ended
        return any(
            each.op is not op and each.op.closed >= op.begun and each.op.begun <= until and any(map(each.may, places))
            for each in self.removals
        )

    # What is seen

    def check(self, where: Place, found: CheckpointTuple, since: float, until: float) -> None:
        """Check a checkpoint that was seen at some time from one step to another."""
        name = "/".join(where)
        content = self.contents.get(where[1:])
        if content is None or not any(made.op.begun < until for made in self.made(where)):
            raise Violation("never put", name)
        if found.checkpoint != content.checkpoint:
            raise Violation("wrong values", f"{name}: {_differences(found.checkpoint, content.checkpoint)}")
        if dict(found.metadata) != dict(content.metadata):
            raise Violation("wrong metadata", f"{name}: {found.metadata} for {content.metadata}")
        parent = found.parent_config
        said = None if parent is None else place_of(parent)
        if said != (None if content.parent is None else (*where[:2], content.parent)):
            raise Violation("wrong parent", f"{name}: {said} for {content.parent}")
        if not self.possible(where, since, until):
            raise Violation("deleted, and there", name)
        self._check_writes(where, found, since, until)

    def _check_writes(self, where: Place, found: CheckpointTuple, since: float, until: float) -> None:
        shown: dict[str, list[tuple[str, Any]]] = {}
        for task, channel, value in found.pending_writes or ():
            shown.setdefault(task, []).append((channel, value))
        written = self.written(where)
        for task in shown.keys() - written.keys():
            raise Violation("writes never written", f"{'/'.join(where)}: {task}")
        for task, calls in written.items():
            name = f"{'/'.join(where)}: {task}"
            sure = [
                call
                for call in calls
                if call.op.done and call.op.ended is not None and call.op.ended <= since
                and not self._threatened(where, call, until) and call.sure()
            ]
            if task not in shown:
                if sure:
                    raise Violation("acknowledged writes are gone", name)
                continue
            values = tuple(shown[task])
            theirs = [call for call in calls if call.values == values and call.op.begun < until]
            if not theirs:
                raise Violation("wrong writes", f"{name}: {values}")
            if not self.exact or not all(call.ordered for call in calls):
                continue
            last = task.startswith("special")
            if all(any(_before(one, call) if last is False else _before(call, one) for one in sure) for call in theirs):
                raise Violation("the first write isn't kept" if not last else "the last write doesn't show", name)

    def check_all(self, found: Mapping[Place, CheckpointTuple], since: float, until: float,
                  thread: str | None = None, ns: str | None = None) -> None:
        """Check all that was seen of a thread, or of all."""
        for where, each in found.items():
            self.check(where, each, since, until)
        for where in self.places(thread):
            if (ns is None or where[1] == ns) and where not in found and self.certain(where, since, until):
                raise Violation("acknowledged and not listed", "/".join(where))
        self.check_latest({at[2] for at in found}, since, until, thread, ns) if ns is not None else None

    def check_latest(
        self, found: Iterable[str], since: float, until: float, thread: str | None, ns: str
    ) -> None:
        """Check that of a namespace something is there that is as late as it must be."""
        assert thread is not None
        standing = [at for at in self.places(thread) if at[1] == ns and self.stays(at, since, until)]
        newest = max(standing, key=lambda at: at[2], default=None)
        if newest is not None and max(found, default="") < newest[2]:
            raise Violation("the latest is gone", f"{'/'.join(newest)}, and nothing later is there")

    def check_got(self, where: Place, found: CheckpointTuple | None, since: float, until: float) -> None:
        """Check what was got by id."""
        if found is not None:
            if place_of(found.config) != where:
                raise Violation("another checkpoint", f"{place_of(found.config)} for {where}")
            self.check(where, found, since, until)
        elif self.certain(where, since, until):
            raise Violation("acknowledged and gone", "/".join(where))

    def check_newest(
        self, thread: str, ns: str, found: CheckpointTuple | None, since: float, until: float
    ) -> None:
        """Check what was got without an id."""
        if found is not None:
            self.check_got(place_of(found.config), found, since, until)
        self.check_latest([found.checkpoint["id"]] if found else [], since, until, thread, ns)


def place_of(config: Any) -> Place:
    """What a config points at."""
    said = config["configurable"]
    return said["thread_id"], said.get("checkpoint_ns") or "", said["checkpoint_id"]


def _was(made: Iterable[Made], op: Op) -> bool:
    """Whether something was there, at some time, before an operation began."""
    return any(
        each.op.done and each.op.ended is not None and each.op.ended <= op.begun and each.sure() for each in made
    )


def _before(one: Made, other: Made) -> bool:
    """Whether one was over when the other one began."""
    return one.op.closed < other.op.begun


def _differences(found: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    names = [name for name in expected if found.get(name) != expected[name]]
    values = [
        name
        for name in expected["channel_values"].keys() | found.get("channel_values", {}).keys()
        if found.get("channel_values", {}).get(name) != expected["channel_values"].get(name)
    ]
    return f"{', '.join(names)} differ: {', '.join(sorted(values))}"
