"""Values of checkpoints for people and for scripts: as JSON, as lines, messages as a conversation."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime, timedelta
from typing import Any, Final

_DEEPEST: Final = 60


def plain(value: Any, depth: int = 0) -> Any:
    """A value in JSON's types. What has no form there is its `repr`."""
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
    if depth > _DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        return {str(key): plain(each, depth + 1) for key, each in value.items()}
    if isinstance(value, AbstractSet):
        return [plain(each, depth + 1) for each in sorted(value, key=repr)]
    if isinstance(value, Sequence):
        return [plain(each, depth + 1) for each in value]
    return _object(value, depth)


def _object(value: Any, depth: int) -> Any:
    if callable(getattr(value, "model_dump", None)) and not isinstance(value, type):
        return plain(value.model_dump(), depth + 1)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [each.name for each in dataclasses.fields(value) if not each.name.startswith("_")]
        return {name: plain(getattr(value, name), depth + 1) for name in fields}
    names = getattr(type(value), "__slots__", ())
    if type(value).__name__ == "Send" and names:
        return {name: plain(getattr(value, name), depth + 1) for name in names if hasattr(value, name)}
    return repr(value)


def pretty(value: Any) -> str:
    """A value in lines, for people."""
    if isinstance(value, str):
        return value
    return json.dumps(plain(value), indent=2, ensure_ascii=False)


def message(value: Any) -> tuple[str, str] | None:
    """Who speaks and what is said, if the value is a message; else `None`."""
    role, content = _field(value, "type") or _field(value, "role"), _field(value, "content")
    if not isinstance(role, str) or not isinstance(content, (str, list)):
        return None
    parts = [content] if isinstance(content, str) else [_part(part) for part in content]
    calls = _field(value, "tool_calls") or ()
    for call in calls if isinstance(calls, (list, tuple)) else ():
        arguments = json.dumps(plain(_field(call, "args")), ensure_ascii=False)
        parts.append(f"→ {_field(call, 'name')}({arguments})")
    name = _field(value, "name")
    return (f"{role} ({name})" if name else role), "\n".join(part for part in parts if part)


def conversation(value: Any) -> list[tuple[str, str]] | None:
    """What is said by whom, if the value is a list of messages; else `None`."""
    if not isinstance(value, (list, tuple)) or not value:
        return None
    said = [message(each) for each in value]
    return None if None in said else [each for each in said if each is not None]


def _field(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)


def _part(part: Any) -> str:
    if isinstance(part, str):
        return part
    text = _field(part, "text")
    return text if isinstance(text, str) else f"[{_field(part, 'type') or type(part).__name__}]"
