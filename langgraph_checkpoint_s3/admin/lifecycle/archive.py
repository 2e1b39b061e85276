"""Brings an archived thread back: what of it is offline, and S3's restoring of that.

A checkpoint may borrow from earlier ones of its thread, so a thread is restored as a whole.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final, Literal, get_args

from langgraph_checkpoint_s3.admin.lifecycle.policy import OFFLINE
from langgraph_checkpoint_s3.errors import InvalidConfigError
from langgraph_checkpoint_s3.format.ids import thread_name
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.plan import Plan, ask, gather
from langgraph_checkpoint_s3.plans.scan import Scan
from langgraph_checkpoint_s3.s3.admin_requests import InspectObject, ObjectInfo, RestoreObject, RestoreTier
from langgraph_checkpoint_s3.s3.requests import Entry, NotFound

_DEEP: Final = frozenset({"DEEP_ARCHIVE", "DEEP_ARCHIVE_ACCESS"})
_MOST_DAYS: Final = 36_500
_UNTIL: Final = re.compile(r'expiry-date="([^"]*)"')


@dataclass(frozen=True, slots=True)
class RestoreStatus:
    """How much of a thread can be read. Each of its objects is counted once.

    Attributes:
        thread_id: The thread.
        readable: The objects that aren't archived offline.
        restored: Those that are, and have been restored for some days.
        restoring: Those that are being restored.
        archived: Those that aren't: they can't be read.
        until: When the first of the restored ones goes offline again (UTC), where the store says so.
    """

    thread_id: str
    readable: int = 0
    restored: int = 0
    restoring: int = 0
    archived: int = 0
    until: datetime | None = None

    @property
    def ready(self) -> bool:
        """Whether all of the thread can be read now."""
        return not self.archived and not self.restoring


@dataclass(frozen=True, slots=True)
class _State:
    """Where one object is on its way back.

    Attributes:
        stage: Which of `RestoreStatus`'s counts it is in.
        until: When it goes offline again.
        tier: Of an archived one, its storage class, or its archive tier within Intelligent-Tiering.
    """

    stage: Literal["readable", "restored", "restoring", "archived"]
    until: datetime | None = None
    tier: str = ""


def restore_status(context: Context, thread_id: str) -> Plan[RestoreStatus]:
    """How much of a thread can be read: LIST, and a HEAD for each object that may be offline."""
    return (yield from _survey(context, thread_name(thread_id), _look))


def restore_archived(
    context: Context, thread_id: str, days: int, tier: RestoreTier, now: datetime
) -> Plan[RestoreStatus]:
    """Ask for all of a thread's offline objects to be restored, page by page.

    Args:
        context: The saver's.
        thread_id: The thread.
        days: For how long.
        tier: How quickly.
        now: The time.

    Raises:
        InvalidConfigError: The days or the tier can't be.
    """
    _check(days, tier)
    until = now + timedelta(days=days)
    return (
        yield from _survey(context, thread_name(thread_id), lambda entry: _bring(entry, days, tier, until))
    )


def _survey(
    context: Context, thread_id: str, visit: Callable[[Entry], Plan[_State | None]]
) -> Plan[RestoreStatus]:
    """Visit each of a thread's objects that may be offline, those of a page side by side, and count."""
    scan = Scan(context.layout, context.layout.thread(thread_id))
    stages: Counter[str] = Counter()
    until: list[datetime] = []
    while not scan.done:
        folders = yield from scan.more()
        entries = [entry for folder in folders for entry in folder.entries]
        suspects = [entry for entry in entries if entry.storage_class in OFFLINE or _tiered(entry)]
        states = yield from gather(visit(entry) for entry in suspects)
        stages["readable"] += len(entries) - len(suspects)
        stages.update(state.stage for state in states if state)
        until += [min(ends)] if (ends := [state.until for state in states if state and state.until]) else []
    return RestoreStatus(thread_id, **stages, until=min(until, default=None))


def _look(entry: Entry) -> Plan[_State | None]:
    """Where an object is; `None` if it is gone."""
    info = yield from ask(InspectObject(entry.key))
    return None if isinstance(info, NotFound) else _state(info)


def _bring(entry: Entry, days: int, tier: RestoreTier, until: datetime) -> Plan[_State | None]:
    """Ask for an object to be there until then, unless it is, or is under way."""
    state = yield from _look(entry)
    if state is None or state.stage in ("readable", "restoring"):
        return state
    if state.stage == "restored" and (state.until is None or state.until >= until):
        return state
    if tier == "Expedited" and state.tier in _DEEP:
        raise InvalidConfigError(
            "S3 restores nothing from deep archive in expedited time: use tier='Standard' or 'Bulk'.",
            key=entry.key,
        )
    # What Intelligent-Tiering brings back isn't a copy for some days: it stays.
    answer = yield from ask(RestoreObject(entry.key, None if _tiered(entry) else days, tier))
    if isinstance(answer, NotFound):
        return None
    if state.stage == "restored":  # which now has a new date
        return (yield from _look(entry))
    return _State("restoring")


def _tiered(entry: Entry) -> bool:
    return entry.storage_class == "INTELLIGENT_TIERING"


def _state(info: ObjectInfo) -> _State:
    restore = info.restore or ""
    if 'ongoing-request="true"' in restore:
        return _State("restoring")
    if info.archive_status:  # of Intelligent-Tiering; what that has restored isn't in the archive any more
        return _State("archived", tier=info.archive_status)
    if info.storage_class not in OFFLINE:
        return _State("readable")
    if restore:
        until = _UNTIL.search(restore)
        return _State("restored", until=parsedate_to_datetime(until[1]) if until else None)
    return _State("archived", tier=info.storage_class)


def _check(days: object, tier: object) -> None:
    if isinstance(days, bool) or not isinstance(days, int) or not 1 <= days <= _MOST_DAYS:
        raise InvalidConfigError(f"days={days!r} must be a whole number from 1 to {_MOST_DAYS:,}.")
    if tier not in get_args(RestoreTier):
        raise InvalidConfigError(f"tier={tier!r} is none of {', '.join(get_args(RestoreTier))}.")
