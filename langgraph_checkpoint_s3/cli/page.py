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

from langgraph_checkpoint_s3.admin.plans.history import HistoryEntry, Place
from langgraph_checkpoint_s3.admin.plans.sizes import human
from langgraph_checkpoint_s3.cli.changes import Change, changes
from langgraph_checkpoint_s3.cli.drawing import chart, graph, safe
from langgraph_checkpoint_s3.cli.style import STYLE
from langgraph_checkpoint_s3.cli.values import conversation, pretty

MOST_LETTERS: Final = 20_000
"""Of a longer value the rest is left out, and the page says so."""
MOST_MESSAGES: Final = 200
"""Of a longer conversation the earlier ones are left out, and the page says so."""
_ROLES: Final = frozenset({"human", "user", "ai", "assistant", "tool", "system"})

_POLICY: Final = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-"
    + base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    + "'"
)


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


def page(thread: str, moments: Sequence[Moment], notes: Sequence[str]) -> str:
    """The page.

    Args:
        thread: The thread's id.
        moments: Its checkpoints, one at least, every child before its parent.
        notes: Lines about the thread as a whole: where it is, what it takes and costs.
    """
    index = _Index(moments)
    title = safe(f"thread {thread}".replace("\n", "\\n"))
    namespaces = {name: [each for each in moments if each.place[0] == name] for name in index.namespaces}
    body = [f"<header><h1>{title}</h1>", *(f"<p>{safe(note)}</p>" for note in notes), "</header>", "<nav>"]
    for name, own in namespaces.items():
        body.append(f"<h2>{safe(f'namespace {name}' if name else 'history')}</h2>")
        anchors = {each.place[1]: index.anchors[each.place] for each in own}
        tips = {each.place[1]: _tip(each, index) for each in own}
        body.append(graph([each.entry for each in own], anchors, tips))
    body.append("</nav><main>")
    for name, own in namespaces.items():
        body.append(_figure(name, own, index))
    body += [_section(each, index, latest=each is moments[0]) for each in moments]
    body.append("</main>")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{safe(_POLICY)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style></head>\n<body>{''.join(body)}</body></html>\n"
    )


class _Index:
    """What belongs to each checkpoint, by its place.

    Anchors are numbers: nothing of a bucket becomes an id.
    """

    def __init__(self, moments: Sequence[Moment]) -> None:
        self.anchors = {each.place: f"c{number}" for number, each in enumerate(moments)}
        self.namespaces = sorted({each.place[0] for each in moments})
        self.parents: dict[Place, Moment] = {}
        self.children: dict[Place, list[Place]] = {}
        self.changes: dict[Place, dict[str, Change]] = {}
        known = {each.place: each for each in moments}
        for each in moments:
            parent = known.get((each.place[0], each.entry.parent_id or ""))
            if parent is not None:
                self.parents[each.place] = parent
                self.children.setdefault(parent.place, []).append(each.place)
                self.changes[each.place] = changes(parent.values, each.values)

    def link(self, place: Place) -> str:
        """A link to a checkpoint."""
        return f'<a href="#{self.anchors[place]}">{safe(place[1])}</a>'


def _when(entry: HistoryEntry) -> str:
    return entry.facts(str(entry.created_at))


def _tip(moment: Moment, index: _Index) -> str:
    changed = [f"{name}: {each.kind}" for name, each in index.changes.get(moment.place, {}).items()]
    return "\n".join([moment.place[1], _when(moment.entry), *changed])


def _figure(namespace: str, moments: Sequence[Moment], index: _Index) -> str:
    weighed = any(each.entry.bytes is not None for each in moments)  # not where its name is hashed
    points = [
        (index.anchors[each.place], each.place[1], each.state_bytes, each.entry.bytes or 0)
        for each in reversed(moments)
    ]
    legend = '<b class="state">the state</b>'
    if weighed:
        legend += ', <b class="bar">what each checkpoint stores</b>, <b class="sofar">stored so far</b>'
    place = safe(f" of namespace {namespace}" if namespace else "")
    caption = f"<figcaption>Bytes{place}: {legend}</figcaption>"
    return f"<figure>{caption}{chart(points, weighed=weighed)}</figure>"


def _section(moment: Moment, index: _Index, *, latest: bool) -> str:
    entry, parent = moment.entry, index.parents.get(moment.place)
    parts = [
        f'<section class="{"latest" if latest else "earlier"}" id="{index.anchors[moment.place]}">',
        f"<h2>{safe(entry.checkpoint_id)}</h2>",
        f"<p>{safe(_when(entry))}  state {human(moment.state_bytes)}</p>",
    ]
    if parent is not None:
        parts.append(f"<p>parent: {index.link(parent.place)}</p>")
    elif entry.parent_id is not None:
        parts.append(f"<p>parent: {safe(entry.parent_id)}, which isn't on this page</p>")
    children = [index.link(each) for each in index.children.get(moment.place, ())]
    if children:
        parts.append(f"<p>{'forks into' if len(children) > 1 else 'then'}: {', '.join(children)}</p>")
    if parent is not None:
        parts.append(_changed(index.changes[moment.place]))
    parts.append("<h3>State</h3>")
    parts += [_channel(name, value) for name, value in sorted(moment.values.items())]
    if moment.pending:
        parts.append("<h3>Pending writes</h3>")
        parts += [_channel(f"{name} (task {task})", value) for task, name, value in moment.pending]
    return "".join(parts) + "</section>"


def _changed(found: Mapping[str, Change]) -> str:
    if not found:
        return "<h3>Equal to its parent</h3>"
    parts = ["<h3>Changed from its parent</h3>"]
    for name, change in found.items():
        lines = change.difference()
        if lines is None:
            shown = "<p>Too many lines differ to show them here.</p>"
        else:
            text, rest = _cut("\n".join(lines))
            marked = [_marked(line) for line in text.split("\n")]
            shown = f'<pre class="diff">{"".join(marked)}</pre>{rest}'
        parts.append(f"<details open><summary>{safe(name)}: {change.kind}</summary>{shown}</details>")
    return "".join(parts)


def _marked(line: str) -> str:
    kind = {"+": "ins", "-": "del"}.get(line[:1], "span")
    return f"<{kind}>{safe(line)}\n</{kind}>"


def _channel(name: str, value: Any) -> str:
    said = conversation(value)
    if said is None:
        text, rest = _cut(pretty(value))
        shown = f"<pre>{safe(text)}</pre>{rest}"
    else:
        earlier = len(said) - MOST_MESSAGES
        shown = f"<p>{earlier:,} earlier messages aren't on this page.</p>" if earlier > 0 else ""
        shown += "".join(_message(*each) for each in said[-MOST_MESSAGES:])
    return f"<details open><summary>{safe(name)}</summary>{shown}</details>"


def _message(who: str, what: str) -> str:
    role = who.partition(" ")[0].lower()
    text, rest = _cut(what)
    kind = f"said {role}" if role in _ROLES else "said"
    return f'<div class="{kind}"><b>{safe(who)}</b><pre>{safe(text)}</pre>{rest}</div>'


def _cut(text: str) -> tuple[str, str]:
    """What is shown of a text, and the line about the rest."""
    rest = len(text) - MOST_LETTERS
    if rest <= 0:
        return text, ""
    return text[:MOST_LETTERS], f"<p>{rest:,} more characters: `langgraph-s3 show` shows them.</p>"
