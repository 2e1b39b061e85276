"""A thread's history, as the command line, its report and notebooks show it."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, overload

from langgraph.checkpoint.base import CheckpointTuple

from langgraph_checkpoint_s3.admin.usage.history_lines import (
    Span,
    draw_graph,
    draw_lines,
    line_text,
    lines_to_html,
)
from langgraph_checkpoint_s3.admin.usage.steps import NOTHING_KNOWN, StepSummary
from langgraph_checkpoint_s3.admin.usage.task_status import task_statuses
from langgraph_checkpoint_s3.admin.usage.usage import checkpoint_sizes
from langgraph_checkpoint_s3.format.ids import time_of_id
from langgraph_checkpoint_s3.format.key_encoding import HashedName
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.list_checkpoints import Listing
from langgraph_checkpoint_s3.plans.plan import Plan, gather
from langgraph_checkpoint_s3.plans.scan import Folder, list_thread
from langgraph_checkpoint_s3.text.humanize import format_age, format_size, pluralize
from langgraph_checkpoint_s3.text.sanitize import sanitize


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """A checkpoint in a history. Its values are the writer's, and not validated.

    Attributes:
        checkpoint_id: Its id.
        checkpoint_ns: Its namespace; the root one is empty.
        parent_id: Its parent's id; `None` if it has none.
        step: LangGraph's number of the step, -1 for an input.
        source: `input`, `loop`, `update` or `fork`.
        created_at: The checkpoint's timestamp, in ISO 8601.
        bytes: The size of its object and its writes', which is less than its state if it borrows. `None` if
            unknown, as with `private_keys`.
        pending_writes: The number of its pending writes: those that no later checkpoint has applied. 0 if it
            has a child.
        pending_tasks: The number of tasks that wrote them.
        interrupts: How many tasks wait for an answer to an interrupt. 0 if it has a child.
        errors: How many tasks failed, and have no result.
        summary: What the step did, and what its tasks asked.
    """

    checkpoint_id: str
    checkpoint_ns: str
    parent_id: str | None
    step: int | None
    source: str | None
    created_at: str | None
    bytes: int | None
    pending_writes: int
    pending_tasks: int
    interrupts: int
    errors: int
    summary: StepSummary = NOTHING_KNOWN

    @classmethod
    def from_tuple(cls, found: CheckpointTuple, stored: int | None = None) -> HistoryEntry:
        """Create an entry from a checkpoint that `S3Saver.list` or `get_tuple` returned, without a child.

        Args:
            found: The checkpoint.
            stored: The bytes that it and its writes store, if known: see `S3Admin.checkpoint_sizes`.
        """
        configurable: dict[str, Any] = found.config["configurable"]
        pending = found.pending_writes or []
        open_ones = [each for each in task_statuses(pending).values() if not each.finished]
        metadata: Any = found.metadata or {}
        return cls(
            checkpoint_id=configurable["checkpoint_id"],
            checkpoint_ns=configurable.get("checkpoint_ns") or "",
            parent_id=found.parent_config["configurable"]["checkpoint_id"] if found.parent_config else None,
            step=metadata.get("step"),
            source=metadata.get("source"),
            created_at=found.checkpoint.get("ts"),
            bytes=stored,
            pending_writes=len(pending),
            pending_tasks=len({write[0] for write in pending}),
            interrupts=sum(bool(each.interrupts) for each in open_ones),
            errors=sum(each.error is not None for each in open_ones),
            summary=StepSummary.of(found),
        )

    def passed(self) -> HistoryEntry:
        """Return the entry of a checkpoint that has a child, so that nothing of it is pending any more."""
        return replace(self, pending_writes=0, pending_tasks=0, interrupts=0, summary=self.summary.passed())

    def after(self, parent: HistoryEntry) -> HistoryEntry:
        """Return the entry with what its parent's tells about the step."""
        return replace(self, summary=self.summary.after(parent.summary))

    @property
    def did(self) -> str:
        """The nodes that ran, such as `tool ×2`; without any, the source of the checkpoint."""
        nodes = Counter(name.removeprefix("__").removesuffix("__") for name in self.summary.nodes)
        names = (name if count == 1 else f"{name} ×{count}" for name, count in nodes.items())
        return ", ".join(names) or str(self.source or "")

    @property
    def place(self) -> tuple[str, str]:
        """Namespace and id of the checkpoint."""
        return self.checkpoint_ns, self.checkpoint_id

    def facts(self, when: str | None = None) -> str:
        """Return a line on the checkpoint, without its id, that is safe for a terminal.

        Args:
            when: The text for its time; by default how long ago it was.
        """
        parts = [f"step {self.step}", str(self.source), when or format_age(self.created_at)]
        if self.bytes is not None:
            parts.append(format_size(self.bytes))
        if self.pending_writes:
            tasks = pluralize(self.pending_tasks, "task")
            writes = pluralize(self.pending_writes, "write").replace(" ", " pending ")
            parts.append(f"{writes} of {tasks}")
        if self.interrupts:
            parts.append(pluralize(self.interrupts, "interrupt"))
        if self.errors:
            parts.append(pluralize(self.errors, "error"))
        return sanitize("  ".join(parts))


@dataclass(frozen=True, slots=True, repr=False)
class History(Sequence[HistoryEntry]):
    """A thread's checkpoints, every child before its parent. It can be printed; notebooks show it as a tree.

    Only a checkpoint without a child has pending writes and interrupts: those of others were applied.

    Attributes:
        thread_id: The thread.
        entries: The checkpoints, the newest first.
        more: Whether there are older ones, which the limit left out.
    """

    thread_id: str
    entries: tuple[HistoryEntry, ...]
    more: bool = False

    def __post_init__(self) -> None:
        known = {entry.place: entry for entry in self.entries}
        parents = {(entry.checkpoint_ns, entry.parent_id) for entry in self.entries}
        told = []
        for entry in self.entries:
            each = entry.passed() if entry.place in parents else entry
            parent = known.get((entry.checkpoint_ns, entry.parent_id or ""))
            told.append(each if parent is None else each.after(parent))
        object.__setattr__(self, "entries", tuple(told))

    @overload
    def __getitem__(self, index: int) -> HistoryEntry: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[HistoryEntry, ...]: ...
    def __getitem__(self, index: int | slice) -> HistoryEntry | tuple[HistoryEntry, ...]:
        """A checkpoint by its number, the newest being 0; or several."""
        return self.entries[index]

    def __len__(self) -> int:
        return len(self.entries)

    def namespaces(self) -> dict[str, list[HistoryEntry]]:
        """The checkpoints of each namespace, the root one first."""
        found: dict[str, list[HistoryEntry]] = {}
        for name in sorted({entry.checkpoint_ns for entry in self.entries}):
            found[name] = [entry for entry in self.entries if entry.checkpoint_ns == name]
        return found

    def rows(self, namespace: str = "") -> list[tuple[str, HistoryEntry | None]]:
        """Draw the checkpoints of one namespace as a tree, the newest first.

        Args:
            namespace: The namespace. Default: the root one.

        Returns:
            Rows of text, equally wide (`● `, `│ ●`, `├─╯`, `┆`), each with the checkpoint whose `●` is in it;
            `None` where branches only join, or end because the parent was deleted or is left out.
        """
        entries = {each.checkpoint_id: each for each in self.entries if each.checkpoint_ns == namespace}
        drawn = draw_graph([(each.checkpoint_id, each.parent_id) for each in entries.values()])
        width = max((len(drawing) for drawing, _ in drawn), default=0)
        return [(drawing.ljust(width), None if name is None else entries[name]) for drawing, name in drawn]

    def lines(self, namespace: str = "", going: Collection[str] = ()) -> list[list[Span]]:
        """Draw the checkpoints of one namespace as lines of text, in columns, the newest first.

        Args:
            namespace: The namespace. Default: the root one.
            going: Ids of checkpoints to mark, with `○`, as ones that are deleted.

        Returns:
            Lines. Each is a list of texts with their kinds: `graph`, `id`, `step`, `age`, `size`, `did` (the
            nodes that ran, or the source), those of `StepSummary.parts`, `pending` and `goes`. They are safe
            for a terminal, and joined they are the line.
        """
        return draw_lines(self.rows(namespace), going)

    def __repr__(self) -> str:
        more = ", and more" if self.more else ""
        return f"<History of {self.thread_id!r}: {pluralize(len(self), 'checkpoint')}{more}>"

    def __str__(self) -> str:
        lines = []
        for name in self.namespaces():
            lines.append(self.heading(name))
            lines += [line_text(line) for line in self.lines(name)]
        return "\n".join(lines) or f"There is no thread {sanitize(self.thread_id)}"

    def _repr_html_(self) -> str:
        """The tree, as a notebook shows it. Whatever a bucket holds stays text."""
        parts = []
        for name in self.namespaces():
            parts.append(f"<b>{html.escape(self.heading(name))}</b>")
            parts.append(lines_to_html(self.rows(name), self.lines(name)))
        if self.more:
            parts.append(f"<i>Older ones than these {pluralize(len(self), 'checkpoint')} are left out.</i>")
        return f"<div>{''.join(parts) or html.escape(str(self))}</div>"

    def heading(self, namespace: str) -> str:
        """Return the line above a namespace's checkpoints."""
        return sanitize(f"namespace {namespace}" if namespace else f"thread {self.thread_id}")


def history(context: Context, thread_id: str, checkpoint_ns: str | None, limit: int | None) -> Plan[History]:
    """Read the history of a thread, or of one of its namespaces, and list it for the sizes."""
    config = {"configurable": {"thread_id": thread_id, "checkpoint_ns": checkpoint_ns}}
    one_more = None if limit is None else limit + 1  # shows whether there are more
    plans: list[Plan[Any]] = [
        _entries(Listing(context, config, None, None, one_more)),
        checkpoint_sizes(context, thread_id),
    ]
    entries, sizes = yield from gather(plans)
    # By folders, since keys may have only a namespace's hash.
    folder = partial(context.layout.checkpoint, thread_id)
    stored = {folder(each.checkpoint_ns, each.checkpoint_id): each.bytes for each in sizes}
    kept = tuple(replace(entry, bytes=stored.get(folder(*entry.place))) for entry in entries[:limit])
    return History(thread_id, kept, len(entries) > len(kept))


def history_of_keys(
    context: Context, thread_id: str, checkpoint_ns: str | None, limit: int | None
) -> Plan[History]:
    """Return the history of a thread, or of one of its namespaces, as its listing tells. Nothing is read."""
    folder = context.layout.thread(thread_id)
    if checkpoint_ns is not None:
        folder = context.layout.namespace(thread_id, checkpoint_ns)
    listed = yield from list_thread(context.layout, folder)
    folders = [each for each in listed if each.checkpoints]
    folders.sort(key=lambda each: each.checkpoint_id, reverse=True)
    entries = tuple(_entry_of_key(each) for each in folders[:limit])
    return History(thread_id, entries, len(folders) > len(entries))


def _entry_of_key(folder: Folder) -> HistoryEntry:
    """Return what the keys of a checkpoint and of its writes tell."""
    leaf = max(folder.leaves, key=lambda each: each.created or 0)  # of an id that was put twice, the later
    time = time_of_id(folder.checkpoint_id) or max(each.modified for each in folder.checkpoints)
    return HistoryEntry(
        checkpoint_id=folder.checkpoint_id,
        checkpoint_ns=folder.place.checkpoint_ns,
        parent_id=leaf.parent,
        step=leaf.step if isinstance(leaf.step, int) else None,
        source=None if isinstance(leaf.source, HashedName) else leaf.source,
        created_at=time.isoformat(),
        bytes=sum(each.size for each in folder.entries),
        pending_writes=0,
        pending_tasks=0,
        interrupts=0,
        errors=0,
    )


def _entries(listing: Listing) -> Plan[list[HistoryEntry]]:
    """Return the entries of a listing. Only one page of states is held at a time."""
    entries: list[HistoryEntry] = []
    while not listing.done:
        entries += [HistoryEntry.from_tuple(found) for found in (yield from listing.page())]
    return entries
