"""A history as a tree of lines: as text, and as HTML for notebooks."""

from __future__ import annotations

import html
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Final

from langgraph_checkpoint_s3.text.humanize import format_age, format_size, pluralize, short_ids
from langgraph_checkpoint_s3.text.sanitize import sanitize

if TYPE_CHECKING:
    from langgraph_checkpoint_s3.admin.usage.history import HistoryEntry

Span = tuple[str, str]
"""A kind of text, and the text."""
Row = tuple[str, "HistoryEntry | None"]
"""A row of a tree, and the checkpoint whose `●` is in it."""

STAYS: Final = "●"
GOES: Final = "○"
_CUT: Final = "┆"
_WIDTH: Final = 140
"""The most characters of a line that isn't cut to a terminal's width."""
_MAX_DID: Final = 24
_NUMBERS: Final = frozenset({"age", "size"})
_COLOURS: Final = {"input": "#2e9e5b", "loop": "#2a7ae2", "update": "#b57b00", "fork": "#8a5cd6"}
_STYLES: Final = {
    "graph": "opacity:.6",
    "id": "font-weight:bold",
    "age": "opacity:.6",
    "size": "opacity:.6",
    "pending": "opacity:.6",
    "asked": "opacity:.6",
    "wrote": "opacity:.6",
    "call": "color:#8a5cd6",
    "asks": "color:#b57b00;font-weight:bold",
    "failed": "color:#d1242f;font-weight:bold",
}


def draw_graph(history: Iterable[tuple[str, str | None]]) -> list[tuple[str, str | None]]:
    """Draw a history as columns of lines, one per branch. A column is reused when its branch has ended.

    Args:
        history: Ids with their parents' ids, every child before its parent.

    Returns:
        The rows: their text, and the id they belong to. It is `None` if branches only join (`├─╯`), or end
        because a parent isn't in the history (`┆`).
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
        if parent is not None and parent not in known:
            cut = [
                _CUT if number == here[0] else _sign(each, here=False) for number, each in enumerate(columns)
            ]
            graph.append((" ".join(cut), None))
        while columns and columns[-1] is None:
            columns.pop()
    return graph


def _sign(leads_to: str | None, here: bool) -> str:
    if here:
        return STAYS
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


def draw_lines(rows: Sequence[Row], going: Collection[str] = ()) -> list[list[Span]]:
    """Return the rows of a tree as lines in columns. See `History.lines`."""
    entries = [entry for _, entry in rows if entry is not None]
    shown = short_ids(entry.checkpoint_id for entry in entries)
    columns = [_columns(entry, shown[entry.checkpoint_id]) for entry in entries]
    widths = [max(len(text) for _, text in column) for column in zip(*columns, strict=True)]
    cells = iter(columns)
    lines: list[list[Span]] = []
    for drawing, entry in rows:
        if entry is None:
            lines.append([("graph", drawing.rstrip())])
            continue
        goes = entry.checkpoint_id in going
        line = [("graph", drawing.replace(STAYS, GOES) if goes else drawing)]
        for (kind, text), width in zip(next(cells), widths, strict=True):
            if width:
                padded = text.rjust(width) if kind in _NUMBERS else text.ljust(width)
                line.append((kind, f"  {padded}"))
        parts = [*entry.summary.parts, *_pending(entry), *([("goes", "goes")] if goes else [])]
        line += [(kind, f"  {sanitize(text)}") for kind, text in parts]
        line[-1] = (line[-1][0], line[-1][1].rstrip())
        lines.append(line)
    return lines


def _columns(entry: HistoryEntry, shown: str) -> list[Span]:
    did = sanitize(entry.did)
    return [
        ("id", sanitize(shown)),
        ("step", sanitize("" if entry.step is None else f"step {entry.step}")),
        ("age", sanitize(format_age(entry.created_at))),
        ("size", "" if entry.bytes is None else format_size(entry.bytes)),
        ("did", did if len(did) <= _MAX_DID else f"{did[: _MAX_DID - 1]}…"),
    ]


def _pending(entry: HistoryEntry) -> list[Span]:
    if not entry.pending_writes or entry.interrupts or entry.errors:  # what waits or failed says more
        return []
    writes = pluralize(entry.pending_writes, "write").replace(" ", " pending ")
    return [("pending", f"{writes} of {pluralize(entry.pending_tasks, 'task')}")]


def line_text(line: Iterable[Span]) -> str:
    """Return a line as text, cut at 140 characters."""
    return "".join(text for _, text in cut_line(line))


def cut_line(line: Iterable[Span], width: int = _WIDTH) -> list[Span]:
    """Return a line of at most `width` characters, with `…` where it was cut."""
    found: list[Span] = []
    left = width
    for kind, text in line:
        if len(text) > left:
            found.append((kind, f"{text[: max(left - 1, 0)]}…"))
            break
        found.append((kind, text))
        left -= len(text)
    return found


def lines_to_html(rows: Sequence[Row], lines: Iterable[Sequence[Span]]) -> str:
    """Return the lines of a tree as HTML. Whatever they hold stays text."""
    shown = "\n".join(
        "".join(_to_html(kind, text, entry) for kind, text in cut_line(line))
        for (_, entry), line in zip(rows, lines, strict=True)
    )
    return f'<pre style="line-height:1.25;margin:.3em 0 1em;overflow-x:auto">{shown}</pre>'


def _to_html(kind: str, text: str, entry: HistoryEntry | None) -> str:
    style = _STYLES.get(kind, "")
    if entry is None or kind not in {"graph", "id", "age"}:
        return f'<span style="{style}">{html.escape(text)}</span>' if style else html.escape(text)
    if kind == "graph":
        before, dot, after = text.partition(STAYS)
        colour = _COLOURS.get(str(entry.source), "#888888")
        sides = [f'<span style="{style}">{each}</span>' for each in (before, after)]
        return f'<span style="color:{colour}">{dot}</span>'.join(sides)
    title = entry.checkpoint_id if kind == "id" else entry.created_at
    return f'<span style="{style}" title="{html.escape(sanitize(title))}">{html.escape(text)}</span>'
