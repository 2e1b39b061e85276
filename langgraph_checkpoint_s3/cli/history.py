"""Commands that show a thread over time: its history as a tree, and its new checkpoints."""

from __future__ import annotations

from time import sleep
from typing import TYPE_CHECKING, Annotated

import typer

from langgraph_checkpoint_s3.cli.checkpoints import config_of
from langgraph_checkpoint_s3.cli.options import Limit, OnlyNamespace, Thread, parse_duration
from langgraph_checkpoint_s3.cli.runtime import USAGE, CommandExit, Invocation
from langgraph_checkpoint_s3.cli.tree import colour, print_tree
from langgraph_checkpoint_s3.text.sanitize import sanitize

if TYPE_CHECKING:
    from langgraph_checkpoint_s3.admin import HistoryEntry


def history(ctx: Invocation, thread: Thread, ns: OnlyNamespace = None, limit: Limit = 100) -> None:
    """Draw a thread's checkpoints as a tree, the newest first, and say what each step did.

    A line has the end of the checkpoint's id, its step, age and size, the nodes that ran (or the source), and
    the last message, tool calls and questions. Each namespace (a subgraph has its own) is drawn by itself.
    The size is what the checkpoint and its writes store, which is less than its state if it borrows.
    """
    found = ctx.admin.history(thread, ns, limit=limit)
    if not found:
        raise ctx.not_found(thread)

    def show() -> None:
        print_tree(ctx, found, found.lines)
        if found.more:
            ctx.note(f"There are more than {limit} checkpoints: --limit shows more.")

    data = {"thread_id": thread, "checkpoints": found.entries, "more": found.more}
    ctx.answer(data, show, paged=True)


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
    entries: dict[tuple[str, str], HistoryEntry] = {}  # to tell what the steps from them did
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
            entry = entries[place] = HistoryEntry.from_tuple(found)
            if parent := entries.get((place[0], entry.parent_id or "")):
                entry = entry.after(parent)
            # New writes of a checkpoint that was printed matter if a person has to act on them.
            if before is not None and not (entry.interrupts or entry.errors):
                continue
            _print_entry(ctx, entry)
            shown += 1
            if shown == count:
                return
        sleep(pause)


def _print_entry(ctx: Invocation, entry: HistoryEntry) -> None:
    """Print the line of `history` about a checkpoint, with the time instead of the age."""
    from langgraph_checkpoint_s3.admin import History

    if ctx.json:
        ctx.json_line(entry)
        return
    line = History("", (entry,)).lines(entry.checkpoint_ns)[0]
    told = [span for span in line if span[0] not in {"graph", "age"}]
    where = [("pending", f"  {sanitize(entry.checkpoint_ns)}")] if entry.checkpoint_ns else []
    ctx.print(ctx.fit(colour([("age", sanitize(entry.created_at)), *told, *where])))
