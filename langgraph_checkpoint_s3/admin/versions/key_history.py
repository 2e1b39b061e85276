"""The versions and delete markers of keys."""

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
    """The versions and delete markers of one key, newest first; at least one."""

    key: str
    versions: Sequence[Version]

    @property
    def newest(self) -> Version | None:
        """The newest version, markers left out."""
        return next((each for each in self.versions if not each.marker), None)

    @property
    def current(self) -> Version | None:
        """The current version, if there is one."""
        newest = self.newest
        return newest if newest is not None and newest.latest else None

    @property
    def hidden(self) -> bool:
        """True if a delete marker hides a version."""
        return self.newest is not None and self.current is None

    @property
    def hiding_markers(self) -> list[tuple[str, str]]:
        """The markers to remove to make the newest version current again: keys and version ids.

        S3's times are whole seconds, and it lists markers apart from versions. So a marker of the same second
        may be older than the version; removing it does no harm.
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
        """Return whether there was an object at a time.

        An object that was deleted in that very second counts, since S3's times are whole seconds.
        """
        second = moment.replace(microsecond=0)
        then = [
            each
            for each in self.versions
            if (each.modified < second if each.marker else each.modified <= moment)
        ]
        # Within one second, a version comes before the marker that deletes it.
        return bool(then) and not max(then, key=lambda each: (each.modified, each.marker)).marker


def list_key_histories(layout: Layout, prefix: str) -> Plan[list[KeyHistory]]:
    """List the versions below a prefix by key, in the order of the keys. Skip keys that no saver wrote."""
    found: dict[str, list[Version]] = {}
    for version in (yield from versions(prefix)):
        found.setdefault(version.key, []).append(version)
    return [KeyHistory(key, each) for key, each in found.items() if is_saver_key(layout, key)]


def is_saver_key(layout: Layout, key: str) -> bool:
    """Return whether a saver wrote a key, rather than somebody else in the same folder."""
    try:
        return layout.holds(key) and bool(layout.parse(key))
    except CorruptObjectError:
        return False


def entry_of(version: Version) -> Entry:
    """Return a version as an entry, to be read like a current object."""
    return Entry(
        version.key, version.size, version.etag, version.modified, version.storage_class, version.version_id
    )
