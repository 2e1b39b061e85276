"""A thread as one HTML page that stands by itself.

The page runs no script and asks for nothing: it is HTML, SVG and one style sheet, and its
Content-Security-Policy allows that style sheet alone. A click follows a link within the page, and the style
sheet shows the section that was linked to. So nothing that a state holds can do more than be read, and every
text goes through `safe` besides.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from langgraph_checkpoint_s3.admin.usage.history import HistoryEntry, Place
from langgraph_checkpoint_s3.cli.state_diff import Change, changes
from langgraph_checkpoint_s3.cli.style import style
from langgraph_checkpoint_s3.cli.svg import SOURCES, chart, graph, safe
from langgraph_checkpoint_s3.cli.values import conversation, pretty
from langgraph_checkpoint_s3.text.humanize import human

MOST_LETTERS: Final = 20_000
"""Of a longer value the rest is left out, and the page says so."""
MOST_MESSAGES: Final = 200
"""Of a longer conversation the earlier ones are left out, and the page says so."""
FULL: Final = 100
"""With more checkpoints, fewer letters and messages of each but the latest: a page must open in a browser."""
_ROLES: Final = frozenset({"human", "user", "ai", "assistant", "tool", "system"})

_PENDING: Final = {"__interrupt__": "asked", "__error__": "broke"}


@dataclass(frozen=True, slots=True)
class Moment:
    """A checkpoint as the page shows it.

    Attributes:
        entry: What is told of it.
        values: Its state, by channel.
        pending: Its pending writes: task, channel, value.
        state_bytes: The length of its state, serialized.
    """

    entry: HistoryEntry
    values: Mapping[str, Any]
    pending: Sequence[tuple[str, str, Any]]
    state_bytes: int

    @property
    def place(self) -> Place:
        """Its namespace and id."""
        return self.entry.place


@dataclass(frozen=True, slots=True)
class Figure:
    """A number about the thread as a whole.

    Attributes:
        what: What it is of.
        number: The number, with its unit.
        note: What else is to be said of it.
    """

    what: str
    number: str
    note: str


def page(
    thread: str, moments: Sequence[Moment], place: str, figures: Sequence[Figure], note: str = ""
) -> str:
    """The page.

    Args:
        thread: The thread's id.
        moments: Its checkpoints, one at least, every child before its parent.
        place: Where it is.
        figures: What it takes and costs.
        note: A line about all of it.
    """
    index = _Index(moments)
    name = safe(thread.replace("\n", "\\n"))
    namespaces = {each: [one for one in moments if one.place[0] == each] for each in index.namespaces}
    styled = style(len(moments))
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-"
        + base64.b64encode(hashlib.sha256(styled.encode()).digest()).decode()
        + "'"
    )
    body = [
        f'<header><h1><small>thread</small> {name}</h1><p class="soft">{safe(place)}</p><dl>',
        *(_tile(each) for each in figures),
        f'</dl><p class="note">{safe(note)}</p></header>' if note else "</dl></header>",
        "<main>",
        # The latest is the last, and what is drawn comes after all: a style sheet looks forward only.
        *(_section(each, index, latest=each is moments[0]) for each in reversed(moments)),
        f'<nav aria-label="Checkpoints">{_graphs(namespaces, index)}</nav>',
        f'<div class="charts">{_charts(namespaces, index)}</div></main>',
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{safe(policy)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>thread {name}</title><style>{styled}</style></head>\n<body>{''.join(body)}</body></html>\n"
    )


@dataclass(frozen=True, slots=True)
class _Most:
    """What is shown of a value at most."""

    letters: int
    messages: int

    def cut(self, text: str) -> tuple[str, str]:
        """What is shown of a text, and the line about the rest."""
        rest = len(text) - self.letters
        if rest <= 0:
            return text, ""
        return text[: self.letters], f"<p>{rest:,} more characters: `langgraph-s3 show` shows them.</p>"


class _Index:
    """What belongs to each checkpoint, by its place.

    Anchors are numbers: nothing of a bucket becomes an id.
    """

    def __init__(self, moments: Sequence[Moment]) -> None:
        self.anchors = {each.place: f"c{number}" for number, each in enumerate(moments)}
        self.namespaces = sorted({each.place[0] for each in moments})
        self.parents: dict[Place, Moment] = {}
        self.children: dict[Place, list[Moment]] = {}
        self.changes: dict[Place, dict[str, Change]] = {}
        among = max(FULL, len(moments))
        self.most = _Most(MOST_LETTERS * FULL // among, MOST_MESSAGES * FULL // among)
        known = {each.place: each for each in moments}
        for each in moments:
            parent = known.get((each.place[0], each.entry.parent_id or ""))
            if parent is not None:
                self.parents[each.place] = parent
                self.children.setdefault(parent.place, []).append(each)
                self.changes[each.place] = changes(parent.values, each.values)

    def link(self, moment: Moment) -> str:
        """A link to a checkpoint."""
        told = f"step {moment.entry.step}, {moment.entry.source}"
        return (
            f'<a href="#{self.anchors[moment.place]}">{safe(told)}</a> '
            f'<code class="soft">{safe(moment.entry.checkpoint_id)}</code>'
        )


def _tile(figure: Figure) -> str:
    number = f"<dd>{safe(figure.number)}<small>{safe(figure.note)}</small></dd>"
    return f"<div><dt>{safe(figure.what)}</dt>{number}</div>"


def _graphs(namespaces: Mapping[str, Sequence[Moment]], index: _Index) -> str:
    parts = []
    for name, own in namespaces.items():
        anchors = {each.entry.checkpoint_id: index.anchors[each.place] for each in own}
        tips = {each.entry.checkpoint_id: _tip(each, index) for each in own}
        parts.append(f"<h2>{safe(f'Namespace {name}' if name else 'History')}</h2>")
        parts.append(graph([each.entry for each in own], anchors, tips))
    return "".join(parts)


def _tip(moment: Moment, index: _Index) -> str:
    entry = moment.entry
    changed = [f"{name}: {each.kind}" for name, each in index.changes.get(moment.place, {}).items()]
    return "\n".join([entry.checkpoint_id, entry.facts(str(entry.created_at)), *changed])


def _charts(namespaces: Mapping[str, Sequence[Moment]], index: _Index) -> str:
    """The first namespace's chart, and those of others to unfold."""
    parts: list[str] = []
    for name, own in namespaces.items():
        drawn = _figure(own, index)
        if parts:
            drawn = f"<details><summary>{safe(f'Sizes in namespace {name}')}</summary>{drawn}</details>"
        parts.append(drawn)
    return "".join(parts)


def _figure(moments: Sequence[Moment], index: _Index) -> str:
    weighed = any(each.entry.bytes is not None for each in moments)  # not where its name is hashed
    points = [
        (index.anchors[each.place], each.entry.checkpoint_id, each.state_bytes, each.entry.bytes or 0)
        for each in reversed(moments)
    ]
    legend = '<b class="state">the state</b>'
    if weighed:
        legend += '<b class="bar">what each checkpoint stores</b><b class="sofar">stored so far</b>'
    caption = f"<figcaption>Bytes, checkpoint by checkpoint: {legend}</figcaption>"
    return f"<figure>{caption}<div>{chart(points, weighed=weighed)}</div></figure>"


def _section(moment: Moment, index: _Index, *, latest: bool) -> str:
    entry, parent = moment.entry, index.parents.get(moment.place)
    most = _Most(MOST_LETTERS, MOST_MESSAGES) if latest else index.most
    source = str(entry.source)
    tags = [f'<span class="tag {source if source in SOURCES else "other"}">{safe(source)}</span>']
    if entry.interrupts:
        tags.append('<span class="tag waits">waits for an answer</span>')
    if entry.errors:
        tags.append('<span class="tag failed">failed</span>')
    stored = "" if entry.bytes is None else f" · stores {human(entry.bytes)}"
    within = f" in namespace {safe(entry.checkpoint_ns)}" if entry.checkpoint_ns else ""
    parts = [
        f'<section class="{"latest" if latest else "earlier"}" id="{index.anchors[moment.place]}">',
        f'<div class="head"><h2>{safe(f"Step {entry.step}")}</h2>{"".join(tags)}</div>',
        f'<p class="soft"><code class="id">{safe(entry.checkpoint_id)}</code>{within}</p>',
        f'<p class="soft">{safe(f"{entry.created_at} · state {human(moment.state_bytes)}{stored}")}</p>',
    ]
    if parent is not None:
        parts.append(f"<p>Follows {index.link(parent)}</p>")
    elif entry.parent_id is not None:
        parts.append(f"<p>Follows <code>{safe(entry.parent_id)}</code>, which isn't on this page</p>")
    children = index.children.get(moment.place, ())
    then = "Forks into" if len(children) > 1 else "Goes on with"
    parts += [f"<p>{then} {index.link(each)}</p>" for each in children]
    if moment.pending:
        parts.append("<h3>Pending writes</h3>")
        parts += [
            _channel(f"{name} (task {task})", value, most, _PENDING.get(name, ""))
            for task, name, value in moment.pending
        ]
    if parent is not None:
        parts.append(_changed(index.changes[moment.place], most))
    parts.append("<h3>State</h3>")
    spoken = sorted(moment.values.items(), key=lambda each: (conversation(each[1]) is None, each[0]))
    parts += [_channel(name, value, most) for name, value in spoken]
    if not moment.values:
        parts.append('<p class="soft">It holds nothing.</p>')
    return "".join(parts) + "</section>"


def _changed(found: Mapping[str, Change], most: _Most) -> str:
    if not found:
        return "<h3>The same state as its parent</h3>"
    parts = ["<h3>Changed from its parent</h3>"]
    for name, change in found.items():
        lines = change.difference()
        if lines is None:
            shown = "<p>Too many lines differ to show them here.</p>"
        else:
            text, rest = most.cut("\n".join(lines))
            marked = [_marked(line) for line in text.split("\n")]
            shown = f'<pre class="diff">{"".join(marked)}</pre>{rest}'
        tag = f'<span class="tag {change.kind}">{change.kind}</span>'
        parts.append(f"<details open><summary>{safe(name)} {tag}</summary>{shown}</details>")
    return "".join(parts)


def _marked(line: str) -> str:
    kind = {"+": "ins", "-": "del"}.get(line[:1], "span")
    return f"<{kind}>{safe(line)}\n</{kind}>"


def _channel(name: str, value: Any, most: _Most, kind: str = "") -> str:
    said = conversation(value)
    if said is None:
        text, rest = most.cut(pretty(value))
        shown = f"<pre>{safe(text)}</pre>{rest}"
    else:
        earlier = len(said) - most.messages
        shown = (
            f"<p>{earlier:,} earlier messages aren't on this page: `langgraph-s3 show` shows them.</p>"
            if earlier > 0
            else ""
        )
        shown += "".join(_message(*each, most) for each in said[-most.messages :])
    classed = f' class="{kind}"' if kind else ""
    return f"<details{classed} open><summary>{safe(name)}</summary>{shown}</details>"


def _message(who: str, what: str, most: _Most) -> str:
    role = who.partition(" ")[0].lower()
    text, rest = most.cut(what)
    kind = f"said {role}" if role in _ROLES else "said"
    return f'<div class="{kind}"><b>{safe(who)}</b><pre>{safe(text)}</pre>{rest}</div>'
