"""The plan that deletes idle threads as a whole. A thread that is in use stays, with all of its past.

One listing of the prefix decides. Before a thread is deleted it is listed again, so that one that came to
life meanwhile stays; so does one whose lease somebody holds, and one that is pinned.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeAlias

from langgraph_checkpoint_s3.admin.calls import Progress, report
from langgraph_checkpoint_s3.admin.inventory.report import Report, from_report
from langgraph_checkpoint_s3.admin.retention.prune import moment_of
from langgraph_checkpoint_s3.admin.usage.threads import read_name, thread_in
from langgraph_checkpoint_s3.format.key_encoding import HashedName
from langgraph_checkpoint_s3.format.keys import LEASES, THREAD_SUFFIX
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.delete import THREADS_AT_ONCE, delete_listed
from langgraph_checkpoint_s3.plans.lease import held_by
from langgraph_checkpoint_s3.plans.plan import Plan, gather, return_errors
from langgraph_checkpoint_s3.plans.retention import is_pinned, may_be_pinned
from langgraph_checkpoint_s3.plans.scan import Folder, Pages, ThreadScan, group, list_thread, pinned_folders
from langgraph_checkpoint_s3.s3.requests import Entry
from langgraph_checkpoint_s3.text.humanize import format_size, pluralize

_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class IdleThread:
    """A thread that was deleted, or would be.

    Attributes:
        thread_id: The thread.
        checkpoints: The number of its checkpoints.
        objects: The number of its objects, with those of writes.
        bytes: Their size.
        modified: The time at which the last of them was written.
    """

    thread_id: str
    checkpoints: int
    objects: int
    bytes: int
    modified: datetime

    @classmethod
    def of(cls, thread_id: str, folders: Sequence[Folder]) -> IdleThread:
        """Return the thread of these folders."""
        entries = _entries(folders)
        return cls(
            thread_id,
            sum(bool(folder.checkpoints) for folder in folders),
            len(entries),
            sum(entry.size for entry in entries),
            max(entry.modified for entry in entries),
        )


@dataclass(frozen=True, slots=True)
class PrunedIdle:
    """The idle threads that were deleted, or would be. It can be printed.

    Attributes:
        dry_run: Whether nothing was deleted.
        threads: The threads, in the order of their keys.
        spared: Threads without writes since then that stay nevertheless, each with the reason: their lease.
        errors: The errors of threads that failed, of which some may be deleted.
        as_of: The time of the inventory report that was read in place of listing; `None` without one.
    """

    dry_run: bool
    threads: tuple[IdleThread, ...]
    spared: Mapping[str, str]
    errors: Mapping[str, Exception]
    as_of: datetime | None = None

    @property
    def checkpoints(self) -> int:
        """The number of deleted checkpoints."""
        return sum(each.checkpoints for each in self.threads)

    @property
    def objects(self) -> int:
        """The number of deleted objects."""
        return sum(each.objects for each in self.threads)

    @property
    def bytes(self) -> int:
        """The size of deleted objects."""
        return sum(each.bytes for each in self.threads)

    def raise_errors(self) -> None:
        """Raise the first error, if there is any."""
        for error in self.errors.values():
            raise error

    def __str__(self) -> str:
        verb = "Would delete" if self.dry_run else "Deleted"
        threads = pluralize(len(self.threads), "thread")
        counts = f"{pluralize(self.checkpoints, 'checkpoint')}, {pluralize(self.objects, 'object')}"
        source = "" if self.as_of is None else f", by the inventory of {self.as_of:%Y-%m-%d %H:%M %Z}"
        lines = [f"{verb} {threads}: {counts}, {format_size(self.bytes)}{source}"]
        lines += [
            f"  {each.thread_id}: {format_size(each.bytes)}, last written {each.modified:%Y-%m-%d %H:%M %Z}"
            for each in self.threads[:_SHOWN]
        ]
        if len(self.threads) > _SHOWN:
            lines.append(f"  and {len(self.threads) - _SHOWN:,} more")
        others = [f"  {thread}: stays: {reason}" for thread, reason in self.spared.items()]
        others += [f"  {thread}: failed: {error}" for thread, error in self.errors.items()]
        lines += others[:_SHOWN]
        if len(others) > _SHOWN:
            lines.append(f"  and {len(others) - _SHOWN:,} more that stay or failed")
        return "\n".join(lines)


_Outcome: TypeAlias = "IdleThread | str | Exception | None"
"""The outcome for a thread: it went, or stays for a reason, or failed, or is in use."""


def prune_idle(
    context: Context,
    idle: object,
    clock: Callable[[], datetime],
    thread_ids: Sequence[str] | None,
    progress: Progress | None,
    inventory: Report | None = None,
    *,
    dry_run: bool,
) -> Plan[PrunedIdle]:
    """Delete the threads, or those of them, in which nothing was written since a time.

    By a report, each idle thread is still listed before it is deleted. Leases are always listed.

    Args:
        context: The saver's.
        idle: The time, or how long ago it is.
        clock: The store's time, which is known once the store has answered: an age is counted from then.
        thread_ids: The threads; `None` is all.
        progress: Called with the number of threads that were looked at.
        inventory: The report to read in place of listing all threads.
        dry_run: Whether to only list.
    """
    if thread_ids is not None and not thread_ids:
        return PrunedIdle(dry_run, (), {}, {})
    layout = context.layout
    scan = ThreadScan(layout, marks=True) if thread_ids is None else None
    # A listing of all threads shows the marks of pinned ones, too. A report lacks those of since.
    marks = [pinned_folders(layout)] if scan is None or (inventory and not dry_run) else []
    found: list[Any] = yield from gather([Pages(layout.prefix + LEASES).rest(), *marks])
    moment = moment_of(idle, clock())
    pinned: set[str] = set() if scan is None else scan.pinned
    for each in found[1:]:
        pinned |= each
    spared = _spared(context, found[0], moment)
    queue = deque(_Thread(context.layout.thread(each), each) for each in thread_ids or ())
    total = None if thread_ids is None else len(thread_ids)
    outcomes: list[tuple[str, _Outcome]] = []  # without the threads in use, which may be millions
    count = 0
    while queue or (scan is not None and not scan.done):
        if scan is not None:
            for each in (yield from from_report(inventory, scan.more(THREADS_AT_ONCE))):
                name = thread_in(context.layout, each.folder)
                if name is not None:
                    complete = each.entries is not None
                    queue.append(_Thread(each.folder, name, each.entries or each.first, complete))
        some = [queue.popleft() for _ in range(min(len(queue), THREADS_AT_ONCE))]
        found = yield from gather(
            _prune(
                context,
                each,
                moment,
                "it is pinned" if each.folder in pinned else spared.get(each.folder),
                inventory,
                dry_run=dry_run,
            )
            for each in some
        )
        outcomes += (each for each in found if each[1] is not None)
        count += len(some)
        if some:
            yield from report(progress, count, total)
    return PrunedIdle(
        dry_run,
        tuple(each for _, each in outcomes if isinstance(each, IdleThread)),
        {name: each for name, each in outcomes if isinstance(each, str)},
        {name: each for name, each in outcomes if isinstance(each, Exception)},
        None if inventory is None else inventory.created,
    )


@dataclass(frozen=True, slots=True)
class _Thread:
    """A thread to look at.

    Attributes:
        folder: Its folder.
        name: Its name, or the hash of it.
        entries: Its objects, or the first of them, if they have just been listed.
        complete: Whether these are all.
    """

    folder: str
    name: str
    entries: Sequence[Entry] = ()
    complete: bool = False


def _spared(context: Context, leases: Iterable[Entry], moment: datetime) -> dict[str, str]:
    """Return the folders of threads that stay even if nothing was written to them, each with the reason.

    Args:
        context: The saver's.
        leases: The objects of all leases.
        moment: The time since which a thread must have been written to. A lease that was acquired, renewed or
            released since then is a sign of life, too: its run may not have written anything yet.
    """
    prefix = context.layout.prefix
    return {
        f"{prefix}{each.key[len(prefix + LEASES) :].removesuffix('.lease')}{THREAD_SUFFIX}/": (
            f"its lease was in use at {each.modified:%Y-%m-%d %H:%M %Z}"
        )
        for each in leases
        if each.modified >= moment
    }


def _lease_of(context: Context, folder: str) -> str:
    """Return the key of the lease of a thread's folder."""
    prefix = context.layout.prefix
    return f"{prefix}{LEASES}{folder[len(prefix) :].removesuffix(f'{THREAD_SUFFIX}/')}.lease"


def _prune(
    context: Context,
    thread: _Thread,
    moment: datetime,
    spared: str | None,
    inventory: Report | None,
    *,
    dry_run: bool,
) -> Plan[tuple[str, _Outcome]]:
    """Delete a thread if it is idle. Return its name, and what became of it."""
    name = thread.name
    listed: list[Folder] | Exception = yield from return_errors(
        from_report(inventory, _list_idle(context, thread, moment)), Exception
    )
    if not isinstance(listed, Exception) and not listed:
        return name, None
    if isinstance(name, HashedName):  # before the deletion, of which no object may be left that tells it
        entries = thread.entries if isinstance(listed, Exception) else _entries(listed)
        found = yield from return_errors(read_name(context, name, entries), Exception)
        name = name if isinstance(found, Exception) else found
    if isinstance(listed, Exception):
        return name, listed
    if spared is not None:
        return name, spared
    if dry_run:
        return name, IdleThread.of(name, listed)
    outcome: list[Folder] | str | Exception = yield from return_errors(
        _delete(context, thread.folder, moment, listed), Exception
    )
    if isinstance(outcome, list):
        return name, IdleThread.of(name, outcome) if outcome else None
    return name, outcome


def _list_idle(context: Context, thread: _Thread, moment: datetime) -> Plan[list[Folder]]:
    """Return the folders of a thread; nothing if it is in use, which the first new object shows."""
    entries = list(thread.entries)
    pages = Pages(thread.folder, start_after=entries[-1].key if entries else None)
    new: Sequence[Entry] = entries
    while _is_idle(new, moment):
        if thread.complete or pages.done:
            return group(context.layout, entries)
        new = (yield from pages.more()).entries
        entries += new
    return []


def _delete(
    context: Context, folder: str, moment: datetime, listed: Sequence[Folder]
) -> Plan[list[Folder] | str]:
    """Delete a thread, unless somebody has written to it, holds its lease, or has pinned it.

    It is listed once more, and if it holds what others may borrow, again after its tombstones are written. If
    it is in use by then, nothing is deleted: its tombstones only have puts write whole what they'd borrow.

    Returns:
        What was deleted, nothing if the thread is in use, or why it stays.
    """
    plans: list[Plan[Any]] = [list_thread(context.layout, folder), held_by(_lease_of(context, folder))]
    if may_be_pinned(context, listed):
        plans.append(is_pinned(context, folder))
    listed, taken, *pinned = yield from gather(plans)
    if any(pinned):
        return "it is pinned"
    if taken is not None:
        return f"its lease is held by {taken.holder or 'another process'}"

    def still_idle(folders: Sequence[Folder]) -> bool:
        return _is_idle(_entries(folders), moment)

    if not still_idle(listed):
        return []
    return (yield from delete_listed(context, folder, listed, still_idle))


def _entries(folders: Iterable[Folder]) -> list[Entry]:
    return [entry for folder in folders for entry in folder.entries]


def _is_idle(entries: Iterable[Entry], moment: datetime) -> bool:
    """Return whether none of these objects was written since a time."""
    return all(entry.modified < moment for entry in entries)
