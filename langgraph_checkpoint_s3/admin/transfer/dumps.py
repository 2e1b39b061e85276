"""Checkpoints as bytes, without a bucket: `dumps`, `loads` and `describe`."""

from __future__ import annotations

import io
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from langgraph.checkpoint.base import WRITES_IDX_MAP, CheckpointTuple, PendingWrite
from langgraph.checkpoint.serde.base import SerializerProtocol, maybe_add_typed_methods
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langgraph_checkpoint_s3.admin.transfer.portable_file import Manifest, PortableFile, check_object, pack
from langgraph_checkpoint_s3.crypto.key_cache import KeyCache
from langgraph_checkpoint_s3.errors import CorruptObjectError, DecryptionError, InvalidConfigError
from langgraph_checkpoint_s3.format.borrowing import BorrowPolicy
from langgraph_checkpoint_s3.format.checkpoint import Origin, rebuilt_channels
from langgraph_checkpoint_s3.format.checkpoint_writer import draft, serialize
from langgraph_checkpoint_s3.format.codecs import CODECS, Compression
from langgraph_checkpoint_s3.format.container import MAGIC, header_length, object_key_ref, open_container
from langgraph_checkpoint_s3.format.frames import text
from langgraph_checkpoint_s3.format.ids import required_id, thread_name
from langgraph_checkpoint_s3.format.keys import CheckpointLeaf, Layout, WritesLeaf, decode_leaf
from langgraph_checkpoint_s3.format.own_thread import hide_own_thread
from langgraph_checkpoint_s3.format.writes import Task, encode_tasks
from langgraph_checkpoint_s3.plans.borrowed import missing
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.data_keys import key_to_write, run_calls
from langgraph_checkpoint_s3.plans.load import Loaded, open_folder, open_object
from langgraph_checkpoint_s3.plans.parent_cache import ParentCache
from langgraph_checkpoint_s3.plans.place import Place, leaf_of
from langgraph_checkpoint_s3.plans.scan import group
from langgraph_checkpoint_s3.plans.transfer import Sizes
from langgraph_checkpoint_s3.s3.requests import Body, Entry
from langgraph_checkpoint_s3.validation import check_choice
from langgraph_checkpoint_s3.version import __version__

if TYPE_CHECKING:
    from langgraph_checkpoint_s3.crypto.provider import KeyProvider

MAX_BYTES: Final = 1024 * 1024 * 1024
"""The default limit for a checkpoint from elsewhere: 2**30 bytes."""

_WRITER: Final = f"langgraph-checkpoint-s3/{__version__}"
_LAYOUT: Final = Layout("")
_NEVER: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_SECOND: Final = 1_000_000_000
_SEGMENTS: Final = 4
"""Number of segments of a key below the prefix: thread, namespace, rank, leaf."""


def loads(
    data: bytes,
    *,
    serde: SerializerProtocol | None = None,
    thread_id: str | None = None,
    max_bytes: int = MAX_BYTES,
    encryption: KeyProvider | None = None,
) -> CheckpointTuple:
    """Read a checkpoint from the bytes of `dumps`, or of a signed URL's object.

    The author of the bytes controls what the serializer loads: use only trusted bytes, or a serializer with
    LangGraph's strict msgpack (`JsonPlusSerializer(allowed_msgpack_modules=…)`).

    Args:
        data: A portable file of one checkpoint, or the object of a checkpoint that borrows nothing.
        serde: The saver's serializer. Default: LangGraph's `JsonPlusSerializer`.
        thread_id: The thread_id of the tuple's configs. Default: that of the portable file. An object doesn't
            name its thread; it is empty then.
        max_bytes: The maximal decompressed size.
        encryption: The saver's key provider, if it encrypts. It may send requests.

    Returns:
        The checkpoint, with its pending writes. Its delta channels are rebuilt from ancestors, which it
        doesn't include.

    Raises:
        CorruptObjectError: The bytes are damaged, incomplete, too large, or something else.
        DecryptionError: They are encrypted, and this serializer, or this key provider, can't read them.
        InvalidConfigError: It is a file of several checkpoints: use `S3Admin.import_thread`.
        InvalidKeyError: The thread_id is empty or invalid.
    """
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise InvalidConfigError(f"loads takes bytes, not {type(data).__name__}.")
    data = bytes(data)
    thread_id = None if thread_id is None else thread_name(thread_id)
    key_cache = KeyCache(encryption) if encryption is not None else None
    if data.startswith(MAGIC):
        loaded = _load([(_name(data), data)], "", max_bytes, _context(None))
    else:
        opened = PortableFile(io.BytesIO(data), key_cache)
        if len({member.folder for member in opened.members}) > 1:
            raise InvalidConfigError(
                f"The file is of a thread with {opened.manifest.checkpoints} checkpoints: bring it into a "
                "bucket with S3Admin.import_thread."
            )
        objects = [(member.name, opened.read(member)) for member in opened.members]
        loaded = _load(objects, opened.manifest.thread, max_bytes, _context(key_cache, opened.manifest.place))
    if thread_id is not None:
        loaded = loaded._replace(renamed=thread_id)
    return loaded.tuple(maybe_add_typed_methods(serde or JsonPlusSerializer()))


def dumps(
    checkpoint: CheckpointTuple,
    *,
    serde: SerializerProtocol | None = None,
    compression: Compression = "zstd",
    encryption: KeyProvider | None = None,
) -> bytes:
    """Return a checkpoint as a portable file for `loads`, `import_thread` and `accept_upload`.

    Args:
        checkpoint: The checkpoint, from any saver. The order of its pending writes is kept; the tuple lacks
            the paths of the tasks, and their positions are used instead.
        serde: The serializer of the saver that will read it. Default: LangGraph's `JsonPlusSerializer`.
        compression: `zstd`, `gzip` or `none`.
        encryption: The key provider of the saver that will read it, if it encrypts. Savers with
            `private_keys` don't accept such files.

    Raises:
        InvalidKeyError: The tuple's config has no thread_id, or its checkpoint no id.
        InvalidConfigError: There is no such compression.
        DecryptionError: The key provider gives no key.
    """
    check_choice("compression", compression, CODECS)
    serde = maybe_add_typed_methods(serde or JsonPlusSerializer())
    checkpoint_id = required_id(checkpoint.checkpoint.get("id"))
    place = Place.of(checkpoint.config).with_id(checkpoint_id)
    parent = Place.of(checkpoint.parent_config).checkpoint_id if checkpoint.parent_config else None
    now = time.time_ns()
    key_cache = KeyCache(encryption) if encryption is not None else None
    context = _context(key_cache)
    key = run_calls(key_to_write(context))
    scope = context.scope(place.namespace(_LAYOUT))
    encrypted = key is not None

    def origin(number: int) -> Origin:
        return context.origin(place, now + number)

    def name(leaf: CheckpointLeaf | WritesLeaf) -> str:
        return place.key(_LAYOUT, leaf).removeprefix(_LAYOUT.thread(place.thread_id))

    objects: dict[str, bytes] = {}
    for number, (leaf_of_writes, tasks) in enumerate(
        _written(serde, checkpoint, encrypted=encrypted), start=1
    ):
        member = name(leaf_of_writes)
        cipher = scope.cipher(key, checkpoint_id, leaf_of(member))
        objects[member] = encode_tasks(compression, origin(number), leaf_of(member), tasks, cipher)
    versions = checkpoint.checkpoint.get("channel_versions") or {}
    rebuilt = rebuilt_channels(checkpoint.metadata, versions, checkpoint.checkpoint["channel_values"].keys())
    leaf = CheckpointLeaf.of(checkpoint.metadata, parent, encrypted=encrypted, needs_ancestors=bool(rebuilt))
    metadata = hide_own_thread(checkpoint.metadata, place.thread_id)
    content = serialize(serde, checkpoint.checkpoint, metadata, parent)
    rules = BorrowPolicy(horizon=0)

    def key_of(borrows: bool, lends: bool) -> str:
        return name(leaf._replace(borrows=borrows, lends=lends))

    made = draft(content, versions, origin(0), key_of, compression, rules, scope=scope, key_ref=key)
    when = datetime.now(timezone.utc).isoformat()
    manifest = Manifest(place.thread_id, when, _WRITER, 1, len(objects))
    return pack(manifest, [*objects.items(), (made.key, made.body)])


def _written(
    serde: SerializerProtocol, found: CheckpointTuple, *, encrypted: bool
) -> Iterator[tuple[WritesLeaf, list[Task]]]:
    """Yield a checkpoint's pending writes, as the objects to write."""
    special: dict[str, list[Task]] = {}
    for number, (task_id, writes) in enumerate(_runs(found.pending_writes or ()), start=1):
        task = Task.of(serde, writes, task_id, f"{number:08}")
        if min(writes) < 0:
            last = task.special()
            before = special.get(task_id, [])
            special[task_id] = [*(each.without(last.writes) for each in before), last]
        if max(writes) >= 0:
            regular = task.regular()
            yield WritesLeaf.of(task_id, regular.writes, encrypted=encrypted), [regular]
    for task_id, tasks in special.items():
        yield WritesLeaf.special(task_id, encrypted=encrypted), tasks


def _runs(writes: Iterable[PendingWrite]) -> list[tuple[str, dict[int, tuple[str, Any]]]]:
    """Group writes into objects of one task each, so that they are read back in the given order."""
    runs: list[tuple[str, dict[int, tuple[str, Any]]]] = []
    seen = Counter[str]()
    for task, channel, value in writes:
        slot = WRITES_IDX_MAP.get(channel, seen[task])
        seen[task] += 1
        if not runs or runs[-1][0] != task or slot <= max(runs[-1][1]):
            runs.append((task, {}))
        runs[-1][1][slot] = (channel, value)
    return runs


def _name(data: bytes) -> str:
    """Return a member name for a checkpoint's object, from its header."""
    if object_key_ref(data) is not None:
        raise DecryptionError(
            "An encrypted object can't be loaded by itself, for it is bound to its thread: hand over what "
            "S3Admin.signed_url leads to, which names it"
        )
    fields = open_container(data, len(data)).fields
    try:
        leaf = text(fields["leaf"])
        if not isinstance(decode_leaf(leaf), CheckpointLeaf):
            raise ValueError("it isn't one of a checkpoint")
        folder = _LAYOUT.checkpoint("", text(fields["ns"]), text(fields["id"]))
    except (ValueError, KeyError) as error:
        raise CorruptObjectError(f"The object can't be loaded by itself: {error}") from error
    return folder.removeprefix(_LAYOUT.thread("")) + leaf


def _context(key_cache: KeyCache | None, place: str = "") -> Context:
    """Return a context for plans that run without a bucket."""
    return Context(
        _LAYOUT,
        JsonPlusSerializer(),
        "none",
        Sizes(MAX_BYTES, MAX_BYTES),
        _WRITER,
        BorrowPolicy(horizon=0),
        ParentCache.none(),
        borrow=False,
        key_cache=key_cache,
        location=place,
    )


def _load(objects: Sequence[tuple[str, bytes]], thread_id: str, max_bytes: int, context: Context) -> Loaded:
    """Open the objects of one checkpoint."""
    bodies = {_LAYOUT.thread(thread_id) + name: Body(body, "", len(body)) for name, body in objects}
    size = 0
    for key, body in bodies.items():
        container = open_object(context, key, body).container
        check_object(container)
        size += sum(frame.raw for frame in container.frames)
    if size > max_bytes:
        raise CorruptObjectError(f"The checkpoint has {size} bytes, and max_bytes is {max_bytes}")
    entries = [Entry(key, body.size, "", _NEVER) for key, body in sorted(bodies.items())]
    [folder] = group(_LAYOUT, entries)
    loaded = open_folder(context, folder, bodies)
    assert loaded is not None, "all bodies are at hand"  # noqa: S101  # for mypy
    if missing(loaded.checkpoint):
        raise CorruptObjectError(
            "The checkpoint borrows from others, which aren't in these bytes: hand over what "
            "S3Admin.signed_url leads to, or the whole thread with export_thread",
            key=loaded.key,
        )
    return loaded


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
