"""What a listing of versions tells of each key: what is there now, what is hidden, what once was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from langgraph_checkpoint_s3.errors import CorruptObjectError
from langgraph_checkpoint_s3.format.keys import Layout
from langgraph_checkpoint_s3.plans.plan import Plan
from langgraph_checkpoint_s3.plans.scan import versions
from langgraph_checkpoint_s3.s3.admin_requests import Version
from langgraph_checkpoint_s3.s3.requests import Entry


@dataclass(frozen=True, slots=True)
class KeyHistory:
    """All versions and delete markers of one key, newest first; there is at least one."""

    key: str
    versions: Sequence[Version]

    @property
    def newest(self) -> Version | None:
        """The newest version that isn't a marker."""
        return next((each for each in self.versions if not each.marker), None)

    @property
    def current(self) -> Version | None:
        """The version that is there now, if one is."""
        newest = self.newest
        return newest if newest is not None and newest.latest else None

    @property
    def hidden(self) -> bool:
        """Whether there is nothing but a marker to see, and a version below it."""
        return self.newest is not None and self.current is None

    @property
    def hiding_markers(self) -> list[tuple[str, str]]:
        """The markers to remove so that the newest version is seen again: keys and version ids.

        S3's times are whole seconds, and it lists markers apart from versions. So one of the same second
        may lie below the version; removing it as well changes nothing of what is seen.
        """
        newest = self.newest
        if newest is None or not self.hidden:
            return []
        return [
            (each.key, each.version_id)
            for each in self.versions
            if each.marker and each.modified >= newest.modified
        ]

    def existed(self, moment: datetime) -> bool:
        """Whether there was an object at a moment.

        What was deleted in that very second counts as there: S3 doesn't say more exactly when.
        """
        second = moment.replace(microsecond=0)
        then = [
            each
            for each in self.versions
            if (each.modified < second if each.marker else each.modified <= moment)
        ]
        # Written and deleted within one second: that is the order in which it happens.
        return bool(then) and not max(then, key=lambda each: (each.modified, each.marker)).marker


def key_histories(layout: Layout, prefix: str) -> Plan[list[KeyHistory]]:
    """The versions below a prefix, key by key, in the keys' order. Keys of no saver's are passed over."""
    found: dict[str, list[Version]] = {}
    for version in (yield from versions(prefix)):
        found.setdefault(version.key, []).append(version)
    return [KeyHistory(key, each) for key, each in found.items() if _is_ours(layout, key)]


def _is_ours(layout: Layout, key: str) -> bool:
    try:
        return layout.holds(key) and bool(layout.parse(key))
    except CorruptObjectError:
        return False


def entry_of(version: Version) -> Entry:
    """A version, to be read like what is there now."""
    return Entry(
        version.key,
        version.size,
        version.etag,
        version.modified,
        version.storage_class,
        version.version_id,
    )
