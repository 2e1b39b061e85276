"""Where everything lies in the bucket: how thread, namespace and checkpoint become a key, and back.

    {prefix}{thread}.thread/{namespace}.ns/{rank}/checkpoint.p{parent}.k{source}.s{step}.r{run}
    {prefix}{thread}.thread/{namespace}.ns/{rank}/writes.t{task}.w{slots}.x{special slots}
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
A field that is absent (or not of its usual type) is left out.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from langgraph_checkpoint_s3.errors import CorruptObjectError, InvalidKeyError

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

_MAX_SLOTS_TEXT: Final = 48

_ESCAPED: Final = [
    chr(byte) if re.match(r"[A-Za-z0-9_-]", chr(byte)) else f".{byte:02X}" for byte in range(256)
]
_COMPONENT: Final = re.compile(r"(?:[A-Za-z0-9_-]|\.[0-9A-F]{2})*")
_ESCAPE: Final = re.compile(r"\.([0-9A-F]{2})")
_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]*")
_FIELD: Final = re.compile(r"\.([a-z])((?:[A-Za-z0-9_-]|\.[0-9A-F]{2})*)")
_NUMBER: Final = re.compile(r"0|-?[1-9][0-9]*")
_RANK: Final = re.compile(r"(?:[0-9a-f]{2})*z")
_COMPLEMENT: Final = bytes(255 - byte for byte in range(256))


def encode_component(text: str, what: str = "component") -> str:
    """Write any text with the characters that a key may safely hold.

    Args:
        text: Any text that has a UTF-8 form.
        what: What the text is, for the error.

    Returns:
        An injective encoding of it: `a/b` becomes `a.2Fb`.

    Raises:
        InvalidKeyError: The text holds a lone surrogate and so has no UTF-8 form.
    """
    if _PLAIN.fullmatch(text):
        return text
    return "".join([_ESCAPED[byte] for byte in _utf8(text, what)])


def decode_component(encoded: str) -> str:
    """Turn `encode_component`'s answer back into the text.

    Raises:
        ValueError: The text isn't an encoding.
    """
    if "." not in encoded and _PLAIN.fullmatch(encoded):
        return encoded
    if not _COMPONENT.fullmatch(encoded):
        raise ValueError(f"{encoded!r} is not an encoded component")
    raw = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), encoded).encode("latin-1")
    text = raw.decode("utf-8")
    if encode_component(text) != encoded:  # one text has one spelling only
        raise ValueError(f"{encoded!r} is not an encoded component")
    return text


def encode_rank(checkpoint_id: str) -> str:
    """Write a checkpoint id so that newer (greater) ids sort first.

    Raises:
        InvalidKeyError: The id holds a lone surrogate.
    """
    return _utf8(checkpoint_id, "checkpoint_id").translate(_COMPLEMENT).hex() + "z"


def decode_rank(rank: str) -> str:
    """Turn `encode_rank`'s answer back into the checkpoint id.

    Raises:
        ValueError: The text isn't a rank.
    """
    if not _RANK.fullmatch(rank):
        raise ValueError(f"{rank!r} is not a rank")
    return bytes.fromhex(rank[:-1]).translate(_COMPLEMENT).decode("utf-8")


@dataclass(frozen=True, slots=True)
class CheckpointLeaf:
    """The end of a checkpoint's key: what a LIST tells of it. `None` is "not said here".

    `created` is there only where one id was put again with other content: it makes the key another one.
    """

    parent: str | None = None
    source: str | None = None
    step: int | None = None
    run: str | None = None
    created: int | None = None

    @classmethod
    def of(cls, metadata: Mapping[str, Any], parent: str | None) -> CheckpointLeaf:
        """The leaf for this metadata.

        Only exact `str` and `int` values are named, so that a field read back equals the
        metadata's value and a filter may be decided by it.
        """
        source, step, run = (metadata.get(name) for name in ("source", "step", "run_id"))
        return cls(
            parent=parent,
            source=source if type(source) is str else None,
            step=step if type(step) is int else None,
            run=run if type(run) is str else None,
        )

    def encode(self) -> str:
        """The leaf as a key ends in it."""
        fields = (
            ("p", self.parent),
            ("k", self.source),
            ("s", self.step),
            ("r", self.run),
            ("c", self.created),
        )
        return "checkpoint" + "".join(
            f".{letter}{encode_component(str(value))}" for letter, value in fields if value is not None
        )

    def admits(self, filter: Mapping[str, Any]) -> bool:
        """Whether this checkpoint can match the filter, as far as its key tells.

        `False` is final; `True` means that its metadata must still be asked.
        """
        known = (("source", self.source), ("step", self.step), ("run_id", self.run))
        return all(value is None or name not in filter or filter[name] == value for name, value in known)


@dataclass(frozen=True, slots=True)
class WritesLeaf:
    """The end of a writes object's key: the task, and which of its slots the object fills."""

    task: str
    slots: str

    @classmethod
    def of(cls, task_id: str, slots: Iterable[int]) -> WritesLeaf:
        """The leaf for the writes of one `put_writes` call.

        Equal calls get equal keys, which is what lets a conditional PUT keep the first one.
        """
        ordered = sorted(set(slots))
        parts = (
            ("w", _ranges([slot for slot in ordered if slot >= 0])),
            ("x", _ranges(sorted(-slot for slot in ordered if slot < 0))),
        )
        return cls(task_id, ".".join(letter + text for letter, text in parts if text))

    def encode(self) -> str:
        """The leaf as a key ends in it."""
        return f"writes.t{encode_component(self.task, 'task_id')}.{self.slots}"


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
    """

    prefix: str

    def thread(self, thread_id: str) -> str:
        """The folder of a thread."""
        return f"{self.prefix}{encode_component(thread_id, 'thread_id')}{THREAD_SUFFIX}/"

    def namespace(self, thread_id: str, checkpoint_ns: str) -> str:
        """The folder of a namespace; that of the root namespace (`""`) is `.ns`."""
        return (
            f"{self.thread(thread_id)}{encode_component(checkpoint_ns, 'checkpoint_ns')}{NAMESPACE_SUFFIX}/"
        )

    def checkpoint(self, thread_id: str, checkpoint_ns: str, checkpoint_id: str) -> str:
        """The folder of a checkpoint, which holds it and its writes."""
        return f"{self.namespace(thread_id, checkpoint_ns)}{encode_rank(checkpoint_id)}/"

    def exports(self, thread_id: str) -> str:
        """The folder of what was exported from a thread or handed in for it; no thread can spell it."""
        return f"{self.prefix}{EXPORTS}{encode_component(thread_id, 'thread_id')}/"

    def lease(self, thread_id: str) -> str:
        """The key of a thread's lease; no thread can spell it, and none's begins with another's.

        Raises:
            InvalidKeyError: It would be longer than S3 takes.
        """
        key = f"{self.prefix}{LEASES}{encode_component(thread_id, 'thread_id')}.lease"
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
        end = leaf.encode()
        key = self.checkpoint(thread_id, checkpoint_ns, checkpoint_id) + end
        if len(key) > MAX_KEY_BYTES:
            parts = {
                "prefix": len(self.prefix),
                "thread_id": len(encode_component(thread_id)),
                "checkpoint_ns": len(encode_component(checkpoint_ns)),
                "checkpoint_id": len(encode_rank(checkpoint_id)),
            }
            if isinstance(leaf, WritesLeaf):
                parts["task_id"] = len(encode_component(leaf.task))
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


def decode_leaf(text: str) -> CheckpointLeaf | WritesLeaf:
    """Read the end of a key back.

    Fields that a later version adds are passed over.

    Raises:
        ValueError: It is not a leaf.
    """
    kind, dot, _ = text.partition(".")
    end = len(kind)
    fields: dict[str, str] = {}
    while dot and end < len(text):
        match = _FIELD.match(text, end)
        if match is None:
            raise ValueError(f"{text!r} is not a leaf")
        fields.setdefault(match[1], match[2])
        end = match.end()
    if kind == "checkpoint":
        named = {letter: decode_component(fields[letter]) for letter in "pksrc" if letter in fields}
        for letter in "sc":
            if not _NUMBER.fullmatch(named.get(letter, "0")):
                raise ValueError(f"{named[letter]!r} is not a number: not a leaf")
        step, created = (int(named[letter]) if letter in named else None for letter in "sc")
        return CheckpointLeaf(named.get("p"), named.get("k"), step, named.get("r"), created)
    if kind == "writes" and "t" in fields:
        slots = ".".join(letter + fields[letter] for letter in "wx" if letter in fields)
        return WritesLeaf(decode_component(fields["t"]), slots)
    raise ValueError(f"{text!r} is not a leaf")


def _ranges(numbers: list[int]) -> str:
    """Non-negative numbers as `0-3_7`; a digest of that where it would be long."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    text = "_".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
    if len(text) > _MAX_SLOTS_TEXT:
        return f"h{hashlib.blake2s(text.encode(), digest_size=16).hexdigest()}"
    return text


def _utf8(text: str, what: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidKeyError(
            f"The {what} {text!r} holds a lone surrogate, which has no UTF-8 form and so can't be in a key."
        ) from error
