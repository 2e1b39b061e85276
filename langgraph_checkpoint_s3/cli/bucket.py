"""Commands about the bucket: is it fit, set it up, its lifecycle rules, a policy for IAM, a local server."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, cast, get_args

import typer

from langgraph_checkpoint_s3 import NotSupportedError
from langgraph_checkpoint_s3.admin import Change, LifecyclePolicy
from langgraph_checkpoint_s3.admin.bucket.iam import Role
from langgraph_checkpoint_s3.cli.options import DryRun, Yes
from langgraph_checkpoint_s3.cli.runtime import FAILED, USAGE, CommandExit, Invocation, command
from langgraph_checkpoint_s3.text.sanitize import clean

ROLES: Final[tuple[str, ...]] = get_args(Role)
_STYLES: Final = {"ok": "green", "missing": "bold red", "warning": "yellow"}


def add(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app, "check", "check --uri s3://my-bucket/agents", "Try all that a saver needs of the bucket.")(
        check
    )
    command(app, "setup", "setup --harden --versioning", "Make the bucket ready.")(setup)
    command(
        app,
        "lifecycle",
        "lifecycle --delete-after 30 --dry-run",
        "Show or set when S3 deletes or archives what is old.",
    )(lifecycle)
    command(
        app,
        "iam-policy",
        "iam-policy --role runtime --role retention",
        "Print the IAM policy with the least that is needed.",
    )(iam_policy)
    command(app, "serve", "serve ./data --port 9000", "Invocation a local S3 server for development.")(serve)


def check(run: Invocation) -> None:
    """Try all that a saver needs of the bucket, and say what is missing and what to do.

    Two small objects are made and removed again. Exit code 1 if a saver can't work there.
    """
    report = run.admin.check()

    def show() -> None:
        run.line(clean(f"{report.place}: a saver {'can' if report.ok else 'can NOT'} work here"), "bold")
        for finding in report:
            run.line(
                clean(f"  {finding.status:13}  {finding.name:19}  {finding.detail}"),
                _STYLES.get(finding.status, ""),
            )
            if finding.remedy:
                run.line(clean(f"{'':38}do: {finding.remedy}"), "bold")

    run.answer({"place": report.place, "ok": report.ok, "findings": report.findings}, show)
    if not report.ok:
        raise CommandExit(FAILED)


def setup(
    run: Invocation,
    harden: Annotated[
        bool, typer.Option("--harden", help="Set encryption, TLS only, no public access too.")
    ] = False,
    versioning: Annotated[
        bool, typer.Option("--versioning", help="Have the bucket keep old versions too.")
    ] = False,
) -> None:
    """Make the bucket if it isn't there, and find out whether the saver may do all that it needs to.

    Doing it again changes nothing.
    """
    changes: list[Change] = []
    if harden:
        try:
            changes += run.admin.create_bucket()
        except NotSupportedError as error:
            what = error.reason.partition(" To set the rest up")[0]
            raise CommandExit(FAILED, f"error: {what} Leave out --harden.") from error
    run.saver.setup()
    if versioning:
        changes += run.admin.enable_versioning()

    def show() -> None:
        _changed(run, changes)
        run.line(f"{run.place} is ready.")

    run.answer({"place": run.place, "changes": changes}, show)


def lifecycle(
    run: Invocation,
    delete_after: Annotated[
        int | None, typer.Option(metavar="DAYS", help="Delete what was written so long ago.")
    ] = None,
    archive_after: Annotated[
        int | None, typer.Option(metavar="DAYS", help="Move it to --archive-class.")
    ] = None,
    archive_class: Annotated[str, typer.Option(help="A storage class that is read at once.")] = "GLACIER_IR",
    noncurrent_after: Annotated[
        int | None, typer.Option(metavar="DAYS", help="Delete old versions for good.")
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Remove the policy.")] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Show the lifecycle policy of the prefix; with options, set one in its place, or remove it.

    S3 then deletes by each object's own age, also in threads that are in use: `prune` keeps what is needed.
    """
    wanted = (delete_after, archive_after, noncurrent_after)
    if remove and any(each is not None for each in wanted):
        raise CommandExit(USAGE, "Either --remove, or days: not both.")
    if remove:
        if dry_run:
            before = run.admin.get_lifecycle_policy()
            run.answer(
                {"dry_run": True, "remove": before}, lambda: _policy(run, before, "would be removed: ")
            )
            return
        run.sure(f"Remove the lifecycle policy of {run.place}?", yes=yes)
        changes = run.admin.remove_lifecycle_policy()
        run.answer({"changes": changes}, lambda: _changed(run, changes))
    elif all(each is None for each in wanted):
        found = run.admin.get_lifecycle_policy()
        run.answer({"policy": found}, lambda: _policy(run, found))
    else:
        policy = LifecyclePolicy(
            days_until_deletion=delete_after,
            days_until_archive=archive_after,
            archive_storage_class=archive_class,
            noncurrent_version_days=noncurrent_after,
        )
        if dry_run:
            for warning in policy.warnings:
                run.note(f"warning: {warning}")
            run.answer({"dry_run": True, "policy": policy}, lambda: _policy(run, policy, "would be set: "))
            return
        if delete_after is not None or noncurrent_after is not None:
            run.sure(f"Have S3 delete what is old below {run.place}?", yes=yes)
        changes = run.admin.set_lifecycle_policy(policy)
        run.answer({"policy": policy, "changes": changes}, lambda: _changed(run, changes))


def iam_policy(
    run: Invocation,
    role: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ROLE",
            help="runtime, read-only, retention or administration; may be given again. Default: runtime.",
            autocompletion=lambda: list(ROLES),
        ),
    ] = None,
    kms_key: Annotated[str | None, typer.Option(metavar="ARN", help="The key that encrypts objects.")] = None,
    replication_role: Annotated[
        str | None, typer.Option(metavar="ARN", help="The role that S3 may be given for replication.")
    ] = None,
    partition: Annotated[
        str | None, typer.Option(metavar="NAME", help="aws-cn, aws-us-gov, … Default: the region's.")
    ] = None,
    whole_bucket: Annotated[bool, typer.Option("--whole-bucket", help="As Ceph needs it.")] = False,
) -> None:
    """Print the IAM policy with the least that credentials need. Sends nothing."""
    unknown = set(role or ()) - set(ROLES)
    if unknown:
        named = ", ".join(map(repr, sorted(unknown)))
        raise CommandExit(USAGE, f"There is no --role {named}: write {', '.join(ROLES[:-1])} or {ROLES[-1]}.")
    policy = run.admin.iam_policy(
        cast("Sequence[Role]", tuple(role or ["runtime"])),
        kms_key_id=kms_key,
        replication_role=replication_role,
        partition=partition,
        whole_bucket=whole_bucket,
    )
    run.answer(policy, lambda: run.line(json.dumps(policy, indent=2)))


def serve(
    run: Invocation,
    directory: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the objects are kept.")] = Path(
        "s3-data"
    ),
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port on 127.0.0.1; 0 takes a free one.")
    ] = 9000,
    bucket: Annotated[str, typer.Option(help="The bucket to make.")] = "checkpoints",
) -> None:
    """Run a local S3 server for development, its data in a folder, until Ctrl-C. Needs the extra `local`."""
    from langgraph_checkpoint_s3.testing import ServerError, local_s3

    try:
        with local_s3(directory, port=port, buckets=[bucket]) as server:
            environment = {**server.environment(), "S3_BUCKET_NAME": bucket}

            def show() -> None:
                run.line(f"# {server.directory} is served at {server.endpoint_url}. In another terminal:")
                for name, value in environment.items():
                    run.line(f"export {name}={value}")
                run.out.file.flush()

            if run.json:
                run.json_line(environment)
            else:
                show()
            until_interrupted()
    except (ImportError, ValueError, ServerError) as error:
        if "address already in use" in str(error):
            raise CommandExit(FAILED, f"Port {port} is taken: choose another one with --port.") from error
        raise CommandExit(FAILED, f"error: {' '.join(str(error).split())}") from error


def until_interrupted() -> None:
    """Wait for Ctrl-C."""
    threading.Event().wait()


def _changed(run: Invocation, changes: Sequence[Change]) -> None:
    for change in changes:
        run.line(clean(f"{change.setting}: {json.dumps(change.after, default=str)}"))
    if not changes:
        run.line("Nothing had to be changed.")


def _policy(run: Invocation, policy: LifecyclePolicy | None, before: str = "") -> None:
    if policy is None:
        run.line(f"There is no lifecycle policy for {run.place}.")
        return
    for name in LifecyclePolicy.__dataclass_fields__:
        value: Any = getattr(policy, name)
        unused = name == "archive_storage_class" and policy.days_until_archive is None
        if value not in {None, False} and not unused:
            run.line(clean(f"{before}{name} = {value}"))
