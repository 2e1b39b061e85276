"""How a channel's value changes from one checkpoint to the next: the cases of `encoding`."""

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
"""Makes the next value of one, given its number. It leaves the old one as it is."""

_STEPS: Final = 10
_FRAMING: Final = 210
"""What the serializer adds to a message's text, roughly."""


@dataclass(frozen=True)
class Case:
    """A value and its changes.

    Attributes:
        name: What the table calls it.
        start: Makes a value of so many bytes, roughly.
        change: Changes it.
        steps: How many changes came before the one that is measured.
        written: Whether LangGraph says that the channel was written.
        serde: Makes the serializer.
    """

    name: str
    start: Callable[[int], Any]
    change: Change
    steps: int = _STEPS
    written: bool = True
    serde: Callable[[], SerializerProtocol] = JsonPlusSerializer


class Scrambler:
    """Stands in for an encrypting serializer: what it makes is never twice the same, and looks random."""

    def __init__(self) -> None:
        self._inner = JsonPlusSerializer()
        self._chance = random.Random(0)

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """As many random bytes as there would be otherwise, and 32."""
        kind, raw = self._inner.dumps_typed(obj)
        return f"{kind}+aes", self._chance.randbytes(len(raw) + 32)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """Nothing: it can't be turned back."""
        raise NotImplementedError


class _Messages:
    """Lists of messages, of at most about 1 kB, and what happens to them."""

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
