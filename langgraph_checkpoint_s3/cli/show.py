"""Commands that show checkpoints: the state, how two differ, and what would run next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from langgraph_checkpoint_s3.cli.checkpoints import LATEST, get_checkpoint, resolve
from langgraph_checkpoint_s3.cli.options import MaybeCheckpoint, Namespace, Thread
from langgraph_checkpoint_s3.cli.runtime import NOT_FOUND, USAGE, CommandExit, Invocation, styled
from langgraph_checkpoint_s3.cli.state_diff import diff_states
from langgraph_checkpoint_s3.text.messages import parse_conversation
from langgraph_checkpoint_s3.text.sanitize import sanitize
from langgraph_checkpoint_s3.text.values import format_value

if TYPE_CHECKING:
    from langgraph.checkpoint.base import CheckpointTuple

_ROLE_STYLES: Final = {
    "human": "green",
    "user": "green",
    "ai": "cyan",
    "assistant": "cyan",
    "tool": "magenta",
}
_DIFF_STYLES: Final = {"+": "green", "-": "red", "@": "dim"}


def show(
    ctx: Invocation,
    thread: Thread,
    checkpoint: MaybeCheckpoint = "",
    ns: Namespace = None,
    channel: Annotated[str, typer.Option(help="Only this channel.")] = "",
) -> None:
    """Show a checkpoint's state, channel by channel, and its pending writes.

    A list of messages is shown as a conversation.
    """
    found = get_checkpoint(ctx, thread, ns, checkpoint)
    values = found.checkpoint["channel_values"]
    if channel:
        if channel not in values:
            known = ", ".join(sorted(values)) or "none"
            raise CommandExit(NOT_FOUND, f"The checkpoint has no channel {channel!r}. It has: {known}.")
        values = {channel: values[channel]}
    show_checkpoint(ctx, found, values)


def show_checkpoint(ctx: Invocation, found: CheckpointTuple, values: dict[str, Any] | None = None) -> None:
    """Print a checkpoint.

    Args:
        ctx: The invocation.
        found: The checkpoint.
        values: The channels to print. Default: all.
    """
    values = found.checkpoint["channel_values"] if values is None else values
    configurable: dict[str, Any] = found.config["configurable"]
    metadata: Any = found.metadata or {}
    pending = found.pending_writes or []
    checkpoint_id, created_at = found.checkpoint["id"], found.checkpoint.get("ts")

    def show() -> None:
        step, source = metadata.get("step"), metadata.get("source")
        ctx.line(f"{checkpoint_id}  step {step}  {source}  {created_at}", "bold")
        headed = sorted(values.items())
        headed += [(f"write of task {task} to {name}", value) for task, name, value in pending]
        for heading, value in headed:
            ctx.line("")
            ctx.line(heading, "bold yellow")
            _show_value(ctx, value)

    data = {
        "thread_id": configurable["thread_id"],
        "checkpoint_ns": configurable.get("checkpoint_ns") or "",
        "checkpoint_id": checkpoint_id,
        "created_at": created_at,
        "metadata": found.metadata,
        "channel_values": values,
        "pending_writes": [
            {"task_id": task, "channel": channel, "value": value} for task, channel, value in pending
        ],
    }
    ctx.answer(data, show)


def diff(
    ctx: Invocation,
    thread: Thread,
    a: Annotated[str, typer.Argument(metavar="A", help="The old one. Default: the parent of B.")] = "",
    b: Annotated[str, typer.Argument(metavar="B", help="The new one. Default: the latest.")] = "",
    ns: Namespace = None,
) -> None:
    """Show how the states of two checkpoints of a thread differ, channel by channel."""
    new = get_checkpoint(ctx, thread, ns, b)
    if a:
        old = get_checkpoint(ctx, thread, ns, a)
    elif new.parent_config is None:
        raise CommandExit(
            USAGE, f"{new.checkpoint['id']} has no parent to compare it with: name two checkpoints."
        )
    else:
        parent = ctx.saver.get_tuple(new.parent_config)
        if parent is None:
            raise CommandExit(
                NOT_FOUND, f"The parent of {new.checkpoint['id']} was deleted: name two checkpoints."
            )
        old = parent
    diffs = diff_states(old.checkpoint["channel_values"], new.checkpoint["channel_values"])

    def show() -> None:
        ctx.line(f"--- {old.checkpoint['id']}", "red")
        ctx.line(f"+++ {new.checkpoint['id']}", "green")
        for name, each in diffs.items():
            ctx.line(f"{name}: {each.kind}", "bold yellow")
            for line in each.unified():
                ctx.line(line, _DIFF_STYLES.get(line[:1], ""))
        if not diffs:
            ctx.line("Their states are equal.")

    changes = {
        name: {"before": each.before, "after": each.after, "change": each.kind}
        for name, each in diffs.items()
    }
    ctx.answer({"a": old.checkpoint["id"], "b": new.checkpoint["id"], "changes": changes}, show)


def resume_point(
    ctx: Invocation, thread: Thread, checkpoint: MaybeCheckpoint = "", ns: Namespace = None
) -> None:
    """Show what would run next from a checkpoint, as far as the stored state tells.

    It is derived from channels that a node hasn't seen, from sends, and from pending writes. That doesn't
    cover a node that has never run and that no edge of LangGraph's `StateGraph` leads to, nor a graph whose
    code has changed since. A checkpoint that is named is continued as LangGraph does with a checkpoint_id:
    all of its tasks run again.
    """
    latest = checkpoint in {"", LATEST}
    steps = ctx.admin.resume_point(
        thread, *((ns or "", None) if latest else resolve(ctx, thread, ns, checkpoint))
    )
    if steps is None:
        raise ctx.not_found(thread, None if latest else checkpoint)

    def show() -> None:
        ctx.line(f"{steps.checkpoint_id}: {steps.state}", "bold")
        for name in steps.next:
            ctx.line(f"  would run: {name}")
        for value in steps.interrupts:
            ctx.line("  waits for an answer to:")
            ctx.block(_indent(format_value(value)))
        for error in steps.errors:
            ctx.line(f"  failed: {error}", "red")
        if steps.done:
            ctx.line(f"  done, and doesn't run again: {', '.join(steps.done)}")
        ctx.line(f"  {steps.unknown}", "dim")

    ctx.answer(steps, show)


def _show_value(ctx: Invocation, value: Any) -> None:
    messages = parse_conversation(value)
    if messages is None:
        ctx.block(_indent(format_value(value)))
        return
    for role, content in messages:
        line = styled(f"  {sanitize(role)}: ", _ROLE_STYLES.get(role.partition(" ")[0].lower(), "bold"))
        line.append(sanitize(_indent(content, "    ").lstrip(), lines=True), style="default")
        ctx.print(line)


def _indent(text: str, by: str = "  ") -> str:
    return "\n".join(by + line for line in text.split("\n"))
