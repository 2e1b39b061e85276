"""A thread of a process: it uses the store and the node cache, and judges what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from langgraph.store.base import GetOp, ListNamespacesOp, PutOp, SearchOp
from langgraph.store.base import Op as StoreOp

from langgraph_checkpoint_s3 import ConflictError, S3Saver, StorageUnavailableError
from langgraph_checkpoint_s3.memory import S3Cache, S3Store
from tests.memory.support import WORDS, embed, index
from tests.simulation.actions import Judge, nothing
from tests.simulation.facts import Op, Violation
from tests.simulation.memory.oracle import Known, Memory, Place, Read, Write
from tests.simulation.world import Running
from tests.support import inside

if TYPE_CHECKING:
    from tests.simulation.memory.history import MemoryHistory

PREFIXES: Final[Sequence[tuple[str, ...]]] = ((), ("a",), ("a", "b"))
_QUERY: Final = "red cat"


class Store(S3Store):
    """A store without an event loop, so that embedding needs none."""

    async def _aembedded(self, ops: Sequence[StoreOp]) -> Any:
        return self._embedded(ops)


class Process:
    """A process: what its threads share.

    Args:
        saver: Its saver.
        ttl: Whether items expire.
    """

    def __init__(self, saver: S3Saver, *, ttl: bool) -> None:
        self.saver = saver
        self.store = Store(saver=saver, index=index(fields=["text"]), ttl={"refresh_on_read": ttl})
        self.cache: S3Cache[dict[str, Any]] = S3Cache(saver=saver)
        self.dead = False

    @property
    def clock(self) -> float:
        """Its clock, in seconds."""
        return inside.clock(self.saver)() / 1e9


@dataclass(frozen=True)
class Action:
    """Something to do.

    Attributes:
        name: For the trace.
        run: Does it.
        tell: Tells the oracles that it has begun.
        done: Judges what it returned.
        refused: Judges a `ConflictError`.
    """

    name: str
    run: Callable[[], Coroutine[Any, Any, Any]]
    tell: Callable[[Op], None] = nothing
    done: Judge = nothing
    refused: Callable[[Op], bool] = lambda _: False


class Thread:
    """A thread of a process.

    Args:
        history: The history that it is in.
        process: Its process.
        name: Its name.
    """

    def __init__(self, history: MemoryHistory, process: Process, name: str) -> None:
        self.name = name
        self.history = history
        self.process = process
        self.chosen = history.chosen
        self.items: Memory = history.items
        self.cached: Memory = history.cached
        self.running: Running | None = None
        self.action: Action | None = None
        self.known: dict[Place, Known] = {}

    def begin(self, action: Any = None) -> None:
        """Begin something."""
        while action is None:
            kinds = self.history.kinds
            action = getattr(self, self.chosen.choices(list(kinds), list(kinds.values()))[0])()
        self.action = action
        op = Op(f"{self.name} {action.name}", self.history.world.step)
        action.tell(op)
        self.history.world.note(op.name, "begins")
        self.running = Running(self.history.world, op, action.run())
        self.running.start()

    def end(self) -> None:
        """Judge what has ended."""
        running, action = self.running, self.action
        assert running is not None
        assert action is not None
        self.running = self.action = None
        op, error = running.op, running.error
        self.history.world.note(op.name, f"ends: {'done' if error is None else repr(error)}")
        if error is None:
            action.done(op, running.result)
        elif isinstance(error, ConflictError):
            if not action.refused(op):
                raise Violation("a conflict without a reason", str(error)) from error
        elif not (
            (isinstance(error, StorageUnavailableError) and op.faults)
            or (isinstance(error, asyncio.CancelledError) and "cancelled" in op.faults)
        ):
            raise error

    def _read(self, op: Op, clock: float, *, remembers: bool = False) -> Read:
        history = self.history
        remembered = remembers and self.process.saver.config.cache_bytes
        last = history.latest_clock
        return Read(op, op.begun, history.world.step, clock, last, self.process if remembered else None)

    def _place(self) -> Place:
        return self.chosen.choice(self.history.places)

    def _places(self, count: int) -> list[Place]:
        return self.chosen.sample(self.history.places, min(count, len(self.history.places)))

    # The store

    def batch(self) -> Action:
        """Put and delete a few items, and read some beside."""
        chosen = self.chosen
        puts = {place: self._put(place) for place in self._places(chosen.choice([1, 1, 1, 2, 3]))}
        gets = [self._place() for _ in range(chosen.choice([0, 0, 0, 1]))]
        ops: list[StoreOp] = [*puts.values(), *(GetOp(*place) for place in gets)]
        started: list[float] = []

        def tell(op: Op) -> None:
            started.append(self.process.clock)
            for place, put in puts.items():
                self._note(place, op, put, started[0])
                self.known.pop(place, None)
            for place in gets:
                self.items.renew(place, op, started[0])

        def done(op: Op, results: Any) -> None:
            read = self._read(op, started[0])
            for place, item in zip(gets, results[len(puts) :], strict=True):
                self.items.check(place, self.id_of(place, item), read)

        told = ", ".join(_told(op) for op in ops)
        return Action(f"batch {told}", lambda: self.process.store.abatch(ops), tell, done)

    def _put(self, place: Place) -> PutOp:
        chosen = self.chosen
        if chosen.random() < self.history.deleting:
            return PutOp(*place, None)
        ttl = chosen.choice([0.05, 0.3, 2.0, None]) if self.history.expiring else None
        return PutOp(*place, self._value(place), ttl=ttl)

    def _value(self, place: Place) -> dict[str, Any]:
        chosen = self.chosen
        return {
            "id": self.history.new_id(),
            "at": [*place[0], place[1]],
            "text": " ".join(chosen.choices(WORDS, k=3)),
            "odd": chosen.random() < 0.5,
            "pad": chosen.randbytes(chosen.choice([0, 0, 300, 12_000])).hex(),
        }

    def _note(self, place: Place, op: Op, put: PutOp, clock: float, **more: Any) -> Write:
        value: Any = put.value
        ttl = None if put.ttl is None else put.ttl * 60
        hidden = value is not None and not value["odd"]
        return self.items.add(
            place, Write(op, self.process, value and value["id"], clock, ttl, hidden, **more)
        )

    def put_if(self) -> Action | None:
        """Put an item as it follows on what this thread has read; create it where it has read none."""
        if not self.known:
            return self.get()
        place, known = self.chosen.choice(list(self.known.items()))
        put = PutOp(*place, self._value(place), ttl=0.3 if self.history.expiring else None)
        started: list[float] = []
        written: list[Write] = []

        def tell(op: Op) -> None:
            started.append(self.process.clock)
            written.append(self._note(place, op, put, started[0], expected=known.value))
            del self.known[place]

        def done(op: Op, _: Any) -> None:
            self.items.check_replaced(place, written[0], self._read(op, started[0]))

        def refused(op: Op) -> bool:
            # If an answer was lost, the first attempt may have written it, and another process replaced it.
            written[0].refused = not op.faults
            return self.items.changed(place, known, op, self.history.sweeps)

        def run() -> Coroutine[Any, Any, Any]:
            assert put.value is not None
            return self.process.store.aput(*place, put.value, ttl=put.ttl, if_match=known.etag)

        return Action(f"put if {known.value} {_told(put)}", run, tell, done, refused)

    def get(self) -> Action:
        """Read an item."""
        place = self._place()
        started: list[float] = []
        refresh = self.chosen.random() < 0.7

        def tell(op: Op) -> None:
            started.append(self.process.clock)
            if refresh:
                self.items.renew(place, op, started[0])

        def done(op: Op, item: Any) -> None:
            value = self.id_of(place, item)
            self.items.check(place, value, self._read(op, started[0]))
            self.known[place] = Known(value, item.etag if item else "", op)

        return Action(
            f"get {_name(place)}", lambda: self.process.store.aget(*place, refresh_ttl=refresh), tell, done
        )

    def search(self) -> Action:
        """Search all below a prefix, with a filter or a query at times."""
        chosen = self.chosen
        prefix = chosen.choice(PREFIXES)
        filtered, query = chosen.random() < 0.3, chosen.random() < 0.3
        op_ = SearchOp(prefix, {"odd": True} if filtered else None, 1000, 0, _QUERY if query else None)
        started: list[float] = []

        def tell(op: Op) -> None:
            started.append(self.process.clock)
            for place in self.history.places:
                self.items.renew(place, op, started[0])

        def done(op: Op, results: Any) -> None:
            self.check_found(results[0], prefix, self._read(op, started[0]), filtered=filtered, query=query)

        name = f"search {'/'.join(prefix)} {op_.filter or ''} {op_.query or ''}"
        return Action(name, lambda: self.process.store.abatch([op_]), tell, done)

    def check_found(
        self, found: Sequence[Any], prefix: tuple[str, ...], read: Read, *, filtered: bool, query: bool
    ) -> None:
        """Check what a search returned, and in what order."""
        values = {(item.namespace, item.key): self.id_of((item.namespace, item.key), item) for item in found}
        if len(values) < len(found):
            raise Violation("found twice", str(sorted(values)))
        if filtered and not all(item.value["odd"] for item in found):
            raise Violation("not what the filter asks for", str(values))
        order = [-item.updated_at.timestamp() for item in found]
        if query:
            order = [-item.score for item in found]
            [asked, *vectors] = embed([_QUERY, *(item.value["text"] for item in found)])
            for item, vector in zip(found, vectors, strict=True):
                if abs(item.score - _cosine(asked, vector)) > 1e-5:
                    raise Violation("the score of another value", f"{item.value['id']}: {item.score}")
        if order != sorted(order):
            raise Violation("found in another order", str(order))
        self.items.check_all(values, prefix, read, filtered=filtered)  # type: ignore[arg-type]  # all are there

    def list_namespaces(self) -> Action:
        """List the namespaces."""
        started: list[float] = []

        def done(op: Op, results: Any) -> None:
            self.items.check_namespaces(results[0], self._read(op, started[0]))

        return Action(
            "namespaces",
            lambda: self.process.store.abatch([ListNamespacesOp()]),
            lambda op: started.append(self.process.clock),
            done,
        )

    def sweep(self) -> Action:
        """Delete what has expired."""
        return Action("sweep", self.process.store.asweep_ttl, self.history.sweeps.append)

    def id_of(self, place: Place, item: Any) -> str | None:
        """Return the id of an item's value, which must be of that place; `None` for no item."""
        if item is None:
            return None
        if item.value["at"] != [*place[0], place[1]] or (item.namespace, item.key) != place:
            raise Violation("another item", f"{item.value['at']} for {place}")
        found: str = item.value["id"]
        return found

    # The node cache

    def cache_set(self) -> Action:
        """Set a few values."""
        chosen = self.chosen
        places = self._places(chosen.choice([1, 1, 2]))
        values = {place: self._value(place) for place in places}
        ttl = chosen.choice([5, 60, None]) if self.history.expiring else None

        def tell(op: Op) -> None:
            clock = self.process.clock
            for place, value in values.items():
                self.cached.add(place, Write(op, self.process, value["id"], clock, ttl))

        pairs = {place: (value, ttl) for place, value in values.items()}
        told = ", ".join(f"{_name(place)}={value['id']}" for place, value in values.items())
        return Action(f"cache.set {told}", lambda: self.process.cache.aset(pairs), tell)

    def cache_get(self) -> Action:
        """Get a few values."""
        places = self._places(self.chosen.choice([1, 2]))
        started: list[float] = []

        def done(op: Op, found: Mapping[Place, Any]) -> None:
            self.check_cached(places, found, self._read(op, started[0], remembers=True))

        return Action(
            f"cache.get {', '.join(map(_name, places))}",
            lambda: self.process.cache.aget(places),
            lambda op: started.append(self.process.clock),
            done,
        )

    def check_cached(self, places: Iterable[Place], found: Mapping[Place, Any], read: Read) -> None:
        """Check what the node cache returned."""
        for place in places:
            value = found.get(place)
            if value is not None and value["at"] != [*place[0], place[1]]:
                raise Violation("another value", f"{value['at']} for {place}")
            self.cached.check(place, value and value["id"], read)

    def cache_clear(self) -> Action:
        """Clear a namespace, or all."""
        namespace = self.chosen.choice([None, *{place[0]: 0 for place in self.history.places}])

        def tell(op: Op) -> None:
            clock = self.process.clock
            for place in self.history.places:
                if namespace in (None, place[0]):
                    self.cached.add(place, Write(op, self.process, None, clock))

        given = None if namespace is None else [namespace]
        return Action(f"cache.clear {namespace}", lambda: self.process.cache.aclear(given), tell)


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    norms = sum(each * each for each in one) * sum(each * each for each in other)
    return float(sum(a * b for a, b in zip(one, other, strict=True)) / norms**0.5)


def _name(place: Place) -> str:
    return f"{'/'.join(place[0])}:{place[1]}"


def _told(op: Any) -> str:
    name = _name((op.namespace, op.key))
    if isinstance(op, PutOp):
        return f"{name}={op.value and op.value['id']}" + (f" for {op.ttl} min" if op.ttl else "")
    return f"{name}?"
