"""One history of memories: a few processes of two threads each, by a seed, and what a reader finds."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Final
from unittest import mock

from langgraph_checkpoint_s3.memory import view
from tests.simulation.bucket import EPOCH
from tests.simulation.facts import Op
from tests.simulation.memory.oracle import Memory, Place, Read
from tests.simulation.memory.workers import Process, Thread
from tests.simulation.schedule import Schedule
from tests.support import fake_s3

KINDS: Final = {
    "batch": 6.0,
    "put_if": 3.0,
    "get": 3.0,
    "search": 4.0,
    "list_namespaces": 0.7,
    "cache_set": 1.5,
    "cache_get": 2.0,
    "cache_clear": 0.5,
}
PROFILES: Final = {
    "all": KINDS,
    "updates": {"batch": 1.0, "put_if": 8.0, "get": 4.0, "search": 0.5},
    "searches": {"batch": 8.0, "search": 8.0, "get": 0.5},
    "cache": {"cache_set": 4.0, "cache_get": 5.0, "cache_clear": 1.5},
}
_NAMESPACES: Final = (("a",), ("a", "b"), ("a", "b"), ("c/ü",))


class MemoryHistory(Schedule[Thread]):
    """A history.

    Args:
        seed: Decides all of it.
        broken: What doesn't work: one of `bucket.BROKEN`.
    """

    def __init__(self, seed: int, broken: str = "") -> None:
        super().__init__(seed)
        chosen = self.chosen
        self.items, self.cached = Memory(), Memory()
        self.sweeps: list[Op] = []
        self.sealed = chosen.random() < 0.35
        self.private = self.sealed and chosen.random() < 0.4
        self.expiring = chosen.random() < 0.4
        self.deleting = chosen.choice([0.0, 0.1, 0.4])
        store = chosen.choices(["strict", "odd ETags"], [85, 15])[0]
        self.bucket.odd_etags = store == "odd ETags"
        self.bucket.broken = broken
        count = chosen.choice([2, 4, 9, 14])
        self.places: list[Place] = [(_NAMESPACES[each % 4], f"k{each}") for each in range(count)]
        kinds = PROFILES[chosen.choice(list(PROFILES))]
        self.kinds = {name: weight * chosen.choice([0.3, 1, 1, 3]) for name, weight in kinds.items()}
        if self.expiring:
            self.kinds["sweep"] = 1.0
        self.settings = [self._settings(store) for _ in range(3)]
        self._values = self._names = 0
        for number in range(chosen.choice([2, 2, 3])):
            self.processes += self._threads(number)
        self.left = chosen.randrange(6, 24)

    def new_id(self) -> str:
        """An id of a value."""
        self._values += 1
        return f"v{self._values}"

    @property
    def latest_clock(self) -> float:
        """The latest time of any process's clock, in seconds."""
        ahead: float = max(each["skew"] for each in self.settings)
        return EPOCH.timestamp() + self.world.now + ahead + 1e-3

    def _settings(self, store: str) -> dict[str, Any]:
        skews = [0.0] if self.expiring else [0.0, 0.0, 0.5, -7200.0, 7200.0]
        chosen = {"cache_bytes": self.chosen.choice([64 << 20, 64 << 20, 20_000, 0])}
        return super()._settings(store) | chosen | {"skew": self.chosen.choice(skews)}

    def _process(self, number: int) -> Thread:
        return self._threads(number)[0]

    def _threads(self, number: int) -> list[Thread]:
        self._names += 1
        process = Process(self.make_saver(number), ttl=self.expiring)
        name = f"P{number}{'abcdefghijklmnopqrstuvwxyz'[self._names % 26]}"
        return [Thread(self, process, f"{name}{each}") for each in (1, 2)]

    def _kill(self, process: Thread) -> None:
        """Another process takes the place of all threads of one."""
        at = [number for number, each in enumerate(self.processes) if each.process is process.process]
        for number in at:
            running = self.processes[number].running
            if running is not None:
                running.kill()
        for number, thread in zip(at, self._threads(at[0] // 2), strict=True):
            self.processes[number] = thread

    def run(self) -> None:
        """Play it, with indexes and pages so small that few items make them matter."""
        with _small():
            super().run()

    def _play(self) -> None:
        world, chosen = self.world, self.chosen
        world.pace = chosen.choice([0.1, 0.5, 1.0, 2.0, 4.0])
        world.faults = chosen.choice([0, 0, 1, 2, 3, 5])
        world.rate = chosen.choice([0.01, 0.03, 0.1])
        half = self.left // 2
        while self.left:
            until = half if self.left > half else 0
            self._interleave(until)
            self._look("in the middle" if until else "at the end")
        self._settle()

    def _look(self, when: str) -> None:
        """Read everything, by a process that has just begun and by one that hasn't."""
        self.world.note("reader", f"looks {when}")
        fresh = Thread(self, Process(self.make_saver(0), ttl=False), "reader")
        for thread in (fresh, self.chosen.choice(self.processes)):
            process, step = thread.process, self.world.step
            remembers = process if process.saver.config.cache_bytes else None
            read = Read(None, step, step, process.clock, self.latest_clock)
            for prefix, query in (((), None), (("a",), "red cat")):
                found = process.store.search(prefix, query=query, limit=1000, refresh_ttl=False)
                thread.check_found(found, prefix, read, filtered=False, query=query is not None)
            for place in self.chosen.sample(self.places, min(2, len(self.places))):
                item = process.store.get(*place, refresh_ttl=False)
                self.items.check(place, thread.id_of(place, item), read)
            self.items.check_namespaces(process.store.list_namespaces(), read)
            found_values = process.cache.get(self.places)
            thread.check_cached(self.places, found_values, read._replace(process=remembers))

    def report(self) -> str:
        """Return the history as text, a line a step."""
        from tests.simulation.trace import describe
        from tests.support import inside

        head = f"{len(self.processes)} threads, sealed {self.sealed}, private {self.private}"
        lines = [head, *(f"  {number}: {each}" for number, each in enumerate(self.settings))]
        layout = inside.layout(self.processes[0].process.saver)
        for now, who, what, request, answer in self.world.trace:
            said = f" {describe(request, answer, layout)}" if request is not None else ""
            lines.append(f"{now:9.3f} {who:45} {what}{said}")
        return "\n".join(lines)


@contextlib.contextmanager
def _small() -> Iterator[None]:
    names: dict[str, Any] = {"_FEW": 2, "_STALE": 3, "PAGE": 5, "_PART": 4}
    with mock.patch.multiple(view, **names), mock.patch.object(fake_s3, "_MAX_LISTED", 5):
        yield


def play(seed: int, broken: str = "") -> MemoryHistory:
    """Play a history."""
    history = MemoryHistory(seed, broken)
    history.run()
    return history
