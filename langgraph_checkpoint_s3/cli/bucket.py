"""Commands about the bucket: check, set-up, lifecycle rules, IAM policies, and a local server."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from langgraph_checkpoint_s3 import InvalidConfigError, NotSupportedError
from langgraph_checkpoint_s3.cli.console import styled
from langgraph_checkpoint_s3.cli.options import DryRun, Yes
from langgraph_checkpoint_s3.cli.runtime import FAILED, USAGE, CommandExit, Invocation
from langgraph_checkpoint_s3.text.sanitize import sanitize

if TYPE_CHECKING:
    from langgraph_checkpoint_s3.admin import Change, LifecyclePolicy

ROLES: Final = ("runtime", "read-only", "retention", "administration", "memory", "memory-read-only")
"""The roles of `S3Admin.iam_policy`."""
_COMMANDS: Final = {
    "saver.setup() or admin.create_bucket()": "langgraph-s3 setup",
    "saver.setup()": "langgraph-s3 setup",
    "admin.enable_versioning()": "langgraph-s3 setup --versioning",
    "admin.configure_bucket(tls_only=True)": "langgraph-s3 setup --harden",
    "admin.configure_bucket(block_public_access=True)": "langgraph-s3 setup --harden",
    "admin.configure_bucket()": "langgraph-s3 setup --harden",
    "admin.set_lifecycle_policy(LifecyclePolicy(noncurrent_version_days=30))": (
        "langgraph-s3 lifecycle --noncurrent-after 30"
    ),
    "admin.set_lifecycle_policy(LifecyclePolicy())": "langgraph-s3 lifecycle --abort-uploads-after 7",
    "admin.set_lifecycle_policy()": "langgraph-s3 lifecycle --classes",
}
"""Calls in the remedies of `S3Admin.check`, and the commands that do the same, the longest first."""
_STYLES: Final = {"ok": "green", "MISSING": "bold red", "warning": "yellow"}


def check(ctx: Invocation) -> None:
    """Check that a saver can use the bucket, and say how to fix what is missing.

    Eleven small objects are written and deleted again. Exit code 1 if a saver can't work there.
    """
    report = ctx.admin.check()

    def show() -> None:
        findings = tuple(replace(each, remedy=as_command(each.remedy)) for each in report)
        for line in replace(report, findings=findings).render(ctx.out.width).splitlines():
            status = line[2:].split("  ")[0] if line.startswith("  ") else ""
            ctx.print(styled(sanitize(line), _STYLES.get(status, "")))

    ctx.answer({"place": report.place, "ok": report.ok, "findings": report.findings}, show)
    if not report.ok:
        raise CommandExit(FAILED)


def setup(
    ctx: Invocation,
    harden: Annotated[
        bool, typer.Option("--harden", help="Also set default encryption, TLS only, and no public access.")
    ] = False,
    versioning: Annotated[bool, typer.Option("--versioning", help="Also turn on versioning.")] = False,
) -> None:
    """Create the bucket if it doesn't exist, and check the saver's permissions.

    Repeating it changes nothing.
    """
    changes: list[Change] = []
    if harden:
        try:
            changes += ctx.admin.create_bucket()
        except NotSupportedError as error:
            reason = error.reason.partition(" To set the rest up")[0]
            raise CommandExit(FAILED, f"error: {reason} Leave out --harden.") from error
    ctx.saver.setup()
    if versioning:
        changes += ctx.admin.enable_versioning()

    def show() -> None:
        if harden or versioning:
            _show_changes(ctx, changes)
        ctx.line(f"{ctx.location} is ready.")

    ctx.answer({"place": ctx.location, "changes": changes}, show)


def lifecycle(
    ctx: Invocation,
    delete_after: Annotated[
        int | None, typer.Option(metavar="DAYS", help="Delete objects of this age.")
    ] = None,
    archive_after: Annotated[
        int | None, typer.Option(metavar="DAYS", help="Move objects of this age to --archive-class.")
    ] = None,
    archive_class: Annotated[
        str | None, typer.Option(help="Where --archive-after moves to. Default: GLACIER_IR.")
    ] = None,
    intelligent_tiering: Annotated[
        bool, typer.Option("--intelligent-tiering", help="Move objects to INTELLIGENT_TIERING at once.")
    ] = False,
    transition: Annotated[
        list[str] | None,
        typer.Option(metavar="CLASS=DAYS", help="Also move objects of this age to this class. Repeatable."),
    ] = None,
    noncurrent_after: Annotated[
        int | None, typer.Option(metavar="DAYS", help="Delete old versions of this age.")
    ] = None,
    keep_noncurrent: Annotated[
        int | None,
        typer.Option(metavar="N", help="But keep the newest n old versions of each object."),
    ] = None,
    noncurrent_transition: Annotated[
        list[str] | None,
        typer.Option(metavar="CLASS=DAYS", help="Move old versions of this age to this class. Repeatable."),
    ] = None,
    abort_uploads_after: Annotated[
        int | None,
        typer.Option(metavar="DAYS", help="Abort unfinished uploads of this age; 0: never. Default: 7."),
    ] = None,
    cache_after: Annotated[
        int | None, typer.Option(metavar="DAYS", help="Delete values of the node cache of this age.")
    ] = None,
    min_size: Annotated[
        int | None,
        typer.Option(metavar="BYTES", help="The smallest object to move. Default: S3's 128 kB."),
    ] = None,
    allow_offline_archive: Annotated[
        bool,
        typer.Option(
            "--allow-offline-archive",
            help="Allow GLACIER and DEEP_ARCHIVE, from which a thread must be restored before it goes on.",
        ),
    ] = False,
    include_memories: Annotated[
        bool, typer.Option("--include-memories", help="Delete or archive long-term memory below it too.")
    ] = False,
    tag: Annotated[
        str | None, typer.Option(metavar="NAME=VALUE", help="The policy of objects with this tag.")
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Remove the policy.")] = False,
    classes: Annotated[
        bool, typer.Option("--classes", help="Set one rule for each retention class of the --uri.")
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Show the lifecycle policy of the prefix; with options, replace or remove it.

    S3 deletes each object by its own age, even in threads that are in use. `prune` keeps what is needed.
    """
    given: dict[str, Any] = {
        "days_until_deletion": delete_after,
        "days_until_archive": archive_after,
        "archive_storage_class": archive_class,
        "intelligent_tiering": intelligent_tiering or None,
        "transitions": _moves("--transition", transition),
        "noncurrent_version_days": noncurrent_after,
        "newer_noncurrent_versions": keep_noncurrent,
        "noncurrent_transitions": _moves("--noncurrent-transition", noncurrent_transition),
        "cache_days": cache_after,
        "minimum_object_size": min_size,
        "allow_offline_archive": allow_offline_archive or None,
        "include_memories": include_memories or None,
    }
    settings = {name: value for name, value in given.items() if value is not None}
    if abort_uploads_after is not None:
        settings["abort_incomplete_uploads_days"] = abort_uploads_after or None
    object_tag = _pair("--tag", tag) if tag is not None else None
    if classes and (remove or settings or object_tag):
        raise CommandExit(USAGE, "--classes goes with no other option.")
    if classes:
        _set_classes(ctx, dry_run=dry_run, yes=yes)
        return
    if remove and settings:
        raise CommandExit(USAGE, "Pass --remove or a policy, not both.")
    if not remove and not settings:
        found = ctx.admin.get_lifecycle_policy(object_tag)
        ctx.answer({"policy": found}, lambda: _show_policy(ctx, found))
    elif remove:
        if dry_run:
            before = ctx.admin.get_lifecycle_policy(object_tag)
            ctx.answer(
                {"dry_run": True, "remove": before}, lambda: _show_policy(ctx, before, "would be removed: ")
            )
            return
        ctx.confirm(f"Remove the lifecycle policy of {ctx.location}?", yes=yes)
        changes = ctx.admin.remove_lifecycle_policy(object_tag)
        ctx.answer({"changes": changes}, lambda: _show_changes(ctx, changes))
    else:
        from langgraph_checkpoint_s3.admin import LifecyclePolicy

        policy = LifecyclePolicy(**settings, object_tag=object_tag)
        if dry_run:
            for warning in policy.warnings:
                ctx.note(f"warning: {warning}")
            ctx.answer(
                {"dry_run": True, "policy": policy}, lambda: _show_policy(ctx, policy, "would be set: ")
            )
            return
        if delete_after is not None or noncurrent_after is not None:
            ctx.confirm(f"Have S3 delete old objects below {ctx.location}?", yes=yes)
        try:
            changes = ctx.admin.set_lifecycle_policy(policy)
        except InvalidConfigError as error:
            message = str(error).replace("include_memories=True", "--include-memories")
            raise CommandExit(USAGE, f"error: {message}") from error
        ctx.answer({"policy": policy, "changes": changes}, lambda: _show_changes(ctx, changes))


def _set_classes(ctx: Invocation, *, dry_run: bool, yes: bool) -> None:
    kept = {name: each.days for name, each in sorted(ctx.saver.config.retention.items())}
    if not kept:
        example = "s3://my-bucket/agents?retention.default=90d&retention.trial=7d"
        raise CommandExit(USAGE, f"The --uri names no retention classes, as {example} does.")
    shown = ", ".join(f"{name} after {days} days" for name, days in kept.items())
    if dry_run:
        ctx.answer({"dry_run": True, "classes": kept}, f"Would have S3 delete: {shown}.")
        return
    ctx.confirm(f"Have S3 delete checkpoints below {ctx.location}: {shown}?", yes=yes)
    changes = ctx.admin.set_lifecycle_policy()
    ctx.answer({"classes": kept, "changes": changes}, lambda: _show_changes(ctx, changes))


def _pair(option: str, text: str) -> tuple[str, str]:
    """Split an option's `NAME=VALUE`."""
    name, found, value = text.partition("=")
    if not found or not name:
        raise CommandExit(USAGE, f"{option} {text!r} must be like NAME=VALUE.")
    return name, value


def _moves(option: str, texts: list[str] | None) -> dict[str, int] | None:
    """Parse an option that is given as `CLASS=DAYS`, once or several times."""
    moves: dict[str, int] = {}
    for text in texts or ():
        name, days = _pair(option, text)
        if not days.isascii() or not days.isdigit():
            raise CommandExit(USAGE, f"{option} {text!r} must be like CLASS=DAYS, such as GLACIER_IR=90.")
        if name in moves:
            raise CommandExit(USAGE, f"{option} names {name} twice.")
        moves[name] = int(days)
    return moves or None


def iam_policy(
    ctx: Invocation,
    role: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ROLE",
            help=f"{', '.join(ROLES[:-1])} or {ROLES[-1]}. Repeatable. Default: runtime.",
            autocompletion=lambda: list(ROLES),
        ),
    ] = None,
    kms_key: Annotated[str | None, typer.Option(metavar="ARN", help="The key that encrypts objects.")] = None,
    replication_role: Annotated[
        str | None, typer.Option(metavar="ARN", help="The role that may be passed to S3 for replication.")
    ] = None,
    partition: Annotated[
        str | None, typer.Option(metavar="NAME", help="aws-cn, aws-us-gov, … Default: the region's.")
    ] = None,
    whole_bucket: Annotated[
        bool, typer.Option("--whole-bucket", help="Allow listing the whole bucket, which Ceph needs.")
    ] = False,
) -> None:
    """Print the IAM policy with the least permissions that are needed. Sends no request."""
    unknown = set(role or ()) - set(ROLES)
    if unknown:
        names = ", ".join(map(repr, sorted(unknown)))
        raise CommandExit(USAGE, f"There is no --role {names}: write {', '.join(ROLES[:-1])} or {ROLES[-1]}.")
    features: Any = tuple(role or ["runtime"])
    policy = ctx.admin.iam_policy(
        features,
        kms_key_id=kms_key,
        replication_role=replication_role,
        partition=partition,
        whole_bucket=whole_bucket,
    )
    ctx.answer(policy, lambda: ctx.block(json.dumps(policy, indent=2)))


def serve(
    ctx: Invocation,
    directory: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to keep the objects.")] = Path(
        "s3-data"
    ),
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port on 127.0.0.1; 0 picks a free one.")
    ] = 9000,
    bucket: Annotated[str, typer.Option(help="The bucket to create.")] = "checkpoints",
) -> None:
    """Run a local S3 server for development, its data in a folder, until Ctrl-C."""
    from langgraph_checkpoint_s3.testing import ServerError, local_s3

    try:
        with local_s3(directory, port=port, buckets=[bucket]) as server:
            environment = {**server.environment(), "S3_BUCKET_NAME": bucket}
            if ctx.json:
                ctx.json_line(environment)
            else:
                ctx.line(f"# {server.directory} is served at {server.endpoint_url}. In another terminal:")
                for name, value in environment.items():
                    ctx.line(f"export {name}={value}")
                ctx.out.file.flush()
            wait_for_interrupt()
    except (ValueError, ServerError) as error:
        if "address already in use" in str(error):
            raise CommandExit(FAILED, f"Port {port} is in use: choose another one with --port.") from error
        raise CommandExit(FAILED, f"error: {' '.join(str(error).split())}") from error


def wait_for_interrupt() -> None:
    """Wait for Ctrl-C."""
    threading.Event().wait()


def as_command(remedy: str) -> str:
    """Return a remedy with commands in place of calls."""
    for call, command in _COMMANDS.items():
        remedy = remedy.replace(call, f"`{command}`")
    return remedy


def _show_changes(ctx: Invocation, changes: Sequence[Change]) -> None:
    for change in changes:
        ctx.line(f"{change.setting}: {json.dumps(change.after, default=str)}")
    if not changes:
        ctx.line("Nothing had to be changed.")


def _show_policy(ctx: Invocation, policy: LifecyclePolicy | None, label: str = "") -> None:
    if policy is None:
        ctx.line(f"There is no lifecycle policy for {ctx.location}.")
        return
    for name in (each.name for each in fields(policy)):
        value: Any = getattr(policy, name)
        unused = name == "archive_storage_class" and policy.days_until_archive is None
        if value not in (None, False, {}) and not unused:
            ctx.line(f"{label}{name} = {value}")
