"""A thread as one HTML page, rendered from the templates, the style sheet and the script beside this module.

The page loads nothing, and everything on it can be read without the script, which searches. The page's
Content-Security-Policy allows its own style sheet and script, by their hashes. Whatever the bucket holds
stays text, except Markdown in messages: see `_environment` and `report_markdown`.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cache
from importlib.resources import files
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from langgraph_checkpoint_s3.admin import ResumePoint, TaskStatus, task_statuses
from langgraph_checkpoint_s3.cli.report_markdown import render_markdown
from langgraph_checkpoint_s3.cli.report_messages import MESSAGES, Talk, read_talks, tokens_of
from langgraph_checkpoint_s3.cli.report_steps import Checkpoint, Step, arrange
from langgraph_checkpoint_s3.cli.state_diff import ChannelDiff, diff_states
from langgraph_checkpoint_s3.text.channels import is_reserved
from langgraph_checkpoint_s3.text.humanize import format_size, pluralize
from langgraph_checkpoint_s3.text.sanitize import sanitize
from langgraph_checkpoint_s3.text.values import format_value, to_json

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

T = TypeVar("T")

MAX_CHARACTERS: Final = 20_000
"""The most characters shown of a value. The page says how many it leaves out."""
MAX_PAGE: Final = 2_000_000
"""The most characters of values on a page. Each step gets an equal part, and the latest ten times as much."""
ITEM: Final = 200
"""The characters that a message, a channel or a write counts for, in addition to those that it shows."""
SHORT: Final = 100
"""The most characters of a value that is shown unfolded, in one line."""
MAX_NAMESPACES: Final = 20
_MAX_LINE: Final = 200
_MAX_TIME: Final = 40

_SOURCES: Final = frozenset({"input", "loop", "update", "fork"})
_ROLES: Final = {"human": "human", "user": "human", "ai": "ai", "assistant": "ai", "tool": "tool"}
"""The sources and roles that the style sheet colours. Only these become CSS classes."""

# The chart, in pixels. The page stretches it.
_WIDTH, _HEIGHT = 1000, 160


class Figure(NamedTuple):
    """A figure about the thread: its label, its value with the unit, and a note."""

    label: str
    value: str
    note: str


@dataclass(frozen=True, slots=True)
class Thread:
    """Content of the page.

    Attributes:
        thread_id: Its id.
        location: The bucket and prefix, as a URI.
        checkpoints: Its checkpoints, at least one, every child before its parent.
        point: Where it would continue, if that is known.
        figures: Its storage and costs.
        left_out: The stored bytes of each namespace's older checkpoints, which aren't on the page.
        note: A line about the page.
    """

    thread_id: str
    location: str
    checkpoints: Sequence[Checkpoint]
    point: ResumePoint | None = None
    figures: Sequence[Figure] = ()
    left_out: Mapping[str, int] | None = None
    note: str = ""


class Allowance:
    """Characters of a step's values that may still be shown, so that the page's size is bounded."""

    def __init__(self, characters: int) -> None:
        self.left = characters

    def cut(self, text: str) -> str:
        """Return the beginning of a text, as much as may be shown."""
        shown = text[: max(0, min(MAX_CHARACTERS, self.left))]
        self.left -= len(shown)
        return shown

    def first(self, items: Iterable[T]) -> list[T]:
        """Return the first items, as many as may be shown. Half of what is left stays for their texts."""
        every = list(items)
        shown = every[: max(1, self.left // (2 * ITEM))]
        self.left -= ITEM * len(shown)
        return shown

    def last(self, items: Iterable[T]) -> list[T]:
        """Return the last items, as many as may be shown."""
        return self.first(list(items)[::-1])[::-1]


def render(thread: Thread) -> str:
    """Render the page."""
    graphs = arrange(thread.checkpoints)
    main = graphs[0]
    said: dict[str, Talk] = {}
    read_talks(graphs, said)
    steps = [step for graph in graphs for step in graph.walk()]
    latest = main.steps[-1]
    style, script = _text("report.css"), _text("report.js")
    share = MAX_PAGE // (len(steps) + 10)
    points = [
        (step.anchor, step.entry.checkpoint_id, step.checkpoint.state_bytes, step.entry.bytes)
        for step in main.steps
    ]
    return (
        _environment()
        .get_template("report.html.jinja")
        .render(
            thread=thread,
            title=thread.thread_id.replace("\n", "\\n"),
            style=style,
            script=script,
            policy=(
                "default-src 'none'; base-uri 'none'; form-action 'none'; "
                f"style-src 'sha256-{_digest(style)}'; script-src 'sha256-{_digest(script)}'"
            ),
            graphs=graphs,
            count=len(steps),
            latest=latest,
            forked=any(step.aside for step in steps),
            ends=[step for step in main.steps if step.aside and not step.children],
            said=said,
            tokens=_tokens(said.values()),
            allow=lambda step: Allowance(10 * share if step is latest else share),
            chart=chart(points, (thread.left_out or {}).get(main.namespace, 0)),
            namespaces=_namespaces(thread),
        )
    )


def _tokens(said: Iterable[Talk]) -> tuple[int, int] | None:
    """Return the tokens that models read and wrote in all, as far as they reported them."""
    # A subgraph's messages may be in its caller's conversation, too.
    by_id = {
        each.message.id or id(each): tokens
        for talk in said
        for each in talk.said
        if (tokens := tokens_of(each.value))
    }
    read, written = (sum(each) for each in zip(*by_id.values(), strict=True)) if by_id else (0, 0)
    return (read, written) if by_id else None


def _namespaces(thread: Thread) -> list[tuple[str, int, int]]:
    """Return each namespace's checkpoints and stored bytes, those with the most bytes first."""
    counts = Counter(each.entry.checkpoint_ns for each in thread.checkpoints)
    stored = Counter(thread.left_out or {})
    for each in thread.checkpoints:
        stored[each.entry.checkpoint_ns] += each.entry.bytes or 0
    return sorted(((name, count, stored[name]) for name, count in counts.items()), key=lambda item: -item[2])


def _text(name: str) -> Markup:
    """Return one of the package's own files, as markup."""
    from markupsafe import Markup

    return Markup(files("langgraph_checkpoint_s3.cli").joinpath(name).read_text(encoding="utf-8"))  # noqa: S704  # trusted


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


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
        after=after,
        changes=changes,
        channels=channels,
        fixed="{:.1f}".format,
        format_size=format_size,
        format_value=format_value,
        indent_json=indent_json,
        markdown=render_markdown,
        max_namespaces=MAX_NAMESPACES,
        one_line=one_line,
        pluralize=pluralize,
        role_class=lambda role: _ROLES.get(role.lower(), "other"),
        short=SHORT,
        source_class=lambda source: source if isinstance(source, str) and source in _SOURCES else "other",
        tasks=tasks,
        timeline=timeline,
        when=when,
    )
    return environment


def channels(step: Step) -> tuple[list[tuple[str, Any]], list[str]]:
    """Return a state's channels, conversations first, and the names of LangGraph's own ones."""
    values = step.checkpoint.values
    own = sorted(name for name in values if is_reserved(name))
    rest = sorted(
        values.keys() - own, key=lambda name: (name not in step.conversations, name != MESSAGES, name)
    )
    return [(name, values[name]) for name in rest], own


def changes(step: Step) -> dict[str, ChannelDiff]:
    """Return how a step changed the state, without conversations and LangGraph's own channels.

    An input's step shows the input.
    """
    before, now = ({} if each is None else _plain(each) for each in (step.parent, step))
    found = diff_states(before, now)
    if "__start__" not in now:
        found.pop("__start__", None)
    return found


def _plain(step: Step) -> dict[str, Any]:
    return {
        name: value
        for name, value in step.checkpoint.values.items()
        if name not in step.conversations and (name == "__start__" or not is_reserved(name))
    }


def tasks(step: Step) -> list[TaskStatus]:
    """Return the tasks that ran after a step, and asked or failed."""
    found = task_statuses(step.checkpoint.pending).values()
    return [each for each in found if each.interrupts or (each.error is not None and not each.finished)]


def timeline(step: Step) -> list[str]:
    """Return at most two lines on a step: what was said or changed, and what was asked."""
    parts = step.entry.summary.parts
    lines = [
        " ".join(text for kind, text in parts if kind not in {"asks", "asked"}),
        " ".join(text for kind, text in parts if kind in {"asks", "asked"}),
    ]
    return [line[:_MAX_LINE] for line in lines if line]


def when(step: Step) -> str:
    """Return a step's time, in UTC; as it is stored if it is no time."""
    moment = _moment(step.entry.created_at)
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment else str(step.entry.created_at or "")[:_MAX_TIME]


def after(step: Step) -> str:
    """Return how long a step came after the one before it, such as `+1.2 s`; nothing if that isn't known."""
    moment = _moment(step.entry.created_at)
    before = _moment(step.parent.entry.created_at) if step.parent else None
    if moment is None or before is None:
        return ""
    seconds = (moment - before).total_seconds()
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"+{seconds / length:.0f} {unit}"
    return f"+{seconds:.1f} s"


def _moment(text: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
        return found.astimezone(timezone.utc) if found.tzinfo else found.replace(tzinfo=timezone.utc)
    except (ValueError, OverflowError):  # the writer of the checkpoint may put anything there
        return None


def one_line(value: Any) -> str | None:
    """Return a value that is short as one line; `None` if it isn't short."""
    text = format_value(value)
    if "\n" in text and len(text) <= 4 * SHORT and not isinstance(value, str):
        text = json.dumps(to_json(value), ensure_ascii=False)
    return text if len(text) <= SHORT and "\n" not in text else None


def indent_json(text: str) -> str:
    """Return a tool's answer with indentation if it is JSON of some size; as it is otherwise."""
    if len(text) <= SHORT or len(text) > MAX_CHARACTERS or text[:1] not in "[{":
        return text
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


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
    step = _WIDTH / len(points)

    def height(size: int) -> float:
        return round((_HEIGHT - 10) * size / most, 1)

    def line(sizes: Sequence[int]) -> str:
        return " ".join(
            f"{(number + 0.5) * step:.1f},{_HEIGHT - height(size):.1f}" for number, size in enumerate(sizes)
        )

    bars = []
    for number, (anchor, checkpoint_id, state, stored) in enumerate(points):
        tip = f"{checkpoint_id}\nstate: {format_size(state)}"
        if has_stored:
            tip += f"\nstored: {format_size(stored or 0)}\nstored so far: {format_size(totals[number])}"
        bars.append((anchor, tip, number * step, height(stored or 0)))
    return {
        "width": _WIDTH,
        "height": _HEIGHT,
        "step": step,
        "ticks": [(_HEIGHT - height(size), format_size(size)) for size in (0, int(most * 0.5), most)],
        "bars": bars,
        "lines": [("state", line(states)), *([("sofar", line(totals))] if has_stored else [])],
    }


def chart_svg(points: Sequence[tuple[str, str, int, int | None]]) -> str:
    """Return a chart as SVG, without a page around it."""
    macros: Any = _environment().get_template("report_svg.jinja").module
    return str(macros.chart(chart(points)))
