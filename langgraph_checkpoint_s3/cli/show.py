"""Commands that show what a checkpoint holds: its state, how two differ, what would run next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.text import Text

from langgraph_checkpoint_s3.cli.checkpoints import find
from langgraph_checkpoint_s3.cli.next_steps import resume
from langgraph_checkpoint_s3.cli.options import MaybeCheckpoint, Namespace, Thread
from langgraph_checkpoint_s3.cli.runtime import NOT_FOUND, USAGE, CommandExit, Invocation, command
from langgraph_checkpoint_s3.cli.state_diff import changes
from langgraph_checkpoint_s3.cli.values import conversation, pretty
from langgraph_checkpoint_s3.text.sanitize import clean

if TYPE_CHECKING:
    from langgraph.checkpoint.base import CheckpointTuple

_ROLES: Final = {"human": "green", "user": "green", "ai": "cyan", "assistant": "cyan", "tool": "magenta"}
_DIFF: Final = {"+": "green", "-": "red", "@": "dim"}


def add(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(
        app,
        "show",
        "show customer-42 --channel messages",
        "Show a checkpoint's state and its pending writes.",
    )(show)
    command(
        app, "diff", "diff customer-42 latest~2 latest", "Show how the states of two checkpoints differ."
    )(diff)
    command(app, "resume-point", "resume-point customer-42", "Tell what would run next from a checkpoint.")(
        resume_point
    )


def show(
    run: Invocation,
    thread: Thread,
    checkpoint: MaybeCheckpoint = "",
    ns: Namespace = None,
    channel: Annotated[str, typer.Option(help="Only this channel.")] = "",
) -> None:
    """Show a checkpoint's state: messages as a conversation, all else by channel; and its pending writes."""
    found = find(run, thread, ns, checkpoint)
    values = found.checkpoint["channel_values"]
    if channel:
        if channel not in values:
            known = ", ".join(sorted(values)) or "none"
            raise CommandExit(NOT_FOUND, f"The checkpoint has no channel {channel!r}. It has: {known}.")
        values = {channel: values[channel]}
    tell(run, found, values)


def tell(run: Invocation, found: CheckpointTuple, values: dict[str, Any]) -> None:
    """Answer with a checkpoint."""
    configurable: dict[str, Any] = found.config["configurable"]
    pending = found.pending_writes or []
    data = {
        "thread_id": configurable["thread_id"],
        "checkpoint_ns": configurable.get("checkpoint_ns") or "",
        "checkpoint_id": found.checkpoint["id"],
        "created_at": found.checkpoint.get("ts"),
        "metadata": found.metadata,
        "channel_values": values,
        "pending_writes": [
            {"task_id": task, "channel": channel, "value": value} for task, channel, value in pending
        ],
    }

    def shown() -> None:
        metadata: Any = found.metadata or {}
        facts = f"step {metadata.get('step')}  {metadata.get('source')}  {found.checkpoint.get('ts')}"
        run.line(clean(f"{data['checkpoint_id']}  {facts}"), "bold")
        for name, value in sorted(values.items()):
            run.line("")
            run.line(clean(name), "bold yellow")
            _value(run, value)
        for task, name, value in pending:
            run.line("")
            run.line(clean(f"pending write of task {task} to {name}"), "bold yellow")
            _value(run, value)

    run.answer(data, shown)


def diff(
    run: Invocation,
    thread: Thread,
    a: Annotated[str, typer.Argument(metavar="A", help="The one. Default: the other's parent.")] = "",
    b: Annotated[str, typer.Argument(metavar="B", help="The other. Default: the latest.")] = "",
    ns: Namespace = None,
) -> None:
    """Show how the states of two checkpoints of a thread differ, channel by channel."""
    new = find(run, thread, ns, b)
    if a:
        old = find(run, thread, ns, a)
    elif new.parent_config is None:
        raise CommandExit(
            USAGE, f"{new.checkpoint['id']} has no parent to compare it with: name two checkpoints."
        )
    else:
        parent = run.saver.get_tuple(new.parent_config)
        if parent is None:
            raise CommandExit(
                NOT_FOUND, f"The parent of {new.checkpoint['id']} was deleted: name two checkpoints."
            )
        old = parent
    before, after = old.checkpoint["channel_values"], new.checkpoint["channel_values"]
    found = changes(before, after)

    def shown() -> None:
        run.line(clean(f"--- {old.checkpoint['id']}"), "red")
        run.line(clean(f"+++ {new.checkpoint['id']}"), "green")
        for name, change in found.items():
            run.line(clean(f"{name}: {change.kind}"), "bold yellow")
            for line in change.diff():
                run.line(clean(line), _DIFF.get(line[:1], ""))
        if not found:
            run.line("Their states are equal.")

    told = {
        name: {"before": change.before, "after": change.after, "change": change.kind}
        for name, change in found.items()
    }
    run.answer({"a": old.checkpoint["id"], "b": new.checkpoint["id"], "changes": told}, shown)


def resume_point(
    run: Invocation, thread: Thread, checkpoint: MaybeCheckpoint = "", ns: Namespace = None
) -> None:
    """Tell what would run next from a checkpoint, as far as what is stored tells.

    It is read from the channels that have news for a node, from sends, and from pending writes. A node
    that has never run and isn't reached by an edge of LangGraph's `StateGraph` can't be told, nor what a
    graph whose code has changed since would do.
    """
    point = resume(find(run, thread, ns, checkpoint))

    def shown() -> None:
        run.line(clean(f"{point.checkpoint_id}: {point.state}"), "bold")
        for name in point.next:
            run.line(clean(f"  would run: {name}"))
        for question in point.interrupts:
            run.line("  waits for an answer to:")
            run.line(_indented(pretty(question)))
        for error in point.errors:
            run.line(clean(f"  failed: {error}"), "red")
        if point.done:
            tasks = ", ".join(point.done)
            run.line(clean(f"  tasks whose writes are kept, and which don't run again: {tasks}"))
        run.line(f"  {point.unknown}", "dim")

    run.answer(point, shown)


def _value(run: Invocation, value: Any) -> None:
    said = conversation(value)
    if said is None:
        run.line(_indented(pretty(value)))
        return
    for who, what in said:
        line = Text(f"  {clean(who)}: ", style=_ROLES.get(who.partition(" ")[0].lower(), "bold"))
        line.append(clean(_indented(what, "    ").lstrip(), lines=True), style="default")
        run.line(line)


def _indented(text: str, by: str = "  ") -> str:
    return "\n".join(by + line for line in text.split("\n"))
