"""Changes of a channel's value from one checkpoint to the next: the cases of `encoding`."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from langchain_core.messages import AIMessage
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from benchmarks.workloads import Text, words

Change = Callable[[Any, int], Any]
"""Returns the next value, given the current one and its number."""

_STEPS: Final = 10
_FRAMING: Final = 210
"""Approximate bytes that the serializer adds to a message's text."""


@dataclass(frozen=True)
class Case:
    """A value and its changes.

    Attributes:
        name: Name of the case.
        start: Creates a value of about the given size.
        change: Changes the value.
        steps: Number of changes before the measured one.
        written: Whether LangGraph reports the channel as written.
        serde: Creates the serializer.
    """

    name: str
    start: Callable[[int], Any]
    change: Change
    steps: int = _STEPS
    written: bool = True
    serde: Callable[[], SerializerProtocol] = JsonPlusSerializer


class Scrambler:
    """A stand-in for an encrypting serializer: its output looks random and never repeats."""

    def __init__(self) -> None:
        self._inner = JsonPlusSerializer()
        self._chance = random.Random(0)

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """Return random bytes, 32 more than the serialized value has."""
        kind, raw = self._inner.dumps_typed(obj)
        return f"{kind}+aes", self._chance.randbytes(len(raw) + 32)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """Raise `NotImplementedError`."""
        raise NotImplementedError


class _Messages:
    """Lists of messages of at most about 1 kB, and their changes."""

    def __init__(self) -> None:
        self._text: Text = words()
        self._length = 0
        self._made = 0

    def start(self, size: int) -> Sequence[AIMessage]:
        self._length = min(1000, size // 50)
        count = size // (self._length + _FRAMING)
        return [self._message() for _ in range(max(1, count))]

    def append(self, value: Sequence[AIMessage], _: int) -> Sequence[AIMessage]:
        return [*value, self._message()]

    def slide(self, value: Sequence[AIMessage], _: int) -> Sequence[AIMessage]:
        return [*value[1:], self._message()]

    def edit(self, value: Sequence[AIMessage], _: int) -> Sequence[AIMessage]:
        middle = len(value) // 2
        return [*value[:middle], self._message(), *value[middle + 1 :]]

    def edit_all(self, value: Sequence[AIMessage], number: int) -> Sequence[AIMessage]:
        return [each.model_copy(update={"name": f"edited {number:03}"}) for each in value]

    def _message(self) -> AIMessage:
        self._made += 1
        return AIMessage(self._text(self._length), id=f"{self._made:036}")


def _same(value: Any, _: int) -> Any:
    return value


def _text(size: int, number: int = 0) -> str:
    return words(number)(size)


def _bytes(size: int, number: int = 0) -> bytes:
    return random.Random(number).randbytes(size)


def _chat(name: str, change: str, **more: Any) -> Case:
    messages = _Messages()
    return Case(name, messages.start, getattr(messages, change, _same), **more)


CASES: Final[Sequence[Case]] = (
    _chat("not written", "", written=False),
    _chat("written, the same", ""),
    _chat("appended", "append", steps=3),
    _chat("a sliding window", "slide"),
    _chat("edited in the middle", "edit"),
    _chat("edited everywhere", "edit_all"),
    Case("another text", _text, lambda value, number: _text(len(value), number + 1), steps=0),
    Case("other random bytes", _bytes, lambda value, number: _bytes(len(value), number + 1), steps=0),
    _chat("encrypted by the serializer", "append", serde=Scrambler, steps=1),
)
