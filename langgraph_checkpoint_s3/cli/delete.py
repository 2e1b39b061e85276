"""Commands that delete: threads, and what is old of them. They show what would go, and ask."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from langgraph_checkpoint_s3.admin import Pruned
from langgraph_checkpoint_s3.cli.options import DryRun, Yes, duration
from langgraph_checkpoint_s3.cli.runtime import FAILED, NOT_FOUND, USAGE, CommandExit, Invocation, command
from langgraph_checkpoint_s3.text.humanize import age, counted, human
from langgraph_checkpoint_s3.text.sanitize import clean


def add(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app, "delete", "delete customer-42 --dry-run", "Delete threads.")(delete)
    command(app, "prune", "prune --older-than 30d --dry-run", "Delete old checkpoints.")(prune)


def delete(
    run: Invocation,
    threads: Annotated[list[str], typer.Argument(metavar="THREAD", help="The threads.")],
    for_good: Annotated[
        bool,
        typer.Option("--for-good", help="Old versions, uploads and exports too: nothing brings it back."),
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Delete threads.

    In a bucket that keeps versions, `restore` brings them back, unless --for-good was said.
    """
    found = [_found(run, thread, for_good) for thread in dict.fromkeys(threads)]
    absent = [each["thread_id"] for each in found if not each["objects"]]
    going = [each for each in found if each["objects"]]
    what = ", ".join(
        f"{each['thread_id']} ({each['objects']} objects, {human(each['bytes'])})" for each in going
    )
    if going and not dry_run:
        run.sure(f"Delete {what} from {run.place}{' for good' if for_good else ''}?", yes=yes)
        unseen: set[str] = set()
        with run.progress("deleting") as progress:
            for done, each in enumerate(going, start=1):
                if for_good:
                    unseen.update(run.admin.purge_thread(each["thread_id"], dry_run=False).unseen)
                else:
                    run.saver.delete_thread(each["thread_id"])
                progress(done, len(going))
        if unseen:
            run.note(f"warning: The store can't list {' or '.join(sorted(unseen))}: some may be left.")
    verb = "Would delete" if dry_run else "Deleted"
    data = {"dry_run": dry_run, "for_good": for_good, "threads": going, "not_found": absent}
    run.answer(data, lambda: run.line(clean(f"{verb} {what}.")) if going else None)
    if absent:
        raise CommandExit(NOT_FOUND, f"There is no such thread in {run.place}: {', '.join(absent)}.")


def prune(
    run: Invocation,
    older_than: Annotated[
        str, typer.Option(metavar="TIME", help="Delete what was written so long ago: 30d.")
    ] = "",
    keep_last: Annotated[
        int, typer.Option(metavar="N", help="Delete all but the newest N of each namespace.")
    ] = 0,
    thread: Annotated[list[str] | None, typer.Option(help="Only this thread; may be given again.")] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Delete old checkpoints. What stays can be read as before; each namespace keeps its latest."""
    if bool(older_than) == bool(keep_last):
        raise CommandExit(USAGE, "Say what is old: either --older-than 30d, or --keep-last 10.")

    def pruned(*, dry: bool) -> Pruned:
        with run.progress("looking" if dry else "deleting") as progress:
            if older_than:
                old = duration(older_than)
                return run.admin.prune_older_than(old, thread_ids=thread, dry_run=dry, progress=progress)
            return run.admin.prune_threads(keep_last, thread_ids=thread, dry_run=dry, progress=progress)

    result = pruned(dry=dry_run or not yes)  # who isn't asked needs no look before
    if not dry_run and not yes and result.victims:
        counts = f"{counted(result.checkpoints, 'checkpoint')} of {counted(result.threads, 'thread')}"
        run.sure(f"Delete {counts}, {human(result.bytes)}, from {run.place}?", yes=yes)
        result = pruned(dry=False)
    errors = {name: str(error) for name, error in result.errors.items()}
    data: dict[str, Any] = {"dry_run": dry_run, "checkpoints": result.victims, "errors": errors}

    def show() -> None:
        if not result.victims:
            if not errors:
                run.line("There is nothing to delete.")
            return
        rows = [
            (each.thread_id, each.checkpoint_ns, each.checkpoint_id, human(each.bytes), age(each.modified))
            for each in result.victims
        ]
        if dry_run:
            run.table(("thread", "namespace", "checkpoint", "size", "age"), rows)
        verb = "Would delete" if dry_run else "Deleted"
        run.line(f"{verb} {counted(result.checkpoints, 'checkpoint')}, {human(result.bytes)}.")

    run.answer(data, show)
    for name, text in errors.items():
        run.note(f"error: {name}: {text}")
    if errors:
        raise CommandExit(FAILED)


def _found(run: Invocation, thread: str, for_good: bool) -> dict[str, Any]:
    """What there is of a thread."""
    if for_good:
        purged = run.admin.purge_thread(thread)
        return {
            "thread_id": thread,
            "objects": purged.versions + purged.markers + purged.uploads,
            "bytes": purged.size,
        }
    used = run.admin.usage(thread)
    objects = sum(each.objects for each in used.classes.values())
    return {"thread_id": thread, "objects": objects, "bytes": used.bytes}
