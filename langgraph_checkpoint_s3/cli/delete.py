"""Commands that delete threads and old checkpoints, after a confirmation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from langgraph_checkpoint_s3 import S3CheckpointError
from langgraph_checkpoint_s3.cli.options import DryRun, OnlyThreads, Yes, parse_duration
from langgraph_checkpoint_s3.cli.runtime import FAILED, NOT_FOUND, USAGE, CommandExit, Invocation
from langgraph_checkpoint_s3.text.humanize import format_age, format_size, pluralize

if TYPE_CHECKING:
    from datetime import timedelta

    from langgraph_checkpoint_s3.admin import Pruned, PrunedIdle


def delete(
    ctx: Invocation,
    threads: Annotated[list[str], typer.Argument(metavar="THREAD", help="The threads.")],
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Delete threads.

    In a bucket with versioning `restore` brings them back. `purge` removes old versions, too.
    """

    def stored(thread: str) -> tuple[int, int]:
        used = ctx.admin.usage(thread)
        return sum(each.objects for each in used.classes.values()), used.bytes

    present, absent = _find(threads, stored)
    what = _described(present)
    if present and not dry_run:
        ctx.confirm(f"Delete {what} from {ctx.location}?", yes=yes)
        with ctx.progress("deleting") as progress:
            for done, each in enumerate(present, start=1):
                ctx.saver.delete_thread(each["thread_id"])
                progress(done, len(present))
    verb = "Would delete" if dry_run else "Deleted"
    data = {"dry_run": dry_run, "threads": present, "not_found": absent}
    ctx.answer(data, f"{verb} {what}." if present else lambda: None)
    _fail_if_absent(ctx, absent)


def purge(
    ctx: Invocation,
    threads: Annotated[list[str], typer.Argument(metavar="THREAD", help="The threads.")],
    receipt: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a record of what was removed, as JSON. For one thread."),
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Delete threads for good: with old versions, unfinished uploads, exports and leases. Can't be undone."""
    names = list(dict.fromkeys(threads))
    if receipt is not None and len(names) > 1:
        raise CommandExit(USAGE, "A receipt is about one thread: purge them one by one.")
    if receipt is not None and receipt.exists():
        raise CommandExit(USAGE, f"{receipt} exists already, and no receipt replaces it: name another file.")
    unseen: set[str] = set()

    def stored(thread: str) -> tuple[int, int]:
        purged = ctx.admin.purge_thread(thread)
        unseen.update(purged.unseen)
        return purged.versions + purged.markers + purged.uploads, purged.size

    present, absent = _find(names, stored)
    what = _described(present)
    if present and not dry_run:
        ctx.confirm(f"Delete {what} from {ctx.location} for good?", yes=yes)
        with ctx.progress("deleting") as progress:
            for done, each in enumerate(present, start=1):
                try:
                    purged = ctx.admin.purge_thread(each["thread_id"], dry_run=False, receipt=receipt)
                except S3CheckpointError:
                    if receipt is not None:
                        ctx.note(f"{receipt} says what was removed and what is left.")
                    raise
                unseen.update(purged.unseen)
                progress(done, len(present))
    if unseen:
        ctx.note(f"warning: The store can't list {' or '.join(sorted(unseen))}: some may be left.")
    verb = "Would purge" if dry_run else "Purged"
    written = receipt if present and not dry_run else None
    data = {"dry_run": dry_run, "threads": present, "not_found": absent, "receipt": written and str(written)}
    end = "." if written is None else f"; the receipt is in {written}."
    ctx.answer(data, f"{verb} {what}{end}" if present else lambda: None)
    _fail_if_absent(ctx, absent)


def prune(
    ctx: Invocation,
    older_than: Annotated[
        str, typer.Option(metavar="TIME", help="Delete checkpoints older than this: 30d.")
    ] = "",
    keep_last: Annotated[
        int, typer.Option(metavar="N", help="Delete all but the newest N of each namespace.")
    ] = 0,
    idle: Annotated[
        str, typer.Option(metavar="TIME", help="Delete whole threads that weren't used for this long: 30d.")
    ] = "",
    thread: OnlyThreads = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Delete old checkpoints. The others stay readable, and each namespace keeps its latest.

    With --idle whole threads are deleted, unless they were used since, or their lease is held.
    """
    if sum(map(bool, (older_than, keep_last, idle))) != 1:
        raise CommandExit(USAGE, "Pass one of --older-than 30d, --keep-last 10 and --idle 30d.")
    if idle:
        _prune_idle(ctx, parse_duration(idle), thread, dry_run, yes)
        return

    def prune_all(*, dry: bool) -> Pruned:
        with ctx.progress("looking" if dry else "deleting") as progress:
            if older_than:
                age_limit = parse_duration(older_than)
                return ctx.admin.prune_older_than(
                    age_limit, thread_ids=thread, dry_run=dry, progress=progress
                )
            return ctx.admin.prune_threads(keep_last, thread_ids=thread, dry_run=dry, progress=progress)

    result = prune_all(dry=dry_run or not yes)  # with --yes there is no question, and so no dry run before it
    if not dry_run and not yes and result.victims:
        counts = f"{pluralize(result.checkpoints, 'checkpoint')} of {pluralize(result.threads, 'thread')}"
        ctx.confirm(f"Delete {counts}, {format_size(result.bytes)}, from {ctx.location}?", yes=yes)
        result = prune_all(dry=False)
    errors = {name: str(error) for name, error in result.errors.items()}
    data: dict[str, Any] = {"dry_run": dry_run, "checkpoints": result.victims, "errors": errors}

    def show() -> None:
        if not result.victims:
            if not errors:
                ctx.line("There is nothing to delete.")
            return
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
        if dry_run:
            ctx.table(("thread", "namespace", "checkpoint", "size", "age"), rows)
        verb = "Would delete" if dry_run else "Deleted"
        ctx.line(f"{verb} {pluralize(result.checkpoints, 'checkpoint')}, {format_size(result.bytes)}.")

    ctx.answer(data, show)
    _fail_with(ctx, errors)


def _prune_idle(
    ctx: Invocation, idle: timedelta, threads: list[str] | None, dry_run: bool, yes: bool
) -> None:
    """Delete threads that weren't used for a time."""

    def prune_all(*, dry: bool) -> PrunedIdle:
        with ctx.progress("looking" if dry else "deleting") as progress:
            return ctx.admin.prune_idle(idle, thread_ids=threads, dry_run=dry, progress=progress)

    def counts(result: PrunedIdle) -> str:
        return (
            f"{pluralize(len(result.threads), 'thread')} with {pluralize(result.checkpoints, 'checkpoint')}, "
            f"{format_size(result.bytes)}"
        )

    result = prune_all(dry=dry_run or not yes)
    if not dry_run and not yes and result.threads:
        ctx.confirm(f"Delete {counts(result)}, from {ctx.location}?", yes=yes)
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
            ctx.line(f"{'Would delete' if dry_run else 'Deleted'} {counts(result)}.")
        elif not errors:
            ctx.line("There is nothing to delete.")

    data = {"dry_run": dry_run, "threads": result.threads, "spared": result.spared, "errors": errors}
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


def _find(
    threads: Sequence[str], stored: Callable[[str], tuple[int, int]]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the threads that have anything stored, each with how much, and those that don't."""
    counts = {thread: stored(thread) for thread in dict.fromkeys(threads)}
    present = [
        {"thread_id": thread, "objects": objects, "bytes": size}
        for thread, (objects, size) in counts.items()
        if objects
    ]
    return present, [thread for thread, (objects, _) in counts.items() if not objects]


def _described(threads: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(
        f"{each['thread_id']} ({each['objects']} objects, {format_size(each['bytes'])})" for each in threads
    )


def _fail_if_absent(ctx: Invocation, absent: Sequence[str]) -> None:
    if absent:
        raise CommandExit(NOT_FOUND, f"There is no such thread in {ctx.location}: {', '.join(absent)}.")
