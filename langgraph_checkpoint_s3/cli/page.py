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

from langgraph_checkpoint_s3.admin.plans.sizes import human
from langgraph_checkpoint_s3.cli.changes import changes
from langgraph_checkpoint_s3.cli.drawing import chart, graph, safe
from langgraph_checkpoint_s3.cli.entries import Entry, facts
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

    entry: Entry
    values: Mapping[str, Any]
    pending: Sequence[tuple[str, str, Any]]
    state_bytes: int


def page(thread: str, moments: Sequence[Moment], notes: Sequence[str]) -> str:
    """The page.

    Args:
        thread: The thread's id.
        moments: Its checkpoints, one at least, every child before its parent.
        notes: Lines about the thread as a whole: where it is, what it takes and costs.
    """
    places = {_place(each): (f"c{number}", each) for number, each in enumerate(moments)}
    title = safe(f"thread {thread}".replace("\n", "\\n"))
    body = [f"<header><h1>{title}</h1>", *(f"<p>{safe(note)}</p>" for note in notes), "</header>"]
    body.append("<nav>")
    for namespace in sorted({each.entry["checkpoint_ns"] for each in moments}):
        own = [each for each in moments if each.entry["checkpoint_ns"] == namespace]
        body.append(f"<h2>{safe(f'namespace {namespace}' if namespace else 'history')}</h2>")
        anchors = {each.entry["checkpoint_id"]: places[_place(each)][0] for each in own}
        tips = {each.entry["checkpoint_id"]: _tip(each, places) for each in own}
        body.append(graph([each.entry for each in own], anchors, tips))
    body.append("</nav><main>")
    body += [_section(each, places, latest=each is moments[0]) for each in moments]
    for namespace in sorted({each.entry["checkpoint_ns"] for each in moments}):
        own = [each for each in reversed(moments) if each.entry["checkpoint_ns"] == namespace]
        points = [
            (places[_place(each)][0], each.entry["checkpoint_id"], each.state_bytes, each.entry["bytes"] or 0)
            for each in own
        ]
        body.append(
            f"<figure><figcaption>Bytes{safe(f' of namespace {namespace}' if namespace else '')}: "
            '<b class="state">the state</b>, <b class="bar">what each checkpoint stores</b>, '
            f'<b class="sofar">stored so far</b></figcaption>{chart(points)}</figure>'
        )
    body.append("</main>")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{safe(_POLICY)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style></head>\n<body>{''.join(body)}</body></html>\n"
    )


_Places = Mapping[tuple[str, str], tuple[str, Moment]]


def _place(moment: Moment) -> tuple[str, str]:
    return moment.entry["checkpoint_ns"], moment.entry["checkpoint_id"]


def _parent(moment: Moment, places: _Places) -> tuple[str, Moment] | None:
    return places.get((moment.entry["checkpoint_ns"], moment.entry["parent_id"]))


def _when(entry: Entry) -> str:
    return facts(entry, str(entry["created_at"]))


def _tip(moment: Moment, places: _Places) -> str:
    parent = _parent(moment, places)
    lines = [moment.entry["checkpoint_id"], _when(moment.entry)]
    if parent is not None:
        lines += [f"{name}: {each.kind}" for name, each in changes(parent[1].values, moment.values).items()]
    return "\n".join(lines)


def _section(moment: Moment, places: _Places, *, latest: bool) -> str:
    anchor, _ = places[_place(moment)]
    entry, parent = moment.entry, _parent(moment, places)
    parts = [
        f'<section id="{anchor}"{" class=" + chr(34) + "latest" + chr(34) if latest else ""}>',
        f"<h2>{safe(entry['checkpoint_id'])}</h2>",
        f"<p>{safe(_when(entry))}  state {human(moment.state_bytes)}</p>",
    ]
    if parent is not None:
        parts.append(f'<p>parent: <a href="#{parent[0]}">{safe(entry["parent_id"])}</a></p>')
    elif entry["parent_id"] is not None:
        parts.append(f"<p>parent: {safe(entry['parent_id'])}, which isn't on this page</p>")
    children = [
        f'<a href="#{name}">{safe(each.entry["checkpoint_id"])}</a>'
        for name, each in places.values()
        if _place(each)[0] == entry["checkpoint_ns"] and each.entry["parent_id"] == entry["checkpoint_id"]
    ]
    if children:
        parts.append(f"<p>{'forks into' if len(children) > 1 else 'then'}: {', '.join(children)}</p>")
    if parent is not None:
        parts.append(_changed(parent[1], moment))
    parts.append("<h3>State</h3>")
    parts += [_channel(name, value) for name, value in sorted(moment.values.items())]
    if moment.pending:
        parts.append("<h3>Pending writes</h3>")
        parts += [_channel(f"{name} (task {task})", value) for task, name, value in moment.pending]
    return "".join(parts) + "</section>"


def _changed(before: Moment, after: Moment) -> str:
    found = changes(before.values, after.values)
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
