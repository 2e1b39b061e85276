"""Commands that move threads and states: copies, files, signed URLs, and other savers."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from langgraph_checkpoint_s3 import InvalidConfigError, S3CheckpointError
from langgraph_checkpoint_s3.cli.checkpoints import config_of, get_checkpoint, place_of
from langgraph_checkpoint_s3.cli.memories import ALL, describe_import
from langgraph_checkpoint_s3.cli.options import (
    DryRun,
    Force,
    MaybeCheckpoint,
    Namespace,
    OnlyThreads,
    Thread,
    check_writable,
    parse_duration,
)
from langgraph_checkpoint_s3.cli.runtime import FAILED, NOT_FOUND, USAGE, CommandExit, Invocation, open_saver
from langgraph_checkpoint_s3.text.humanize import format_size, pluralize

if TYPE_CHECKING:
    from langgraph_checkpoint_s3 import S3Saver
    from langgraph_checkpoint_s3.memory import S3Store

_SQLITE: Final = b"SQLite format 3\0"
_THREAD_IDS_HINT: Final = "Pass thread_ids: which threads to move"
"""The beginning of an error of the API for which the command line has an option."""


def copy(
    ctx: Invocation,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="The thread to copy.")],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="The thread to copy to.")],
) -> None:
    """Copy a thread within the store. What the target has already is kept."""
    if source == target:
        raise CommandExit(USAGE, "SOURCE and TARGET are the same thread: name another one.")
    usage = ctx.admin.usage(source)
    if not usage.threads:
        raise ctx.not_found(source)
    ctx.saver.copy_thread(source, target)
    ctx.answer(
        {"source": source, "target": target, "checkpoints": usage.checkpoints, "bytes": usage.bytes},
        f"Copied {pluralize(usage.checkpoints, 'checkpoint')} of {source} to {target}: "
        f"{format_size(usage.bytes)}.",
    )


def save(
    ctx: Invocation,
    thread: Thread,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A JSON object with all of the state; - is standard input.")
    ],
) -> None:
    """Save a thread's state from JSON, as a checkpoint that follows the latest one. Prints its id.

    A graph goes on from it. What the object lacks is no longer in the state; earlier checkpoints keep it.
    """
    if file != "-" and not Path(file).is_file():
        raise CommandExit(NOT_FOUND, f"There is no file {file}.")
    try:
        values = json.loads(sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8"))
    except ValueError as error:
        raise CommandExit(USAGE, f"{file} isn't JSON: {error}.") from error
    if not isinstance(values, dict):
        raise CommandExit(USAGE, f"{file} must hold a JSON object: names and values.")
    checkpoint_id = ctx.saver.save_checkpoint(thread, values)
    ctx.answer({"thread_id": thread, "checkpoint_id": checkpoint_id}, checkpoint_id)


def export(
    ctx: Invocation,
    thread: Thread,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")],
    force: Force = False,
) -> None:
    """Write a whole thread to a file, which `import` reads into any thread and bucket."""
    check_writable(file, force)
    if not file.parent.is_dir():
        raise CommandExit(NOT_FOUND, f"There is no folder {file.parent}.")
    if not ctx.admin.usage(thread).threads:
        raise ctx.not_found(thread)
    with ctx.progress("exporting") as progress:
        done = ctx.admin.export_thread(thread, file, progress=progress)
    ctx.answer(
        {"file": str(file), **asdict(done)},
        f"Wrote {pluralize(done.checkpoints, 'checkpoint')}, {format_size(done.bytes)}, to {file}.",
    )


def import_(
    ctx: Invocation,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A file from `export`, or s3://bucket/prefix.")],
    thread: Annotated[
        str, typer.Option(help="The new thread's id. Default: the file's. With s3://…: the only thread.")
    ] = "",
) -> None:
    """Import a thread from a file, or all threads of another bucket or prefix.

    What the target has already is kept, so an import can be repeated. Threads from s3://… keep their ids;
    encrypted ones are encrypted again with this target's keys.
    """
    if file.startswith("s3://"):
        _import_threads(ctx, file, thread)
        return
    path = Path(file)
    if not path.is_file():
        raise CommandExit(NOT_FOUND, f"There is no file {path}.")
    with ctx.progress("importing") as progress:
        done = ctx.admin.import_thread(path, thread or None, progress=progress)
    ctx.answer(
        done,
        f"Imported {pluralize(done.checkpoints, 'checkpoint')} into {done.thread_id}: "
        f"{_import_counts(done.written, done.unchanged, len(done.kept))}",
    )


def _import_threads(ctx: Invocation, source: str, thread: str) -> None:
    with open_saver(source, encryption=ctx.keys) as saver, ctx.progress("importing") as progress:
        imported = ctx.admin.import_threads(saver, [thread] if thread else None, progress=progress)
    totals = {
        "threads": len(imported),
        "checkpoints": sum(done.checkpoints for done in imported),
        "written": sum(done.written for done in imported),
        "unchanged": sum(done.unchanged for done in imported),
        "kept": sum(len(done.kept) for done in imported),
    }
    ctx.answer(
        totals,
        f"Imported {pluralize(totals['checkpoints'], 'checkpoint')} of "
        f"{pluralize(totals['threads'], 'thread')}: "
        f"{_import_counts(totals['written'], totals['unchanged'], totals['kept'])}",
    )


def _import_counts(written: int, unchanged: int, kept: int) -> str:
    return f"{written} objects written, {unchanged} already there, {kept} different and kept."


def url(
    ctx: Invocation,
    thread: Thread,
    checkpoint: MaybeCheckpoint = "",
    ns: Namespace = None,
    expires: Annotated[str, typer.Option(metavar="TIME", help="How long it is valid, at most 7d.")] = "1h",
) -> None:
    """Make a signed URL of one checkpoint.

    Anyone who has the URL can read the checkpoint: share it as you would a password.
    """
    expires_in = parse_duration(expires)
    if not timedelta(seconds=1) <= expires_in <= timedelta(days=7):
        raise CommandExit(USAGE, "--expires must be between 1s and 7d, which is S3's limit.")
    namespace, checkpoint_id = place_of(get_checkpoint(ctx, thread, ns, checkpoint))
    signed = ctx.admin.signed_url(thread, checkpoint_id, expires_in, namespace)
    ctx.answer({"url": signed, "checkpoint_id": checkpoint_id, "expires_in": expires_in}, signed)


def migrate(
    ctx: Invocation,
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A file of SqliteSaver, postgresql://…, or s3://…")
    ],
    thread: OnlyThreads = None,
    no_verify: Annotated[bool, typer.Option("--no-verify", help="Don't read back what was written.")] = False,
    memories: Annotated[
        bool, typer.Option("--memories", help="Import long-term memory of such a store instead, unembedded.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Import threads from another saver. Stop the agents that use them first.

    The source is only read, and nothing in the target is overwritten. A migration can be interrupted and
    repeated. Values are loaded with your application's types if they can be imported: migrate only from
    sources that you trust.
    """
    from langgraph_checkpoint_s3.admin import MigrationError, S3Admin

    if memories:
        if thread or no_verify:
            raise CommandExit(USAGE, "--memories goes with neither --thread nor --no-verify.")
        _migrate_memories(ctx, source, dry_run)
        return
    with _open_source(ctx, source) as saver:
        if dry_run:
            configs = [config_of(each, None) for each in thread or ()] or [None]
            found = [each for config in configs for each in saver.list(config)]
            threads = {each.config["configurable"]["thread_id"] for each in found}
            ctx.answer(
                {"dry_run": True, "threads": len(threads), "checkpoints": len(found)},
                f"Would migrate {pluralize(len(found), 'checkpoint')} of "
                f"{pluralize(len(threads), 'thread')}.",
            )
            return
        # With the application's own types, so that values are stored as they were.
        admin = S3Admin(ctx.open_saver(serde=None))
        failure: MigrationError | None = None
        with ctx.progress("migrating") as progress:
            try:
                done = admin.migrate(saver, thread, verify=not no_verify, progress=progress)
            except MigrationError as error:
                if error.migrated is None:
                    raise
                failure, done = error, error.migrated
            except InvalidConfigError as error:
                if isinstance(error.__cause__, S3CheckpointError):  # the source's own
                    raise error.__cause__ from None
                message = str(error).replace(_THREAD_IDS_HINT, "Name them with --thread")
                raise CommandExit(USAGE, f"error: {message}") from error
    ctx.answer(
        done,
        f"Migrated {pluralize(done.checkpoints, 'checkpoint')} of {pluralize(done.threads, 'thread')}; "
        f"{done.skipped} already there, {done.failed} failed.",
    )
    if failure is not None:
        raise CommandExit(FAILED, f"error: {failure}") from failure


def _migrate_memories(ctx: Invocation, source: str, dry_run: bool) -> None:
    from langgraph_checkpoint_s3.admin import S3Admin

    with _open_source(ctx, source, memories=True) as store:
        if dry_run:
            count = len(store.list_namespaces(limit=ALL))
            data = {"dry_run": True, "namespaces": count}
            ctx.answer(data, f"Would migrate {pluralize(count, 'namespace')} of long-term memory.")
            return
        admin = S3Admin(ctx.open_saver(serde=None))
        with ctx.progress("migrating") as progress:
            done = admin.migrate_memories(store, progress=progress)
    ctx.answer(done, f"Migrated {describe_import(done)}")


def _open_source(ctx: Invocation, source: str, *, memories: bool = False) -> Any:
    """Return a context manager whose value is the saver, or the store of memories, to read from."""
    if source.startswith("s3://"):
        saver = open_saver(source, serde=None, encryption=ctx.keys)
        return _store_of(saver) if memories else saver
    postgres = source.startswith(("postgresql://", "postgres://"))
    if not postgres and not Path(source).is_file():
        raise CommandExit(
            NOT_FOUND, f"There is no file {source!r}. A source is a file, postgresql://… or s3://…"
        )
    try:
        kind = _source_class(postgres=postgres, memories=memories)
    except ImportError as error:
        # The Postgres saver requires psycopg, but not the libpq that psycopg needs.
        packages = (
            'langgraph-checkpoint-postgres "psycopg[binary]"' if postgres else "langgraph-checkpoint-sqlite"
        )
        raise CommandExit(FAILED, f"This source needs another package: pip install {packages}") from error
    if not postgres:
        with Path(source).open("rb") as file:
            if file.read(len(_SQLITE)) != _SQLITE:
                raise CommandExit(
                    USAGE, f"{source!r} is no SQLite file. A source is one, postgresql://… or s3://…"
                )
    return kind.from_conn_string(source)


def _source_class(*, postgres: bool, memories: bool) -> Any:
    """Import LangGraph's saver or store of a kind, and nothing else: older packages have no store."""
    if postgres and memories:
        from langgraph.store.postgres import PostgresStore

        return PostgresStore
    if postgres:
        from langgraph.checkpoint.postgres import PostgresSaver

        return PostgresSaver
    if memories:
        from langgraph.store.sqlite import SqliteStore

        return SqliteStore
    from langgraph.checkpoint.sqlite import SqliteSaver

    return SqliteSaver


@contextmanager
def _store_of(saver: S3Saver) -> Iterator[S3Store]:
    from langgraph_checkpoint_s3.memory import S3Store

    with saver:
        yield S3Store(saver=saver)
