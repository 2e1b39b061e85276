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
A field that is absent (or not of its usual type) is left out. An encrypted object's leaf holds `.e`.

Where names are secrets (`names.py`), thread and namespace are `.h` and a hash, and the leaf's fields but
the parent too, under other letters: `m` for the source, `n` for the step, `q` for the run, `u` for the task.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from langgraph_checkpoint_s3.errors import CorruptObjectError, InvalidKeyError
from langgraph_checkpoint_s3.objects.components import decode_component, encode_component, utf8
from langgraph_checkpoint_s3.objects.ids import text_of
from langgraph_checkpoint_s3.objects.leaves import INDEX, CheckpointLeaf, WritesLeaf, decode_leaf
from langgraph_checkpoint_s3.objects.names import Hidden, Names

__all__ = [
    "AFTER_SLASH",
    "EXPORTS",
    "LEASES",
    "MAX_KEY_BYTES",
    "NAMESPACE_SUFFIX",
    "THREAD_SUFFIX",
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

THREAD_SUFFIX: Final = ".thread"
NAMESPACE_SUFFIX: Final = ".ns"
EXPORTS: Final = ".exports/"
"""The folder, below the prefix, of what isn't a thread's own: exports, and what was handed in."""
LEASES: Final = ".leases/"
"""The folder, below the prefix, of the threads' leases."""
AFTER_SLASH: Final = "0"
"""The character behind `/`: a key's folder followed by it sorts after all that is in the folder."""
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
    names: Names | None = None

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

    @staticmethod
    def sibling(namespace: str, checkpoint_id: str, leaf: str) -> str:
        """The key of an object in a namespace's folder, by its checkpoint and the end of its key."""
        return f"{namespace}{encode_rank(checkpoint_id)}/{leaf}"

    def key(
        self, thread_id: str, checkpoint_ns: str, checkpoint_id: str, leaf: CheckpointLeaf | WritesLeaf
    ) -> str:
        """The key of an object.

        Raises:
            InvalidKeyError: It would be longer than S3 takes; the message names the longest part.
        """
        end = (leaf.hidden(self.names) if self.names else leaf).encode()
        key = self.checkpoint(thread_id, checkpoint_ns, checkpoint_id) + end
        if len(key) > MAX_KEY_BYTES:
            parts = {
                "prefix": len(self.prefix),
                "thread_id": len(self._component(thread_id, "thread_id")),
                "checkpoint_ns": len(self._component(checkpoint_ns, "checkpoint_ns")),
                "checkpoint_id": len(encode_rank(checkpoint_id)),
            }
            if isinstance(leaf, WritesLeaf):
                parts["task_id"] = len(encode_component(leaf.task or ""))
            else:
                named = {
                    "parent checkpoint_id": leaf.parent,
                    "metadata['source']": leaf.source,
                    "metadata['step']": leaf.step,
                    "metadata['run_id']": leaf.run,
                }
                parts |= {name: len(encode_component(str(value))) for name, value in named.items() if value}
            longest = max(parts, key=lambda name: parts[name])
            raise InvalidKeyError(
                f"The object's key would have {len(key)} bytes, and S3 takes {MAX_KEY_BYTES}. Its longest "
                f"part is the {longest}, with {parts[longest]} bytes as encoded: shorten that."
            )
        return key

    def run(self, run_id: str) -> str:
        """A run as the keys' leaves have it."""
        return self.names.hide("run_id", run_id) if self.names else run_id

    def index_filter(self, filter: Mapping[str, Any]) -> Mapping[str, Any]:
        """A filter as the keys' leaves have it. What equals no name by its type, they can't decide."""
        plain = _by_text(filter)
        if self.names is None:
            return plain
        hashed: dict[str, Hidden] = {}
        for name, field, _, _ in INDEX:
            value = plain.get(name)
            if field == "step" and (
                isinstance(value, int) or (isinstance(value, float) and value.is_integer())
            ):
                hashed[name] = self.names.hide(name, str(int(value)))
            elif field != "step" and type(value) is str:
                hashed[name] = self.names.hide(name, value)
        return hashed

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
        return encode_component(self.names.hide(what, name) if self.names else name, what)


def _by_text(filter: Mapping[str, Any]) -> Mapping[str, Any]:
    """A filter with its run as text, as a leaf names it; without it where it can't be an id."""
    if filter.get("run_id") is None:
        return filter
    run = text_of(filter["run_id"])
    others = {name: value for name, value in filter.items() if name != "run_id"}
    return others if run is None else {**others, "run_id": run}
