"""Draws a history as lines beside its checkpoints, the newest first: a fork is a line of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def lanes(history: Iterable[tuple[str, str | None]]) -> list[tuple[str, str | None]]:
    """The drawing, row by row.

    A line stays in its column; one that has ended leaves it to the next.

    Args:
        history: Ids with their parents', every child before its parent.

    Returns:
        What is drawn in a row, and the id that it belongs to; `None` where lines only join.
    """
    rows = list(history)
    known = {name for name, _ in rows}
    columns: list[str | None] = []  # the id that each line leads to
    drawn: list[tuple[str, str | None]] = []
    for name, parent in rows:
        here = [number for number, each in enumerate(columns) if each == name]
        if len(here) > 1:
            drawn.append((_join(columns, here), None))
            for number in here[1:]:
                columns[number] = None
        if not here:
            if None not in columns:
                columns.append(None)
            here = [columns.index(None)]
            columns[here[0]] = name
        drawn.append((" ".join(_sign(each, each == name) for each in columns).rstrip(), name))
        columns[here[0]] = parent if parent in known else None
        while columns and columns[-1] is None:
            columns.pop()
    return drawn


def _sign(leads_to: str | None, here: bool) -> str:
    if here:
        return "●"
    return " " if leads_to is None else "│"


def _join(columns: Sequence[str | None], here: Sequence[int]) -> str:
    """Lines that end in another one: `├─╯`."""
    text = ""
    for number, leads_to in enumerate(columns):
        within = here[0] < number < here[-1]
        if number == here[0]:
            text += "├"
        elif number in here:
            text += "╯" if number == here[-1] else "┴"
        elif within:
            text += "─" if leads_to is None else "┼"
        else:
            text += _sign(leads_to, here=False)
        text += "─" if here[0] <= number < here[-1] else " "
    return text.rstrip()
