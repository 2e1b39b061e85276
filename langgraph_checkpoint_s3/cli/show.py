"""Commands that show checkpoints: the state, how two differ, and what would run next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from langgraph_checkpoint_s3.cli.checkpoints import LATEST, get_checkpoint, resolve
from langgraph_checkpoint_s3.cli.console import styled
from langgraph_checkpoint_s3.cli.options import MaybeCheckpoint, Namespace, Thread
from langgraph_checkpoint_s3.cli.runtime import NOT_FOUND, USAGE, CommandExit, Invocation
from langgraph_checkpoint_s3.cli.state_diff import MAX_LINES, ChannelDiff, diff_states
from langgraph_checkpoint_s3.cli.tree import colour, role_style
from langgraph_checkpoint_s3.text.humanize import pluralize, short_ids
from langgraph_checkpoint_s3.text.messages import Message, parse_messages
from langgraph_checkpoint_s3.text.sanitize import sanitize
from langgraph_checkpoint_s3.text.values import cut, format_value, preview

if TYPE_CHECKING:
    from langgraph.checkpoint.base import CheckpointTuple

_DIFF_STYLES: Final = {"+": "green", "-": "red"}
_MAX_MESSAGES: Final = 40
_HOW: Final = ", --full"
"""Stands behind the size of a value that is cut."""
_MAX_DIFF_LINES: Final = 200
_MAX_DIFF_LINE: Final = 500
_WRITES: Final = {
    "__interrupt__": "asked",
    "__resume__": "was answered",
    "__error__": "failed",
}
"""Headings of what tasks write about themselves."""

All = Annotated[bool, typer.Option("--all", help="Also LangGraph's own channels, such as branch:to:….")]
Full = Annotated[bool, typer.Option("--full", help="Whole values. Default: the beginning of long ones.")]


def show(
    ctx: Invocation,
    thread: Thread,
    checkpoint: MaybeCheckpoint = "",
    ns: Namespace = None,
    channel: Annotated[str, typer.Option(help="Only this channel.")] = "",
    all_: All = False,
    full: Full = False,
) -> None:
    """Show a checkpoint: its conversation, the other channels, and what its tasks wrote.

    Of a long value the beginning is shown, with its size; of bytes the size and type; of a conversation the
    last 40 messages. `--json` prints all.
    """
    found = get_checkpoint(ctx, thread, ns, checkpoint)
    values = found.checkpoint["channel_values"]
    if channel:
        if channel not in values:
            known = ", ".join(sorted(values)) or "none"
            raise CommandExit(NOT_FOUND, f"The checkpoint has no channel {channel!r}. It has: {known}.")
        values = {channel: values[channel]}
    show_checkpoint(
        ctx, found, values, all_=all_ or bool(channel), full=full, latest=checkpoint in {"", LATEST}
    )


def show_checkpoint(
    ctx: Invocation,
    found: CheckpointTuple,
    values: dict[str, Any] | None = None,
    *,
    all_: bool = False,
    full: bool = False,
    latest: bool = False,
) -> None:
    """Print a checkpoint.

    Args:
        ctx: The invocation.
        found: The checkpoint.
        values: The channels to print. Default: all.
        all_: Whether to print LangGraph's own channels.
        full: Whether to print whole values.
        latest: Whether it is the thread's latest, whose questions wait.
    """
    values = found.checkpoint["channel_values"] if values is None else values
    configurable: dict[str, Any] = found.config["configurable"]
    metadata: Any = found.metadata or {}
    pending = found.pending_writes or []
    from langgraph_checkpoint_s3.admin import StepSummary

    checkpoint_id, created_at = found.checkpoint["id"], found.checkpoint.get("ts")

    def show() -> None:
        step, source = metadata.get("step"), metadata.get("source")
        ctx.line(f"{checkpoint_id}  step {step}  {source}  {created_at}", "bold")
        summary = StepSummary.of(found)
        for kind, text in (summary if latest else summary.passed()).parts:
            if kind in {"failed", "asks", "asked"}:
                ctx.wrap(colour([(kind, sanitize(text))]))
        shown = {name: value for name, value in values.items() if all_ or not _is_edge(name)}
        for name, value in sorted(shown.items(), key=_conversations_first):
            _show_value(ctx, name, value, full=full)
        ids = short_ids(task for task, _, _ in pending)
        for task, name, value in pending:
            if all_ or not _is_edge(name):
                told = _question(value) if name == "__interrupt__" else value
                heading = f"task {ids[task]} {_WRITES.get(name, f'wrote {name}')}"
                _show_value(ctx, heading, told, full=full)
        hidden = len(values) - len(shown)
        if hidden:
            ctx.line(f"{pluralize(hidden, 'channel')} of LangGraph's edges: --all shows them.", "dim")

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
    ctx.answer(data, show, paged=True)


def diff(
    ctx: Invocation,
    thread: Thread,
    a: Annotated[str, typer.Argument(metavar="A", help="The old one. Default: the parent of B.")] = "",
    b: Annotated[str, typer.Argument(metavar="B", help="The new one. Default: the latest.")] = "",
    ns: Namespace = None,
    all_: All = False,
    full: Full = False,
) -> None:
    """Show how the states of two checkpoints of a thread differ: the conversation, then other channels."""
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
        shown = {name: each for name, each in diffs.items() if all_ or not _is_edge(name)}
        for name, each in shown.items():
            ctx.line(f"{name}: {each.kind}", "bold yellow")
            _show_diff(ctx, each, full=full)
        if not diffs:
            ctx.line("Their states are equal.")
        elif not shown:
            ctx.line("Only LangGraph's edges differ: --all shows them.")

    changes = {
        name: {"before": each.before, "after": each.after, "change": each.kind}
        for name, each in diffs.items()
    }
    data = {"a": old.checkpoint["id"], "b": new.checkpoint["id"], "changes": changes}
    ctx.answer(data, show, paged=True)


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
            ctx.wrap(styled(sanitize(_indent(format_value(value)), lines=True)))
        for error in steps.errors:
            ctx.line(f"  failed: {error}", "red")
        if steps.done:
            ctx.line(f"  done, and doesn't run again: {', '.join(steps.done)}")
        if steps.state != "finished":
            ctx.line(f"  {steps.unknown}", "dim")

    ctx.answer(steps, show)


def _is_edge(channel: str) -> bool:
    """Return whether a channel only tells LangGraph which node runs next."""
    return channel.startswith("branch:to:")


def _conversations_first(item: tuple[str, Any]) -> tuple[bool, bool, str]:
    name, value = item
    return parse_messages(value) is None, name != "messages", name


def _show_value(ctx: Invocation, heading: str, value: Any, *, full: bool) -> None:
    """Print a value below a heading, or beside it if it is one line."""
    messages = parse_messages(value)
    if messages is not None:
        ctx.line(heading, "bold yellow")
        _show_messages(ctx, messages, full=full)
        return
    text = format_value(value) if full else preview(value, _HOW)
    line = styled("").append(sanitize(heading), style="bold yellow")
    if "\n" in text:
        line.append(f"\n{sanitize(_indent(text), lines=True)}")
    else:
        line.append(f"  {sanitize(text)}")
    ctx.wrap(line)


def _show_messages(ctx: Invocation, messages: Sequence[Message], *, full: bool) -> None:
    shown = messages if full else messages[-_MAX_MESSAGES:]
    if len(shown) < len(messages):
        left_out = pluralize(len(messages) - len(shown), "message")
        ctx.line(f"  {left_out} before these: --full shows them.", "dim")
    for message in shown:
        line = styled("").append(f"  {sanitize(message.author)}: ", style=role_style(message.role) or "bold")
        parts = [message.text] if message.text else []
        parts += [f"→ {call}" for call in message.calls]
        text = "\n".join(part if full else cut(part, more=_HOW) for part in parts)
        line.append(sanitize(_indent(text, "    ").lstrip(), lines=True))
        ctx.wrap(line)


def _question(value: Any) -> Any:
    """Return what an interrupt's write asks."""
    asked = [getattr(each, "value", each) for each in value] if isinstance(value, (list, tuple)) else [value]
    return asked[0] if len(asked) == 1 else asked


def _show_diff(ctx: Invocation, changed: ChannelDiff, *, full: bool) -> None:
    lines = changed.changed_lines()
    if lines is None:
        ctx.line(f"  More than {MAX_LINES:,} lines differ: `show` prints each of them.", "dim")
        return
    if not lines:
        ctx.line("  What differs isn't in the text: --json has it.", "dim")
    for line in lines if full else lines[:_MAX_DIFF_LINES]:
        ctx.line(line if full else cut(line, _MAX_DIFF_LINE), _DIFF_STYLES.get(line[:1], ""))
    if len(lines) > _MAX_DIFF_LINES and not full:
        ctx.line(f"… {pluralize(len(lines), 'line')}: --full shows them.", "dim")


def _indent(text: str, by: str = "  ") -> str:
    return "\n".join(by + line if line else "" for line in text.split("\n"))
