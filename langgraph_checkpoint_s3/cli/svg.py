"""SVG of a thread: its history as a graph that can be clicked, and its sizes as a chart.

Nothing of a bucket is in here but what `safe` has been through.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Final

from langgraph_checkpoint_s3.admin.usage.graph import lanes
from langgraph_checkpoint_s3.admin.usage.history import HistoryEntry
from langgraph_checkpoint_s3.text.humanize import human
from langgraph_checkpoint_s3.text.sanitize import clean

SOURCES: Final = frozenset({"input", "loop", "update", "fork"})
"""Where LangGraph says that a checkpoint comes from. Each has its colour; what else stands there has none."""

_ROW: Final = 28
_COLUMN: Final = 18
_LETTER: Final = 7.3
_LABEL: Final = 48
_WIDE, _HIGH, _LEFT, _UNDER = 1080, 200, 90, 24


def safe(value: object) -> str:
    """A text as HTML shows it: no markup, no control or bidirectional characters."""
    return html.escape(clean(value, lines=True), quote=True)


def graph(entries: Sequence[HistoryEntry], anchors: Mapping[str, str], tips: Mapping[str, str]) -> str:
    """The history, the newest first.

    Args:
        entries: The checkpoints of one namespace, every child before its parent.
        anchors: Where a click leads, by checkpoint; made here, not of what a bucket holds.
        tips: What is told of a checkpoint under the mouse.
    """
    drawn = lanes([(entry.checkpoint_id, entry.parent_id) for entry in entries])
    rows = [(row, name) for row, name in drawn if name is not None]
    at = {
        name: (_COLUMN // 2 + 4 + row.index("●") // 2 * _COLUMN, _ROW // 2 + number * _ROW)
        for number, (row, name) in enumerate(rows)
    }
    beside = max(x for x, _ in at.values()) + _COLUMN
    lines, dots, longest = [], [], 0
    for entry in entries:
        name, parent = entry.checkpoint_id, entry.parent_id
        x, y = at[name]
        if parent in at:
            to_x, to_y = at[parent]
            bend = f"V{to_y - _ROW}Q{x} {to_y} {to_x} {to_y}" if x != to_x else f"V{to_y}"
            lines.append(f'<path class="line" d="M{x} {y}{bend}"/>')
        elif parent is not None:  # it was deleted, or isn't among these
            lines.append(f'<path class="line gone" d="M{x} {y}v{_ROW // 2}"/>')
        source = str(entry.source)
        kind = source if source in SOURCES else "other"
        waits = (" waits" if entry.interrupts else "") + (" failed" if entry.errors else "")
        told = [f"step {entry.step}"[:_LABEL], f" · {source}"[:_LABEL]]
        if entry.bytes is not None:
            told[1] += f" · {human(entry.bytes)}"
        flags = [("asks", " · waits")] if entry.interrupts else []
        flags += [("fails", " · failed")] if entry.errors else []
        longest = max(longest, len("".join(told)) + sum(len(flag) for _, flag in flags))
        dots.append(
            f'<a href="#{anchors[name]}"><title>{safe(tips[name])}</title><rect class="row {anchors[name]}" '
            f'x="0" y="{y - _ROW // 2}" width="100%" height="{_ROW}" rx="6"/>'
            f'<circle class="{kind}{waits}" cx="{x}" cy="{y}" r="6"/>'
            f'<text x="{beside}" y="{y + 4}">{safe(told[0])}<tspan class="soft">{safe(told[1])}</tspan>'
            + "".join(f'<tspan class="{each}">{flag}</tspan>' for each, flag in flags)
            + "</text></a>"
        )
    width = int(beside + longest * _LETTER + 8)
    return (
        f'<svg class="graph" width="{width}" height="{len(rows) * _ROW}" '
        f'aria-label="The history, the newest first">{"".join(lines)}{"".join(dots)}</svg>'
    )


def chart(points: Sequence[tuple[str, str, int, int]], *, weighed: bool = True) -> str:
    """State sizes, and what is stored: by each checkpoint, and by all up to it.

    Args:
        points: Of each checkpoint, the oldest first: its anchor, what it is called, its state's bytes, and
            the bytes that it stores.
        weighed: Whether what is stored is known.
    """
    so_far, total = [], 0
    for *_, stored in points:
        total += stored
        so_far.append(total)
    most = max([1, total, *(state for _, _, state, _ in points)])
    step = (_WIDE - _LEFT) / len(points)

    def height(size: int) -> float:
        return round((_HIGH - _UNDER - 10) * size / most, 1)

    def line(kind: str, sizes: Sequence[int]) -> str:
        spots = " ".join(
            f"{_LEFT + (number + 0.5) * step:.1f},{_HIGH - _UNDER - height(size):.1f}"
            for number, size in enumerate(sizes)
        )
        return f'<polyline class="{kind}" points="{spots}"/>'

    parts = []
    for share in (0, 0.5, 1):
        y = _HIGH - _UNDER - height(int(most * share))
        parts.append(
            f'<path class="grid" d="M{_LEFT} {y:.1f}H{_WIDE}"/>'
            f'<text class="axis" x="{_LEFT - 10}" y="{y + 4:.1f}">{human(int(most * share))}</text>'
        )
    for number, (anchor, name, state, stored) in enumerate(points):
        x, tall = _LEFT + number * step, height(stored)
        tip = f"{name}\nstate: {human(state)}"
        if weighed:
            tip += f"\nstored: {human(stored)}\nstored so far: {human(so_far[number])}"
        parts.append(
            f'<a href="#{anchor}"><title>{safe(tip)}</title>'
            f'<rect class="row {anchor}" x="{x:.1f}" y="0" width="{step:.1f}" height="{_HIGH - _UNDER}"/>'
            f'<rect class="bar" x="{x + step * 0.2:.1f}" y="{_HIGH - _UNDER - tall:.1f}" '
            f'width="{step * 0.6:.1f}" height="{tall:.1f}"/></a>'
        )
    parts.append(line("state", [state for _, _, state, _ in points]))
    if weighed:
        parts.append(line("sofar", so_far))
    parts.append(f'<text x="{_LEFT}" y="{_HIGH - 6}">checkpoints, the oldest first</text>')
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDE} {_HIGH}" width="{_WIDE}" height="{_HIGH}" '
        f'aria-label="Bytes of the state, and bytes stored">{"".join(parts)}</svg>'
    )
