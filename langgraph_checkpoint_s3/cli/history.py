"""Commands that show a thread over time: its history as a tree, and its new checkpoints."""

from __future__ import annotations

from time import sleep
from typing import TYPE_CHECKING, Annotated

import typer

from langgraph_checkpoint_s3.cli.checkpoints import config_of
from langgraph_checkpoint_s3.cli.options import Limit, OnlyNamespace, Thread, parse_duration
from langgraph_checkpoint_s3.cli.runtime import USAGE, CommandExit, Invocation, styled
from langgraph_checkpoint_s3.text.messages import parse_conversation
from langgraph_checkpoint_s3.text.sanitize import sanitize

if TYPE_CHECKING:
    from langgraph.checkpoint.base import CheckpointTuple

    from langgraph_checkpoint_s3.admin import HistoryEntry


def history(ctx: Invocation, thread: Thread, ns: OnlyNamespace = None, limit: Limit = 100) -> None:
    """Draw a thread's checkpoints as a tree, the newest first, with steps, sources, ages and sizes.

    Each namespace (a subgraph has its own) is drawn by itself. The size is what the checkpoint and its writes
    store. That is less than its state if it borrows from earlier checkpoints.
    """
    found = ctx.admin.history(thread, ns, limit=limit)
    if not found:
        raise ctx.not_found(thread)

    def show() -> None:
        for name in found.namespaces():
            ctx.line(f"namespace {name}" if name else f"thread {thread}", "bold")
            for drawing, entry in found.rows(name):
                row = styled(f"{drawing}  " if entry else drawing.rstrip(), "cyan")
                if entry is not None:
                    row.append(f"{sanitize(entry.checkpoint_id)}  ", style="yellow")
                    row.append(entry.facts(), style="default")
                ctx.print(row)
        if found.more:
            ctx.note(f"There are more than {limit} checkpoints: --limit shows more.")

    ctx.answer({"thread_id": thread, "checkpoints": found.entries, "more": found.more}, show)


def watch(
    ctx: Invocation,
    thread: Thread,
    every: Annotated[str, typer.Option(metavar="TIME", help="How often to poll.")] = "2s",
    count: Annotated[int, typer.Option(min=0, help="Stop after this many checkpoints; 0: never.")] = 0,
) -> None:
    """Follow a running agent: print a line for each new checkpoint in any namespace, until Ctrl-C.

    The latest checkpoint is printed first. A poll is one LIST per 1,000 objects of the thread. With `--json`
    each line is an object.
    """
    from langgraph_checkpoint_s3.admin import HistoryEntry

    pause = parse_duration(every).total_seconds()
    if not pause:
        raise CommandExit(USAGE, "--every must be at least 1s.")
    waiting = False
    seen: dict[tuple[str, str], int] | None = None  # how many objects each checkpoint had
    shown = 0
    while True:
        objects = {
            (each.checkpoint_ns, each.checkpoint_id): each.objects
            for each in ctx.admin.checkpoint_sizes(thread)
        }
        places = sorted(objects, key=lambda place: place[1])
        if not places and not waiting:
            waiting = True
            ctx.note(f"There is no thread {thread!r} in {ctx.location} yet: waiting for it.")
        if seen is None:
            seen = {place: objects[place] for place in places[:-1]}  # print only the latest
        for place in places:
            before = seen.get(place)
            if before == objects[place]:
                continue
            seen[place] = objects[place]
            found = ctx.saver.get_tuple(config_of(thread, *place))
            if found is None:  # deleted meanwhile
                continue
            entry = HistoryEntry.from_tuple(found)
            # New writes of a checkpoint that was printed matter if a person has to act on them.
            if before is not None and not (entry.interrupts or entry.errors):
                continue
            _print_entry(ctx, entry, found)
            shown += 1
            if shown == count:
                return
        sleep(pause)


def _print_entry(ctx: Invocation, entry: HistoryEntry, found: CheckpointTuple) -> None:
    """Print a checkpoint's facts and the last message of each conversation."""
    if ctx.json:
        ctx.json_line(entry)
        return
    ctx.line(f"{entry.created_at}  {entry.facts()}  {entry.checkpoint_ns}".rstrip())
    for value in found.checkpoint["channel_values"].values():
        if messages := parse_conversation(value):
            role, text = messages[-1]
            ctx.line(f"    {role}: {text.partition(chr(10))[0][:200]}")
