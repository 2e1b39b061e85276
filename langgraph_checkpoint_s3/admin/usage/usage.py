"""Threads, their sizes and costs. From LISTs alone, but for hashed names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from langgraph_checkpoint_s3.errors import (
    InvalidConfigError,
)
from langgraph_checkpoint_s3.format.keys import (
    EXPORTS,
)
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.plan import Plan
from langgraph_checkpoint_s3.plans.scan import Pages, Scan
from langgraph_checkpoint_s3.s3.requests import Entry
from langgraph_checkpoint_s3.text.humanize import counted, human

_GB: Final = 2**30
_KB: Final = 2**10
_LEAST_BILLED: Final = dict.fromkeys(("STANDARD_IA", "ONEZONE_IA", "GLACIER_IR"), 128 * _KB)
_ARCHIVES: Final = frozenset({"GLACIER", "DEEP_ARCHIVE"})
_IN_THE_ARCHIVE: Final = 32 * _KB
_BESIDE_THE_ARCHIVE: Final = 8 * _KB

_US_EAST_1: Final[Mapping[str, float]] = {
    "STANDARD": 0.023,
    "INTELLIGENT_TIERING": 0.023,
    "STANDARD_IA": 0.0125,
    "ONEZONE_IA": 0.01,
    "GLACIER_IR": 0.004,
    "GLACIER": 0.0036,
    "DEEP_ARCHIVE": 0.00099,
    "EXPRESS_ONEZONE": 0.11,
}


@dataclass(frozen=True, slots=True)
class Prices:
    """What storage costs: Amazon's prices in us-east-1, unless others are given.

    They are those of https://aws.amazon.com/s3/pricing/ in March 2026, of the first 50 TB, without tax.

    Attributes:
        per_gb_month: US dollars for a GB (2**30 bytes) and month, by the name that S3 gives a storage class,
            such as `STANDARD`. Of `INTELLIGENT_TIERING` a LIST doesn't tell the tier: the default is the
            price of the frequent one, and so the most that it can be.
    """

    per_gb_month: Mapping[str, float] = field(default_factory=lambda: dict(_US_EAST_1))

    def of(self, storage_class: str) -> float:
        """The price of a storage class, for a GB and month.

        Raises:
            InvalidConfigError: There is no price for it.
        """
        try:
            return self.per_gb_month[storage_class]
        except KeyError:
            raise InvalidConfigError(
                f"There is no price for the storage class {storage_class}. Pass one: "
                f"Prices(per_gb_month={{{storage_class!r}: …}})."
            ) from None


_DEFAULT_PRICES: Final = Prices()


@dataclass(frozen=True, slots=True)
class ClassUsage:
    """What lies in one storage class.

    Attributes:
        objects: How many objects.
        bytes: Their length.
        billed_bytes: What AWS bills for them in this class: in Standard-IA, One Zone-IA and Glacier Instant
            Retrieval at least 128 KiB for an object, in Glacier Flexible Retrieval and Deep Archive 32 KiB
            more than it has (https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-class-intro.html).
    """

    objects: int = 0
    bytes: int = 0
    billed_bytes: int = 0


@dataclass(frozen=True, slots=True)
class UsageReport:
    """What threads take. It can be printed.

    Attributes:
        threads: How many threads have objects.
        namespaces: How many namespaces they have in all; subgraphs have their own.
        checkpoints: How many checkpoints.
        writes: How many objects of tasks' writes.
        bytes: The length of all of these objects.
        oldest: When the oldest of them was written (S3's `LastModified`); `None` if there are none.
        newest: The same of the newest one.
        classes: What lies in each storage class, by S3's name for it.
        exports: The bytes of exports and hand-ins under `.exports/`; they are in no other figure here.
    """

    threads: int
    namespaces: int
    checkpoints: int
    writes: int
    bytes: int
    oldest: datetime | None
    newest: datetime | None
    classes: Mapping[str, ClassUsage]
    exports: int

    def monthly_cost(self, prices: Prices = _DEFAULT_PRICES) -> float:
        """What keeping the threads for a month costs, in US dollars.

        Not in it: requests, exports, noncurrent versions, unfinished uploads, retrievals, and the
        monitoring of Intelligent-Tiering.

        Args:
            prices: The prices; by default those of us-east-1.

        Raises:
            InvalidConfigError: There is no price for a storage class.
        """
        cost = 0.0
        for name, used in self.classes.items():
            cost += prices.of(name) * used.billed_bytes / _GB
            if name in _ARCHIVES:  # the name and metadata of each object stay in Standard
                cost += prices.of("STANDARD") * used.objects * _BESIDE_THE_ARCHIVE / _GB
        return cost

    def __str__(self) -> str:
        counts = (
            (self.threads, "thread"),
            (self.namespaces, "namespace"),
            (self.checkpoints, "checkpoint"),
            (self.writes, "object of writes"),
        )
        text = f"{', '.join(counted(*each) for each in counts)}: {human(self.bytes)}"
        if len(self.classes) > 1 or self.classes.keys() - {"STANDARD"}:
            text += f" ({', '.join(f'{human(used.bytes)} {name}' for name, used in self.classes.items())})"
        if self.oldest is not None and self.newest is not None:
            text += f", written {self.oldest:%Y-%m-%d %H:%M} to {self.newest:%Y-%m-%d %H:%M %Z}"
        if self.classes.keys() <= _US_EAST_1.keys():
            cost = self.monthly_cost()
            text += f", ${cost:,.2f} a month in us-east-1" if cost >= 0.01 else ", less than $0.01 a month"
        if self.exports:
            text += f"; and {human(self.exports)} of exports"
        return text


@dataclass(frozen=True, slots=True)
class CheckpointSize:
    """What a checkpoint takes, with its writes.

    Attributes:
        checkpoint_ns: Its namespace; its hash, if it is hashed in keys.
        checkpoint_id: Its id.
        objects: How many objects it and its writes are.
        bytes: Their length. What it borrows from others is theirs.
        modified: When the last of them was written.
    """

    checkpoint_ns: str
    checkpoint_id: str
    objects: int
    bytes: int
    modified: datetime


def usage(context: Context, thread_id: str | None) -> Plan[UsageReport]:
    """Add up a thread, or all of them, page by page: nothing of a page is kept."""
    layout = context.layout
    scan = Scan(layout, layout.prefix if thread_id is None else layout.thread(thread_id))
    tally = _Tally()
    last_thread = last_namespace = ""
    threads = namespaces = checkpoints = writes = 0
    while not scan.done:
        for folder in (yield from scan.more()):
            namespace = folder.namespace
            thread = namespace[: namespace.index("/", len(layout.prefix))]
            threads += thread != last_thread
            namespaces += namespace != last_namespace
            last_thread, last_namespace = thread, namespace
            checkpoints += bool(folder.checkpoints)
            writes += len(folder.writes)
            for entry in folder.entries:
                tally.add(entry)
    exports = layout.prefix + EXPORTS if thread_id is None else layout.exports(thread_id)
    return UsageReport(
        threads,
        namespaces,
        checkpoints,
        writes,
        sum(used.bytes for used in tally.classes.values()),
        tally.oldest,
        tally.newest,
        dict(sorted(tally.classes.items())),
        (yield from _size(exports)),
    )


def checkpoint_sizes(context: Context, thread_id: str) -> Plan[list[CheckpointSize]]:
    """What each checkpoint of a thread takes."""
    folders = yield from Scan(context.layout, context.layout.thread(thread_id)).rest()
    return [
        CheckpointSize(
            folder.address.namespace,
            folder.checkpoint_id,
            len(folder.entries),
            sum(entry.size for entry in folder.entries),
            max(entry.modified for entry in folder.entries),
        )
        for folder in folders
        if folder.checkpoints
    ]


class _Tally:
    """Sums of objects, by storage class."""

    def __init__(self) -> None:
        self.classes: dict[str, ClassUsage] = {}
        self.oldest: datetime | None = None
        self.newest: datetime | None = None

    def add(self, entry: Entry) -> None:
        name = entry.storage_class
        before = self.classes.get(name, ClassUsage())
        billed = max(entry.size, _LEAST_BILLED.get(name, 0)) + (_IN_THE_ARCHIVE if name in _ARCHIVES else 0)
        self.classes[name] = ClassUsage(
            before.objects + 1, before.bytes + entry.size, before.billed_bytes + billed
        )
        if self.oldest is None or entry.modified < self.oldest:
            self.oldest = entry.modified
        if self.newest is None or entry.modified > self.newest:
            self.newest = entry.modified


def _size(prefix: str) -> Plan[int]:
    """The bytes of all objects below a prefix."""
    pages, size = Pages(prefix), 0
    while not pages.done:
        size += sum(entry.size for entry in (yield from pages.more()).entries)
    return size
