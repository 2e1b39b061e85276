"""A bar chart as SVG: groups of bars, a bar for each name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from xml.sax.saxutils import escape

_COLOURS: Final = ("#0b6e4f", "#6bbf9c", "#c8553d", "#e8a87c", "#8d99ae", "#2b2d42", "#b9b9b9")
_WIDTH: Final = 760
_BAR: Final = 18
_GAP: Final = 26
_LEFT: Final = 280
_RIGHT: Final = 90
_TOP: Final = 50


def bars(title: str, unit: str, groups: Mapping[str, Mapping[str, float]]) -> str:
    """Draw a chart.

    Args:
        title: The title.
        unit: Unit of the values.
        groups: Values of each group, by name. A name has the same colour in all groups.

    Returns:
        The SVG.
    """
    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    colours = {name: _COLOURS[at % len(_COLOURS)] for at, name in enumerate(names)}
    most = max((value for group in groups.values() for value in group.values()), default=0) or 1
    scale = (_WIDTH - _LEFT - _RIGHT) / most
    parts: list[str] = []
    y = _TOP
    for group, values in groups.items():
        parts.append(_text(12, y + 12, group, weight="bold"))
        for name, value in values.items():
            parts += _bar(y, name, value, scale, colours[name], unit)
            y += _BAR + 4
        y += _GAP
    head = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{y}" '
            f'viewBox="0 0 {_WIDTH} {y}" font-family="sans-serif" font-size="12">'
        ),
        f"<title>{escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{y}" fill="#ffffff"/>',
        _text(12, 26, title, size=15, weight="bold"),
    ]
    return "\n".join([*head, *parts, "</svg>"]) + "\n"


def _bar(y: int, name: str, value: float, scale: float, colour: str, unit: str) -> Sequence[str]:
    width = max(1.0, value * scale)
    return [
        _text(_LEFT - 8, y + 13, name, anchor="end"),
        f'<rect x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR}" fill="{colour}"/>',
        _text(_LEFT + width + 6, y + 13, f"{value:,.3g} {unit}" if value < 100 else f"{value:,.0f} {unit}"),
    ]


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: int = 12, weight: str = "") -> str:
    bold = f' font-weight="{weight}"' if weight else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="#222222"{bold}>'
        f"{escape(text)}</text>"
    )
