"""Layout of the bucket: how thread, namespace and checkpoint become a key, and back.

    {prefix}{thread}.thread/{namespace}.ns/{rank}/checkpoint.p{parent}.k{source}.s{step}.r{run}
    {prefix}{thread}.thread/{namespace}.ns/{rank}/writes.t{task}.w{slots}
    {prefix}{thread}.thread/{namespace}.ns/{rank}/writes.t{task}.x
    {prefix}{thread}.thread/{namespace}.ns/{rank}/writes.j{digest of several tasks and slots}
    {prefix}{thread}.thread/{namespace}.ns/{rank}/writes.g{digest of parent and channels}
    |------- Layout.thread --------|
    |------------- Layout.namespace -------------|
    |------------------- Layout.checkpoint -----------|---------------- a leaf ---------------|

A *component* keeps `A-Z a-z 0-9 _ -` and encodes every other byte of its UTF-8 as `.` and two upper-case hex
digits. A `.` and a lower-case letter start a field. So the two can't be confused, no component can contain
the ending of another one, and keys consist of characters that no store, SDK or URL changes.

The *rank* of a checkpoint id turns "newest first" into S3's ascending order: each byte of the id as 255 minus
it, in hex, then `z`, so that an id sorts before its own prefixes. A LIST therefore begins with the newest
checkpoint, `before` is a `StartAfter`, and a checkpoint's writes come right after it.

The *leaf* is the end of a key. A checkpoint's leaf is an index: parent, source, step and run can be read from
a LIST alone, and what `indexed_metadata` names can be compared (`metadata_index.py`). A field that is absent
(or not of its usual type) is left out. An encrypted object's leaf has `.e`, one that later checkpoints may
borrow from `.l`, and one that borrows itself `.b` instead. `.v` says that no channel is rebuilt from the
writes of its ancestors. With retention classes, `.a` and the class say how long it is kept, and `.f` that its
thread was pinned when it was written.

Where names are secret (`name_hashing.py`), thread and namespace are `.h` and a hash, and so are the leaf's
fields except the parent, under other letters: `m` for the source, `n` for the step, `q` for the run, `u` for
the task. Names that are too long are hashed as well: between two slashes a key has at most 255 bytes, since
that is a file's name in stores on file systems. The objects' headers have the name.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from langgraph_checkpoint_s3.errors import CorruptObjectError, InvalidKeyError
from langgraph_checkpoint_s3.format.ids import text_of
from langgraph_checkpoint_s3.format.key_encoding import (
    COMPONENT,
    HASHED,
    HashedName,
    decode_component,
    encode_component,
    utf8,
)
from langgraph_checkpoint_s3.format.metadata_index import (
    INDEX_LETTERS,
    index_tags,
    make_index,
    read_index,
    valid_index,
)
from langgraph_checkpoint_s3.format.name_hashing import LONG_FIELDS, LONG_FOLDERS, LongNameHasher, NameHasher
from langgraph_checkpoint_s3.format.retention import NO_LIFE, Life

MAX_KEY_BYTES: Final = 1024
"""S3's limit for a key (https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html)."""

MAX_SEGMENT_BYTES: Final = 255
"""Longest name of file systems, and so of what is between two slashes of a key in stores on them."""

THREAD_SUFFIX: Final = ".thread"
NAMESPACE_SUFFIX: Final = ".ns"
EXPORTS: Final = ".exports/"
"""The folder, below the prefix, of exports and uploads."""
LEASES: Final = ".leases/"
"""The folder, below the prefix, of the threads' leases."""
TOMBSTONES: Final = ".deleted/"
"""The folder, below the prefix, of the threads' tombstones."""
PINS: Final = ".pinned/"
"""The folder, below the prefix, of the marks of pinned threads."""
AFTER_SLASH: Final = "0"
"""The character after `/`. A folder's name with it instead of its `/` sorts after all keys in the folder."""
_PIN_SUFFIX: Final = ".pin"
_INDEXED_FIELDS: Final = (
    ("source", "source", "k", "m"),
    ("step", "step", "s", "n"),
    ("run_id", "run", "r", "q"),
)
"""Metadata in a leaf: its name, the leaf's field, and the field's letters, plain and hashed."""
_MAX_SLOTS_TEXT: Final = 48
_DIGEST: Final = 32
_SPECIAL: Final = "x"
_GATHERED: Final = "g"
_FIELD: Final = re.compile(rf"\.([a-z])({COMPONENT})")
_NUMBER: Final = re.compile(r"0|-?[1-9][0-9]*")
_TOMBSTONE_NAME: Final = 40
_RANK: Final = re.compile(r"(?:[0-9a-f]{2})*z")
_COMPLEMENT: Final = bytes(255 - byte for byte in range(256))

_Names: TypeAlias = NameHasher | LongNameHasher | None


def encode_rank(checkpoint_id: str) -> str:
    """Encode a checkpoint id so that newer (greater) ids sort first.

    Raises:
        InvalidKeyError: The id holds a lone surrogate.
    """
    return utf8(checkpoint_id, "checkpoint_id").translate(_COMPLEMENT).hex() + "z"


def decode_rank(rank: str) -> str:
    """Return the checkpoint id of a rank.

    Raises:
        ValueError: The text isn't a rank.
    """
    if not _RANK.fullmatch(rank):
        raise ValueError(f"{rank!r} is not a rank")
    return bytes.fromhex(rank[:-1]).translate(_COMPLEMENT).decode("utf-8")


class CheckpointLeaf(NamedTuple):
    """The end of a checkpoint's key. A field that is `None` isn't in the key.

    Attributes:
        parent: The parent's id.
        source: The metadata's source.
        step: The metadata's step.
        run: The run's id.
        created: The time of writing, where one id was put again with other content and needs another key.
        encrypted: Whether the object is encrypted.
        lends: Whether later checkpoints may borrow from it.
        borrows: Whether it borrows, or did until it was rewritten. It may lend then, too.
        indexed: The index of its metadata (`metadata_index.py`), with the field's letter; empty if none.
        needs_ancestors: Whether a channel may have to be rebuilt from the writes of its ancestors. `False` is
            certain; `True` means that only the object tells.
        retention: Its retention class, where there are classes.
        pinned: Whether its thread was pinned when it was written.
    """

    parent: str | None = None
    source: str | None = None
    step: int | HashedName | None = None
    run: str | None = None
    created: int | None = None
    encrypted: bool = False
    lends: bool = False
    borrows: bool = False
    needs_ancestors: bool = True
    indexed: str = ""
    retention: str | None = None
    pinned: bool = False

    @property
    def life(self) -> Life:
        """Retention class and pin, as the key says them."""
        return Life(self.retention, self.pinned)

    @classmethod
    def of(
        cls,
        metadata: Mapping[str, Any],
        parent: str | None,
        *,
        created: int | None = None,
        encrypted: bool = False,
        lends: bool = False,
        borrows: bool = False,
        indexed: str = "",
        needs_ancestors: bool = True,
        life: Life = NO_LIFE,
    ) -> CheckpointLeaf:
        """Return the leaf for this metadata.

        Only exact `str` and `int` values are included: then a field equals the metadata's value, and a filter
        can be decided by it. A run is included as text, since ids are compared as such.
        """
        source, step = metadata.get("source"), metadata.get("step")
        return cls(
            parent,
            source if type(source) is str else None,
            step if type(step) is int else None,
            text_of(metadata.get("run_id")),
            created,
            encrypted,
            lends,
            borrows,
            needs_ancestors,
            indexed,
            life.retention,
            life.pinned,
        )

    def encode(self, names: _Names = None) -> str:
        """Return the end of the key.

        Args:
            names: Hashes the fields that are secret, or too long. By default none is.
        """
        end = "checkpoint" if self.parent is None else f"checkpoint.p{encode_component(self.parent)}"
        for field, value in zip(_INDEXED_FIELDS, (self.source, self.step, self.run), strict=True):
            if value is not None:
                end += _encode_indexed(names, field, value)
        if self.borrows or self.lends:
            end += ".b" if self.borrows else ".l"
        if not self.needs_ancestors:
            end += ".v"
        if self.encrypted:
            end += ".e"
        if self.indexed[1:]:
            end += f".{self.indexed[0]}{encode_component(self.indexed[1:])}"
        if self.retention is not None:
            end += f".a{encode_component(self.retention)}{'.f' if self.pinned else ''}"
        # Last: of two objects with one id, the newer sorts later.
        return end if self.created is None else f"{end}.c{self.created}"

    def may_match(self, filter: Mapping[str, Any], tags: Mapping[str, str] | None = None) -> bool:
        """Return whether this checkpoint can match the filter, by its key alone.

        `False` is final; after `True`, the metadata must be compared.

        Args:
            filter: One of `Layout.index_filter`.
            tags: Those of `Layout.index_tags`.
        """
        fields = ((name, getattr(self, field)) for name, field, _, _ in _INDEXED_FIELDS)
        in_fields = all(
            value is None
            or name not in filter
            or filter[name] == value
            # A value of another type may equal a hashed one (Decimal(3) == 3), which the hash can't show.
            or (isinstance(value, HashedName) and type(filter[name]) not in (HashedName, str, int))
            for name, value in fields
        )
        if not in_fields or not tags:
            return in_fields
        return all(tags.get(name, value) == value for name, value in read_index(self.indexed).items())

    def must_match(self, filter: Mapping[str, Any], tags: Mapping[str, str], count: int) -> bool:
        """Return whether this checkpoint matches the filter for certain, by its key alone.

        Args:
            filter: One of `Layout.index_filter`.
            tags: Those of `Layout.index_tags`, of names that the leaf has no field of their own for.
            count: How many names the original filter has. These may lack some.
        """
        index = read_index(self.indexed)
        certain = sum(index.get(name) == value for name, value in tags.items())
        for name, field, _, _ in _INDEXED_FIELDS:
            value = getattr(self, field)
            certain += name in filter and value is not None and filter[name] == value
        return certain == count


class WritesLeaf(NamedTuple):
    """The end of a writes object's key.

    Attributes:
        task: The task; `None` where the object has the writes of several tasks, or gathered writes.
        slots: The slots that it fills; a digest of them for several tasks. A task's special slots share one
            object, whichever of them are filled: `x`. Of gathered writes, a digest of what they are for.
        encrypted: Whether the object is encrypted.
    """

    task: str | None
    slots: str
    encrypted: bool = False

    @classmethod
    def of(cls, task_id: str, slots: Iterable[int], *, encrypted: bool = False) -> WritesLeaf:
        """Return the leaf for the regular writes of one `put_writes` call.

        Equal calls get equal keys, so that a conditional PUT keeps the first one.
        """
        return cls(task_id, f"w{_ranges(sorted(set(slots)))}", encrypted)

    @classmethod
    def of_several(cls, tasks: Iterable[tuple[str, Iterable[int]]], *, encrypted: bool = False) -> WritesLeaf:
        """Return the leaf for writes of several tasks, each with its slots. Equal calls get equal keys."""
        text = "/".join(cls.of(task_id, slots).encode() for task_id, slots in tasks)
        return cls(None, f"j{_digest(text)}", encrypted)

    @classmethod
    def special(cls, task_id: str, *, encrypted: bool = False) -> WritesLeaf:
        """Return the leaf for all writes of a task to special channels."""
        return cls(task_id, _SPECIAL, encrypted)

    @classmethod
    def gathered(cls, parent: str, channels: Iterable[str], *, encrypted: bool = False) -> WritesLeaf:
        """Return the leaf for the writes from which a checkpoint's delta channels are rebuilt.

        They are the same whoever gathers them, as long as the checkpoint has the same parent.
        """
        text = "/".join(encode_component(name) for name in (parent, *sorted(channels)))
        return cls(None, f"{_GATHERED}{_digest(text)}", encrypted)

    @property
    def is_gathered(self) -> bool:
        """True if it is the leaf of gathered writes, which aren't a task's."""
        return self.task is None and self.slots.startswith(_GATHERED)

    @property
    def is_special(self) -> bool:
        """True if it is the leaf of a task's special writes."""
        return self.slots == _SPECIAL

    def encode(self, names: _Names = None) -> str:
        """Return the end of the key.

        Args:
            names: Hashes the fields that are secret, or too long. By default none is.
        """
        task, slots = self.task, self.slots
        if names is not None:
            task = None if task is None else names.hash("task_id", task)
            hashed = slots if self.is_special else names.hash("slots", slots)
            if isinstance(hashed, HashedName):
                slots = f"{slots[0] if task is None else 'wh'}{hashed}"
        if task is None:
            named = ""
        elif isinstance(task, HashedName):
            named = f".u{str.__str__(task)}"
        else:
            named = f".t{encode_component(task, 'task_id')}"
        return f"writes{named}.{slots}{'.e' if self.encrypted else ''}"


def is_gathered(key: str) -> bool:
    """Return whether the key of an object in a thread's folder is that of gathered writes."""
    return key.rpartition("/")[2].startswith(f"writes.{_GATHERED}")


def decode_leaf(text: str) -> CheckpointLeaf | WritesLeaf:
    """Parse the end of a key.

    Unknown fields, which a later version may add, are ignored.

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
        named = {letter: decode_component(fields[letter]) for letter in "pksrca" if letter in fields}
        hashed: dict[str, Any] = {
            field: HashedName(fields[letter]) for _, field, _, letter in _INDEXED_FIELDS if letter in fields
        }
        for letter in "sc":
            if not _NUMBER.fullmatch(named.get(letter, "0")):
                raise ValueError(f"{named[letter]!r} is not a number: not a leaf")
        step, created = (int(named[letter]) if letter in named else None for letter in "sc")
        borrows = "b" in fields
        leaf = CheckpointLeaf(
            *(named.get("p"), named.get("k"), step, named.get("r"), created),
            encrypted="e" in fields,
            lends=borrows or "l" in fields,
            borrows=borrows,
            needs_ancestors="v" not in fields,
            indexed=valid_index(*(letter + fields[letter] for letter in INDEX_LETTERS if letter in fields)),
            retention=named.get("a"),
            pinned="a" in fields and "f" in fields,
        )
        return leaf._replace(**hashed) if hashed else leaf
    for letter in ("j", _GATHERED):
        if kind == "writes" and letter in fields:
            return WritesLeaf(None, f"{letter}{fields[letter]}", "e" in fields)
    if kind == "writes" and ("t" in fields or "u" in fields):
        slots = ".".join(letter + fields[letter] for letter in "wx" if letter in fields)
        task = decode_component(fields["t"]) if "t" in fields else HashedName(fields["u"])
        return WritesLeaf(task, slots, "e" in fields)
    raise ValueError(f"{text!r} is not a leaf")


class ParsedKey(NamedTuple):
    """A parsed key: the checkpoint that it belongs to, and its leaf."""

    thread_id: str
    checkpoint_ns: str
    checkpoint_id: str
    leaf: CheckpointLeaf | WritesLeaf


class Layout(NamedTuple):
    """The keys of one saver: everything below one prefix.

    Attributes:
        prefix: Empty, or ends in `/`.
        names: The hasher of names, if they are secret.
        indexed: The names of metadata that new checkpoints' keys have.
    """

    prefix: str
    names: NameHasher | None = None
    indexed: tuple[str, ...] = ()

    def thread(self, thread_id: str) -> str:
        """Return the folder of a thread."""
        return f"{self.prefix}{_component(self.names, thread_id, 'thread_id')}{THREAD_SUFFIX}/"

    @functools.lru_cache(maxsize=1024, typed=True)  # noqa: B019  # it keeps layouts alive, which are small
    def namespace(self, thread_id: str, checkpoint_ns: str) -> str:
        """Return the folder of a namespace. The root namespace (`""`) is `.ns`, unless names are hashed."""
        namespace = _component(self.names, checkpoint_ns, "checkpoint_ns")
        return f"{self.thread(thread_id)}{namespace}{NAMESPACE_SUFFIX}/"

    def checkpoint(self, thread_id: str, checkpoint_ns: str, checkpoint_id: str) -> str:
        """Return the folder of a checkpoint, which has its object and its writes."""
        return f"{self.namespace(thread_id, checkpoint_ns)}{encode_rank(checkpoint_id)}/"

    def exports(self, thread_id: str) -> str:
        """Return the folder of a thread's exports and uploads. It can't be a thread's folder."""
        return f"{self.prefix}{EXPORTS}{_component(self.names, thread_id, 'thread_id')}/"

    def lease(self, thread_id: str) -> str:
        """Return the key of a thread's lease, which is in no thread's folder.

        Raises:
            InvalidKeyError: It would be longer than S3 takes.
        """
        key = f"{self.prefix}{LEASES}{_component(self.names, thread_id, 'thread_id')}.lease"
        if len(key) > MAX_KEY_BYTES:
            raise InvalidKeyError(
                f"The lease's key would have {len(key)} bytes, and S3 takes {MAX_KEY_BYTES}: "
                "shorten the thread_id."
            )
        return key

    def tombstones(self, thread: str) -> str:
        """Return the key of a thread's tombstones, given the thread's folder. It is a hash of that."""
        name = thread[len(self.prefix) :]
        return f"{self.prefix}{TOMBSTONES}{hashlib.sha256(name.encode()).hexdigest()[:_TOMBSTONE_NAME]}"

    def pin(self, thread: str) -> str:
        """Return the key of the mark that a thread is pinned, given the thread's folder.

        It is in no thread's folder. A thread's name is hashed in it as it is in the folder.
        """
        return f"{self.prefix}{PINS}{thread[len(self.prefix) : -len(THREAD_SUFFIX) - 1]}{_PIN_SUFFIX}"

    def thread_of_pin(self, key: str) -> str | None:
        """Return the folder of the thread that a mark is for; `None` if the key isn't one of a mark."""
        name = key.removeprefix(self.prefix + PINS)
        if name == key or "/" in name or not name.endswith(_PIN_SUFFIX):
            return None
        return f"{self.prefix}{name.removesuffix(_PIN_SUFFIX)}{THREAD_SUFFIX}/"

    @staticmethod
    def sibling(namespace: str, checkpoint_id: str, leaf: str) -> str:
        """Return the key of an object in a namespace's folder, by its checkpoint and the end of its key."""
        return f"{namespace}{encode_rank(checkpoint_id)}/{leaf}"

    def key(
        self, thread_id: str, checkpoint_ns: str, checkpoint_id: str, leaf: CheckpointLeaf | WritesLeaf
    ) -> str:
        """Return the key of an object.

        Raises:
            InvalidKeyError: It, or a part of it, would be longer than stores accept. The message names the
                longest part.
        """
        end = leaf.encode(self.names or LONG_FIELDS)
        rank = encode_rank(checkpoint_id)
        key = f"{self.namespace(thread_id, checkpoint_ns)}{rank}/{end}"
        if len(key) <= MAX_KEY_BYTES and len(rank) <= MAX_SEGMENT_BYTES and len(end) <= MAX_SEGMENT_BYTES:
            return key
        if isinstance(leaf, CheckpointLeaf) and leaf.indexed:  # its metadata has to be read
            return self.key(thread_id, checkpoint_ns, checkpoint_id, leaf._replace(indexed=""))
        parent = leaf.parent if isinstance(leaf, CheckpointLeaf) else None
        parts = {"checkpoint_id": len(rank), "parent checkpoint_id": len(encode_component(parent or ""))}
        if len(key) > MAX_KEY_BYTES:
            what = f"The object's key would have {len(key)} bytes, and S3 takes {MAX_KEY_BYTES}"
            parts |= {
                "prefix": len(self.prefix),
                "thread_id": len(_component(self.names, thread_id, "thread_id")),
                "checkpoint_ns": len(_component(self.names, checkpoint_ns, "checkpoint_ns")),
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

    def hashes_thread(self, thread_id: str) -> bool:
        """Return whether keys have only the thread's hash. Objects name the thread then."""
        return _component(self.names, thread_id, "thread_id").startswith(HASHED)

    def run(self, run_id: str) -> str:
        """Return a run as leaves have it."""
        return (self.names or LONG_FIELDS).hash("run_id", run_id)

    def index_filter(self, filter: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the part of a filter that leaves can decide, with hashes where they have hashes."""
        plain = _run_as_text(filter)
        names = self.names or LONG_FIELDS
        found = dict(plain) if self.names is None else {}
        for name, field, _, _ in _INDEXED_FIELDS:
            value = plain.get(name)
            if field == "step" and (
                isinstance(value, int) or (isinstance(value, float) and value.is_integer())
            ):
                hashed = names.hash(name, str(int(value)))
            elif field != "step" and type(value) is str:
                hashed = names.hash(name, value)
            else:
                continue
            if isinstance(hashed, HashedName):
                found[name] = hashed
        return found

    def index_of(self, metadata: Mapping[str, Any]) -> str:
        """Return the index of a checkpoint's metadata, for its leaf."""
        return make_index(metadata, self.indexed, self.names)

    def index_tags(self, filter: Mapping[str, Any]) -> Mapping[str, str]:
        """Return what the index of a checkpoint has if it matches a filter, by name."""
        return index_tags(filter, self.names)

    def holds(self, key: str) -> bool:
        """Return whether a key is in a thread's folder of this prefix, rather than of a saver below it."""
        if not key.startswith(self.prefix) or key.endswith("/"):
            return False  # consoles create empty objects that end in "/" as folders
        thread, slash, _ = key[len(self.prefix) :].partition("/")
        return bool(slash) and thread.endswith(THREAD_SUFFIX)

    def parse(self, key: str) -> ParsedKey:
        """Parse a key for which `holds` is true.

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


@functools.lru_cache(maxsize=1024, typed=True)  # a `HashedName` equals the text of the hash
def _component(names: NameHasher | None, name: str, kind: str) -> str:
    """Return a folder's name. An operation needs those of its thread and namespace several times."""
    return encode_component((names or LONG_FOLDERS).hash(kind, name), kind)


@functools.lru_cache(maxsize=1024, typed=True)
def _encode_indexed(names: _Names, field: tuple[str, str, str, str], value: str | int) -> str:
    """Return a field of a leaf. A run's checkpoints have most of them in common."""
    name, _, plain, hashed = field
    text = value if isinstance(value, HashedName) else str(value)
    if names is not None:
        text = names.hash(name, text)
    return (
        f".{hashed}{str.__str__(text)}"
        if isinstance(text, HashedName)
        else f".{plain}{encode_component(text)}"
    )


def _run_as_text(filter: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a filter with its run as text; without the run where it can't be an id."""
    if filter.get("run_id") is None:
        return filter
    run = text_of(filter["run_id"])
    others = {name: value for name, value in filter.items() if name != "run_id"}
    return others if run is None else {**others, "run_id": run}


def _ranges(numbers: list[int]) -> str:
    """Return ascending numbers as `0-3_7`; a digest of that where it would be long."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    text = "_".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
    if len(text) > _MAX_SLOTS_TEXT:
        return f"h{_digest(text)}"
    return text


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST]
