"""A thread as one HTML page, rendered from `report.html.jinja`, `report_svg.jinja` and `report.css`.

The page runs no script and loads nothing: it is HTML, SVG and one style sheet, and its
Content-Security-Policy allows only that style sheet. Links lead to sections of the page, and the style sheet
shows the section that was linked to. Whatever the bucket holds stays text: see `_environment`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import accumulate
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from langgraph_checkpoint_s3.admin import History, HistoryEntry
from langgraph_checkpoint_s3.cli.state_diff import ChannelDiff, diff_states
from langgraph_checkpoint_s3.text.humanize import format_size
from langgraph_checkpoint_s3.text.messages import parse_conversation
from langgraph_checkpoint_s3.text.sanitize import sanitize
from langgraph_checkpoint_s3.text.values import format_value

if TYPE_CHECKING:
    from jinja2 import Environment

MAX_CHARACTERS: Final = 20_000
"""The most characters shown of a value. The page says how many it leaves out."""
MAX_MESSAGES: Final = 200
"""The most messages shown of a conversation, from its end."""
FULL_DETAIL: Final = 100
"""With more checkpoints, less is shown of each but the latest, so that a browser can open the page."""

_SOURCES: Final = frozenset({"input", "loop", "update", "fork"})
_ROLES: Final = frozenset({"human", "user", "ai", "assistant", "tool", "system"})
"""The sources and roles that the style sheet colours. Only these become CSS classes."""

# The graph, in pixels.
_ROW: Final = 28
_COLUMN: Final = 18
_CHARACTER: Final = 7.3
_MAX_LABEL: Final = 48
# The chart, in pixels.
_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 1080, 200, 90, 24

CheckpointRef = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint of the page.

    Attributes:
        entry: Its entry in the history.
        values: Its state, by channel.
        pending: Its pending writes: task, channel, value.
        state_bytes: The serialized state's length.
    """

    entry: HistoryEntry
    values: Mapping[str, Any]
    pending: Sequence[tuple[str, str, Any]]
    state_bytes: int

    @property
    def place(self) -> CheckpointRef:
        """Namespace and id of the checkpoint."""
        return self.entry.place

    @property
    def channels(self) -> list[tuple[str, Any]]:
        """The state's channels by name, conversations first."""
        return sorted(self.values.items(), key=lambda item: (parse_conversation(item[1]) is None, item[0]))


def render(
    thread_id: str,
    checkpoints: Sequence[Checkpoint],
    location: str,
    tiles: Sequence[tuple[str, str, str]],
    left_out: Mapping[str, int] = MappingProxyType({}),
    note: str = "",
) -> str:
    """Render the page.

    Args:
        thread_id: The thread's id.
        checkpoints: Its checkpoints, at least one, every child before its parent.
        location: The bucket and prefix, as a URI.
        tiles: Figures about the thread: each one's label, value with its unit, and a note.
        left_out: The stored bytes of each namespace's older checkpoints, which aren't on the page.
        note: A line about the page.
    """
    # Numbers, so that nothing from the bucket becomes an id.
    anchors = {each.place: f"c{number}" for number, each in enumerate(checkpoints)}
    by_place = {each.place: each for each in checkpoints}
    parents: dict[CheckpointRef, Checkpoint] = {}
    children: dict[CheckpointRef, list[Checkpoint]] = {}
    diffs: dict[CheckpointRef, dict[str, ChannelDiff]] = {}
    for each in checkpoints:
        parent = by_place.get((each.place[0], each.entry.parent_id or ""))
        if parent is not None:
            parents[each.place] = parent
            children.setdefault(parent.place, []).append(each)
            diffs[each.place] = diff_states(parent.values, each.values)
    namespaces = []
    for name in sorted({each.place[0] for each in checkpoints}):
        own = [each for each in checkpoints if each.place[0] == name]
        points = [
            (anchors[each.place], each.entry.checkpoint_id, each.state_bytes, each.entry.bytes)
            for each in reversed(own)
        ]
        namespaces.append(
            {"name": name, "graph": graph(own, anchors, diffs), "chart": chart(points, left_out.get(name, 0))}
        )
    style = style_sheet(len(checkpoints))
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    share = max(FULL_DETAIL, len(checkpoints))
    return (
        _environment()
        .get_template("report.html.jinja")
        .render(
            thread=thread_id.replace("\n", "\\n"),
            location=location,
            tiles=tiles,
            note=note,
            style=style,
            policy=f"default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-{digest}'",
            checkpoints=checkpoints,
            anchors=anchors,
            parents=parents,
            children=children,
            diffs=diffs,
            namespaces=namespaces,
            full={"characters": MAX_CHARACTERS, "messages": MAX_MESSAGES},
            reduced={
                "characters": max(1, MAX_CHARACTERS * FULL_DETAIL // share),
                "messages": max(1, MAX_MESSAGES * FULL_DETAIL // share),
            },
        )
    )


@cache
def _environment() -> Environment:
    """Return the templates' environment, which cleans and escapes every value that it renders."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    def finalize(value: object) -> str:
        return value if isinstance(value, Markup) else sanitize(value, lines=True)

    environment = Environment(
        loader=PackageLoader("langgraph_checkpoint_s3.cli", ""),
        autoescape=True,
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        format_size=format_size,
        format_value=format_value,
        parse_conversation=parse_conversation,
        source_class=_source_class,
        roles=_ROLES,
        fixed="{:.1f}".format,
    )
    return environment


def style_sheet(count: int) -> str:
    """Return the style sheet for a page of `count` checkpoints, as markup.

    It has a rule for each checkpoint, which marks the one that is shown in the graph and the charts. One rule
    with `:has()` would do, but with a thousand checkpoints it takes browsers minutes.
    """
    from markupsafe import Markup

    rules = (f"#c{number}:target ~ * .c{number} {{ fill: var(--here); }}\n" for number in range(count))
    css = files("langgraph_checkpoint_s3.cli").joinpath("report.css").read_text(encoding="utf-8")
    return Markup(css + "".join(rules))  # noqa: S704  # the package's own text


def _source_class(source: object) -> str:
    return source if isinstance(source, str) and source in _SOURCES else "other"


def graph(
    checkpoints: Sequence[Checkpoint],
    anchors: Mapping[CheckpointRef, str],
    diffs: Mapping[CheckpointRef, Mapping[str, ChannelDiff]],
) -> dict[str, Any]:
    """Lay out one namespace's history as a graph, the newest checkpoint first.

    Args:
        checkpoints: The checkpoints of the namespace, every child before its parent.
        anchors: Each checkpoint's anchor.
        diffs: Each checkpoint's differences from its parent, for its tooltip.

    Returns:
        What the macro `graph` of `report_svg.jinja` draws.
    """
    history = History("", tuple(each.entry for each in checkpoints))
    rows = [(row, entry) for row, entry in history.rows(checkpoints[0].place[0]) if entry is not None]
    points = {
        entry.checkpoint_id: (_COLUMN // 2 + 4 + row.index("●") // 2 * _COLUMN, _ROW // 2 + number * _ROW)
        for number, (row, entry) in enumerate(rows)
    }
    text_x = max(x for x, _ in points.values()) + _COLUMN
    lines, dots, longest = [], [], 0
    for checkpoint in checkpoints:
        entry = checkpoint.entry
        x, y = points[entry.checkpoint_id]
        if entry.parent_id in points:
            to_x, to_y = points[entry.parent_id]
            bend = f"V{to_y - _ROW}Q{x} {to_y} {to_x} {to_y}" if x != to_x else f"V{to_y}"
            lines.append(("line", f"M{x} {y}{bend}"))
        elif entry.parent_id is not None:  # it was deleted, or isn't on the page
            lines.append(("line gone", f"M{x} {y}v{_ROW // 2}"))
        label = f"step {entry.step}"[:_MAX_LABEL]
        detail = f" · {entry.source}"[:_MAX_LABEL]
        if entry.bytes is not None:
            detail += f" · {format_size(entry.bytes)}"
        flags = [("asks", " · waits")] if entry.interrupts else []
        flags += [("fails", " · failed")] if entry.errors else []
        longest = max(longest, len(label + detail) + sum(len(flag) for _, flag in flags))
        changed = [f"{name}: {diff.kind}" for name, diff in diffs.get(checkpoint.place, {}).items()]
        dots.append(
            {
                "anchor": anchors[checkpoint.place],
                "tip": "\n".join([entry.checkpoint_id, entry.facts(str(entry.created_at)), *changed]),
                "class": _source_class(entry.source)
                + (" waits" if entry.interrupts else "")
                + (" failed" if entry.errors else ""),
                "x": x,
                "y": y,
                "label": label,
                "detail": detail,
                "flags": flags,
            }
        )
    return {
        "width": int(text_x + longest * _CHARACTER + 8),
        "height": len(rows) * _ROW,
        "row": _ROW,
        "text_x": text_x,
        "lines": lines,
        "dots": dots,
    }


def chart(points: Sequence[tuple[str, str, int, int | None]], before: int = 0) -> dict[str, Any]:
    """Lay out a chart of state sizes, and of the bytes stored by each checkpoint and in all.

    Args:
        points: Each checkpoint's anchor, id, state bytes and stored bytes, the oldest first. The stored bytes
            are `None` if they aren't known, as with hashed names.
        before: The bytes that older checkpoints store, which aren't among the points.

    Returns:
        What the macro `chart` of `report_svg.jinja` draws.
    """
    has_stored = any(stored is not None for *_, stored in points)
    states = [state for _, _, state, _ in points]
    totals = list(accumulate((stored or 0 for *_, stored in points), initial=before))[1:]
    most = max(1, totals[-1], *states)
    step = (_WIDTH - _LEFT) / len(points)
    floor = _HEIGHT - _BOTTOM

    def height(size: int) -> float:
        return round((floor - 10) * size / most, 1)

    def line(sizes: Sequence[int]) -> str:
        return " ".join(
            f"{_LEFT + (number + 0.5) * step:.1f},{floor - height(size):.1f}"
            for number, size in enumerate(sizes)
        )

    bars = []
    for number, (anchor, checkpoint_id, state, stored) in enumerate(points):
        tip = f"{checkpoint_id}\nstate: {format_size(state)}"
        if has_stored:
            tip += f"\nstored: {format_size(stored or 0)}\nstored so far: {format_size(totals[number])}"
        bars.append((anchor, tip, _LEFT + number * step, height(stored or 0)))
    return {
        "width": _WIDTH,
        "height": _HEIGHT,
        "left": _LEFT,
        "floor": floor,
        "step": step,
        "ticks": [(floor - height(size), format_size(size)) for size in (0, int(most * 0.5), most)],
        "bars": bars,
        "lines": [("state", line(states)), *([("sofar", line(totals))] if has_stored else [])],
    }


def chart_svg(points: Sequence[tuple[str, str, int, int | None]]) -> str:
    """Return a chart as SVG, without a page around it."""
    macros: Any = _environment().get_template("report_svg.jinja").module
    return str(macros.chart(chart(points)))
