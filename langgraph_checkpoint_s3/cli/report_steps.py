"""The steps of a report: their order, their place in the tree, and the subgraphs that ran in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from langgraph_checkpoint_s3.admin import History, HistoryEntry
from langgraph_checkpoint_s3.text.messages import Message

MAX_DEPTH: Final = 8
"""The deepest nesting of subgraphs in the page. Deeper ones stand behind the others."""
MAX_COLUMNS: Final = 12
"""The most branches that are drawn beside one another."""

Place = tuple[str, str]

_MAX_TITLE: Final = 120
_MAX_NUMBER: Final = 20

_CELLS: Final = {
    "│": "u d",
    "┆": "cut",
    "├": "u d r",
    "╯": "l d",
    "┴": "l r d",
    "┼": "u d l r",
    "─": "l r",
}
"""The classes of a drawing's cells, with which the style sheet draws lines up, down, left and right. A
history is drawn with the newest first, a report with the oldest, so that up and down change places."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint of the page.

    Attributes:
        entry: Its entry in the history.
        values: Its state, by channel.
        pending: What its tasks wrote: task, channel, value.
        state_bytes: The serialized state's length.
        parents: For a subgraph, the ids of the checkpoints that its run belongs to, by namespace.
    """

    entry: HistoryEntry
    values: Mapping[str, Any]
    pending: Sequence[tuple[str, str, Any]] = ()
    state_bytes: int = 0
    parents: object = None


@dataclass(eq=False, slots=True)
class Conversation:
    """A channel that is a list of messages.

    Attributes:
        messages: The messages.
        values: The messages as they are stored.
        keys: What identifies each among them: its id, or else its content.
    """

    messages: list[Message] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)


@dataclass(eq=False, slots=True)
class Step:
    """A step: a checkpoint, and how it lies among the others.

    Attributes:
        anchor: Its id in the page, a number, so that nothing from the bucket becomes an id.
        checkpoint: The checkpoint that it led to.
        parent: The step before it, if that is on the page.
        children: The steps that follow it: several if the thread was forked.
        graphs: The subgraphs that ran in it.
        conversations: The state's conversations, by channel.
        aside: Whether it is on a branch that doesn't lead to the latest step.
        drawing: Its rows of the tree: for each cell its classes. The last row has its dot.
    """

    anchor: str
    checkpoint: Checkpoint
    parent: Step | None = None
    children: list[Step] = field(default_factory=list)
    graphs: list[Graph] = field(default_factory=list)
    conversations: dict[str, Conversation] = field(default_factory=dict)
    aside: bool = False
    drawing: list[list[str]] = field(default_factory=list)

    @property
    def entry(self) -> HistoryEntry:
        """Its checkpoint's entry in the history."""
        return self.checkpoint.entry

    @property
    def number(self) -> str:
        """LangGraph's number of the step."""
        return _cut(str(self.entry.step), _MAX_NUMBER)

    @property
    def title(self) -> str:
        """The nodes that ran; without any, the source of the checkpoint."""
        return _cut(self.entry.did, _MAX_TITLE)

    @property
    def ran(self) -> bool:
        """`True` if its parent's tasks led to it, rather than an input or an update."""
        return self.entry.source == "loop"


@dataclass(eq=False, slots=True)
class Graph:
    """A graph's run, or that of one of its subgraphs: its steps, the oldest first.

    Attributes:
        namespace: Its namespace; the root one is empty.
        steps: Its steps.
        lost: Whether it is a subgraph whose own step isn't on the page.
    """

    namespace: str
    steps: list[Step]
    lost: bool = False

    @property
    def name(self) -> str:
        """The node that the subgraph is, without the task's id."""
        return self.namespace.rpartition("|")[2].partition(":")[0]

    def walk(self) -> Iterator[Step]:
        """Yield its steps and those of its subgraphs, in the order of the page."""
        for step in self.steps:
            yield step
            for graph in step.graphs:
                yield from graph.walk()


def arrange(checkpoints: Sequence[Checkpoint]) -> list[Graph]:
    """Arrange a thread's checkpoints.

    Args:
        checkpoints: The checkpoints, at least one, every child before its parent.

    Returns:
        The graph of the root namespace, or of the first one there is; then subgraphs whose step isn't on the
        page. Other subgraphs are in their steps.
    """
    count = len(checkpoints)
    steps = [Step(f"c{count - number}", each) for number, each in enumerate(checkpoints)][::-1]
    by_place = {step.entry.place: step for step in steps}
    for step in steps:
        step.parent = by_place.get((step.entry.checkpoint_ns, step.entry.parent_id or ""))
        if step.parent is not None:
            step.parent.children.append(step)
    groups: dict[tuple[str, Place | None], list[Step]] = {}
    for step in steps:
        groups.setdefault((step.entry.checkpoint_ns, _owner(step.checkpoint)), []).append(step)
    top: list[Graph] = []
    for (namespace, owner), members in sorted(groups.items(), key=lambda item: item[0][0]):
        _draw(members)
        caller = None if owner is None or namespace.count("|") >= MAX_DEPTH else by_place.get(owner)
        if caller is None:
            top.append(Graph(namespace, members, lost=bool(namespace) and bool(top)))
        else:
            # What ran after the caller's checkpoint led to the next one, if it is there already.
            after = next((child for child in caller.children if child.ran), caller)
            after.graphs.append(Graph(namespace, members))
    return top


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _owner(checkpoint: Checkpoint) -> Place | None:
    """Return the place of the checkpoint whose task a subgraph's checkpoint belongs to."""
    namespace = checkpoint.entry.checkpoint_ns
    if not namespace:
        return None
    parent = namespace.rpartition("|")[0]
    owner = checkpoint.parents.get(parent) if isinstance(checkpoint.parents, Mapping) else None
    return (parent, owner) if isinstance(owner, str) else None


def _draw(steps: Sequence[Step]) -> None:
    """Draw the steps of one graph as a tree, and mark those that don't lead to its latest."""
    by_id = {step.entry.checkpoint_id: step for step in steps}
    step: Step | None = steps[-1]
    path = set()
    while step is not None and step.anchor not in path:
        path.add(step.anchor)
        step = step.parent
    history = History("", tuple(each.entry for each in reversed(steps)))
    above: list[list[str]] = []
    for drawing, entry in reversed(history.rows(steps[0].entry.checkpoint_ns)):
        cut = drawing[: 2 * MAX_COLUMNS]
        if entry is None:
            above.append([_CELLS.get(sign, "") for sign in cut])
            continue
        step = by_id[entry.checkpoint_id]
        step.aside = step.anchor not in path
        up = "u" if step.parent is not None or step.entry.parent_id else ""
        down = "d" if step.children else ""
        step.drawing = [*above, [f"dot {up} {down}" if sign == "●" else _CELLS.get(sign, "") for sign in cut]]
        above = []
