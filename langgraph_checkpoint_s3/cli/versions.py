"""Commands about deleted and replaced objects: old versions, and restoring them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer

from langgraph_checkpoint_s3.cli.checkpoints import resolve
from langgraph_checkpoint_s3.cli.options import Checkpoint, DryRun, Namespace, Thread
from langgraph_checkpoint_s3.cli.runtime import NOT_FOUND, USAGE, CommandExit, Invocation
from langgraph_checkpoint_s3.text.humanize import format_age, format_size, pluralize


def versions(ctx: Invocation, thread: Thread, checkpoint: Checkpoint, ns: Namespace = None) -> None:
    """List the versions of a checkpoint, the newest first, in a bucket with versioning.

    A deleted checkpoint is found by its whole id only.
    """
    found = ctx.admin.list_checkpoint_versions(thread, checkpoint, ns or "")
    if not found:
        namespace, id_ = resolve(ctx, thread, ns, checkpoint)
        found = ctx.admin.list_checkpoint_versions(thread, id_, namespace)
    if not found:
        raise ctx.not_found(thread, checkpoint)
    rows = [
        (
            each.version_id,
            each.modified.isoformat(timespec="seconds"),
            format_age(each.modified),
            "deleted" if each.delete_marker else format_size(each.size),
            "latest" if each.latest else "",
        )
        for each in found
    ]
    ctx.answer({"versions": found}, lambda: ctx.table(("version", "written", "age", "size", ""), rows))


def restore(
    ctx: Invocation,
    thread: Thread,
    checkpoint: Annotated[
        str, typer.Argument(metavar="CHECKPOINT", help="One checkpoint, with --version.", show_default=False)
    ] = "",
    version: Annotated[str, typer.Option(help="The version of the checkpoint: see `versions`.")] = "",
    ns: Namespace = None,
    before: Annotated[
        str, typer.Option(metavar="TIME", help="The thread as of this time: 2026-03-01T12:00:00Z.")
    ] = "",
    archived: Annotated[bool, typer.Option("--archived", help="Restore from an offline archive.")] = False,
    days: Annotated[int, typer.Option(help="With --archived: for how many days.")] = 7,
    dry_run: DryRun = False,
) -> None:
    """Restore a deleted thread, one version of a checkpoint, or a thread from an offline archive."""
    if bool(checkpoint) != bool(version):
        raise CommandExit(USAGE, "CHECKPOINT goes with --version: `langgraph-s3 versions` lists them.")
    if sum(map(bool, (checkpoint, before, archived))) > 1:
        raise CommandExit(USAGE, "Pass only one of CHECKPOINT, --before and --archived.")
    if checkpoint:
        _restore_version(ctx, thread, checkpoint, version, ns, dry_run)
    elif archived:
        _restore_archived(ctx, thread, days, dry_run)
    else:
        restored = ctx.admin.undelete_thread(thread, _parse_time(before), dry_run=dry_run)
        verb = "Would restore" if dry_run else "Restored"
        lost = f"{restored.lost} can't be restored"
        ctx.answer(restored, f"{verb} {pluralize(restored.checkpoints, 'checkpoint')} of {thread}; {lost}.")
        if not restored.checkpoints and not restored.writes:
            raise CommandExit(
                NOT_FOUND, f"There is nothing of thread {thread!r} to restore in {ctx.location}."
            )


def _restore_version(
    ctx: Invocation, thread: str, checkpoint: str, version: str, ns: str | None, dry_run: bool
) -> None:
    namespace = ns or ""
    found = ctx.admin.get_checkpoint_version(thread, checkpoint, version, namespace)
    if found is None:
        namespace, checkpoint = resolve(ctx, thread, ns, checkpoint)
        found = ctx.admin.get_checkpoint_version(thread, checkpoint, version, namespace)
    if found is None:
        raise CommandExit(
            NOT_FOUND, f"There is no version {version!r} of it: `langgraph-s3 versions` lists them."
        )
    if not dry_run:
        ctx.admin.restore_checkpoint_version(thread, checkpoint, version, namespace)
    data: dict[str, Any] = {"dry_run": dry_run, "checkpoint_id": checkpoint, "version_id": version}
    ctx.answer(data, f"{'Would restore' if dry_run else 'Restored'} version {version} of {checkpoint}.")


def _restore_archived(ctx: Invocation, thread: str, days: int, dry_run: bool) -> None:
    status = ctx.admin.restore_status(thread) if dry_run else ctx.admin.restore_archived(thread, days)
    if not status.readable + status.restored + status.restoring + status.archived:
        raise ctx.not_found(thread)
    ctx.answer(
        {"dry_run": dry_run, "status": status},
        f"{thread}: {status.readable} objects can be read, {status.restored} are restored, "
        f"{status.restoring} are being restored, {status.archived} are archived.",
    )


def _parse_time(text: str) -> datetime | None:
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise CommandExit(USAGE, f"{text!r} is not a time: write 2026-03-01T12:00:00Z.") from None
    if time.tzinfo is None:
        raise CommandExit(USAGE, f"{text!r} has no time zone: end it with Z, or with +02:00.")
    return time
