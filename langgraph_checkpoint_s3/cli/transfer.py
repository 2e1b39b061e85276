"""Commands that move threads: copies, files, signed URLs, and other savers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from langgraph_checkpoint_s3 import InvalidConfigError, S3CheckpointError
from langgraph_checkpoint_s3.admin import MigrationError, S3Admin
from langgraph_checkpoint_s3.cli.checkpoints import find, place_of
from langgraph_checkpoint_s3.cli.options import DryRun, MaybeCheckpoint, Namespace, Thread, duration, place
from langgraph_checkpoint_s3.cli.runtime import (
    FAILED,
    NOT_FOUND,
    USAGE,
    CommandExit,
    Invocation,
    command,
    open_saver,
)
from langgraph_checkpoint_s3.text.humanize import counted, human
from langgraph_checkpoint_s3.text.sanitize import clean

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

_SQLITE: Final = b"SQLite format 3\0"
_THREADS: Final = "Pass thread_ids: which threads to move"


def add(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app, "copy", "copy customer-42 customer-42-debug")(copy)
    command(app, "export", "export customer-42 customer-42.zip", "Write a whole thread into a file.")(export)
    command(app, "import", "import customer-42.zip --thread customer-42-debug")(import_)
    command(app, "url", "url customer-42 --expires 1h")(url)
    command(app, "migrate", "migrate checkpoints.sqlite --thread customer-42")(migrate)


def copy(
    run: Invocation,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="The thread to copy.")],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="The thread that the copy becomes.")],
) -> None:
    """Copy a thread, in the store. What the target holds already stays."""
    if source == target:
        raise CommandExit(USAGE, "SOURCE and TARGET are the same thread: name another one.")
    there = run.admin.usage(source)
    if not there.threads:
        raise run.not_found(source)
    run.saver.copy_thread(source, target)
    data = {"source": source, "target": target, "checkpoints": there.checkpoints, "bytes": there.bytes}
    told = f"Copied {counted(there.checkpoints, 'checkpoint')} of {source} to {target}: {human(there.bytes)}."
    run.answer(data, lambda: run.line(clean(told)))


def export(
    run: Invocation,
    thread: Thread,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The file to write; one that is there is kept.")
    ],
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write a whole thread into a file, which `import` brings into any thread and bucket."""
    if file.exists() and not force:
        raise CommandExit(USAGE, f"{file} is there already: choose another name, or pass --force.")
    if not file.parent.is_dir():
        raise CommandExit(NOT_FOUND, f"There is no folder {file.parent}.")
    if not run.admin.usage(thread).threads:
        raise run.not_found(thread)
    with run.progress("exporting") as progress:
        done = run.admin.export_thread(thread, file, progress=progress)
    told = f"Wrote {counted(done.checkpoints, 'checkpoint')}, {human(done.bytes)}, to {file}."
    run.answer({"file": str(file), **_fields(done)}, lambda: run.line(clean(told)))


def import_(
    run: Invocation,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="What `export` wrote; or s3://bucket/prefix: its threads.")
    ],
    thread: Annotated[
        str,
        typer.Option(help="The thread that it becomes. Default: the file's own. Of s3://…, the only thread."),
    ] = "",
) -> None:
    """Bring in a thread from a file. What the thread holds already stays: doing it again does no harm.

    From s3://bucket/prefix come all of its threads, as they lie there; what is encrypted is sealed anew.
    """
    if file.startswith("s3://"):
        _import_threads(run, file, thread)
        return
    path = Path(file)
    if not path.is_file():
        raise CommandExit(NOT_FOUND, f"There is no file {path}.")
    with run.progress("importing") as progress:
        done = run.admin.import_thread(path, thread or None, progress=progress)
    told = (
        f"Brought {counted(done.checkpoints, 'checkpoint')} into {done.thread_id}: "
        f"{done.written} objects written, {done.unchanged} there before, {len(done.kept)} kept as they were."
    )
    run.answer(done, lambda: run.line(clean(told)))


def _import_threads(run: Invocation, source: str, thread: str) -> None:
    """Bring in the threads of another bucket or prefix, or one of them."""
    with (
        open_saver(source, encryption=run.keys) as saver,
        run.progress("importing") as progress,
    ):
        each = run.admin.import_threads(saver, [thread] if thread else None, progress=progress)
    sums = {
        "threads": len(each),
        "checkpoints": sum(done.checkpoints for done in each),
        "written": sum(done.written for done in each),
        "unchanged": sum(done.unchanged for done in each),
        "kept": sum(len(done.kept) for done in each),
    }
    told = (
        f"Brought {counted(sums['checkpoints'], 'checkpoint')} of {counted(sums['threads'], 'thread')}: "
        f"{sums['written']} objects written, {sums['unchanged']} there before, "
        f"{sums['kept']} kept as they were."
    )
    run.answer(sums, lambda: run.line(told))


def url(
    run: Invocation,
    thread: Thread,
    checkpoint: MaybeCheckpoint = "",
    ns: Namespace = None,
    expires: Annotated[str, typer.Option(metavar="TIME", help="How long it is valid, 7d at most.")] = "1h",
) -> None:
    """Make a URL that gives one checkpoint to whoever has it. Hand it over as you would a password."""
    until = duration(expires)
    if not timedelta(seconds=1) <= until <= timedelta(days=7):
        raise CommandExit(USAGE, "--expires goes from 1s to 7d, which is S3's limit.")
    namespace, name = place_of(find(run, thread, ns, checkpoint))
    made = run.admin.signed_url(thread, name, until, namespace)
    data = {"url": made, "checkpoint_id": name, "expires_in": until}
    run.answer(data, lambda: run.line(made))


def migrate(
    run: Invocation,
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A file of SqliteSaver, postgresql://…, or s3://…")
    ],
    thread: Annotated[list[str] | None, typer.Option(help="Only this thread; may be given again.")] = None,
    no_verify: Annotated[bool, typer.Option("--no-verify", help="Don't read back what was put.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Bring threads over from another saver. Stop the agents that use them before.

    The source is only read, and nothing here is overwritten. It can be stopped and done again. Values are
    loaded with the types of the application, where they can be imported: migrate from what you trust.
    """
    with _opened(run, source) as saver:
        if dry_run:
            configs = [place(each, None) for each in thread or ()] or [None]
            found = [each for config in configs for each in saver.list(config)]
            names = {each.config["configurable"]["thread_id"] for each in found}
            data = {"dry_run": True, "threads": len(names), "checkpoints": len(found)}
            counts = f"{counted(len(found), 'checkpoint')} of {counted(len(names), 'thread')}"
            run.answer(data, lambda: run.line(f"Would bring over {counts}."))
            return
        # With the application's own types, so that what is put is what was there.
        admin = S3Admin(run.opened(serde=None))
        failure: MigrationError | None = None
        with run.progress("migrating") as progress:
            try:
                done = admin.migrate(saver, thread, verify=not no_verify, progress=progress)
            except MigrationError as error:
                if error.migrated is None:
                    raise
                failure, done = error, error.migrated
            except InvalidConfigError as error:
                if isinstance(error.__cause__, S3CheckpointError):  # the source's own
                    raise error.__cause__ from None
                what = str(error).replace(_THREADS, "Name them with --thread")
                raise CommandExit(USAGE, f"error: {what}") from error
    told = (
        f"{counted(done.checkpoints, 'checkpoint')} of {counted(done.threads, 'thread')} brought over; "
        f"{done.skipped} were here before, {done.failed} failed."
    )
    run.answer(done, lambda: run.line(told))
    if failure is not None:
        raise CommandExit(FAILED, f"error: {failure}") from failure


@contextlib.contextmanager
def _opened(run: Invocation, source: str) -> Iterator[BaseCheckpointSaver[Any]]:
    """The saver to read from."""
    with contextlib.ExitStack() as stack:
        yield stack.enter_context(_saver(run, source))


def _saver(run: Invocation, source: str) -> Any:
    if source.startswith("s3://"):
        return open_saver(source, serde=None, encryption=run.keys)
    try:
        if source.startswith(("postgresql://", "postgres://")):
            from langgraph.checkpoint.postgres import PostgresSaver

            return PostgresSaver.from_conn_string(source)
        from langgraph.checkpoint.sqlite import SqliteSaver
    except ImportError as error:
        raise CommandExit(
            FAILED, f"Reading that needs another package: pip install {_package(source)}"
        ) from error
    if not Path(source).is_file():
        raise CommandExit(
            NOT_FOUND, f"There is no file {source!r}. A source is a file, postgresql://… or s3://…"
        )
    with Path(source).open("rb") as file:
        if file.read(len(_SQLITE)) != _SQLITE:
            raise CommandExit(
                USAGE, f"{source!r} is no SQLite file. A source is one, postgresql://… or s3://…"
            )
    return SqliteSaver.from_conn_string(source)


def _package(source: str) -> str:
    if source.startswith("postgres"):
        return 'langgraph-checkpoint-postgres "psycopg[binary]"'  # it brings psycopg along, but no libpq
    return "langgraph-checkpoint-sqlite"


def _fields(done: Any) -> dict[str, Any]:
    return {name: getattr(done, name) for name in type(done).__dataclass_fields__}
