"""Restoring of archived threads.

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

from langgraph_checkpoint_s3.admin.lifecycle.transitions import OFFLINE
from langgraph_checkpoint_s3.admin.setting_changes import MAX_DAYS
from langgraph_checkpoint_s3.errors import InvalidConfigError
from langgraph_checkpoint_s3.format.ids import thread_name
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.plan import Plan, ask, gather
from langgraph_checkpoint_s3.plans.scan import Scan
from langgraph_checkpoint_s3.s3.admin_requests import InspectObject, ObjectInfo, RestoreObject, RestoreTier
from langgraph_checkpoint_s3.s3.requests import Entry, NotFound

_DEEP: Final = frozenset({"DEEP_ARCHIVE", "DEEP_ARCHIVE_ACCESS"})
_UNTIL: Final = re.compile(r'expiry-date="([^"]*)"')


@dataclass(frozen=True, slots=True)
class RestoreStatus:
    """Counts of a thread's objects by whether they can be read. Each object is counted once.

    Attributes:
        thread_id: The thread.
        readable: Objects that aren't archived offline.
        restored: Archived objects with a temporary copy that can be read.
        restoring: Archived objects that are being restored.
        archived: Archived objects that are neither, and can't be read.
        until: When the first of the temporary copies expires (UTC), if the store says so.
    """

    thread_id: str
    readable: int = 0
    restored: int = 0
    restoring: int = 0
    archived: int = 0
    until: datetime | None = None

    @property
    def ready(self) -> bool:
        """True if all of the thread can be read now."""
        return not self.archived and not self.restoring


@dataclass(frozen=True, slots=True)
class _State:
    """State of one object.

    Attributes:
        stage: The count of `RestoreStatus` that it is in.
        until: When a temporary copy expires.
        tier: Storage class of an archived object, or its archive tier within Intelligent-Tiering.
    """

    stage: Literal["readable", "restored", "restoring", "archived"]
    until: datetime | None = None
    tier: str = ""


def restore_status(context: Context, thread_id: str) -> Plan[RestoreStatus]:
    """Return the status of a thread: LIST, and a HEAD for each object that may be offline."""
    return (yield from _survey(context, thread_name(thread_id), _inspect))


def restore_archived(
    context: Context, thread_id: str, days: int, tier: RestoreTier, now: datetime
) -> Plan[RestoreStatus]:
    """Request a restore of all of a thread's offline objects, page by page."""
    _check(days, tier)
    until = now + timedelta(days=days)
    return (
        yield from _survey(context, thread_name(thread_id), lambda entry: _restore(entry, days, tier, until))
    )


def _survey(
    context: Context, thread_id: str, visit: Callable[[Entry], Plan[_State | None]]
) -> Plan[RestoreStatus]:
    """Visit each object of a thread that may be offline, those of a page concurrently, and count."""
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


def _inspect(entry: Entry) -> Plan[_State | None]:
    """Return an object's state; `None` if it is gone."""
    info = yield from ask(InspectObject(entry.key))
    return None if isinstance(info, NotFound) else _state(info)


def _restore(entry: Entry, days: int, tier: RestoreTier, until: datetime) -> Plan[_State | None]:
    """Request a copy of an object until a time, unless there is one or it is being restored."""
    state = yield from _inspect(entry)
    if state is None or state.stage in ("readable", "restoring"):
        return state
    if state.stage == "restored" and (state.until is None or state.until >= until):
        return state
    if tier == "Expedited" and state.tier in _DEEP:
        raise InvalidConfigError(
            "S3 restores nothing from deep archive in expedited time: use tier='Standard' or 'Bulk'.",
            key=entry.key,
        )
    # Intelligent-Tiering restores an object for good, not for some days.
    answer = yield from ask(RestoreObject(entry.key, None if _tiered(entry) else days, tier))
    if isinstance(answer, NotFound):
        return None
    if state.stage == "restored":  # the copy has a new date now
        return (yield from _inspect(entry))
    return _State("restoring")


def _tiered(entry: Entry) -> bool:
    return entry.storage_class == "INTELLIGENT_TIERING"


def _state(info: ObjectInfo) -> _State:
    restore = info.restore or ""
    if 'ongoing-request="true"' in restore:
        return _State("restoring")
    if info.archive_status:  # of Intelligent-Tiering, until it is restored
        return _State("archived", tier=info.archive_status)
    if info.storage_class not in OFFLINE:
        return _State("readable")
    if restore:
        until = _UNTIL.search(restore)
        return _State("restored", until=parsedate_to_datetime(until[1]) if until else None)
    return _State("archived", tier=info.storage_class)


def _check(days: object, tier: object) -> None:
    if isinstance(days, bool) or not isinstance(days, int) or not 1 <= days <= MAX_DAYS:
        raise InvalidConfigError(f"days={days!r} must be a whole number from 1 to {MAX_DAYS:,}.")
    if tier not in get_args(RestoreTier):
        raise InvalidConfigError(f"tier={tier!r} is none of {', '.join(get_args(RestoreTier))}.")
