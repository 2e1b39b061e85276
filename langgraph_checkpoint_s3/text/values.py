"""Checkpoint values as JSON and as text."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, Final

from langgraph_checkpoint_s3.text.humanize import format_size

_BYTES: Final = (bytes, bytearray, memoryview)
_MAX_DEPTH: Final = 60
_MAX_LINE: Final = 100
_MAX_INNER_TEXT: Final = 300
_MAGIC: Final = {
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"GIF8": "GIF",
    b"%PDF": "PDF",
    b"PK\x03\x04": "ZIP",
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PAR1": "Parquet",
}
"""The first bytes of well-known formats."""


def to_json(value: Any, depth: int = 0, leaf: Callable[[Any], str] | None = None) -> Any:
    """Convert a value to JSON's types; what has no equivalent becomes its `repr`.

    Args:
        value: The value.
        depth: How deep it is in another one.
        leaf: Returns what is shown of a text or of bytes. By default a text is itself, and bytes are base64.
    """
    if isinstance(value, str):
        return leaf(str(value)) if leaf else str(value)
    if value is None or isinstance(value, (bool, int)):
        return str(value) if type(value) not in {type(None), bool, int} else value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else str(value)  # noqa: PLR0124  # NaN
    if isinstance(value, _BYTES):
        return leaf(value) if leaf else {"base64": base64.b64encode(bytes(value)).decode("ascii")}
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if depth > _MAX_DEPTH:
        return "…"
    convert = partial(to_json, depth=depth + 1, leaf=leaf)
    if isinstance(value, Mapping):
        return {str(key): convert(each) for key, each in value.items()}
    if isinstance(value, AbstractSet):
        return [convert(each) for each in sorted(value, key=repr)]
    if isinstance(value, Sequence):
        return [convert(each) for each in value]
    return _object_to_json(value, convert)


def _object_to_json(value: Any, convert: Callable[[Any], Any]) -> Any:
    names: Sequence[str]
    if callable(getattr(value, "model_dump", None)) and not isinstance(value, type):
        return convert(value.model_dump())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [each.name for each in dataclasses.fields(value) if not each.name.startswith("_")]
    elif type(value).__name__ == "Send" and hasattr(type(value), "__slots__"):  # LangGraph's
        names = [name for name in type(value).__slots__ if hasattr(value, name)]
    else:
        return repr(value)
    return {name: convert(getattr(value, name)) for name in names}


def describe_bytes(value: bytes | bytearray | memoryview) -> str:
    """Return the size and type of bytes: `bytes, 12.0 MB (PNG)`."""
    view = memoryview(value)
    start = bytes(view[:8]) if view.contiguous and view.ndim == 1 else b""
    kind = next((f" ({name})" for magic, name in _MAGIC.items() if start.startswith(magic)), "")
    return f"{type(value).__name__}, {format_size(view.nbytes)}{kind}"


def format_value(value: Any) -> str:
    """Return a value as text: a string as it is, bytes by size and type, anything else as indented JSON."""
    found = to_json(value, leaf=_whole)
    return found if isinstance(value, (str, *_BYTES)) else json.dumps(found, indent=2, ensure_ascii=False)


def preview(value: Any, more: str = "") -> str:
    """Return a value as text of at most 2,000 characters and 40 lines, with its size where it is cut.

    A value that fits in one line is in one. Texts within it are cut at 300 characters.

    Args:
        value: The value.
        more: What stands behind the size, such as how to see the rest.
    """
    if isinstance(value, (str, *_BYTES)):
        return cut(_whole(value), more=more)
    found = to_json(value, leaf=lambda each: cut(_whole(each), _MAX_INNER_TEXT))
    line = json.dumps(found, ensure_ascii=False)
    return line if len(line) <= _MAX_LINE else cut(json.dumps(found, indent=2, ensure_ascii=False), more=more)


def _whole(leaf: Any) -> str:
    return leaf if isinstance(leaf, str) else describe_bytes(leaf)


def cut(text: str, characters: int = 2_000, lines: int = 40, more: str = "") -> str:
    """Return a text, or its beginning and the size of all of it in UTF-8: `… 299.8 kB`."""
    begin, end = text[:characters], ""
    if begin.count("\n") >= lines:
        begin, end = "\n".join(begin.split("\n", lines)[:lines]), "\n"
    if len(begin) == len(text):
        return text
    size = len(text.encode("utf-8", "surrogatepass"))
    return f"{begin.rstrip()}{end}… {format_size(size)}{more}"
