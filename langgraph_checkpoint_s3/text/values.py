"""Checkpoint values as JSON and as text."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime, timedelta
from typing import Any, Final

_MAX_DEPTH: Final = 60


def to_json(value: Any, depth: int = 0) -> Any:
    """Convert a value to JSON's types; what has no equivalent becomes its `repr`."""
    if value is None or isinstance(value, (bool, int, str)):
        return str(value) if type(value) not in {type(None), bool, int} else value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else str(value)  # noqa: PLR0124  # NaN
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"base64": base64.b64encode(bytes(value)).decode("ascii")}
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if depth > _MAX_DEPTH:
        return "…"
    if isinstance(value, Mapping):
        return {str(key): to_json(each, depth + 1) for key, each in value.items()}
    if isinstance(value, AbstractSet):
        return [to_json(each, depth + 1) for each in sorted(value, key=repr)]
    if isinstance(value, Sequence):
        return [to_json(each, depth + 1) for each in value]
    return _object_to_json(value, depth)


def _object_to_json(value: Any, depth: int) -> Any:
    names: Sequence[str]
    if callable(getattr(value, "model_dump", None)) and not isinstance(value, type):
        return to_json(value.model_dump(), depth + 1)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [each.name for each in dataclasses.fields(value) if not each.name.startswith("_")]
    elif type(value).__name__ == "Send" and hasattr(type(value), "__slots__"):  # LangGraph's
        names = [name for name in type(value).__slots__ if hasattr(value, name)]
    else:
        return repr(value)
    return {name: to_json(getattr(value, name), depth + 1) for name in names}


def format_value(value: Any) -> str:
    """Return a value as text: a string as it is, anything else as indented JSON."""
    return value if isinstance(value, str) else json.dumps(to_json(value), indent=2, ensure_ascii=False)
