"""Long-term memory: `S3Store` beside `PostgresStore` and `InMemoryStore`, with 100 and 10,000 items.

    python -m benchmarks.memories                  some minutes
    python -m benchmarks.memories --items 100      the small one
    python -m benchmarks.memories … --write FILE   writes the table to a file, too

The S3 server is in memory, in another process, and answers after a set latency. Postgres runs on this
machine, without a network, and has no vectors without an extension. Each operation of all stores alternates.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from unittest import mock
from urllib.parse import urlsplit
from zlib import crc32

from benchmarks import report
from benchmarks.environments import InstallError
from benchmarks.runs import ENVIRONMENT, dollars
from benchmarks.served import Served
from langgraph_checkpoint_s3.memory import S3Store
from langgraph_checkpoint_s3.plans.plan import Plan
from langgraph_checkpoint_s3.s3.driver import Ended, advance
from langgraph_checkpoint_s3.s3.requests import Call
from langgraph_checkpoint_s3.saver import internals_of

if TYPE_CHECKING:
    from langgraph.store.base import BaseStore

NS: Final = ("users", "ada")
DIMS: Final = 256
ITEMS: Final = (100, 10_000)
_LATENCY: Final = 25.0
_ROUNDS: Final = 7
_BATCH: Final = 500
_PACKAGES: Final = ("langgraph-checkpoint-s3", "langgraph-checkpoint", "langgraph-checkpoint-postgres")

Use = Callable[["BaseStore"], object]


class Spent(NamedTuple):
    """Time of an operation, in milliseconds.

    Attributes:
        wall: Its time.
        cpu: CPU time of this process, that is without a server's.
    """

    wall: float
    cpu: float


@dataclass(frozen=True)
class Figure:
    """One operation.

    Attributes:
        what: Its name.
        items: Items in the namespace.
        requests: S3Store's requests, by the kind that they are charged as.
        trips: Their round trips.
        found: Time of S3Store, at 25 ms of latency.
        others: Times of the other stores, by name.
    """

    what: str
    items: int
    requests: Mapping[str, int]
    trips: int
    found: Spent
    others: Mapping[str, Spent]

    @property
    def to_trips(self) -> float:
        """Time divided by that of the round trips alone."""
        return self.found.wall / (self.trips * _LATENCY)


def embed(texts: Sequence[str]) -> list[list[float]]:
    """Return a vector for each text, which takes no model."""
    found = []
    for text in texts:
        chosen = random.Random(crc32(text.encode()))
        found.append([chosen.gauss(0, 1) for _ in range(DIMS)])
    return found


def value(number: int) -> dict[str, Any]:
    """Return the value of an item: every tenth is of group 0."""
    return {"text": f"What Ada said about subject {number}", "group": number % 10, "number": number}


def operations(count: int) -> dict[str, tuple[Use, bool]]:
    """Return the operations, each with whether it is by a process that knows no item."""
    new = iter(range(count, 1 << 40))
    one = f"{count // 2:06}"

    def search(store: BaseStore) -> object:
        return store.search(NS, filter={"group": 0}, limit=10)

    def similar(store: BaseStore) -> object:
        return store.search(NS, query="What did Ada say about trains?", limit=10)

    return {
        "get": (lambda store: store.get(NS, one), False),
        "search with a filter": (search, False),
        "search with a query": (similar, False),
        "search with a filter, new process": (search, True),
        "search with a query, new process": (similar, True),
        "put": (lambda store: store.put(NS, f"{next(new):06}", value(0)), False),
    }


class Stores:
    """The stores, filled with items.

    Args:
        served: The S3 server.
        count: The number of items.
        others: The other stores by name, and whether each searches by vectors.
    """

    def __init__(self, served: Served, count: int, others: Mapping[str, tuple[BaseStore, bool]]) -> None:
        self._served = served
        self._bucket = served.bucket()
        self._count = count
        self._others = others
        self._known = self._store()
        served.ask("latency", milliseconds=0)
        for store in (self._known, *(store for store, _ in others.values())):
            fill(store, count)
        self._known.search(NS)  # writes the index

    def _store(self) -> S3Store:
        return S3Store(
            self._bucket, endpoint_url=self._served.endpoint_url, index=index(), cache_bytes=256 * 1024 * 1024
        )

    def figures(self, latency: float = _LATENCY, rounds: int = _ROUNDS) -> Iterator[Figure]:
        """Measure each operation."""
        for what, (use, is_new) in operations(self._count).items():
            requests, trips = self._counted(use, is_new=is_new)
            self._served.ask("latency", milliseconds=latency)
            others = {
                name: store
                for name, (store, vectors) in self._others.items()
                if not is_new and (vectors or "query" not in what)
            }
            times: dict[str, list[Spent]] = {name: [] for name in ("", *others)}
            for _ in range(rounds):
                with self._ours(is_new=is_new) as ours:
                    times[""].append(timed(use, ours))
                for name, store in others.items():
                    times[name].append(timed(use, store))
            medians = {
                name: Spent(*map(statistics.median, zip(*each, strict=True))) for name, each in times.items()
            }
            yield Figure(what, self._count, requests, trips, medians.pop(""), medians)
        self._served.ask("latency", milliseconds=0)

    @contextlib.contextmanager
    def _ours(self, *, is_new: bool) -> Iterator[S3Store]:
        if not is_new:
            yield self._known
            return
        with self._store() as store:
            store.get(NS, "none")  # connects
            yield store

    def _counted(self, use: Use, *, is_new: bool) -> tuple[dict[str, int], int]:
        """Return the requests and round trips of an operation."""
        self._served.ask("latency", milliseconds=0)
        with self._ours(is_new=is_new) as store:
            if not is_new:
                use(store)
            self._served.requests(self._bucket)
            trips = count_trips(use, store)
            return self._served.requests(self._bucket), trips

    def close(self) -> None:
        """Close the store, and drop its bucket."""
        self._known.close()
        self._served.ask("drop", bucket=self._bucket)


def index() -> Any:
    """Return the settings of semantic search."""
    return {"dims": DIMS, "embed": embed, "fields": ["text"]}


def fill(store: BaseStore, count: int) -> None:
    """Put items."""
    from langgraph.store.base import PutOp

    for start in range(0, count, _BATCH):
        numbers = range(start, min(count, start + _BATCH))
        store.batch([PutOp(NS, f"{number:06}", value(number)) for number in numbers])


def timed(use: Use, store: BaseStore) -> Spent:
    """Return the time of an operation."""
    wall, cpu = time.perf_counter(), time.process_time()
    use(store)
    return Spent((time.perf_counter() - wall) * 1e3, (time.process_time() - cpu) * 1e3)


def count_trips(use: Use, store: S3Store) -> int:
    """Return the round trips of an operation: the batches that its plan sends."""
    driver = internals_of(store.saver).store
    trips = 0

    def counted(plan: Plan[Any]) -> Plan[Any]:
        nonlocal trips
        answers: list[Any] | None = None
        while True:
            step = advance(plan, answers)
            if isinstance(step, Ended):
                return step.result
            trips += any(not isinstance(request, Call) for request in step)
            answers = yield step

    with mock.patch.object(driver, "run", lambda plan, name="", run=driver.run: run(counted(plan), name)):
        use(store)
    return trips


@contextlib.contextmanager
def peers(number: int) -> Iterator[dict[str, tuple[BaseStore, bool]]]:
    """Make the other stores. Without Postgres, there is only one."""
    from langgraph.store.memory import InMemoryStore

    from benchmarks import postgres

    found: dict[str, tuple[BaseStore, bool]] = {"InMemoryStore": (InMemoryStore(index=index()), True)}
    with contextlib.ExitStack() as stack:
        try:
            import psycopg
            from langgraph.store.postgres import PostgresStore

            server = postgres.server()
        except (ImportError, InstallError) as error:
            print(f"without PostgresStore: {error}", file=sys.stderr)
        else:
            name = f"memories{number}"
            assert urlsplit(server).hostname == "127.0.0.1"
            with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
                connection.execute(f'CREATE DATABASE "{name}"')
            store = stack.enter_context(PostgresStore.from_conn_string(f"{server}/{name}"))
            store.setup()
            found["PostgresStore"] = store, False
        yield found


def measure(items: Sequence[int], rounds: int = _ROUNDS) -> list[Figure]:
    """Measure all operations with each number of items."""
    found: list[Figure] = []
    with Served() as served:
        for count in items:
            print(f"{count:,} items ...", file=sys.stderr, flush=True)
            with peers(count) as others:
                stores = Stores(served, count, others)
                found += stores.figures(rounds=rounds)
                stores.close()
    return found


def table(figures: Sequence[Figure]) -> str:
    """Return the table."""
    peers_ = list(dict.fromkeys(name for each in figures for name in each.others))
    heads = ["operation", "items", "requests", "round trips", "$ a million", "ms", "× trips", "CPU, ms"]
    rows = [
        [
            each.what,
            f"{each.items:,}",
            ", ".join(f"{count:,} {kind}" for kind, count in each.requests.items()),
            each.trips,
            f"{dollars(each.requests):,.2f}",
            f"{each.found.wall:,.1f}",
            f"{each.to_trips:.2f}",
            f"{each.found.cpu:,.1f}",
            *(
                f"{getattr(each.others[name], kind):,.2f}" if name in each.others else ""
                for name in peers_
                for kind in ("wall", "cpu")
            ),
        ]
        for each in figures
    ]
    times = [f"{name}, {kind}" for name in peers_ for kind in ("ms", "CPU, ms")]
    return report.table([*heads, *times], rows)


_TEXT: Final = f"""\
Requests and round trips of `S3Store`; its time at {_LATENCY:g} ms of latency, and divided by that of the
round trips alone; dollars for the requests of a million operations. The other stores have no latency:
Postgres is on the same machine. CPU time is this process's alone. Vectors have {DIMS} dimensions. Times are
medians.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    import os

    parser = argparse.ArgumentParser(prog="python -m benchmarks.memories")
    parser.add_argument("--items", type=int, nargs="+", default=list(ITEMS))
    parser.add_argument("--rounds", type=int, default=_ROUNDS)
    report.add_write_option(parser)
    chosen = parser.parse_args(arguments)
    os.environ.update(ENVIRONMENT)
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    found = measure(chosen.items, chosen.rounds)
    text = report.page(
        "Memories", report.command("memories", arguments), versions, f"{_TEXT}\n{table(found)}"
    )
    report.write(text, chosen.write)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
