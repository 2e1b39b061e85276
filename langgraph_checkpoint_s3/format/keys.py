"""Where everything lies in the bucket: how thread, namespace and checkpoint become a key, and back.

    {prefix}{thread}.thread/{namespace}.ns/{rank}/checkpoint.p{parent}.k{source}.s{step}.r{run}
    {prefix}{thread}.thread/{namespace}.ns/{rank}/writes.t{task}.w{slots}
    {prefix}{thread}.thread/{namespace}.ns/{rank}/writes.t{task}.x
    {prefix}{thread}.thread/{namespace}.ns/{rank}/writes.j{digest of several tasks and slots}
    |------- Layout.thread --------|
    |------------- Layout.namespace -------------|
    |------------------- Layout.checkpoint -----------|---------------- a leaf ---------------|

A *component* keeps `A-Z a-z 0-9 _ -` and writes every other byte of its UTF-8 as `.` and two
upper-case hex digits. A `.` and a lower-case letter starts a field. So the two can't be
confused, no component can spell another one's ending, and keys consist of characters that no
store, SDK or URL changes.

The *rank* of a checkpoint id turns "newest first" into S3's ascending order: each byte of the
id as 255 minus it, in hex, then `z`, so that an id sorts before its own prefixes. A LIST
therefore begins with the newest checkpoint, `before` is a `StartAfter`, and a checkpoint's
writes come right behind it.

The checkpoint's leaf is an index: parent, source, step and run can be read from a LIST alone.
A field that is absent (or not of its usual type) is left out. An encrypted object's leaf holds `.e`, one that
later checkpoints may borrow from `.l`, and one that borrows itself `.b` instead.

Where names are secrets (`name_hashing.py`), thread and namespace are `.h` and a hash, and the leaf's fields
but the parent too, under other letters: `m` for the source, `n` for the step, `q` for the run, `u` for the
task.
So are names that are too long: what stands between two slashes has at most 255 bytes, for it is a file's name
for stores that keep files. The objects' headers have the name.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from langgraph_checkpoint_s3.errors import CorruptObjectError, InvalidKeyError
from langgraph_checkpoint_s3.format.ids import text_of
from langgraph_checkpoint_s3.format.key_encoding import (
    HASHED,
    HashedName,
    decode_component,
    encode_component,
    utf8,
)
from langgraph_checkpoint_s3.format.key_parts import INDEX, CheckpointLeaf, WritesLeaf, decode_leaf
from langgraph_checkpoint_s3.format.name_hashing import FIELDS, FOLDERS, NameHasher

__all__ = [
    "AFTER_SLASH",
    "EXPORTS",
    "LEASES",
    "MAX_KEY_BYTES",
    "MAX_SEGMENT_BYTES",
    "NAMESPACE_SUFFIX",
    "THREAD_SUFFIX",
    "TOMBSTONES",
    "CheckpointLeaf",
    "Layout",
    "ParsedKey",
    "WritesLeaf",
    "decode_component",
    "decode_leaf",
    "decode_rank",
    "encode_component",
    "encode_rank",
]

MAX_KEY_BYTES: Final = 1024
"""S3's limit for a key (https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html)."""

MAX_SEGMENT_BYTES: Final = 255
"""What file systems take for a name, and so what stores on them take between two slashes of a key."""

THREAD_SUFFIX: Final = ".thread"
NAMESPACE_SUFFIX: Final = ".ns"
EXPORTS: Final = ".exports/"
"""The folder, below the prefix, of what isn't a thread's own: exports, and what was handed in."""
LEASES: Final = ".leases/"
"""The folder, below the prefix, of the threads' leases."""
TOMBSTONES: Final = ".deleted/"
"""The folder, below the prefix, of the records of what was deleted."""
AFTER_SLASH: Final = "0"
"""The character behind `/`: a key's folder followed by it sorts after all that is in the folder."""
_TOMBSTONE_NAME: Final = 40
_RANK: Final = re.compile(r"(?:[0-9a-f]{2})*z")
_COMPLEMENT: Final = bytes(255 - byte for byte in range(256))


def encode_rank(checkpoint_id: str) -> str:
    """Write a checkpoint id so that newer (greater) ids sort first.

    Raises:
        InvalidKeyError: The id holds a lone surrogate.
    """
    return utf8(checkpoint_id, "checkpoint_id").translate(_COMPLEMENT).hex() + "z"


def decode_rank(rank: str) -> str:
    """Turn `encode_rank`'s answer back into the checkpoint id.

    Raises:
        ValueError: The text isn't a rank.
    """
    if not _RANK.fullmatch(rank):
        raise ValueError(f"{rank!r} is not a rank")
    return bytes.fromhex(rank[:-1]).translate(_COMPLEMENT).decode("utf-8")


@dataclass(frozen=True, slots=True)
class ParsedKey:
    """A key read back: which checkpoint it belongs to, and its leaf."""

    thread_id: str
    checkpoint_ns: str
    checkpoint_id: str
    leaf: CheckpointLeaf | WritesLeaf


@dataclass(frozen=True, slots=True)
class Layout:
    """The keys of one saver: everything below one prefix.

    Attributes:
        prefix: Empty, or ends in `/`.
        names: How names are hashed, if they are.
    """

    prefix: str
    names: NameHasher | None = None

    def thread(self, thread_id: str) -> str:
        """The folder of a thread."""
        return f"{self.prefix}{self._component(thread_id, 'thread_id')}{THREAD_SUFFIX}/"

    def namespace(self, thread_id: str, checkpoint_ns: str) -> str:
        """The folder of a namespace; that of the root namespace (`""`) is `.ns`, unless names are hashed."""
        namespace = self._component(checkpoint_ns, "checkpoint_ns")
        return f"{self.thread(thread_id)}{namespace}{NAMESPACE_SUFFIX}/"

    def checkpoint(self, thread_id: str, checkpoint_ns: str, checkpoint_id: str) -> str:
        """The folder of a checkpoint, which holds it and its writes."""
        return f"{self.namespace(thread_id, checkpoint_ns)}{encode_rank(checkpoint_id)}/"

    def exports(self, thread_id: str) -> str:
        """The folder of what was exported from a thread or handed in for it; no thread can spell it."""
        return f"{self.prefix}{EXPORTS}{self._component(thread_id, 'thread_id')}/"

    def lease(self, thread_id: str) -> str:
        """The key of a thread's lease; no thread can spell it, and none's begins with another's.

        Raises:
            InvalidKeyError: It would be longer than S3 takes.
        """
        key = f"{self.prefix}{LEASES}{self._component(thread_id, 'thread_id')}.lease"
        if len(key) > MAX_KEY_BYTES:
            raise InvalidKeyError(
                f"The lease's key would have {len(key)} bytes, and S3 takes {MAX_KEY_BYTES}: "
                "shorten the thread_id."
            )
        return key

    def tombstones(self, thread: str) -> str:
        """Return the key of a thread's tombstones. It doesn't show the thread's name.

        Args:
            thread: The thread's folder.
        """
        name = thread[len(self.prefix) :]
        return f"{self.prefix}{TOMBSTONES}{hashlib.sha256(name.encode()).hexdigest()[:_TOMBSTONE_NAME]}"

    @staticmethod
    def thread_of(namespace: str) -> str:
        """Return the folder of the thread that a namespace's folder is in."""
        return namespace.rstrip("/").rpartition("/")[0] + "/"

    @staticmethod
    def sibling(namespace: str, checkpoint_id: str, leaf: str) -> str:
        """The key of an object in a namespace's folder, by its checkpoint and the end of its key."""
        return f"{namespace}{encode_rank(checkpoint_id)}/{leaf}"

    def key(
        self, thread_id: str, checkpoint_ns: str, checkpoint_id: str, leaf: CheckpointLeaf | WritesLeaf
    ) -> str:
        """Return the key of an object.

        Raises:
            InvalidKeyError: It, or a part of it, would be longer than stores take; the message names the
                longest part.
        """
        end = leaf.hidden(self.names or FIELDS).encode()
        rank = encode_rank(checkpoint_id)
        key = f"{self.namespace(thread_id, checkpoint_ns)}{rank}/{end}"
        if len(key) <= MAX_KEY_BYTES and len(rank) <= MAX_SEGMENT_BYTES and len(end) <= MAX_SEGMENT_BYTES:
            return key
        parent = leaf.parent if isinstance(leaf, CheckpointLeaf) else None
        parts = {"checkpoint_id": len(rank), "parent checkpoint_id": len(encode_component(parent or ""))}
        if len(key) > MAX_KEY_BYTES:
            what = f"The object's key would have {len(key)} bytes, and S3 takes {MAX_KEY_BYTES}"
            parts |= {
                "prefix": len(self.prefix),
                "thread_id": len(self._component(thread_id, "thread_id")),
                "checkpoint_ns": len(self._component(checkpoint_ns, "checkpoint_ns")),
            }
        else:
            what = (
                f"Between two slashes the object's key would have {max(len(rank), len(end))} bytes, and "
                f"stores that keep files take {MAX_SEGMENT_BYTES}"
            )
            if len(rank) <= MAX_SEGMENT_BYTES:
                del parts["checkpoint_id"]
        longest = max(parts, key=lambda name: parts[name])
        raise InvalidKeyError(
            f"{what}. Its longest part is the {longest}, with {parts[longest]} bytes as encoded: shorten "
            "that."
        )

    def hides(self, thread_id: str) -> bool:
        """Return if keys have only the thread's hash. Objects name the thread then."""
        return self._component(thread_id, "thread_id").startswith(HASHED)

    def run(self, run_id: str) -> str:
        """A run as the keys' leaves have it."""
        return (self.names or FIELDS).hide("run_id", run_id)

    def index_filter(self, filter: Mapping[str, Any]) -> Mapping[str, Any]:
        """A filter as the keys' leaves have it. What equals no name by its type, they can't decide."""
        plain = _by_text(filter)
        names = self.names or FIELDS
        shown = dict(plain) if self.names is None else {}
        for name, field, _, _ in INDEX:
            value = plain.get(name)
            if field == "step" and (
                isinstance(value, int) or (isinstance(value, float) and value.is_integer())
            ):
                hidden = names.hide(name, str(int(value)))
            elif field != "step" and type(value) is str:
                hidden = names.hide(name, value)
            else:
                continue
            if isinstance(hidden, HashedName):
                shown[name] = hidden
        return shown

    def holds(self, key: str) -> bool:
        """Whether a key is in a thread's folder of this prefix, and not of a saver below it."""
        if not key.startswith(self.prefix) or key.endswith("/"):
            return False  # consoles make empty objects that end in "/" to show folders
        thread, slash, _ = key[len(self.prefix) :].partition("/")
        return bool(slash) and thread.endswith(THREAD_SUFFIX)

    def parse(self, key: str) -> ParsedKey:
        """Read back a key that `holds` admits.

        Raises:
            CorruptObjectError: No saver wrote it.
        """
        thread, _, rest = key[len(self.prefix) :].partition("/")
        namespace, _, rest = rest.partition("/")
        rank, _, end = rest.partition("/")
        try:
            if not namespace.endswith(NAMESPACE_SUFFIX):
                raise ValueError(f"{namespace!r} is not a namespace")
            return ParsedKey(
                decode_component(thread[: -len(THREAD_SUFFIX)]),
                decode_component(namespace[: -len(NAMESPACE_SUFFIX)]),
                decode_rank(rank),
                decode_leaf(end),
            )
        except ValueError as error:
            raise CorruptObjectError(
                f"This key lies in a thread's folder, but it isn't one of a checkpoint: {error}. "
                "Move the object elsewhere, or delete it.",
                key=key,
            ) from error

    def _component(self, name: str, what: str) -> str:
        return encode_component((self.names or FOLDERS).hide(what, name), what)


def _by_text(filter: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a filter with its run as text, as a leaf names it; without it where it can't be an id."""
    if filter.get("run_id") is None:
        return filter
    run = text_of(filter["run_id"])
    others = {name: value for name, value in filter.items() if name != "run_id"}
    return others if run is None else {**others, "run_id": run}
