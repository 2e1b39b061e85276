"""Interleaving of a history's processes: request by request, at random.

What they do, what they are told and what must hold is a subclass's matter.
"""

from __future__ import annotations

import random
from typing import Any, Final, Generic, Protocol, TypeVar

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.plans.transfer import Sizes
from tests.simulation.bucket import EPOCH, Bucket
from tests.simulation.facts import Op, Violation
from tests.simulation.store import Store
from tests.simulation.world import Running, World
from tests.support import inside
from tests.support.fake_store import make_saver
from tests.support.keys import Keys

_MOST_STEPS: Final = 6000


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


class Actor(Protocol):
    """A process of a history."""

    running: Running | None

    def begin(self, action: Any = None) -> None:
        """Begin an action, or choose one."""

    def end(self) -> None:
        """Judge the action that has ended."""


ActorT = TypeVar("ActorT", bound=Actor)


class Schedule(Generic[ActorT]):
    """Processes on one bucket, in virtual time.

    Args:
        seed: Decides all of it.

    Attributes:
        writers: All operations that were begun beside others.
        left: How many actions are still to begin.
        sealed: Whether objects are encrypted.
        private: Whether names are hashed.
        settings: Settings of the processes' savers, by the process's number.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.chosen = random.Random(seed)
        self.world = World(self.chosen)
        self.bucket = Bucket(self.world)
        self.writers: list[Op] = []
        self.processes: list[ActorT] = []
        self.left = 0
        self.sealed = self.private = False
        self.settings: list[dict[str, Any]] = []

    # What a history is made of

    def _process(self, number: int) -> ActorT:
        """Return a process that has just begun."""
        raise NotImplementedError

    def _play(self) -> None:
        """Play it."""
        raise NotImplementedError

    def _look(self, when: str) -> None:
        """Read everything, and judge it."""
        raise NotImplementedError

    def report(self) -> str:
        """Return the history as text."""
        raise NotImplementedError

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

    # How it goes

    def run(self) -> None:
        """Play it.

        Raises:
            SimulationError: Something happened that must not.
        """
        try:
            self._play()
        except Exception as error:
            kind = error.kind if isinstance(error, Violation) else f"raises {type(error).__name__}"
            text = (
                f"history {self.seed}\n{self.report()}\n{error}\nSIMULATION_SEED={self.seed} plays it again"
            )
            raise SimulationError(self.seed, kind, text) from error

    def _alone(self, process: ActorT, action: Any) -> None:
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
            elif chosen in idle:
                self.left -= 1
                self._begin(chosen)
            elif world.advance(chosen, self.bucket) == "kill":
                self._kill(next(each for each in busy if each.running is chosen.running))
            for each in self.processes:
                if each.running is not None and each.running.op.ended is not None:
                    each.end()

    def _begin(self, process: ActorT) -> None:
        process.begin()
        assert process.running is not None
        self.writers.append(process.running.op)

    def _kill(self, process: ActorT) -> None:
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
