"""Histories as trees of coloured lines, cut to the terminal's width."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

from langgraph_checkpoint_s3.cli.console import styled
from langgraph_checkpoint_s3.cli.runtime import Invocation

if TYPE_CHECKING:
    from rich.text import Text

    from langgraph_checkpoint_s3.admin import History

_STYLES: Final = {
    "graph": "cyan",
    "id": "yellow",
    "age": "dim",
    "size": "dim",
    "did": "bold",
    "call": "bright_blue",
    "asks": "bold yellow",
    "asked": "dim",
    "failed": "bold red",
    "wrote": "dim",
    "pending": "dim",
}
_ROLES: Final = {
    "human": "green",
    "user": "green",
    "ai": "cyan",
    "assistant": "cyan",
    "tool": "bright_blue",
}


def print_tree(
    ctx: Invocation, history: History, lines: Callable[[str], Iterable[Sequence[tuple[str, str]]]]
) -> None:
    """Print the lines of each namespace of a history, below a heading.

    Args:
        ctx: The invocation.
        history: The history.
        lines: Returns a namespace's lines, as `History.lines` does.
    """
    for name in history.namespaces():
        ctx.line(history.heading(name), "bold")
        for line in lines(name):
            ctx.print(ctx.fit(colour(line)))


def colour(line: Sequence[tuple[str, str]]) -> Text:
    """Return a line of a history in colours. One of a checkpoint that goes is red."""
    goes = any(kind == "goes" for kind, _ in line)
    text = styled("")
    for kind, part in line:
        style = "red" if goes and kind != "graph" else _STYLES.get(kind, "")
        gap = len(part) - len(part.lstrip())
        text.append(part[:gap])
        author, colon, words = part[gap:].partition(":")
        if kind == "said" and colon and (role := role_style(author)):
            text.append(author, style=role)
            text.append(colon + words, style=style)
        else:
            text.append(part[gap:], style=style)
    return text


def role_style(author: str) -> str:
    """Return the style of a message's role, which a name may follow; empty if it has none."""
    return _ROLES.get(author.partition(" ")[0].lower(), "")
