"""Text graph of a history, as `git log --graph` draws it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def draw_graph(history: Iterable[tuple[str, str | None]]) -> list[tuple[str, str | None]]:
    """Draw a history as columns of lines, one per branch. A column is reused when its branch has ended.

    Args:
        history: Ids with their parents' ids, every child before its parent.

    Returns:
        The rows: their text, and the id they belong to (`None` if branches only join).
    """
    rows = list(history)
    known = {name for name, _ in rows}
    columns: list[str | None] = []  # the id that each column leads to
    graph: list[tuple[str, str | None]] = []
    for name, parent in rows:
        here = [number for number, each in enumerate(columns) if each == name]
        if len(here) > 1:
            graph.append((_join(columns, here), None))
            for number in here[1:]:
                columns[number] = None
        if not here:
            if None not in columns:
                columns.append(None)
            here = [columns.index(None)]
            columns[here[0]] = name
        graph.append((" ".join(_sign(each, each == name) for each in columns).rstrip(), name))
        columns[here[0]] = parent if parent in known else None
        while columns and columns[-1] is None:
            columns.pop()
    return graph


def _sign(leads_to: str | None, here: bool) -> str:
    if here:
        return "●"
    return " " if leads_to is None else "│"


def _join(columns: Sequence[str | None], here: Sequence[int]) -> str:
    """Draw columns that end in another one: `├─╯`."""
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
