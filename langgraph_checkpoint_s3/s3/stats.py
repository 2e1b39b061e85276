"""Counts of one operation, and of all of a saver's operations in this process."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from langgraph_checkpoint_s3.fork_safety import renew_after_fork
from langgraph_checkpoint_s3.s3.circuit_breaker import State

Number: TypeAlias = Literal[
    "cache_hits",
    "bytes_sent",
    "bytes_received",
    "hedges",
    "hedges_won",
    "retries",
    "bytes_raw",
    "bytes_stored",
]
"""The numbers in `Stats` that an operation adds to."""


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts of what a saver has done so far, in this process.

    Attributes:
        requests: How many requests of each of S3's operations were sent, retries included. The retries of a
            client that a user passed in aren't.
        cache_hits: How many reads the cache answered instead.
        bytes_sent: Bytes of bodies sent.
        bytes_received: Bytes of bodies received.
        circuit: The circuit breaker: `off`, `closed` (all is well), `open` or `half-open`.
        hedges: How many slow reads were sent a second time. They are among `requests`.
        hedges_won: How many of those were answered, body included, before the first request was.
        operations: How often each operation was run, such as `put`, `get_tuple` or `admin.usage`. Of `list`,
            each page that was read.
        errors: How often each of them failed, or was cancelled.
        retries: How often a request was sent again, by the saver or by a client that a user passed in.
        bytes_raw: Bytes of what was put, serialized: of checkpoints all of their state.
        bytes_stored: Bytes of the objects that were written for that, once they were compressed, and without
            what they borrow.
    """

    requests: Mapping[str, int] = field(default_factory=dict)
    cache_hits: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    circuit: State = "off"
    hedges: int = 0
    hedges_won: int = 0
    operations: Mapping[str, int] = field(default_factory=dict)
    errors: Mapping[str, int] = field(default_factory=dict)
    retries: int = 0
    bytes_raw: int = 0
    bytes_stored: int = 0

    def _repr_html_(self) -> str:
        """Return the counts that aren't zero as a table, for notebooks."""
        from langgraph_checkpoint_s3.notebook import stats_rows, table

        return table("Stats", stats_rows(self))


class Counts:
    """Counts of one operation, or of all. Safe to use from many threads.

    Args:
        all: The counts of all operations, if these are one operation's.

    Attributes:
        requests: The requests, by S3's operations.
        numbers: Everything else, by its name in `Stats`.
    """

    def __init__(self, all: Counts | None = None) -> None:
        self.requests: Counter[str] = Counter()
        self.numbers: Counter[str] = Counter()
        self._operations: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._all = all
        if all is None:
            self.after_fork()
            renew_after_fork(self)

    def after_fork(self) -> None:
        """Replace the lock, which a thread of the parent may hold. The counts go on."""
        self._lock = threading.Lock()

    @property
    def lock(self) -> threading.Lock:
        """The lock that is held while they change."""
        return self._lock if self._all is None else self._all.lock

    def count(self, name: Number, by: int = 1) -> None:
        """Add to a number."""
        with self.lock:
            self.numbers[name] += by
            if self._all is not None:
                self._all.numbers[name] += by

    def request(self, operation: str) -> None:
        """Count a request of one of S3's operations."""
        with self.lock:
            self.requests[operation] += 1
            if self._all is not None:
                self._all.requests[operation] += 1

    def ended(self, operation: str, error: BaseException | None) -> None:
        """Count an operation that has ended."""
        with self.lock:
            self._operations[operation] += 1
            if error is not None:
                self._errors[operation] += 1

    def stats(self, circuit: State) -> Stats:
        """Return all counts.

        Args:
            circuit: The circuit breaker's state.
        """
        with self.lock:
            return Stats(
                requests=dict(self.requests),
                circuit=circuit,
                operations=dict(self._operations),
                errors=dict(self._errors),
                **self.numbers,
            )
