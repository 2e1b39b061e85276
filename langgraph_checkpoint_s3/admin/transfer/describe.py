"""`describe`: what bytes are, without decrypting them."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final

from langgraph_checkpoint_s3.admin.transfer.portable_file import PortableFile
from langgraph_checkpoint_s3.errors import CorruptObjectError, InvalidConfigError
from langgraph_checkpoint_s3.format.container import MAGIC, header_length, object_key_ref, open_container
from langgraph_checkpoint_s3.format.keys import CheckpointLeaf, Layout

_SECOND: Final = 1_000_000_000
_SEGMENTS: Final = 4
"""Number of segments of a key below the prefix: thread, namespace, rank, leaf."""


@dataclass(frozen=True, slots=True)
class Description:
    """A description of bytes.

    Attributes:
        format: `object` of a bucket, or portable `file`.
        bytes: Their size.
        kind: `checkpoint`, `writes` (of a task) or `thread` (several checkpoints); `None` if they are
            encrypted.
        encrypted: Whether they are encrypted.
        keys: The ids of the keys that they are encrypted with.
        thread_id: The thread; an object doesn't name it.
        checkpoint_ns: The namespace, if it is one checkpoint.
        checkpoint_id: The id, if it is one checkpoint.
        created: The time at which it was written or exported, in UTC.
        writer: The package and version that wrote it.
        checkpoints: The number of checkpoints.
        writes: The number of objects of tasks' writes.
        borrows: Whether it borrows from objects of earlier checkpoints, which these bytes don't include.
    """

    format: str
    bytes: int
    kind: str | None
    encrypted: bool
    keys: tuple[str, ...] = ()
    thread_id: str | None = None
    checkpoint_ns: str | None = None
    checkpoint_id: str | None = None
    created: datetime | None = None
    writer: str | None = None
    checkpoints: int | None = None
    writes: int | None = None
    borrows: bool | None = None


def describe(data: bytes) -> Description:
    """Describe bytes without any key. `loads` reads their content.

    Args:
        data: A portable file, or the object of a checkpoint or of writes.

    Returns:
        Their unencrypted metadata, which for an encrypted object is only its key's id.

    Raises:
        CorruptObjectError: The bytes are damaged, or something else.
        InvalidConfigError: `data` isn't bytes.
    """
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise InvalidConfigError(f"describe takes bytes, not {type(data).__name__}.")
    data = bytes(data)
    return _object(data) if data.startswith(MAGIC) else _file(data)


def _object(data: bytes) -> Description:
    header_length(data)
    key = object_key_ref(data)
    if key is not None:
        return Description("object", len(data), None, encrypted=True, keys=(key.id,))
    container = open_container(data, len(data))
    fields: dict[str, Any] = container.fields
    created = fields.get("created")
    named = {
        name: fields[name] for name in ("leaf", "ns", "id", "writer") if isinstance(fields.get(name), str)
    }
    return Description(
        "object",
        len(data),
        named["leaf"].partition(".")[0] if "leaf" in named else None,
        encrypted=False,
        checkpoint_ns=named.get("ns"),
        checkpoint_id=named.get("id"),
        created=_moment(created) if isinstance(created, int) else None,
        writer=named.get("writer"),
        borrows=any(frame.lender is not None for frame in container.frames),
    )


def _file(data: bytes) -> Description:
    opened = PortableFile(io.BytesIO(data))
    keys = opened.keys()
    manifest = opened.manifest
    folders = {(each.parsed.checkpoint_ns, each.parsed.checkpoint_id) for each in opened.members}
    ns, name = next(iter(folders)) if len(folders) == 1 else (None, None)
    try:
        exported = datetime.fromisoformat(manifest.exported)
    except ValueError:
        exported = None
    return Description(
        "file",
        len(data),
        "thread" if name is None else "checkpoint",
        encrypted=bool(keys),
        keys=keys,
        thread_id=manifest.thread_id,
        checkpoint_ns=ns,
        checkpoint_id=name,
        created=exported,
        writer=manifest.writer,
        checkpoints=manifest.checkpoints,
        writes=manifest.writes,
    )


def _moment(nanoseconds: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(nanoseconds // _SECOND, timezone.utc)
    except (ValueError, OverflowError, OSError):
        return None


@dataclass(frozen=True, slots=True)
class KeyDescription:
    """The parts of an object's key.

    Attributes:
        prefix: The saver's prefix; empty, or ends in `/`.
        kind: `checkpoint`, or `writes` of a task.
        thread_id: The thread; its hash, if names are hashed.
        checkpoint_ns: The namespace; the root one is empty. Its hash, if names are hashed.
        checkpoint_id: The checkpoint's id.
    """

    prefix: str
    kind: str
    thread_id: str
    checkpoint_ns: str
    checkpoint_id: str


def describe_key(key: str) -> KeyDescription | None:
    """Parse the key of an object, as in an S3 event notification, an inventory or a console.

    Args:
        key: The whole key in the bucket, not URL-encoded.

    Returns:
        Its parts; `None` if it isn't the key of a checkpoint or of writes.
    """
    parts = key.rsplit("/", _SEGMENTS)
    prefix = f"{parts.pop(0)}/" if len(parts) > _SEGMENTS else ""
    layout = Layout(prefix)
    try:
        found = layout.parse(key) if layout.holds(key) else None
    except CorruptObjectError:
        return None
    if found is None:
        return None
    kind = "checkpoint" if isinstance(found.leaf, CheckpointLeaf) else "writes"
    return KeyDescription(prefix, kind, found.thread_id, found.checkpoint_ns, found.checkpoint_id)
