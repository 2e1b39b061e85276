"""Commands that show a thread over time: its history as a graph, and what is added to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from time import sleep
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from langgraph_checkpoint_s3.admin.usage.history import HistoryEntry, Place, drawn, entry_of
from langgraph_checkpoint_s3.cli.options import Thread, duration, place
from langgraph_checkpoint_s3.cli.runtime import USAGE, CommandExit, Invocation, command
from langgraph_checkpoint_s3.cli.values import conversation
from langgraph_checkpoint_s3.text.sanitize import clean

if TYPE_CHECKING:
    from langgraph.checkpoint.base import CheckpointTuple


def add(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app, "history", "history customer-42 --limit 20", "Draw a thread's checkpoints, forks and all.")(
        history
    )
    command(
        app, "watch", "watch customer-42 --every 2s", "Follow a running agent, checkpoint by checkpoint."
    )(watch)


def history(
    run: Invocation,
    thread: Thread,
    ns: Annotated[
        str | None, typer.Option("--ns", metavar="NAME", help="One namespace. Default: all.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many checkpoints at most, the newest.")] = 100,
) -> None:
    """Draw a thread's checkpoints, the newest first: forks, steps, sources, ages, sizes, pending writes.

    Each namespace (a subgraph has its own) is drawn by itself. The size is what the checkpoint and its writes
    store, which is less than its state where that borrows from earlier ones.
    """
    found = run.admin.history(thread, ns, limit=limit)
    if not found:
        raise run.not_found(thread)

    def show() -> None:
        for name, entries in found.namespaces().items():
            run.line(clean(f"namespace {name}" if name else f"thread {thread}"), "bold")
            for line in tree(entries):
                run.line(line)
        if found.more:
            run.note(f"There are more than {limit} checkpoints: --limit shows more.")

    run.answer({"thread_id": thread, "checkpoints": found.entries, "more": found.more}, show)


def watch(
    run: Invocation,
    thread: Thread,
    every: Annotated[str, typer.Option(metavar="TIME", help="How often to look.")] = "2s",
    count: Annotated[int, typer.Option(min=0, help="Stop after so many checkpoints; 0: never.")] = 0,
) -> None:
    """Follow a running agent: a line for each checkpoint as it comes, in all namespaces. Ctrl-C ends it.

    The latest checkpoint is shown first. Each look is one LIST per 1,000 objects of the thread. With `--json`
    each line is an object.
    """
    pause = duration(every).total_seconds()
    if not pause:
        raise CommandExit(USAGE, "--every 0s would ask the store without end: write 1s or more.")
    waiting = False
    seen: dict[Place, int] | None = None
    shown = 0
    while True:
        sizes = {
            (each.checkpoint_ns, each.checkpoint_id): each.objects
            for each in run.admin.checkpoint_sizes(thread)
        }
        places = sorted(sizes, key=lambda each: each[1])
        if not places and not waiting:
            waiting = True
            run.note(f"There is no thread {thread!r} in {run.place} yet: waiting for it.")
        if seen is None:  # what is older than the latest is no news
            seen = {each: sizes[each] for each in places[:-1]}
        for each in places:
            before = seen.get(each)
            if before == sizes[each]:
                continue
            seen[each] = sizes[each]
            found = run.saver.get_tuple(place(thread, *each))
            # Writes come after their checkpoint. Those that a person waits for are told then.
            if found is None or (before is not None and not _stopped(entry_of(found))):
                continue
            _follow(run, found)
            shown += 1
            if shown == count:
                return
        sleep(pause)


def _stopped(entry: HistoryEntry) -> bool:
    return bool(entry.interrupts or entry.errors)


def _follow(run: Invocation, found: CheckpointTuple) -> None:
    entry = entry_of(found)
    if run.json:
        run.json_line(entry)
        return
    run.line(f"{clean(entry.created_at)}  {entry.facts()}  {clean(entry.checkpoint_ns)}".rstrip())
    for value in found.checkpoint["channel_values"].values():
        said = conversation(value)
        if said:
            who, what = said[-1]
            run.line(f"    {clean(who)}: {clean(what.partition(chr(10))[0][:200])}")


def tree(entries: Sequence[HistoryEntry]) -> Iterator[Text]:
    """The lines of a namespace's tree, coloured."""
    for drawing, entry in drawn(entries):
        line = Text(f"{drawing}  " if entry else drawing.rstrip(), style="cyan")
        if entry is not None:
            line.append(f"{clean(entry.checkpoint_id)}  ", style="yellow")
            line.append(entry.facts(), style="default")
        yield line
