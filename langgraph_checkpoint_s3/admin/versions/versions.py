"""Plans that turn versioning on, list the versions of a checkpoint, and read one.

A version may borrow from objects that were deleted or rewritten since: then their old versions are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from langgraph.checkpoint.base import CheckpointTuple

from langgraph_checkpoint_s3.admin.setting_changes import Change, replace_setting
from langgraph_checkpoint_s3.errors import ConflictError, CorruptObjectError, InvalidKeyError
from langgraph_checkpoint_s3.format.ids import required_id
from langgraph_checkpoint_s3.format.keys import Layout
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.load import Loaded, load
from langgraph_checkpoint_s3.plans.place import Place
from langgraph_checkpoint_s3.plans.plan import Plan, ask
from langgraph_checkpoint_s3.plans.scan import Folder, group, versions
from langgraph_checkpoint_s3.s3.admin_requests import Version
from langgraph_checkpoint_s3.s3.bucket_settings import VERSIONING, GetSetting
from langgraph_checkpoint_s3.s3.requests import Entry

VersioningStatus: TypeAlias = Literal["enabled", "suspended", "off"]
_CHECKPOINT = "checkpoint"
"""The beginning of the last part of a checkpoint's key."""


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


@dataclass(frozen=True, slots=True)
class CheckpointVersion:
    """A version of a checkpoint's object, or a delete marker.

    Attributes:
        version_id: The id, for `get_checkpoint_version`; `null` if it was written without versioning.
        modified: The time at which it was written, or deleted, by the store's clock; on S3 in whole seconds.
        size: The object's size in bytes; 0 for a delete marker.
        latest: Whether it is the current version of its key.
        delete_marker: Whether it is a delete marker, which can be neither read nor restored.
        key: The object's key. A checkpoint has several only if its id was put again with other content; then
            the last one counts.
        etag: The object's ETag; empty for a delete marker.
        storage_class: The storage class, such as `STANDARD` or `GLACIER`.
    """

    version_id: str
    modified: datetime
    size: int
    latest: bool
    delete_marker: bool
    key: str
    etag: str
    storage_class: str


def address_of(thread_id: object, checkpoint_id: object, checkpoint_ns: object) -> Place:
    """Return the address of one checkpoint."""
    names = {"thread_id": thread_id, "checkpoint_ns": checkpoint_ns, "checkpoint_id": checkpoint_id}
    place = Place.of({"configurable": names})
    required_id(place.checkpoint_id)
    return place


def versioning_status() -> Plan[VersioningStatus]:
    """Return whether versioning is on, was on, or never was."""
    document = yield from ask(GetSetting(VERSIONING))
    known: dict[str, VersioningStatus] = {"Enabled": "enabled", "Suspended": "suspended"}
    return known.get((document or {}).get("Status", ""), "off")


def set_versioning(status: Literal["Enabled", "Suspended"]) -> Plan[list[Change]]:
    """Turn versioning on, or suspend it if it was ever on."""
    before = yield from ask(GetSetting(VERSIONING))
    current = (before or {}).get("Status")
    if current == status or (status == "Suspended" and current is None):
        return []
    # Without `MFADelete`, that setting stays as it is.
    return (yield from replace_setting(VERSIONING, {"Status": status}, before=before))


def checkpoint_versions(context: Context, place: Place) -> Plan[list[CheckpointVersion]]:
    """List the versions of a checkpoint's own objects, newest first."""
    found = yield from versions(place.folder(context.layout) + _CHECKPOINT)
    found.sort(key=lambda each: each.key, reverse=True)  # within one second, `.c…` is the later one
    found.sort(key=lambda each: (-each.modified.timestamp(), not each.latest))
    return [
        CheckpointVersion(
            each.version_id,
            each.modified,
            each.size,
            each.latest,
            each.marker,
            each.key,
            each.etag,
            each.storage_class,
        )
        for each in found
    ]


def get_version(context: Context, place: Place, version_id: str) -> Plan[CheckpointTuple | None]:
    """Read a version of a checkpoint, with its writes; `None` if there is no such version."""
    found = yield from list_key_histories(context.layout, place.folder(context.layout))
    folder = as_of(context, found, version_id)
    return None if folder is None else (yield from read(context, folder)).tuple(context.serde)


def is_checkpoint(key: str) -> bool:
    """Return whether a key in a checkpoint's folder is the checkpoint's own."""
    return key.rpartition("/")[2].partition(".")[0] == _CHECKPOINT


def as_of(context: Context, found: Sequence[KeyHistory], version_id: str) -> Folder | None:
    """Return a checkpoint's folder as of a version, with the newest versions of its writes.

    Several objects of the checkpoint may have a version `null`; their content says which one counts. Return
    `None` if there is no such version.
    """
    named = [
        each
        for history in found
        if is_checkpoint(history.key)
        for each in history.versions
        if each.version_id == version_id
    ]
    chosen: list[Entry] = [entry_of(each) for each in named if not each.marker]
    if chosen:
        [folder] = group(context.layout, [entry_of(each.newest) for each in found if each.newest])
        folder.checkpoints[:] = chosen
        return folder
    if named:
        raise InvalidKeyError(
            f"The version {version_id!r} is a delete marker: it says that the checkpoint was deleted. Choose "
            "another one of list_checkpoint_versions",
            key=named[0].key,
        )
    return None


def read(context: Context, folder: Folder) -> Plan[Loaded]:
    """Read a folder that has old versions."""
    [loaded] = yield from load(context, [folder], past=True)
    if not isinstance(loaded, Loaded):
        raise ConflictError("A version was deleted for good while it was being read", key=folder.key)
    return loaded
