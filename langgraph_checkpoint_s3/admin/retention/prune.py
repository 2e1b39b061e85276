"""The plan that prunes threads by a rule, and the rules."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from langgraph_checkpoint_s3.admin.calls import Progress, report
from langgraph_checkpoint_s3.admin.inventory.report import Report, from_report
from langgraph_checkpoint_s3.admin.retention.drawing import draw, going
from langgraph_checkpoint_s3.admin.retention.policy import PolicyRule
from langgraph_checkpoint_s3.admin.usage.history import History
from langgraph_checkpoint_s3.admin.usage.history_lines import Span
from langgraph_checkpoint_s3.admin.usage.threads import read_name, thread_in
from langgraph_checkpoint_s3.errors import CorruptObjectError, InvalidConfigError
from langgraph_checkpoint_s3.format.key_encoding import HashedName
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.delete import (
    THREADS_AT_ONCE,
    KeepRule,
    Pruning,
    choose_victims,
    delete_victims,
)
from langgraph_checkpoint_s3.plans.plan import Plan, ask, gather, return_errors
from langgraph_checkpoint_s3.plans.scan import Folder, Scan, ThreadScan, group, latest, pinned_folders
from langgraph_checkpoint_s3.s3.requests import Entry, Tick
from langgraph_checkpoint_s3.text.humanize import format_size, pluralize

_SHOWN: Final = 20
_LISTING_SECONDS: Final = 2.0
"""For how long threads are deleted by what a listing has shown. Idle ones may come to life meanwhile."""


@dataclass(frozen=True, slots=True)
class PrunedCheckpoint:
    """A checkpoint that was deleted, or would be, with its writes.

    Attributes:
        thread_id: Its thread.
        checkpoint_ns: Its namespace; the hash, if names are hashed in keys.
        checkpoint_id: Its id.
        objects: The number of objects of it and its writes.
        bytes: Their size.
        modified: The time at which the last of them was written.
    """

    thread_id: str
    checkpoint_ns: str
    checkpoint_id: str
    objects: int
    bytes: int
    modified: datetime

    @classmethod
    def of(cls, thread_id: str, folder: Folder) -> PrunedCheckpoint:
        """Return the checkpoint of a folder."""
        place, entries = folder.place, folder.entries
        return cls(
            thread_id,
            place.checkpoint_ns,
            folder.checkpoint_id,
            len(entries),
            sum(entry.size for entry in entries),
            _written(folder),
        )


@dataclass(frozen=True, slots=True)
class Pruned:
    """The checkpoints that were deleted, or would be. It can be printed.

    Attributes:
        dry_run: Whether nothing was deleted.
        victims: The checkpoints, by thread, the newest of a namespace first. For threads that are deleted
            whole they include writes without a checkpoint.
        errors: The errors of threads that failed. The victims don't include such a thread's checkpoints, but
            some may be deleted; the rest of it is intact.
        as_of: The time of the inventory report that was read in place of listing; `None` without one.
    """

    dry_run: bool
    victims: tuple[PrunedCheckpoint, ...]
    errors: Mapping[str, Exception]
    as_of: datetime | None = None

    @property
    def threads(self) -> int:
        """The number of threads with deleted checkpoints."""
        return len({victim.thread_id for victim in self.victims})

    @property
    def checkpoints(self) -> int:
        """The number of deleted checkpoints."""
        return len(self.victims)

    @property
    def objects(self) -> int:
        """The number of deleted objects."""
        return sum(victim.objects for victim in self.victims)

    @property
    def bytes(self) -> int:
        """The size of deleted objects."""
        return sum(victim.bytes for victim in self.victims)

    def raise_errors(self) -> None:
        """Raise the first error, if there is any."""
        for error in self.errors.values():
            raise error

    def draw(self, history: History) -> str:
        """Draw the history of a thread, with `○` for the checkpoints that went or would go.

            print(admin.prune_threads(2, thread_ids=["t"]).draw(admin.history("t", limit=None, read=False)))

        Args:
            history: The thread's history, as it was before the deletion.
        """
        return draw(history, self.victims, dry_run=self.dry_run)

    def lines(self, history: History, namespace: str = "") -> list[list[Span]]:
        """Draw one namespace of a history as `History.lines` does, with `○` for the checkpoints that go.

        Args:
            history: The thread's history, as it was before the deletion.
            namespace: The namespace. Default: the root one.
        """
        return history.lines(namespace, going(history, namespace, self.victims))

    def __str__(self) -> str:
        verb = "Would delete" if self.dry_run else "Deleted"
        counts = f"{pluralize(self.checkpoints, 'checkpoint')} of {pluralize(self.threads, 'thread')}"
        source = "" if self.as_of is None else f", by the inventory of {self.as_of:%Y-%m-%d %H:%M %Z}"
        lines = [f"{verb} {counts}: {pluralize(self.objects, 'object')}, {format_size(self.bytes)}{source}"]
        for victim in self.victims[:_SHOWN]:
            ns = f" {victim.checkpoint_ns}" if victim.checkpoint_ns else ""
            lines.append(
                f"  {victim.thread_id}{ns} {victim.checkpoint_id}: {format_size(victim.bytes)}, "
                f"{victim.modified:%Y-%m-%d %H:%M %Z}"
            )
        if len(self.victims) > _SHOWN:
            lines.append(f"  and {len(self.victims) - _SHOWN:,} more")
        lines += [f"  {thread}: failed: {error}" for thread, error in list(self.errors.items())[:_SHOWN]]
        if len(self.errors) > _SHOWN:
            lines.append(f"  and {len(self.errors) - _SHOWN:,} more threads failed")
        return "\n".join(lines)


def prune(
    context: Context,
    stay: KeepRule,
    thread_ids: Sequence[str] | None,
    progress: Progress | None,
    inventory: Report | None = None,
    *,
    dry_run: bool,
) -> Plan[Pruned]:
    """Prune threads, or all but pinned ones, a few side by side. A thread's error doesn't end the others.

    All threads are found by a listing of the prefix, which shows the objects of small ones as well. If
    something was deleted, what was listed more than `_LISTING_SECONDS` before is listed again. Where an
    inventory report takes the place of the listing, it only tells which threads to list: nothing is deleted
    by what a report says.
    """
    layout = context.layout
    scan = ThreadScan(layout, marks=True) if thread_ids is None else None
    queue = deque(_Thread(layout.thread(each), each) for each in thread_ids or ())
    total = None if thread_ids is None else len(thread_ids)
    pruned: list[PrunedCheckpoint] = []
    errors: dict[str, Exception] = {}
    count = 0
    if scan is not None and inventory is not None and not dry_run:  # a thread may have been pinned since
        scan.pinned |= yield from pinned_folders(layout)
    listed = yield from ask(Tick())
    while queue or (scan is not None and not scan.done):
        if scan is not None:
            for each in (yield from from_report(inventory, scan.more(THREADS_AT_ONCE))):
                name = thread_in(layout, each.folder)
                if name is not None and each.folder not in scan.pinned:
                    queue.append(_Thread(each.folder, name, each.entries))
        some = [queue.popleft() for _ in range(min(len(queue), THREADS_AT_ONCE))]
        outcomes = yield from gather(
            _prune_thread(context, each, stay, inventory, dry_run=dry_run) for each in some
        )
        for name, outcome in outcomes:
            if isinstance(outcome, Exception):
                errors[name] = outcome
            else:
                pruned += [PrunedCheckpoint.of(name, folder) for folder in outcome]
        deleted = not dry_run and any(outcome for _, outcome in outcomes)
        if scan is not None and inventory is None and deleted:
            now = yield from ask(Tick())
            if now - listed > _LISTING_SECONDS:
                scan.refresh()
                listed = now
        count += len(some)
        if some:
            yield from report(progress, count, total)
    return Pruned(dry_run, tuple(pruned), errors, None if inventory is None else inventory.created)


@dataclass(frozen=True, slots=True)
class _Thread:
    """A thread to prune.

    Attributes:
        folder: Its folder.
        name: Its name, or the hash of it.
        entries: Its objects, if they have just been listed.
    """

    folder: str
    name: str
    entries: Sequence[Entry] | None = None


def _prune_thread(
    context: Context, thread: _Thread, stay: KeepRule, inventory: Report | None, *, dry_run: bool
) -> Plan[tuple[str, list[Folder] | Exception]]:
    """Prune a thread. Return its name, and what was deleted or would be, or its error."""
    name = thread.name
    if inventory is not None and not dry_run:
        if not (yield from _is_candidate(context, thread, stay, inventory)):
            return name, []
        thread, inventory = replace(thread, entries=None), None
    chosen: Pruning | Exception
    chosen = yield from return_errors(_choose(context, thread, stay, inventory), Exception)
    if inventory is not None and isinstance(chosen, Exception):  # its objects may have changed since
        thread = replace(thread, entries=None)
        chosen = yield from return_errors(_choose(context, thread, stay), Exception)
    if isinstance(name, HashedName) and (isinstance(chosen, Exception) or chosen.victims):
        # Before the deletion, of which no object may be left that tells the name.
        entries = thread.entries or ()
        if not isinstance(chosen, Exception):
            entries = [entry for folder in chosen.victims for entry in folder.entries]
        found = yield from return_errors(read_name(context, name, entries), Exception)
        name = name if isinstance(found, Exception) else found
    if isinstance(chosen, Exception):
        return name, chosen
    if not dry_run:
        failure = yield from return_errors(delete_victims(context, chosen), Exception)
        if failure is not None:
            return name, failure
    return name, chosen.victims


def _choose(
    context: Context, thread: _Thread, stay: KeepRule, inventory: Report | None = None
) -> Plan[Pruning]:
    listed = yield from _listed(context, thread, inventory)
    if isinstance(stay, PolicyRule):
        stay = yield from stay.read(context, listed)
    return (yield from choose_victims(context, listed, stay))


def _is_candidate(context: Context, thread: _Thread, stay: KeepRule, inventory: Report) -> Plan[bool]:
    """Return whether the rule lets anything of a thread go, as the report has it. Sends nothing."""
    listed = yield from return_errors(_listed(context, thread, inventory), CorruptObjectError)
    if isinstance(listed, CorruptObjectError):
        return True  # a listing will tell of it, if it is still there
    kept = stay(listed)
    paths = {folder.path for folder in kept or ()}
    return kept is None or any(folder.checkpoints and folder.path not in paths for folder in listed)


def _listed(context: Context, thread: _Thread, inventory: Report | None) -> Plan[list[Folder]]:
    """Return a thread's folders, as they have just been listed, or as a report or a new listing has them."""
    if thread.entries is not None:
        return group(context.layout, thread.entries)
    return (yield from from_report(inventory, Scan(context.layout, thread.folder).rest()))


def written_since(age: object, clock: Callable[[], datetime], *, keep_latest: bool) -> KeepRule:
    """Return a rule that keeps checkpoints written since a time, and each namespace's latest.

    Args:
        age: The time, or how long ago it is.
        clock: The store's time, which is known once the store has answered: an age is counted from then.
        keep_latest: Whether to keep the latest checkpoints also of threads without writes since then. If not,
            such threads are deleted whole.

    Raises:
        InvalidConfigError: The time isn't in the past.
    """
    moment_of(age, clock())
    begun: datetime | None = None

    def stay(folders: Sequence[Folder]) -> list[Folder] | None:
        nonlocal begun
        begun = begun or clock()
        moment = age if isinstance(age, datetime) else moment_of(age, begun)
        fresh = [folder for folder in folders if _written(folder) >= moment]
        return [*fresh, *latest(folders)] if fresh or keep_latest else None

    return stay


def moment_of(age: object, now: datetime) -> datetime:
    """Return the time that was an age ago, or the given time.

    Raises:
        InvalidConfigError: It isn't in the past, or has no time zone.
    """
    if isinstance(age, timedelta):
        if age <= timedelta(0):
            raise InvalidConfigError(f"The age must be more than nothing, not {age!r}.")
        try:
            return now - age
        except OverflowError as error:
            raise InvalidConfigError(f"The age of {age.days:,} days leads to before the year 1.") from error
    if not isinstance(age, datetime) or age.utcoffset() is None:
        raise InvalidConfigError(
            f"The age must be a timedelta, or a datetime with a time zone, not {age!r}. "
            "A time in UTC is datetime(…, tzinfo=timezone.utc)."
        )
    if age > now:
        raise InvalidConfigError(f"{age.isoformat()} isn't past yet: all checkpoints are older than that.")
    return age


def _written(folder: Folder) -> datetime:
    """Return the time at which the last of a checkpoint's objects was written.

    What pruning has gathered beside it doesn't count: the checkpoint is no younger for that.
    """
    entries = [*folder.checkpoints, *folder.pending] or folder.entries
    return max(entry.modified for entry in entries)
