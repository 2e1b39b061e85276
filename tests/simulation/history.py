"""One history: a few processes on one bucket, by a seed, and what a reader finds in the end."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final
from unittest import mock

from langgraph_checkpoint_s3 import CorruptObjectError, S3Saver
from langgraph_checkpoint_s3.plans.transfer import Sizes
from tests.simulation.actions import File, Known
from tests.simulation.bucket import EPOCH, Bucket
from tests.simulation.facts import Op, Place, Violation
from tests.simulation.oracle import Oracle
from tests.simulation.processes import Process
from tests.simulation.store import Store
from tests.simulation.workers import DELETIONS
from tests.simulation.world import World
from tests.support import inside
from tests.support.checkpoints import place
from tests.support.fake_store import make_saver
from tests.support.keys import Keys

_MOST_STEPS: Final = 6000
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


class SimulationError(AssertionError):
    """A history in which something happened that must not.

    Args:
        seed: The history's.
        kind: What it is.
        text: All about it.
    """

    def __init__(self, seed: int, kind: str, text: str) -> None:
        super().__init__(text)
        self.seed = seed
        self.kind = kind


class History:
    """A history.

    Args:
        seed: Decides all of it.
        ignored: Kinds of what must not happen that are let pass, as far as the history can go on.
        broken: What doesn't work: one of `BROKEN`.
    """

    def __init__(self, seed: int, ignored: Collection[str] = (), broken: str = "") -> None:
        chosen = random.Random(seed)
        self.seed = seed
        self.ignored = ignored
        self.chosen = chosen
        self.world = World(chosen)
        self.model = Oracle()
        self.bucket = Bucket(self.world)
        self.writers: list[Op] = []
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

    def _settings(self, store: str) -> dict[str, Any]:
        chosen = self.chosen
        parts = chosen.random() < (0.8 if store == "odd ETags" else 0.15)
        return {
            "compression": chosen.choice(["zstd", "zstd", "gzip", "none"]),
            "borrow": chosen.random() < 0.9,
            "cache_bytes": chosen.choice([64 << 20, 64 << 20, 64 << 20, 60_000]),
            "sizes": Sizes(9_000, 5_000) if parts else None,
            "skew": chosen.choice([0.0, 0.0, 0.5, 5.0, -7200.0, 7200.0]),
        }

    def make_saver(self, number: int) -> S3Saver:
        """A process's saver, which has just begun."""
        settings = dict(self.settings[number])
        skew, sizes = settings.pop("skew"), settings.pop("sizes")
        if self.sealed:
            names = ("k1", "k2") if number % 2 else ("k2", "k1")  # in the middle of a change of keys
            settings |= {
                "encryption": Keys(*names, wrapped=True, names="names"),
                "private_keys": self.private,
            }
        saver = make_saver(self.bucket, sizes=sizes, operation_timeout=None, **settings)
        store: Any = Store(self.world, self.bucket, saver.config, offset=1000.0 * self.chosen.random())
        inside.set_store(saver, store)
        last = 0

        def now() -> int:
            nonlocal last
            last = max(last + 1, int((EPOCH.timestamp() + self.world.now + skew) * 1e9))
            return last

        clock: Any = now
        inside.set_clock(saver, clock)
        return saver

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
        try:
            with mock.patch("langgraph_checkpoint_s3.admin.transfer.api.in_thread", _at_once):
                self._play()
        except Exception as error:
            kind = error.kind if isinstance(error, Violation) else f"raises {type(error).__name__}"
            text = (
                f"history {self.seed}\n{self.report()}\n{error}\nSIMULATION_SEED={self.seed} plays it again"
            )
            raise SimulationError(self.seed, kind, text) from error

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

    def _alone(self, process: Process, action: Any) -> None:
        """Do something while nothing else goes on."""
        process.begin(action)
        self.world.step += 1
        while process.running is not None and process.running.op.ended is None:
            flights = self.world.ready()
            mine = [each for each in flights if each.running is process.running and each.awaited]
            if mine:
                self.world.advance(mine[0], self.bucket)
            else:
                self.world.wait()
            self.world.step += 1
        process.end()

    def _interleave(self, until: int) -> None:
        """Let the processes act, until so many actions are left and none is under way."""
        world = self.world
        while True:
            world.pass_time()
            if world.step > _MOST_STEPS:
                raise Violation("endless", f"{_MOST_STEPS} steps")
            idle = [each for each in self.processes if each.running is None] if self.left > until else []
            busy = [each for each in self.processes if each.running is not None]
            flights = world.ready()
            if not idle and not busy:
                return
            if not idle and not flights:
                world.wait()
                continue
            asleep = [None] if len(flights) < len(world.flights) else []  # what is slow may take longer
            weights = [0.7] * len(idle) + [flight.weight for flight in flights] + [0.3] * len(asleep)
            chosen: Any = self.chosen.choices([*idle, *flights, *asleep], weights)[0]
            if chosen is None:
                world.wait()
            elif isinstance(chosen, Process):
                self.left -= 1
                self._begin(chosen)
            elif world.advance(chosen, self.bucket) == "kill":
                self._kill(next(each for each in busy if each.running is chosen.running))
            for each in self.processes:
                if each.running is not None and each.running.op.ended is not None:
                    each.end()

    def _begin(self, process: Process) -> None:
        process.begin()
        assert process.running is not None
        self.writers.append(process.running.op)

    def _kill(self, process: Process) -> None:
        """Another process takes its place, which knows nothing."""
        assert process.running is not None
        process.running.kill()
        self.processes[self.processes.index(process)] = self._process(self.processes.index(process))

    def _settle(self) -> None:
        """Let every request that is under way arrive."""
        world = self.world
        world.faults = 0
        world.pace = self.chosen.choice([1.0, 100.0])
        if not world.flights:
            return
        while world.flights:
            world.pass_time()
            flights = world.ready()
            if flights:
                world.advance(self.chosen.choice(flights), self.bucket)
            else:
                world.wait()
        self._look("when all has arrived")

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
