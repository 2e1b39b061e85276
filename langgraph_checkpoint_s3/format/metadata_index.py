"""The index of chosen metadata in a checkpoint's key: for each name hashes of it and of its value.

    .i{5 of the name's hash}{19 of the value's}…      the hashes have no key
    .o{5 of the name's hash}{19 of the value's}…      where names are secret: keyed ones

A listing then shows whether a checkpoint has a value, without the value. What a key doesn't say has to be
read: keys that were written without the setting say nothing.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from langgraph_checkpoint_s3.errors import InvalidKeyError
from langgraph_checkpoint_s3.format.key_encoding import utf8
from langgraph_checkpoint_s3.format.name_hashing import NameHasher

INDEX_LETTERS: Final = "io"
"""The leaf's fields: without a key, and keyed."""
MAX_INDEXED: Final = 3
"""The most names. With all of a leaf's other fields hashed, and a UUID as parent, they fit into 255 bytes."""
_NAME: Final = 5
_VALUE: Final = 19
_INDEX: Final = re.compile(rf"[{INDEX_LETTERS}](?:[A-Za-z0-9_-]{{{_NAME + _VALUE}}})+")
_UNKEYED: Final = b"langgraph-checkpoint-s3 1 indexed metadata\0"


def make_index(metadata: Mapping[str, Any], indexed: Collection[str], names: NameHasher | None) -> str:
    """Return the index of metadata: the field's letter, and its content; nothing if there is none.

    Values of other types than text, whole numbers and booleans are left out. A missing one is indexed as
    `None`, which a filter takes for the same.

    Args:
        metadata: The metadata.
        indexed: The names to index.
        names: The hasher of names, if they are secret.
    """
    if not indexed:
        return ""
    tags = index_tags({name: metadata.get(name) for name in indexed}, names)
    return _letter(names) + "".join(f"{tag[1:]}{value}" for tag, value in tags.items()) if tags else ""


def index_tags(values: Mapping[str, Any], names: NameHasher | None) -> dict[str, str]:
    """Return the parts of an index with these values: the letter and the name's hash, with the value's.

    Values that can't be indexed are left out.
    """
    found: dict[str, str] = {}
    for name, value in values.items():
        text = _text(value)
        if text is None or type(name) is not str:
            continue
        try:
            found[_letter(names) + _hash(names, f"name\0{name}")[:_NAME]] = _hash(
                names, f"value\0{name}\0{text}"
            )[:_VALUE]
        except InvalidKeyError:  # a lone surrogate, which has no UTF-8
            continue
    return found


def valid_index(*candidates: str) -> str:
    """Return the first of these fields that is an index; an empty one if none is."""
    return next(filter(_INDEX.fullmatch, candidates), "")


def read_index(index: str) -> dict[str, str]:
    """Return the parts of an index, as `index_tags` does."""
    letter, parts = index[:1], index[1:]
    size = _NAME + _VALUE
    return {
        letter + parts[start : start + _NAME]: parts[start + _NAME : start + size]
        for start in range(0, len(parts), size)
    }


def _letter(names: NameHasher | None) -> str:
    return INDEX_LETTERS[0 if names is None else 1]


def _text(value: object) -> str | None:
    """Return a value as it is hashed. Equal values of different types are the same: `True`, `1` and `1.0`."""
    if value is None:
        return "none"
    if type(value) is str:
        return f"text\0{value}"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return f"number\0{int(value)}" if isinstance(value, int) and type(value) in (int, bool) else None


def _hash(names: NameHasher | None, text: str) -> str:
    if names is not None:
        return str.__str__(names.hash("metadata", text))
    digest = hashlib.sha256(_UNKEYED + utf8(text, "metadata")).digest()
    return base64.urlsafe_b64encode(digest[:24]).decode()
