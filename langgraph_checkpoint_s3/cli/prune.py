"""`prune`: deletes old checkpoints, or idle threads, after a confirmation."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from langgraph_checkpoint_s3.cli.options import DryRun, Inventory, Yes, parse_duration, parse_metadata
from langgraph_checkpoint_s3.cli.runtime import FAILED, USAGE, CommandExit, Invocation, styled
from langgraph_checkpoint_s3.text.humanize import format_age, format_size, pluralize
from langgraph_checkpoint_s3.text.sanitize import sanitize

if TYPE_CHECKING:
    from langgraph_checkpoint_s3.admin import Pruned, PrunedIdle


def prune(
    ctx: Invocation,
    threads: Annotated[
        list[str] | None,
        typer.Argument(metavar="THREAD", help="Only these threads. Default: all.", show_default=False),
    ] = None,
    older_than: Annotated[
        str, typer.Option(metavar="TIME", help="Delete checkpoints older than this: 30d.")
    ] = "",
    idle: Annotated[
        str, typer.Option(metavar="TIME", help="Delete whole threads that weren't used for this long: 30d.")
    ] = "",
    keep_last: Annotated[
        int | None, typer.Option(metavar="N", help="Keep the newest N of each namespace.")
    ] = None,
    keep_first: Annotated[int | None, typer.Option(metavar="N", help="Keep the oldest N.")] = None,
    keep_within: Annotated[
        str, typer.Option(metavar="TIME", help="Keep those that aren't older than this.")
    ] = "",
    keep_hourly: Annotated[
        str, typer.Option(metavar="TIME", help="Keep one an hour for this long: 1d.")
    ] = "",
    keep_daily: Annotated[str, typer.Option(metavar="TIME", help="Keep one a day for this long: 30d.")] = "",
    keep_source: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Keep those of a source: update, fork. Repeatable."),
    ] = None,
    keep_metadata: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Keep those with this metadata, all of it. Repeatable."),
    ] = None,
    inventory: Inventory = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Delete old checkpoints. The others stay readable, and each namespace keeps its latest.

    Of several --keep options each keeps what it names, and the rest is deleted. With --idle whole threads
    are deleted, unless they were used since, or their lease is held. A dry run of one thread draws what would
    go in its history.
    """
    policy: dict[str, Any] = {
        "last": keep_last,
        "first": keep_first,
        "within": parse_duration(keep_within) if keep_within else None,
        "hourly": parse_duration(keep_hourly) if keep_hourly else None,
        "daily": parse_duration(keep_daily) if keep_daily else None,
        "sources": keep_source or (),
        "metadata": dict(parse_metadata(each, "--keep-metadata tag=gold") for each in keep_metadata or ()),
    }
    keeps = any(each not in (None, (), {}) for each in policy.values())
    if bool(older_than) + bool(idle) + keeps != 1:
        raise CommandExit(
            USAGE,
            "Pass one of --older-than 30d, --idle 30d, or --keep options such as --keep-last 10.",
        )
    named = threads or None
    if inventory is not None and named:
        raise CommandExit(USAGE, "--inventory goes without THREAD: a report tells which threads there are.")
    if idle:
        _prune_idle(ctx, parse_duration(idle), named, inventory, dry_run, yes)
        return
    from langgraph_checkpoint_s3.admin import RetentionPolicy

    age = parse_duration(older_than) if older_than else None
    rule = None if older_than else RetentionPolicy(**policy)

    def prune_all(*, dry: bool) -> Pruned:
        with ctx.progress("looking" if dry else "deleting") as progress:
            which: dict[str, Any] = {"thread_ids": named, "inventory": inventory, "progress": progress}
            if age is not None:
                return ctx.admin.prune_older_than(age, dry_run=dry, **which)
            assert rule is not None, "either of them is given"  # noqa: S101  # for the types
            return ctx.admin.prune_threads(rule, dry_run=dry, **which)

    result = prune_all(dry=dry_run or not yes)  # with --yes there is no question, and so no dry run before it
    if not dry_run and not yes and result.victims:
        counts = f"{pluralize(result.checkpoints, 'checkpoint')} of {pluralize(result.threads, 'thread')}"
        ctx.confirm(
            f"Delete {counts}, {format_size(result.bytes)}{_as_of(result)}, from {ctx.location}?", yes=yes
        )
        result = prune_all(dry=False)
    errors = {name: str(error) for name, error in result.errors.items()}
    data: dict[str, Any] = {
        "dry_run": dry_run,
        "checkpoints": result.victims,
        "errors": errors,
        "as_of": result.as_of,
    }

    def show() -> None:
        if not result.victims:
            if not errors:
                ctx.line("There is nothing to delete.")
            return
        if dry_run and named is not None and len(set(named)) == 1:
            _draw(ctx, named[0], result)
        elif dry_run:
            rows = [
                (
                    each.thread_id,
                    each.checkpoint_ns,
                    each.checkpoint_id,
                    format_size(each.bytes),
                    format_age(each.modified),
                )
                for each in result.victims
            ]
            ctx.table(("thread", "namespace", "checkpoint", "size", "age"), rows)
        verb = "Would delete" if dry_run else "Deleted"
        source = _as_of(result) if dry_run else ""
        ctx.line(
            f"{verb} {pluralize(result.checkpoints, 'checkpoint')}, {format_size(result.bytes)}{source}."
        )

    ctx.answer(data, show)
    _fail_with(ctx, errors)


def _as_of(pruned: Pruned | PrunedIdle) -> str:
    """Return how old what a dry run found is, if it read an inventory report."""
    if pruned.as_of is None:
        return ""
    return f" as of {pruned.as_of:%Y-%m-%d %H:%M %Z} (each thread is listed before anything of it is deleted)"


def _draw(ctx: Invocation, thread: str, result: Pruned) -> None:
    """Draw a thread's history, with marks on what would go."""
    history = ctx.admin.history(thread, limit=None, read=False)
    for name in history.namespaces():
        ctx.line(f"namespace {name}" if name else f"thread {thread}", "bold")
        for drawing, entry, goes in result.rows(history, name):
            row = styled(f"{drawing}  " if entry else drawing.rstrip(), "cyan")
            if entry is not None:
                row.append(f"{sanitize(entry.checkpoint_id)}  ", style="red" if goes else "yellow")
                row.append(f"{entry.facts()}{'  goes' if goes else ''}", style="red" if goes else "default")
            ctx.print(row)
    ctx.line(f"○ would go: {result.checkpoints} of {pluralize(len(history), 'checkpoint')}")


def _prune_idle(
    ctx: Invocation,
    idle: timedelta,
    threads: list[str] | None,
    inventory: str | None,
    dry_run: bool,
    yes: bool,
) -> None:
    """Delete threads that weren't used for a time."""

    def prune_all(*, dry: bool) -> PrunedIdle:
        with ctx.progress("looking" if dry else "deleting") as progress:
            which: dict[str, Any] = {"thread_ids": threads, "inventory": inventory, "progress": progress}
            return ctx.admin.prune_idle(idle, dry_run=dry, **which)

    def counts(result: PrunedIdle) -> str:
        return (
            f"{pluralize(len(result.threads), 'thread')} with {pluralize(result.checkpoints, 'checkpoint')}, "
            f"{format_size(result.bytes)}"
        )

    result = prune_all(dry=dry_run or not yes)
    if not dry_run and not yes and result.threads:
        ctx.confirm(f"Delete {counts(result)}{_as_of(result)}, from {ctx.location}?", yes=yes)
        result = prune_all(dry=False)
    errors = {name: str(error) for name, error in result.errors.items()}

    def show() -> None:
        rows = [
            (each.thread_id, each.checkpoints, format_size(each.bytes), format_age(each.modified))
            for each in result.threads
        ]
        if dry_run and rows:
            ctx.table(("thread", "checkpoints", "size", "idle"), rows)
        if rows:
            verb, source = ("Would delete", _as_of(result)) if dry_run else ("Deleted", "")
            ctx.line(f"{verb} {counts(result)}{source}.")
        elif not errors:
            ctx.line("There is nothing to delete.")

    data: dict[str, Any] = {
        "dry_run": dry_run,
        "threads": result.threads,
        "spared": result.spared,
        "errors": errors,
        "as_of": result.as_of,
    }
    ctx.answer(data, show)
    for name, reason in result.spared.items():
        ctx.note(f"{name} stays: {reason}.")
    _fail_with(ctx, errors)


def _fail_with(ctx: Invocation, errors: Mapping[str, str]) -> None:
    """Print the errors of threads, and end the command if there are any."""
    for name, text in errors.items():
        ctx.note(f"error: {name}: {text}")
    if errors:
        raise CommandExit(FAILED)
