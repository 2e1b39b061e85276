"""Commands about what was deleted or replaced: old versions, and bringing them back."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer

from langgraph_checkpoint_s3.cli.checkpoints import identify
from langgraph_checkpoint_s3.cli.options import Checkpoint, DryRun, Namespace, Thread
from langgraph_checkpoint_s3.cli.runtime import NOT_FOUND, USAGE, CommandExit, Invocation, command
from langgraph_checkpoint_s3.text.humanize import age, counted, human
from langgraph_checkpoint_s3.text.sanitize import clean


def add(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app, "versions", "versions customer-42 latest", "List the versions of a checkpoint.")(versions)
    command(
        app, "restore", "restore customer-42 --dry-run", "Bring back a thread, a version, or an archive."
    )(restore)


def versions(run: Invocation, thread: Thread, checkpoint: Checkpoint, ns: Namespace = None) -> None:
    """List the versions of a checkpoint, the newest first, in a bucket that keeps them.

    Of a deleted checkpoint, write the whole id.
    """
    found = run.admin.list_checkpoint_versions(thread, checkpoint, ns or "")
    if not found:
        namespace, name = identify(run, thread, ns, checkpoint)
        found = run.admin.list_checkpoint_versions(thread, name, namespace)
    if not found:
        raise run.not_found(thread, checkpoint)
    rows = [
        (
            each.version_id,
            each.modified.isoformat(timespec="seconds"),
            age(each.modified),
            "deleted" if each.delete_marker else human(each.size),
            "latest" if each.latest else "",
        )
        for each in found
    ]
    run.answer({"versions": found}, lambda: run.table(("version", "written", "age", "size", ""), rows))


def restore(
    run: Invocation,
    thread: Thread,
    checkpoint: Annotated[
        str, typer.Argument(metavar="CHECKPOINT", help="One checkpoint, with --version.", show_default=False)
    ] = "",
    version: Annotated[str, typer.Option(help="Which version of the checkpoint: see `versions`.")] = "",
    ns: Namespace = None,
    before: Annotated[str, typer.Option(metavar="TIME", help="As it was then: 2026-03-01T12:00:00Z.")] = "",
    archived: Annotated[
        bool, typer.Option("--archived", help="Bring it back from an offline archive.")
    ] = False,
    days: Annotated[int, typer.Option(help="With --archived: for how many days.")] = 7,
    dry_run: DryRun = False,
) -> None:
    """Bring a deleted thread back; or one version of a checkpoint; or a thread from an archive."""
    if bool(checkpoint) != bool(version):
        raise CommandExit(USAGE, "A checkpoint goes with its --version: `langgraph-s3 versions` lists them.")
    if sum(map(bool, (checkpoint, before, archived))) > 1:
        raise CommandExit(USAGE, "Either a checkpoint, or --before, or --archived: not several.")
    if checkpoint:
        _version(run, thread, checkpoint, version, ns, dry_run)
    elif archived:
        _archived(run, thread, days, dry_run)
    else:
        back = run.admin.undelete_thread(thread, _moment(before), dry_run=dry_run)
        verb = "Would bring back" if dry_run else "Brought back"
        told = f"{verb} {counted(back.checkpoints, 'checkpoint')} of {thread}; {back.lost} can't come back."
        run.answer(back, lambda: run.line(clean(told)))
        if not back.checkpoints and not back.writes:
            raise CommandExit(
                NOT_FOUND, f"There is nothing of thread {thread!r} to bring back in {run.place}."
            )


def _version(
    run: Invocation, thread: str, checkpoint: str, version: str, ns: str | None, dry_run: bool
) -> None:
    namespace = ns or ""
    there = run.admin.get_checkpoint_version(thread, checkpoint, version, namespace)
    if there is None:
        namespace, checkpoint = identify(run, thread, ns, checkpoint)
        there = run.admin.get_checkpoint_version(thread, checkpoint, version, namespace)
    if there is None:
        raise CommandExit(
            NOT_FOUND, f"There is no version {version!r} of it: `langgraph-s3 versions` lists them."
        )
    data: dict[str, Any] = {"dry_run": dry_run, "checkpoint_id": checkpoint, "version_id": version}
    if not dry_run:
        run.admin.restore_checkpoint_version(thread, checkpoint, version, namespace)
    verb = "Would restore" if dry_run else "Restored"
    run.answer(data, lambda: run.line(clean(f"{verb} version {version} of {checkpoint}.")))


def _archived(run: Invocation, thread: str, days: int, dry_run: bool) -> None:
    status = run.admin.restore_status(thread) if dry_run else run.admin.restore_archived(thread, days)
    if not status.readable + status.restored + status.restoring + status.archived:
        raise run.not_found(thread)
    told = (
        f"{thread}: {status.readable} objects can be read, {status.restored} are restored, "
        f"{status.restoring} are being restored, {status.archived} are archived."
    )
    run.answer({"dry_run": dry_run, "status": status}, lambda: run.line(clean(told)))


def _moment(text: str) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise CommandExit(USAGE, f"{text!r} is no time: write 2026-03-01T12:00:00Z.") from None
    if moment.tzinfo is None:
        raise CommandExit(USAGE, f"{text!r} has no time zone: end it with Z, or with +02:00.")
    return moment
