"""Summaries of a graph's steps: nodes, messages, tool calls and questions.

A checkpoint alone doesn't say which nodes led to it. LangGraph notes in `versions_seen` which versions of
channels each node has seen, so the nodes that ran are those whose note differs from the parent's. Nodes that
were sent an input (`Send`) stand in the parent's state.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, NamedTuple

from langgraph.checkpoint.base import CheckpointTuple

from langgraph_checkpoint_s3.admin.usage.task_status import TaskStatus, task_statuses
from langgraph_checkpoint_s3.text.channels import is_reserved
from langgraph_checkpoint_s3.text.messages import Message, parse_message
from langgraph_checkpoint_s3.text.values import to_json

Kind = Literal["said", "call", "wrote", "asks", "asked", "failed"]
"""Kinds of parts of a summary: a message, a tool call, changed channels, a question that waits, one that was
answered, an error."""

MAX_CHARACTERS: Final = 200
"""The most characters of a message, an input, a question or an error in a summary."""

_START: Final = "__start__"
_SENDS: Final = "__pregel_tasks"
_ROLES: Final = frozenset({"human", "user", "ai", "assistant", "system", "tool"})


class _Last(NamedTuple):
    """The last message of a conversation, and how many it has."""

    author: str
    words: str
    calls: tuple[str, ...]
    id: str | None
    length: int


class _Trace(NamedTuple):
    """Data of a checkpoint that is compared with its parent and its children.

    Attributes:
        ran: Whether a step of the graph led to it.
        given: The input that it stores.
        conversations: The last message of each conversation in its state.
        versions: The versions of its channels.
        seen: The versions that each node has seen.
        sends: The nodes that are sent an input.
        written: The last message that its tasks wrote to each channel that isn't in its state.
    """

    ran: bool
    given: _Last | None
    conversations: Mapping[str, _Last]
    versions: Mapping[str, Any]
    seen: Mapping[str, Mapping[str, Any]]
    sends: tuple[str, ...]
    written: Mapping[str, _Last]


@dataclass(frozen=True, slots=True)
class StepSummary:
    """Summary of the step that led to a checkpoint, and of the questions that its tasks asked next.

    Its texts are the first 200 characters, in one line. They are the writer's: clean or escape them.

    Attributes:
        nodes: The nodes that ran, by name; one that was sent several inputs, as often. Empty for an input, an
            update or a fork, and where it can't be told.
        author: The role of the last message that was added, with its name if it has one: `ai`, `tool
            (weather)`. `None` if there is none.
        words: The beginning of its text; of an input without messages, the input.
        calls: The tools that it calls, such as `weather(city="Oslo")`.
        messages: How many messages were added, as far as the conversation's length tells.
        channels: The channels that were changed, without LangGraph's own.
        asks: The questions (interrupts) of the checkpoint's tasks that wait for an answer.
        asked: Those that don't: with ` → ` and the answer, or without one if they were passed over.
        errors: The errors of the checkpoint's tasks that have no result.
    """

    nodes: tuple[str, ...] = ()
    author: str | None = None
    words: str = ""
    calls: tuple[str, ...] = ()
    messages: int = 0
    channels: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    _trace: _Trace | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(cls, found: CheckpointTuple) -> StepSummary:
        """Summarize a step as far as its checkpoint alone tells. `after` says more."""
        checkpoint = found.checkpoint
        values, updated = checkpoint["channel_values"], checkpoint.get("updated_channels")
        pending = found.pending_writes or []
        statuses = task_statuses(pending).values()
        ran = (found.metadata or {}).get("source") == "loop"
        trace = _Trace(
            ran,
            _given(values[_START]) if not ran and _START in values else None,
            dict(_conversations(values)),
            checkpoint["channel_versions"],
            {name: each for name, each in checkpoint["versions_seen"].items() if _is_node(name, each)},
            tuple(map(node_of_send, _listed(values.get(_SENDS)))),
            dict(_written(pending, values)),
        )
        said = (each for name, each in trace.conversations.items() if updated is None or name in updated)
        summary = cls(
            nodes=tuple(sorted(_newest(trace.seen))) if ran else (),
            channels=tuple(_named(updated or ())),
            asks=tuple(shorten(value) for each in statuses if not each.finished for value in each.interrupts),
            asked=tuple(_with_answer(each) for each in statuses if each.finished and each.interrupts),
            errors=tuple(
                shorten(each.error) for each in statuses if each.error is not None and not each.finished
            ),
            _trace=trace,
        )
        return _with(summary, trace.given or next(said, None))

    def after(self, parent: StepSummary) -> StepSummary:
        """Return the summary of a step whose parent's checkpoint is known, too. It is final."""
        here, before = self._trace, parent._trace
        if here is None or before is None:
            return self
        nodes: list[str] = []
        if here.ran:
            changed = Counter(name for name, each in here.seen.items() if before.seen.get(name) != each)
            nodes = sorted((changed | Counter(before.sends)).elements())
        channels = _named(name for name, each in here.versions.items() if before.versions.get(name) != each)
        summary = replace(self, nodes=tuple(nodes), channels=tuple(channels), _trace=None)
        if here.given is not None:
            return summary
        if nodes == [_START]:  # the input said it already
            return _with(summary, None)
        for name, last in here.conversations.items():
            earlier = before.conversations.get(name)
            if _is_new(last, earlier):
                return _with(summary, last, last.length - earlier.length if earlier else 1)
        # A delta channel's value isn't in the checkpoint, but what was added to it is in the writes.
        written = (before.written[name] for name in summary.channels if name in before.written)
        return _with(summary, next(written, None))

    def passed(self) -> StepSummary:
        """Return the summary of a checkpoint that has a child, so that no question waits at it any more."""
        return replace(self, asks=(), asked=self.asked + self.asks)

    @property
    def parts(self) -> list[tuple[Kind, str]]:
        """The summary without the nodes, the most important part first: each part's kind and text."""
        found: list[tuple[Kind, str]] = []
        found += [("failed", f"failed: {error}") for error in self.errors]
        found += [("asks", f"asks: {question}") for question in self.asks]
        more = f" (+{self.messages - 1})" if self.messages > 1 else ""
        if self.words:
            found.append(("said", f"{self.author}: {self.words}{more}" if self.author else self.words))
        found += [("call", f"→ {call}") for call in self.calls]
        if not (self.words or self.calls) and self.channels and self.nodes != (_START,):
            found.append(("wrote", f"set {', '.join(self.channels)}"))
        found += [("asked", f"asked: {question}") for question in self.asked]
        return found


NOTHING_KNOWN: Final = StepSummary()


def _with(summary: StepSummary, last: _Last | None, count: int = 1) -> StepSummary:
    """Return a summary with a last message, or without one."""
    if last is None:
        return replace(summary, author=None, words="", calls=(), messages=0)
    if not last.author:  # an input that isn't a message
        return replace(summary, author=None, words=last.words, calls=(), messages=0)
    return replace(summary, author=last.author, words=last.words, calls=last.calls, messages=max(count, 1))


def shorten(value: Any) -> str:
    """Return a value as one line of at most `MAX_CHARACTERS` characters: a text as it is, or else as JSON."""
    text = value if isinstance(value, str) else json.dumps(to_json(value), ensure_ascii=False)
    line = " ".join(text[: 4 * MAX_CHARACTERS].split())
    if len(line) <= MAX_CHARACTERS and len(text) <= 4 * MAX_CHARACTERS:
        return line
    return f"{line[: MAX_CHARACTERS - 1].rstrip()}…"


def node_of_send(send: Any) -> str:
    """Return the node that a `Send` names. The strict serializer makes it plain data."""
    return str(send.get("node") if isinstance(send, Mapping) else getattr(send, "node", send))


def _is_node(name: str, seen: object) -> bool:
    """Return whether an entry of `versions_seen` is of a node. Others are LangGraph's, such as interrupts."""
    return isinstance(seen, Mapping) and (name == _START or not name.startswith("__"))


def _named(channels: Iterable[str]) -> list[str]:
    """Return the channels that aren't LangGraph's own, in order."""
    return sorted(name for name in channels if not is_reserved(name))


def _newest(seen: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield the nodes that saw the newest version: they ran in the last step, unless all were sent inputs."""
    newest = {name: max(map(_number, each.values())) for name, each in seen.items() if each}
    yield from (name for name, number in newest.items() if number == max(newest.values()))


def _number(version: Any) -> str:
    """Return the part of a version that a step's channels share, to be compared as text."""
    return str(version).partition(".")[0].zfill(32)


def _conversations(values: Mapping[str, Any]) -> Iterator[tuple[str, _Last]]:
    """Yield the last message of each conversation in a state, that of `messages` first."""
    for name in sorted(values, key=lambda name: (name != "messages", name)):
        value = values[name]
        if isinstance(value, (list, tuple)) and value and (message := parse_message(value[-1])):
            yield name, _last_of(message, len(value))


def _last_of(message: Message, count: int) -> _Last:
    calls = tuple(shorten(str(call)) for call in message.calls)
    return _Last(message.author, shorten(message.text), calls, message.id, count)


def _given(value: Any) -> _Last:
    """Return the last message of an input, or what it is if it has none."""
    for name, each in value.items() if isinstance(value, Mapping) else [("", value)]:
        if isinstance(each, str) and name == "messages":
            return _Last("human", shorten(each), (), None, 0)
        if message := _added(each):
            return _last_of(message, 0)
    return _Last("", shorten(value), (), None, 0)


def _added(value: Any) -> Message | None:
    """Return the last message of what was given to a conversation: a message, several, or `(role, text)`."""
    latest = value[-1] if isinstance(value, (list, tuple)) and value else value
    for each in (value, latest):
        if isinstance(each, (list, tuple)) and len(each) == 2 and each[0] in _ROLES:
            return Message(each[0], None, str(each[1]), (), None, None)
    return parse_message(latest)


def _written(
    pending: Iterable[tuple[str, str, Any]], values: Mapping[str, Any]
) -> Iterator[tuple[str, _Last]]:
    """Yield the last message that was written to each channel that isn't in the state."""
    for _, channel, value in pending:
        if channel not in values and not is_reserved(channel) and (message := _added(value)):
            yield channel, _last_of(message, 0)


def _is_new(last: _Last, before: _Last | None) -> bool:
    """Return whether a conversation's last message was added since: not if others were only removed."""
    return before is None or last[:-1] != before[:-1] or last.length > before.length


def _with_answer(status: TaskStatus) -> str:
    """Return a finished task's last question, and the answer if it is stored."""
    answers = [f" → {shorten(status.answers[-1])}"] if status.answers else []
    return "".join([", ".join(map(shorten, status.interrupts)), *answers])


def _listed(value: Any) -> Iterable[Any]:
    return value if isinstance(value, (list, tuple)) else ()
