"""Checkpoint values as JSON, as text, and messages as a conversation."""

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


def parse_message(value: Any) -> tuple[str, str] | None:
    """Return a message's role and text; `None` if the value is no message."""
    role, content = _field(value, "type") or _field(value, "role"), _field(value, "content")
    if not isinstance(role, str) or not isinstance(content, (str, list)):
        return None
    parts = [content] if isinstance(content, str) else [_part_text(part) for part in content]
    calls = _field(value, "tool_calls")
    for call in calls if isinstance(calls, (list, tuple)) else ():
        arguments = json.dumps(to_json(_field(call, "args")), ensure_ascii=False)
        parts.append(f"→ {_field(call, 'name')}({arguments})")
    name = _field(value, "name")
    return (f"{role} ({name})" if name else role), "\n".join(filter(None, parts))


def parse_conversation(value: Any) -> list[tuple[str, str]] | None:
    """Return the messages' roles and texts; `None` if the value is no list of messages."""
    if not isinstance(value, (list, tuple)) or not value:
        return None
    messages = [message for each in value if (message := parse_message(each)) is not None]
    return messages if len(messages) == len(value) else None


def _field(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)


def _part_text(part: Any) -> str:
    if isinstance(part, str):
        return part
    text = _field(part, "text")
    return text if isinstance(text, str) else f"[{_field(part, 'type') or type(part).__name__}]"
