"""Conversations of a report, step by step: messages that were added, and tool calls with their results."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

from langgraph_checkpoint_s3.cli.report_steps import Conversation, Graph, Step
from langgraph_checkpoint_s3.text.messages import Message, ToolCall, field_of, parse_message, parse_messages
from langgraph_checkpoint_s3.text.values import to_json

MESSAGES: Final = "messages"
"""LangGraph's name of a conversation. Others are shown with their names."""


@dataclass(eq=False, slots=True)
class Call:
    """A tool call and its result.

    Attributes:
        call: The call.
        result: Its result, if that is on the page.
        step: The step that added the result.
    """

    call: ToolCall
    result: Said | None = None
    step: Step | None = None


@dataclass(eq=False, slots=True)
class Said:
    """A message that a step added.

    Attributes:
        channel: Its conversation.
        message: The message.
        value: The message as it is stored.
        edited: Whether it replaced one with its id.
        calls: Its tool calls.
        beside: For a tool's result, the step where it is shown beside its call.
    """

    channel: str
    message: Message
    value: Any
    edited: bool = False
    calls: list[Call] = field(default_factory=list)
    beside: Step | None = None

    @property
    def failed(self) -> bool:
        """`True` for a tool's error."""
        return bool(field_of(self.value, "status") == "error")

    @property
    def thoughts(self) -> list[str]:
        """The model's thoughts before its answer, if its content has them."""
        parts = field_of(self.value, "content")
        return [
            thought
            for part in (parts if isinstance(parts, (list, tuple)) else ())
            if (kind := field_of(part, "type")) in {"thinking", "reasoning"}
            and isinstance(thought := field_of(part, kind), str)
        ]

    @property
    def model(self) -> str:
        """The model and its tokens, as far as it reported them."""
        name = field_of(field_of(self.value, "response_metadata"), "model_name")
        tokens = tokens_of(self.value)
        told = [f"{tokens[0]:,} → {tokens[1]:,} tokens"] if tokens else []
        return " · ".join([*([name] if isinstance(name, str) else []), *told])


@dataclass(eq=False, slots=True)
class Talk:
    """Changes that a step made to the conversations.

    Attributes:
        said: The messages that it added or edited, `messages` before other conversations.
        removed: The messages that it removed.
    """

    said: list[Said] = field(default_factory=list)
    removed: list[Message] = field(default_factory=list)


def read_talks(graphs: Iterable[Graph], found: dict[str, Talk]) -> None:
    """Read what was said in each step of graphs and their subgraphs.

    Args:
        graphs: The graphs.
        found: Where to put it, by the steps' anchors.
    """
    for graph in graphs:
        for step in graph.steps:  # a parent comes before its children
            found[step.anchor] = _read(step)
        _pair(graph, found)
        for step in graph.steps:
            _show_input_where_it_came_in(step, found)
            read_talks(step.graphs, found)


def _show_input_where_it_came_in(step: Step, found: Mapping[str, Talk]) -> None:
    """Move an input's messages to its own step: LangGraph applies them in the next one."""
    if step.parent is None or step.entry.summary.nodes != ("__start__",):
        return
    before = found.get(step.parent.anchor)
    if before is not None and step.parent.entry.source == "input" and not before.said:
        before.said, found[step.anchor].said = found[step.anchor].said, []


def tokens_of(value: Any) -> tuple[int, int] | None:
    """Return the tokens that a model read and wrote for a message; `None` if it didn't report them."""
    usage = field_of(value, "usage_metadata")
    counts = (field_of(usage, "input_tokens"), field_of(usage, "output_tokens"))
    return counts if all(type(each) is int for each in counts) else None


def _read(step: Step) -> Talk:
    """Read a step's conversations, and compare them with its parent's."""
    talk = Talk()
    values = step.checkpoint.values
    earlier = {} if step.parent is None else step.parent.conversations
    for name in sorted(values, key=lambda name: (name != MESSAGES, name)):
        before = earlier.get(name, Conversation())
        found = None if name.startswith("__") else _conversation(values[name], before)
        if found is None:
            continue
        step.conversations[name] = found
        replaced = dict(zip(before.keys, before.values, strict=True))
        for number in range(_common(values[name], before.values), len(found.keys)):
            key, value, message = found.keys[number], found.values[number], found.messages[number]
            if key not in replaced or not _equal(value, replaced[key]):
                calls = [Call(call) for call in message.calls]
                talk.said.append(Said(name, message, value, edited=key in replaced, calls=calls))
    for name, before in earlier.items():
        kept = set(step.conversations[name].keys) if name in step.conversations else set()
        talk.removed += [
            message for key, message in zip(before.keys, before.messages, strict=True) if key not in kept
        ]
    talk.said += _of_writes(step)
    return talk


def _conversation(values: Any, before: Conversation) -> Conversation | None:
    """Read a channel as a conversation: `None` if it is none. What the parent has, too, isn't read again."""
    if not isinstance(values, (list, tuple)):
        return None
    same = _common(values, before.values)
    fresh = parse_messages(values[same:]) if not same or same < len(values) else []
    if fresh is None:
        return None
    keys = before.keys[:same]
    known = set(keys)
    for message, value in zip(fresh, values[same:], strict=True):
        name = message.id or json.dumps(to_json(value), sort_keys=True)
        key = next(key for number in count() if (key := f"{number} {name}") not in known)
        keys.append(key)
        known.add(key)
    return Conversation([*before.messages[:same], *fresh], list(values), keys)


def _common(values: Sequence[Any], others: Sequence[Any]) -> int:
    """Return how many values two lists have in common at their beginning."""
    pairs = zip(values, others, strict=False)
    return next(
        (number for number, pair in enumerate(pairs) if not _equal(*pair)), min(len(values), len(others))
    )


def _of_writes(step: Step) -> Iterator[Said]:
    """Yield the messages of channels whose value isn't in the state, as LangGraph's delta channels."""
    if step.parent is None or not step.ran:
        return
    for _, name, value in step.parent.checkpoint.pending:
        if name in step.checkpoint.values or name.startswith("__"):
            continue
        for each in value if isinstance(value, (list, tuple)) else [value]:
            if (message := parse_message(each)) is not None:
                yield Said(name, message, each, calls=[Call(call) for call in message.calls])


def _equal(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except Exception:  # noqa: BLE001  # values may be anything, such as arrays that have no truth
        return bool(to_json(one) == to_json(other))


def _pair(graph: Graph, found: Mapping[str, Talk]) -> None:
    """Put the results of tool calls beside the calls: the first result of each that followed it."""
    calls: dict[str, list[tuple[Step, Call]]] = {}
    for step in graph.steps:
        talk = found[step.anchor]
        for said in talk.said:
            for call in said.calls:
                if call.call.id is not None:
                    calls.setdefault(call.call.id, []).append((step, call))
            if said.message.answers is None:
                continue
            path = _ancestors(step)
            for caller, call in calls.get(said.message.answers, ()):
                if call.result is None and caller.anchor in path:
                    call.result, call.step, said.beside = said, step, caller
                    break


def _ancestors(step: Step) -> set[str]:
    """Return the anchors of a step and of those that led to it."""
    found: set[str] = set()
    here: Step | None = step
    while here is not None and here.anchor not in found:
        found.add(here.anchor)
        here = here.parent
    return found
