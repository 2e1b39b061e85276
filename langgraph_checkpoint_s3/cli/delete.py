"""Commands that delete threads, after a confirmation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from langgraph_checkpoint_s3 import S3CheckpointError
from langgraph_checkpoint_s3.cli.checkpoints import config_of, resolve
from langgraph_checkpoint_s3.cli.options import DryRun, Threads, Yes
from langgraph_checkpoint_s3.cli.runtime import NOT_FOUND, USAGE, CommandExit, Invocation
from langgraph_checkpoint_s3.text.humanize import format_size


def delete(
    ctx: Invocation,
    threads: Threads,
    checkpoint: Annotated[
        list[str] | None,
        typer.Option(metavar="CHECKPOINT", help="Only this checkpoint of the thread. Repeatable."),
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Delete threads, or checkpoints of one.

    In a bucket with versioning `restore` brings them back. `purge` removes old versions, too.
    """
    if checkpoint:
        if len(threads) > 1:
            raise CommandExit(USAGE, "--checkpoint is for one thread.")
        _delete_checkpoints(ctx, threads[0], checkpoint, dry_run=dry_run, yes=yes)
        return

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


def _delete_checkpoints(
    ctx: Invocation, thread: str, checkpoints: list[str], *, dry_run: bool, yes: bool
) -> None:
    """Delete checkpoints of a thread; those that borrow from them are rewritten first."""
    places = list(dict.fromkeys(resolve(ctx, thread, None, each) for each in checkpoints))
    what = f"{', '.join(name for _, name in places)} of {thread}"
    if not dry_run:
        ctx.confirm(f"Delete {what} from {ctx.location}?", yes=yes)
        for result in ctx.admin.batch_delete([config_of(thread, *place) for place in places]):
            if result.error is not None:
                raise result.error
    verb = "Would delete" if dry_run else "Deleted"
    data = {"dry_run": dry_run, "thread_id": thread, "checkpoint_ids": [name for _, name in places]}
    ctx.answer(data, f"{verb} {what}.")


def purge(
    ctx: Invocation,
    threads: Threads,
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
