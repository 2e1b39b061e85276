"""How two states differ, channel by channel, and line by line."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from langgraph_checkpoint_s3.cli.values import conversation, message, plain, pretty

MOST_LINES: Final = 2000
"""Of more lines that differ no diff is made: it may take minutes."""


@dataclass(frozen=True, slots=True)
class Change:
    """What became of a channel.

    Attributes:
        kind: `added`, `removed` or `changed`.
        before: Its value; `None` if it was added.
        after: Its value; `None` if it was removed.
    """

    kind: str
    before: Any
    after: Any

    def diff(self) -> list[str]:
        """The lines of a unified diff, each beginning with `+`, `-`, `@` or a space."""
        old = [] if self.kind == "added" else _lines(self.before)
        new = [] if self.kind == "removed" else _lines(self.after)
        return list(difflib.unified_diff(old, new, lineterm="", n=1))[2:]

    def difference(self) -> list[str] | None:
        """The lines that are gone and those that came, without what is the same at both ends.

        Returns:
            Lines as of `diff`, without numbers; `None` if they are more than `MOST_LINES`.
        """
        old = [] if self.kind == "added" else _lines(self.before)
        new = [] if self.kind == "removed" else _lines(self.after)
        first = 0
        while first < min(len(old), len(new)) and old[first] == new[first]:
            first += 1
        last = 0
        while last < min(len(old), len(new)) - first and old[-1 - last] == new[-1 - last]:
            last += 1
        old, new = old[first : len(old) - last], new[first : len(new) - last]
        if len(old) + len(new) > MOST_LINES:
            return None
        lines = list(difflib.unified_diff(old, new, lineterm="", n=1))[2:]
        return [line for line in lines if not line.startswith("@")]


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Change]:
    """The channels whose values differ, by name."""
    found: dict[str, Change] = {}
    for name in sorted({*before, *after}):
        was, now = before.get(name), after.get(name)
        if name not in before:
            found[name] = Change("added", was, now)
        elif name not in after:
            found[name] = Change("removed", was, now)
        elif plain(was) != plain(now):
            found[name] = Change("changed", was, now)
    return found


def _lines(value: Any) -> list[str]:
    if conversation(value) is None:
        return pretty(value).split("\n")
    said = [message(each) for each in value]
    return [line for each in said if each is not None for line in f"{each[0]}: {each[1]}".split("\n")]
