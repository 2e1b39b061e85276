"""The ends of keys, which tell of an object what a LIST is to tell: see `keys.py`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from langgraph_checkpoint_s3.format.ids import text_of
from langgraph_checkpoint_s3.format.key_encoding import (
    COMPONENT,
    HashedName,
    decode_component,
    encode_component,
)
from langgraph_checkpoint_s3.format.name_hashing import NameHasher, Short

INDEX: Final = (
    ("source", "source", "k", "m"),
    ("step", "step", "s", "n"),
    ("run_id", "run", "r", "q"),
)
"""Metadata that a leaf tells: its name, the leaf's field, and that field's letter, plain and hashed."""
_MAX_SLOTS_TEXT: Final = 48
_DIGEST: Final = 32
_SPECIAL: Final = "x"
_FIELD: Final = re.compile(rf"\.([a-z])({COMPONENT})")
_NUMBER: Final = re.compile(r"0|-?[1-9][0-9]*")


@dataclass(frozen=True, slots=True)
class CheckpointLeaf:
    """The end of a checkpoint's key: what a LIST tells of it. `None` is "not said here".

    `created` is there only where one id was put again with other content: it makes the key another one.
    `sealed` says that the object is encrypted. `lends` says that later checkpoints may borrow from it, and
    `borrows` that it does so itself, or did until it was rewritten; what borrows may lend, too.
    """

    parent: str | None = None
    source: str | None = None
    step: int | HashedName | None = None
    run: str | None = None
    created: int | None = None
    sealed: bool = False
    lends: bool = False
    borrows: bool = False

    @classmethod
    def of(cls, metadata: Mapping[str, Any], parent: str | None, *, sealed: bool = False) -> CheckpointLeaf:
        """The leaf for this metadata.

        Only exact `str` and `int` values are named, so that a field read back equals the
        metadata's value and a filter may be decided by it. A run is named by its text, as ids are compared.
        """
        source, step, run = (metadata.get(name) for name in ("source", "step", "run_id"))
        return cls(
            parent=parent,
            source=source if type(source) is str else None,
            step=step if type(step) is int else None,
            run=text_of(run),
            sealed=sealed,
        )

    def hidden(self, names: NameHasher | Short) -> CheckpointLeaf:
        """Return the leaf as keys have it: with hashes of the fields that are secrets, or too long."""
        fields = ((name, field, getattr(self, field)) for name, field, _, _ in INDEX)
        hidden = {field: names.hide(name, str(value)) for name, field, value in fields if value is not None}
        hashed: dict[str, Any] = {
            field: value for field, value in hidden.items() if isinstance(value, HashedName)
        }
        return replace(self, **hashed) if hashed else self

    def encode(self) -> str:
        """The leaf as a key ends in it."""
        fields: list[tuple[str, Any]] = [("p", self.parent)]
        for _, field, letter, hashed in INDEX:
            value = getattr(self, field)
            fields.append((hashed, str.__str__(value)) if isinstance(value, HashedName) else (letter, value))
        # At last what tells apart those of one id: of equal age, the later one sorts later.
        lending = "b" if self.borrows else "l"
        fields.append((lending, "" if self.borrows or self.lends else None))
        fields += [("e", "" if self.sealed else None), ("c", self.created)]
        return "checkpoint" + "".join(
            f".{letter}{encode_component(str(value))}" for letter, value in fields if value is not None
        )

    def admits(self, filter: Mapping[str, Any]) -> bool:
        """Whether this checkpoint can match the filter, as far as its key tells.

        `False` is final; `True` means that its metadata must still be asked.

        Args:
            filter: What is wanted, as `Layout.index_filter` gives it.
        """
        known = ((name, getattr(self, field)) for name, field, _, _ in INDEX)
        return all(
            value is None
            or name not in filter
            or filter[name] == value
            # A hash tells nothing of what isn't a name by its type.
            or (isinstance(value, HashedName) and type(filter[name]) not in (HashedName, str, int))
            for name, value in known
        )


@dataclass(frozen=True, slots=True)
class WritesLeaf:
    """The end of a writes object's key: the task, which of its slots it fills, and if it is encrypted.

    Where it holds what several tasks wrote, `task` is `None`, and `slots` is a digest of all. A task's
    special slots share one object, whichever of them are filled: `slots` is `x` there.
    """

    task: str | None
    slots: str
    sealed: bool = False

    @classmethod
    def of(cls, task_id: str, slots: Iterable[int], *, sealed: bool = False) -> WritesLeaf:
        """The leaf for the regular writes of one `put_writes` call.

        Equal calls get equal keys, which is what lets a conditional PUT keep the first one.
        """
        return cls(task_id, f"w{_ranges(sorted(set(slots)))}", sealed)

    @classmethod
    def special(cls, task_id: str, *, sealed: bool = False) -> WritesLeaf:
        """The leaf for all that a task writes to special channels."""
        return cls(task_id, _SPECIAL, sealed)

    @property
    def is_special(self) -> bool:
        """Return if it is the leaf of a task's special writes."""
        return self.slots == _SPECIAL

    @classmethod
    def of_several(cls, tasks: Iterable[tuple[str, Iterable[int]]], *, sealed: bool = False) -> WritesLeaf:
        """The leaf for what several tasks wrote at once. The same again gets the same key.

        Args:
            tasks: Each task, with its slots.
            sealed: Whether the object is encrypted.
        """
        text = "/".join(cls.of(task_id, slots).encode() for task_id, slots in tasks)
        return cls(None, f"j{_digest(text)}", sealed)

    def hidden(self, names: NameHasher | Short) -> WritesLeaf:
        """Return the leaf as keys have it: with hashes of the fields that are secrets, or too long."""
        task = None if self.task is None else names.hide("task_id", self.task)
        slots = self.slots if self.is_special else names.hide("slots", self.slots)
        if isinstance(slots, HashedName):
            slots = f"{'j' if task is None else 'wh'}{slots}"
        return replace(self, task=task, slots=slots)

    def encode(self) -> str:
        """The leaf as a key ends in it."""
        if self.task is None:
            task = ""
        elif isinstance(self.task, HashedName):
            task = f".u{str.__str__(self.task)}"
        else:
            task = f".t{encode_component(self.task, 'task_id')}"
        return f"writes{task}.{self.slots}{'.e' if self.sealed else ''}"


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
        hashed: dict[str, Any] = {
            field: HashedName(fields[letter]) for _, field, _, letter in INDEX if letter in fields
        }
        for letter in "sc":
            if not _NUMBER.fullmatch(named.get(letter, "0")):
                raise ValueError(f"{named[letter]!r} is not a number: not a leaf")
        step, created = (int(named[letter]) if letter in named else None for letter in "sc")
        borrows = "b" in fields
        leaf = CheckpointLeaf(
            *(named.get("p"), named.get("k"), step, named.get("r"), created),
            sealed="e" in fields,
            lends=borrows or "l" in fields,
            borrows=borrows,
        )
        return replace(leaf, **hashed) if hashed else leaf
    if kind == "writes" and "j" in fields:
        return WritesLeaf(None, f"j{fields['j']}", "e" in fields)
    if kind == "writes" and ("t" in fields or "u" in fields):
        slots = ".".join(letter + fields[letter] for letter in "wx" if letter in fields)
        task = decode_component(fields["t"]) if "t" in fields else HashedName(fields["u"])
        return WritesLeaf(task, slots, "e" in fields)
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
        return f"h{_digest(text)}"
    return text


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST]
