"""Differences between two states: by channel, and line by line."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from langgraph_checkpoint_s3.text.messages import parse_conversation
from langgraph_checkpoint_s3.text.values import format_value, to_json

MAX_LINES: Final = 2000
"""The most differing lines to compare. With more, `difflib` may take minutes."""


@dataclass(frozen=True, slots=True)
class ChannelDiff:
    """Difference between two values of a channel.

    Attributes:
        kind: `added`, `removed` or `changed`.
        before: The old value; `None` if the channel was added.
        after: The new value; `None` if the channel was removed.
    """

    kind: str
    before: Any
    after: Any

    def unified(self) -> list[str]:
        """Return the lines of a unified diff, without its header."""
        return _unified_diff(*self._lines())

    def changed_lines(self) -> list[str] | None:
        """Return the lines of a unified diff without `@@` lines; `None` if more than `MAX_LINES` differ."""
        old, new = self._lines()
        # Cut what both begin and end with: most changes are small, and comparing long texts is slow.
        first = 0
        while first < min(len(old), len(new)) and old[first] == new[first]:
            first += 1
        last = 0
        while last < min(len(old), len(new)) - first and old[-1 - last] == new[-1 - last]:
            last += 1
        old, new = old[first : len(old) - last], new[first : len(new) - last]
        if len(old) + len(new) > MAX_LINES:
            return None
        return [line for line in _unified_diff(old, new) if not line.startswith("@")]

    def _lines(self) -> tuple[list[str], list[str]]:
        old = [] if self.kind == "added" else _lines_of(self.before)
        new = [] if self.kind == "removed" else _lines_of(self.after)
        return old, new


def diff_states(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, ChannelDiff]:
    """Return the channels whose values differ, by name."""
    found: dict[str, ChannelDiff] = {}
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if name not in before:
            found[name] = ChannelDiff("added", old, new)
        elif name not in after:
            found[name] = ChannelDiff("removed", old, new)
        elif to_json(old) != to_json(new):
            found[name] = ChannelDiff("changed", old, new)
    return found


def _unified_diff(old: list[str], new: list[str]) -> list[str]:
    return list(difflib.unified_diff(old, new, lineterm="", n=1))[2:]


def _lines_of(value: Any) -> list[str]:
    messages = parse_conversation(value)
    if messages is None:
        return format_value(value).split("\n")
    return "\n".join(f"{role}: {text}" for role, text in messages).split("\n")
