"""Messages of a chat, as people read them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from langgraph_checkpoint_s3.text.values import to_json


class ToolCall(NamedTuple):
    """A model's call of a tool.

    Attributes:
        name: The tool.
        args: Its arguments, as JSON's types.
        id: The call's id, which its result names; `None` if there is none.
    """

    name: str
    args: Any
    id: str | None

    def __str__(self) -> str:
        """Return the call in one line, such as `weather(city="Oslo")`."""
        if not isinstance(self.args, dict):
            return f"{self.name}({_dumps(self.args)})"
        return f"{self.name}({', '.join(f'{name}={_dumps(value)}' for name, value in self.args.items())})"


class Message(NamedTuple):
    """A message, of LangChain's types or of a mapping like OpenAI's.

    Attributes:
        role: Its type or role, such as `human`, `ai` or `tool`.
        name: The name of its author or tool; `None` if it has none.
        text: Its text. A part that isn't text is named by its type, such as `[image_url]`.
        calls: The tools that it calls.
        answers: The id of the call whose result it is; `None` if it isn't a result.
        id: Its id; `None` if it has none.
    """

    role: str
    name: str | None
    text: str
    calls: tuple[ToolCall, ...]
    answers: str | None
    id: str | None

    @property
    def author(self) -> str:
        """The role, and the name if there is one: `tool (weather)`."""
        return f"{self.role} ({self.name})" if self.name else self.role


def parse_message(value: Any) -> Message | None:
    """Return a value as a message; `None` if it is none."""
    role, content = field_of(value, "type") or field_of(value, "role"), field_of(value, "content")
    if not isinstance(role, str) or not isinstance(content, (str, list)):
        return None
    parts = [content] if isinstance(content, str) else [_part_text(part) for part in content]
    calls = field_of(value, "tool_calls")
    return Message(
        role,
        _text(field_of(value, "name")),
        "\n".join(filter(None, parts)),
        tuple(_parse_call(call) for call in calls) if isinstance(calls, (list, tuple)) else (),
        _text(field_of(value, "tool_call_id")),
        _text(field_of(value, "id")),
    )


def parse_messages(value: Any) -> list[Message] | None:
    """Return a value as messages; `None` if it is no list of messages, or an empty one."""
    if not isinstance(value, (list, tuple)) or not value:
        return None
    messages = [message for each in value if (message := parse_message(each)) is not None]
    return messages if len(messages) == len(value) else None


def parse_conversation(value: Any) -> list[tuple[str, str]] | None:
    """Return the messages' authors, and their texts with tool calls; `None` if it is no list of messages."""
    messages = parse_messages(value)
    if messages is None:
        return None
    return [
        (each.author, "\n".join(filter(None, [each.text, *(f"→ {call}" for call in each.calls)])))
        for each in messages
    ]


def _parse_call(call: Any) -> ToolCall:
    function = field_of(call, "function")  # OpenAI's form, whose arguments are JSON
    if function is None:
        return ToolCall(
            str(field_of(call, "name")), to_json(field_of(call, "args")), _text(field_of(call, "id"))
        )
    args = field_of(function, "arguments")
    try:
        args = json.loads(args)
    except (TypeError, ValueError, RecursionError):
        args = to_json(args)
    return ToolCall(str(field_of(function, "name")), args, _text(field_of(call, "id")))


def _part_text(part: Any) -> str:
    if isinstance(part, str):
        return part
    text = field_of(part, "text")
    return text if isinstance(text, str) else f"[{field_of(part, 'type') or type(part).__name__}]"


def field_of(value: Any, name: str) -> Any:
    """Return a field of a message: an object's attribute, or a mapping's item; `None` if it has none."""
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
