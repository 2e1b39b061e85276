"""Commands that delete threads and old checkpoints, after a confirmation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from langgraph_checkpoint_s3.cli.checkpoints import config_of, resolve
from langgraph_checkpoint_s3.cli.options import DryRun, Inventory, OnlyThreads, Yes, parse_duration
from langgraph_checkpoint_s3.cli.runtime import FAILED, NOT_FOUND, USAGE, CommandExit, Invocation
from langgraph_checkpoint_s3.text.humanize import format_age, format_size, pluralize

if TYPE_CHECKING:
    from langgraph_checkpoint_s3.admin import Pruned


def delete(
    ctx: Invocation,
    threads: Annotated[list[str], typer.Argument(metavar="THREAD", help="The threads.")],
    for_good: Annotated[
        bool,
        typer.Option("--for-good", help="Also delete old versions, uploads and exports. Can't be undone."),
    ] = False,
    checkpoint: Annotated[
        list[str] | None,
        typer.Option(metavar="CHECKPOINT", help="Only this checkpoint of the thread. Repeatable."),
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Delete threads, or checkpoints of one.

    In a bucket with versioning `restore` brings them back, unless --for-good was passed.
    """
    if checkpoint:
        if len(threads) > 1 or for_good:
            raise CommandExit(USAGE, "--checkpoint is for one thread, and doesn't go with --for-good.")
        _delete_checkpoints(ctx, threads[0], checkpoint, dry_run=dry_run, yes=yes)
        return
    found = [_stored(ctx, thread, for_good) for thread in dict.fromkeys(threads)]
    absent = [each["thread_id"] for each in found if not each["objects"]]
    present = [each for each in found if each["objects"]]
    what = ", ".join(
        f"{each['thread_id']} ({each['objects']} objects, {format_size(each['bytes'])})" for each in present
    )
    if present and not dry_run:
        ctx.confirm(f"Delete {what} from {ctx.location}{' for good' if for_good else ''}?", yes=yes)
        unseen: set[str] = set()
        with ctx.progress("deleting") as progress:
            for done, each in enumerate(present, start=1):
                if for_good:
                    unseen.update(ctx.admin.purge_thread(each["thread_id"], dry_run=False).unseen)
                else:
                    ctx.saver.delete_thread(each["thread_id"])
                progress(done, len(present))
        if unseen:
            ctx.note(f"warning: The store can't list {' or '.join(sorted(unseen))}: some may be left.")
    verb = "Would delete" if dry_run else "Deleted"
    data = {"dry_run": dry_run, "for_good": for_good, "threads": present, "not_found": absent}
    ctx.answer(data, f"{verb} {what}." if present else lambda: None)
    if absent:
        raise CommandExit(NOT_FOUND, f"There is no such thread in {ctx.location}: {', '.join(absent)}.")


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


def prune(
    ctx: Invocation,
    older_than: Annotated[
        str, typer.Option(metavar="TIME", help="Delete checkpoints older than this: 30d.")
    ] = "",
    keep_last: Annotated[
        int, typer.Option(metavar="N", help="Delete all but the newest N of each namespace.")
    ] = 0,
    thread: OnlyThreads = None,
    inventory: Inventory = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Delete old checkpoints. The others stay readable, and each namespace keeps its latest."""
    if bool(older_than) == bool(keep_last):
        raise CommandExit(USAGE, "Pass either --older-than 30d, or --keep-last 10.")
    if thread and inventory is not None:
        raise CommandExit(
            USAGE, "Pass either --thread or --inventory: a report tells which threads there are."
        )

    def prune_all(*, dry: bool) -> Pruned:
        with ctx.progress("looking" if dry else "deleting") as progress:
            which: dict[str, Any] = {"thread_ids": thread, "inventory": inventory, "progress": progress}
            if older_than:
                return ctx.admin.prune_older_than(parse_duration(older_than), dry_run=dry, **which)
            return ctx.admin.prune_threads(keep_last, dry_run=dry, **which)

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
        source = _as_of(result) if dry_run else ""
        ctx.line(
            f"{verb} {pluralize(result.checkpoints, 'checkpoint')}, {format_size(result.bytes)}{source}."
        )

    ctx.answer(data, show)
    for name, text in errors.items():
        ctx.note(f"error: {name}: {text}")
    if errors:
        raise CommandExit(FAILED)


def _as_of(pruned: Pruned) -> str:
    """Return how old what a dry run found is, if it read an inventory report."""
    if pruned.as_of is None:
        return ""
    return f" as of {pruned.as_of:%Y-%m-%d %H:%M %Z} (each thread is listed before anything of it is deleted)"


def _stored(ctx: Invocation, thread: str, for_good: bool) -> dict[str, Any]:
    """Count what would be deleted of a thread."""
    if for_good:
        purged = ctx.admin.purge_thread(thread)
        objects, size = purged.versions + purged.markers + purged.uploads, purged.size
    else:
        used = ctx.admin.usage(thread)
        objects, size = sum(each.objects for each in used.classes.values()), used.bytes
    return {"thread_id": thread, "objects": objects, "bytes": size}
