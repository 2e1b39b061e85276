"""Sizes and costs of threads, from LISTs alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from langgraph_checkpoint_s3.errors import InvalidConfigError
from langgraph_checkpoint_s3.format.keys import EXPORTS
from langgraph_checkpoint_s3.memory.shelf import CACHE, ITEM, STORE
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.plan import Plan, gather
from langgraph_checkpoint_s3.plans.scan import Pages, Scan
from langgraph_checkpoint_s3.s3.requests import Entry
from langgraph_checkpoint_s3.text.humanize import format_size, pluralize

_GB: Final = 2**30
_KB: Final = 2**10
_LEAST_BILLED: Final = dict.fromkeys(("STANDARD_IA", "ONEZONE_IA", "GLACIER_IR"), 128 * _KB)
_ARCHIVES: Final = frozenset({"GLACIER", "DEEP_ARCHIVE"})
_ARCHIVE_OVERHEAD: Final = 32 * _KB
_STANDARD_OVERHEAD: Final = 8 * _KB

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
    """Storage prices. The defaults are those of us-east-1.

    They are from https://aws.amazon.com/s3/pricing/ in March 2026, for the first 50 TB, without tax.

    Attributes:
        per_gb_month: US dollars per GB (2**30 bytes) and month, by S3's name of the storage class, such as
            `STANDARD`. A LIST doesn't show the tier of `INTELLIGENT_TIERING`: the default is the price of the
            frequent tier, which is the highest.
    """

    per_gb_month: Mapping[str, float] = field(default_factory=lambda: dict(_US_EAST_1))

    def of(self, storage_class: str) -> float:
        """Return the price of a storage class, per GB and month.

        Raises:
            InvalidConfigError: There is no price for the class.
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
    """The usage of one storage class.

    Attributes:
        objects: The number of objects.
        bytes: Their size.
        billed_bytes: The size that AWS bills: at least 128 kB per object in Standard-IA, One Zone-IA and
            Glacier Instant Retrieval, and 32 kB more per object in Glacier Flexible Retrieval and Deep
            Archive (https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-class-intro.html).
    """

    objects: int = 0
    bytes: int = 0
    billed_bytes: int = 0


@dataclass(frozen=True, slots=True)
class ItemUsage:
    """The storage used by long-term memory, or by the node cache.

    Attributes:
        items: The number of items, or of values.
        classes: The usage of their objects, and of the indexes beside items, by S3's name of the storage
            class.
    """

    items: int = 0
    classes: Mapping[str, ClassUsage] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """The size of all objects."""
        return sum(used.bytes for used in self.classes.values())

    def monthly_cost(self, prices: Prices = _DEFAULT_PRICES) -> float:
        """Return the cost of storing them for a month, in US dollars, as `UsageReport.monthly_cost` does."""
        return _monthly_cost(self.classes, prices)


@dataclass(frozen=True, slots=True)
class UsageReport:
    """The storage used by threads, and apart from them by what else is below the prefix. It can be printed.

    Attributes:
        threads: The number of threads with objects.
        namespaces: The number of their namespaces; subgraphs have their own.
        checkpoints: The number of checkpoints.
        writes: The number of objects of tasks' writes.
        bytes: The size of all of these objects.
        oldest: The time at which the oldest was written (S3's `LastModified`); `None` if there are none.
        newest: The time at which the newest was written.
        classes: The usage by storage class, by S3's name of it.
        exports: The size of exports and uploads under `.exports/`, which no other number includes.
        as_of: The time of the inventory report that the numbers are from; `None` if they are of now.
        memories: The usage of long-term memory (`S3Store`), which no other number includes.
        cache: The usage of the node cache (`S3Cache`), which no other number includes.
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
    as_of: datetime | None = None
    memories: ItemUsage = ItemUsage()
    cache: ItemUsage = ItemUsage()

    def monthly_cost(self, prices: Prices = _DEFAULT_PRICES) -> float:
        """Return the cost of storing the threads for a month, in US dollars.

        It excludes `memories` and `cache`, which have costs of their own, requests, exports, noncurrent
        versions, unfinished uploads, retrievals, and the monitoring of Intelligent-Tiering.

        Args:
            prices: The prices; by default those of us-east-1.

        Raises:
            InvalidConfigError: There is no price for a storage class.
        """
        return _monthly_cost(self.classes, prices)

    def __str__(self) -> str:
        counts = (
            (self.threads, "thread"),
            (self.namespaces, "namespace"),
            (self.checkpoints, "checkpoint"),
            (self.writes, "object of writes"),
        )
        text = f"{', '.join(pluralize(*each) for each in counts)}: {format_size(self.bytes)}"
        if len(self.classes) > 1 or self.classes.keys() - {"STANDARD"}:
            text += (
                f" ({', '.join(f'{format_size(used.bytes)} {name}' for name, used in self.classes.items())})"
            )
        if self.oldest is not None and self.newest is not None:
            text += f", written {self.oldest:%Y-%m-%d %H:%M} to {self.newest:%Y-%m-%d %H:%M %Z}"
        text += _cost_text(self.classes)
        others = ((self.memories, "item of long-term memory"), (self.cache, "value of the node cache"))
        for used, what in others:
            if used.classes:
                text += f"; {pluralize(used.items, what)}: {format_size(used.bytes)}"
                text += _cost_text(used.classes)
        if self.exports:
            text += f"; and {format_size(self.exports)} of exports"
        if self.as_of is not None:
            text += f", as of {self.as_of:%Y-%m-%d %H:%M %Z}"
        return text

    def _repr_html_(self) -> str:
        """Return the counts, sizes and cost as a table, for notebooks."""
        from langgraph_checkpoint_s3.notebook import table

        rows = [(name, f"{getattr(self, name):,}") for name in ("threads", "namespaces", "checkpoints")]
        rows += [("objects of writes", f"{self.writes:,}"), ("stored", format_size(self.bytes))]
        for name, used in self.classes.items():
            rows.append((name, f"{format_size(used.bytes)} in {pluralize(used.objects, 'object')}"))
        others = {"long-term memory": (self.memories, "item"), "node cache": (self.cache, "value")}
        for name, (part, what) in others.items():
            if part.classes:
                rows.append((name, f"{format_size(part.bytes)} in {pluralize(part.items, what)}"))
        if self.exports:
            rows.append(("exports", format_size(self.exports)))
        times = {"oldest": self.oldest, "newest": self.newest, "as of": self.as_of}
        rows += [(name, f"{time:%Y-%m-%d %H:%M %Z}") for name, time in times.items() if time is not None]
        if self.classes.keys() <= _US_EAST_1.keys():
            rows.append(("a month in us-east-1", f"${self.monthly_cost():,.2f}"))
        return table("Usage", rows)


@dataclass(frozen=True, slots=True)
class CheckpointSize:
    """The storage used by a checkpoint, with its writes.

    Attributes:
        checkpoint_ns: Its namespace; the hash, if names are hashed in keys.
        checkpoint_id: Its id.
        objects: The number of objects of it and its writes.
        bytes: Their size. Borrowed bytes count for their lender.
        modified: The time at which the last of them was written.
    """

    checkpoint_ns: str
    checkpoint_id: str
    objects: int
    bytes: int
    modified: datetime


def usage(context: Context, thread_id: str | None) -> Plan[UsageReport]:
    """Sum up a thread, or all of them, page by page."""
    layout = context.layout
    scan = Scan(layout, layout.prefix if thread_id is None else layout.thread(thread_id))
    classes: dict[str, ClassUsage] = {}
    oldest: datetime | None = None
    newest: datetime | None = None
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
                classes[entry.storage_class] = _plus(classes.get(entry.storage_class, ClassUsage()), entry)
                oldest = min(entry.modified, oldest or entry.modified)
                newest = max(entry.modified, newest or entry.modified)
    folders = (
        [layout.exports(thread_id)]
        if thread_id is not None
        else [layout.prefix + name for name in (EXPORTS, STORE, CACHE)]
    )
    exported, *items = yield from gather(_items(folder) for folder in folders)
    return UsageReport(
        threads,
        namespaces,
        checkpoints,
        writes,
        sum(used.bytes for used in classes.values()),
        oldest,
        newest,
        dict(sorted(classes.items())),
        exported.bytes,
        None,
        *items,
    )


def checkpoint_sizes(context: Context, thread_id: str) -> Plan[list[CheckpointSize]]:
    """Return the size of each checkpoint of a thread."""
    folders = yield from Scan(context.layout, context.layout.thread(thread_id)).rest()
    return [
        CheckpointSize(
            folder.place.checkpoint_ns,
            folder.checkpoint_id,
            len(folder.entries),
            sum(entry.size for entry in folder.entries),
            max(entry.modified for entry in folder.entries),
        )
        for folder in folders
        if folder.checkpoints
    ]


def _plus(used: ClassUsage, entry: Entry) -> ClassUsage:
    """Add an object to the usage of its storage class."""
    name = entry.storage_class
    billed = max(entry.size, _LEAST_BILLED.get(name, 0)) + (_ARCHIVE_OVERHEAD if name in _ARCHIVES else 0)
    return ClassUsage(used.objects + 1, used.bytes + entry.size, used.billed_bytes + billed)


def _items(prefix: str) -> Plan[ItemUsage]:
    """Sum up all objects below a prefix."""
    pages = Pages(prefix)
    items = 0
    classes: dict[str, ClassUsage] = {}
    while not pages.done:
        for entry in (yield from pages.more()).entries:
            items += entry.key.endswith(ITEM)
            classes[entry.storage_class] = _plus(classes.get(entry.storage_class, ClassUsage()), entry)
    return ItemUsage(items, dict(sorted(classes.items())))


def _monthly_cost(classes: Mapping[str, ClassUsage], prices: Prices) -> float:
    cost = 0.0
    for name, used in classes.items():
        cost += prices.of(name) * used.billed_bytes / _GB
        if name in _ARCHIVES:  # the name and metadata of each object stay in Standard
            cost += prices.of("STANDARD") * used.objects * _STANDARD_OVERHEAD / _GB
    return cost


def _cost_text(classes: Mapping[str, ClassUsage]) -> str:
    """Return the cost as text; empty if there is no price for a storage class."""
    if not classes.keys() <= _US_EAST_1.keys():
        return ""
    cost = _monthly_cost(classes, _DEFAULT_PRICES)
    return f", ${cost:,.2f} a month in us-east-1" if cost >= 0.01 else ", less than $0.01 a month"
