"""Model of the bucket: checkpoints that must be there, may be there, and can't be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from tests.simulation.facts import (
    FOREVER,
    Content,
    Copy,
    Made,
    Op,
    Place,
    Removal,
    Values,
    Written,
    always,
)


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
        self,
        where: Place,
        task: str,
        op: Op,
        values: Values,
        sure: Callable[[], bool] = always,
        *,
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

        def was(made: Iterable[Made]) -> Callable[[], bool]:
            some = list(made)
            return lambda: _was(some, op)

        for where in self.places(thread):
            self.make(where, op, was(self.made(where)))
            for task, calls in self.written(where).items():
                for call in calls:
                    self.write(where, task, op, call.values, was([call]), ordered=False)

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
        """Yield the operations that made a checkpoint, or may have."""
        yield from self._made.get(where, ())
        for copy in self.copies:
            if copy.target == where[0]:
                source = (copy.source, *where[1:])
                if any(each.op.begun < copy.op.closed for each in self._made.get(source, ())):
                    yield Made(copy.op, lambda copy=copy, at=source: self._copied(copy, at))  # type: ignore[misc]  # mypy can't infer a lambda's default

    def written(self, where: Place) -> dict[str, list[Written]]:
        """Return the writes for a checkpoint, by task."""
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
        """Return if a checkpoint is there all the time from one step to another.

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
            and not self.threatened(where, made, until, despite)
            and made.sure()
            for made in self.made(where)
        )

    def threatened(self, where: Place, made: Made, until: float, despite: Removal | None = None) -> bool:
        return any(
            each is not despite
            and each.op.closed > made.op.begun
            and each.op.begun < until
            and each.may(where)
            for each in self.removals
        )

    def stays(self, where: Place, since: float, until: float) -> bool:
        """Return if a checkpoint, or a later one, is there all the time: only a pruning can have taken it.

        A pruning may have taken it for a later one's sake, and something else that one since.
        """

        def threatening(at: Place, *, keeps: bool, after: float) -> Iterator[Removal]:
            return (
                each
                for each in self.removals
                if each.keeps == keeps and each.op.closed > after and each.op.begun < until and each.may(at)
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
        """Return if a checkpoint may be there at some time from one step to another."""
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
        """Return if all of a thread may have been deleted since a step."""
        return any(each.thread == thread and each.op.closed >= step for each in self.removals)

    def taken(self, where: Place, op: Op) -> bool:
        """Return if a checkpoint may have been deleted while an operation went on."""
        return any(each.op.closed >= op.begun and each.may(where) for each in self.removals)

    def disturbed(self, threads: Iterable[str], op: Op) -> bool:
        """Return if anything may have gone from some threads while an operation went on."""
        places = [at for thread in threads for at in self.places(thread)]
        until = FOREVER if op.ended is None else op.ended
        return any(
            each.op is not op
            and each.op.closed >= op.begun
            and each.op.begun <= until
            and any(map(each.may, places))
            for each in self.removals
        )


def _was(made: Iterable[Made], op: Op) -> bool:
    """Return if something was there, at some time, before an operation began."""
    return any(
        each.op.done and each.op.ended is not None and each.op.ended <= op.begun and each.sure()
        for each in made
    )
