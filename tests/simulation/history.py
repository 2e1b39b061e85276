"""One history: a few processes on one bucket, by a seed, and what a reader finds in the end."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Final
from unittest import mock

from langgraph_checkpoint_s3 import CorruptObjectError, S3Saver
from tests.simulation.actions import File, Known
from tests.simulation.facts import Place, Violation
from tests.simulation.oracle import Oracle
from tests.simulation.processes import Process
from tests.simulation.schedule import Schedule
from tests.simulation.workers import DELETIONS
from tests.support import inside
from tests.support.checkpoints import place

_DAYS: Final = 9 * 86_400.0
"""So long after its lender, nobody borrows from it any more; what comes back from a file may all the same."""

PUTS: Final = {
    "go_on": 8.0,
    "get_latest": 2.0,
    "put_writes": 2.0,
    "put_writes_together": 0.7,
    "get_one": 1.0,
    "list_some": 1.0,
}
MOVES: Final = {"copy": 1.0, "export": 0.7, "bring_in": 0.3}
VERSIONS: Final = {"undelete": 1.0, "restore": 0.7}
PROFILES: Final = {
    "all": PUTS | DELETIONS | MOVES,
    "deleting": {"go_on": 10.0, "get_latest": 1.0, "list_some": 1.0, "delete_thread": 4.0},
    "pruning": {"go_on": 9.0, "get_one": 0.5, "list_some": 0.3, "prune": 3.0, "prune_to_two": 1.0}
    | {"delete_runs": 2.0, "delete_one": 1.0, "delete_thread": 0.1},
    "moving": {"go_on": 6.0, "put_writes": 2.0, "copy": 4.0, "export": 2.0, "bring_in": 1.0, "list_some": 1.0}
    | {"prune": 1.0, "delete_runs": 0.7, "delete_one": 0.7, "delete_thread": 1.0},
}


class History(Schedule[Process]):
    """A history.

    Args:
        seed: Decides all of it.
        ignored: Kinds of what must not happen that are let pass, as far as the history can go on.
        broken: What doesn't work: one of `BROKEN`.
    """

    def __init__(self, seed: int, ignored: Collection[str] = (), broken: str = "") -> None:
        super().__init__(seed)
        chosen = self.chosen
        self.ignored = ignored
        self.model = Oracle()
        self.files: list[File] = []
        self._ids = 0
        self._names = 0
        self._flavour()
        self.bucket.broken = broken
        self.processes = [self._process(number) for number in range(chosen.choice([2, 2, 3, 3, 4]))]
        self.left = chosen.randrange(5, 12)

    def _flavour(self) -> None:
        chosen = self.chosen
        self.sealed = chosen.random() < 0.35
        self.private = self.sealed and chosen.random() < 0.4
        self.threads = chosen.choice([["a"], ["a"], ["a", "b/ü"]])
        self.namespaces = chosen.choice([[""], [""], ["", "sub|1"]])
        self.targets = {each: [f"{each} copy 1", f"{each} copy 2"] for each in self.threads}
        self.imports = {each: f"{each} import" for each in self.threads}
        self.all_threads = [
            *self.threads,
            *(each for some in self.targets.values() for each in some),
            *self.imports.values(),
        ]
        store = chosen.choices(["strict", "without conditions", "odd ETags"], [80, 7, 13])[0]
        self.store = store
        self.bucket.plain = store == "without conditions"
        self.bucket.odd_etags = store == "odd ETags"
        self.model.exact = not self.bucket.plain
        self.versioned = chosen.random() < 0.15
        profile = chosen.choices(list(PROFILES), [42, 18, 28, 12])[0]
        kinds = PROFILES[profile] | (VERSIONS if self.versioned else {})
        self.kinds = {name: weight * chosen.choice([0.3, 1, 1, 3]) for name, weight in kinds.items()}
        if profile != "all":
            self.threads, self.namespaces = self.threads[:1], self.namespaces[:1]
        if self.versioned:
            self.bucket.set_versioning("Enabled")
        self.settings = [self._settings(store) for _ in range(4)]

    def new_id(self) -> str:
        """An id. Writers' clocks differ: a later one may be less."""
        self._ids += 10
        return f"{self._ids + self.chosen.choice([0, 0, 0, 13, -18]) + 100:06}"

    def _process(self, number: int) -> Process:
        self._names += 1
        return Process(self, number, f"P{number}{'abcdefghijklmnopqrstuvwxyz'[self._names % 26]}")

    # How it goes

    def run(self) -> None:
        """Play it.

        Raises:
            SimulationError: Something happened that must not.
        """
        with mock.patch("langgraph_checkpoint_s3.admin.transfer.api.in_thread", _at_once):
            super().run()

    def _play(self) -> None:
        self._prelude()
        world, chosen = self.world, self.chosen
        world.pace = chosen.choice([0.1, 0.5, 1.0, 2.0, 4.0])
        world.faults = chosen.choice([0, 0, 1, 2, 3, 5])
        world.rate = chosen.choice([0.01, 0.03, 0.1])
        half = self.left // 2
        while self.left:
            until = half if self.left > half else 0
            self._interleave(until)
            self._look("in the middle" if until else "at the end")
            if chosen.random() < 0.1:
                world.now += _DAYS
                world.note("reader", "nine days pass")
        self._settle()
        self._go_on()

    def _prelude(self) -> None:
        """A line of a few checkpoints, put in peace."""
        process = self.chosen.choice(self.processes)
        for thread in self.threads:
            known = Known(None, 0)
            for _ in range(self.chosen.choice([0, 2, 3, 3, 4])):
                self._alone(process, process.put(thread, "", known))
                known = process.known[thread, ""]

    def _go_on(self) -> None:
        """Life goes on: somebody reads the latest, puts a child, prunes, and all is as it should be."""
        process = self._process(0)
        self.processes.append(process)
        for thread in self.threads:
            for ns in self.namespaces:
                self._alone(process, process.get_latest((thread, ns)))
                self._alone(process, process.put(thread, ns, process.known[thread, ns]))
        self._alone(process, process.prune())
        self._alone(process, process.list_some())
        self._look("when life went on")

    # What is found

    def _look(self, when: str) -> None:
        """Read everything, by a process that has just begun, and some of it by one that hasn't."""
        self.world.note("reader", f"looks {when}")
        places = self.model.places()
        self._read(self.make_saver(0), places, self.all_threads)
        few = self.chosen.sample(places, min(2, len(places)))
        self._read(self.chosen.choice(self.processes).saver, few, self.threads)
        alone = self.make_saver(1)  # what is read first isn't in its cache
        for where in self.chosen.sample(places, min(1, len(places))):
            self._get(alone, where)

    def _read(self, reader: S3Saver, places: Sequence[Place], threads: Sequence[str]) -> None:
        model, step = self.model, self.world.step
        everything = self._try(lambda: list(reader.list(None)), "list(None)")
        model.check_listed(everything, step, step, None, None)
        for where in places:
            self._get(reader, where)
        threads = [thread for thread in threads if model.places(thread)]
        for thread in threads:
            for ns in self.namespaces:
                found = self._try(lambda: reader.get_tuple(place(thread, None, ns)), "get")  # noqa: B023  # called at once
                model.check_newest(thread, ns, found, step, step)
        if threads:
            thread = self.chosen.choice(threads)
            listed = self._try(lambda: list(reader.list(place(thread, None, None))), "list")
            model.check_listed(listed, step, step, thread, None)

    def _get(self, reader: S3Saver, where: Place) -> None:
        thread, ns, wanted = where
        found = self._try(lambda: reader.get_tuple(place(thread, wanted, ns)), "get")
        self.model.check_got(where, found, self.world.step, self.world.step)

    def _try(self, read: Callable[[], Any], what: str) -> Any:
        try:
            return read()
        except Exception as error:
            raise self.damage(error, what, f"{what} raises {type(error).__name__}") from error

    def damage(self, error: Exception, what: str, otherwise: str) -> Violation:
        """Classify a checkpoint that can't be read: acknowledged, or in the way of one that was."""
        layout, step = inside.layout(self.processes[0].saver), self.world.step
        if isinstance(error, CorruptObjectError):
            for where in self.model.places():
                if (error.key or "").startswith(layout.checkpoint(*where)):
                    sure = self.model.certain(where, step, step)
                    makers = sorted({made.op.name.split()[1] for made in self.model.made(where)})
                    kind = "acknowledged, and can't be read" if sure else "not acknowledged, and raises"
                    return Violation(f"{kind} ({', '.join(makers)})", f"{what} of {'/'.join(where)}: {error}")
        return Violation(otherwise, f"{what}: {error}")

    def report(self) -> str:
        """Return the history as text, a line a step."""
        from tests.simulation.trace import describe

        first = (
            f"store {self.store}, sealed {self.sealed}, private {self.private}, versioned {self.versioned}"
        )
        lines = [
            f"{len(self.processes)} processes, {first}",
            *(f"  {number}: {each}" for number, each in enumerate(self.settings)),
        ]
        layout = inside.layout(self.processes[0].saver)
        for now, who, what, request, answer in self.world.trace:
            said = f" {describe(request, answer, layout)}" if request is not None else ""
            lines.append(f"{now:9.3f} {who:45} {what}{said}")
        return "\n".join(lines)


async def _at_once(function: Callable[..., Any], *arguments: object) -> Any:
    return function(*arguments)


def play(seed: int, ignored: Collection[str] = (), broken: str = "") -> History:
    """Play a history."""
    history = History(seed, ignored, broken)
    history.run()
    return history
