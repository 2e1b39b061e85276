"""Common parts of all commands: target, output, errors, exit codes, confirmation and progress."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import json
import logging
import sys
import typing
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer
from typer.models import OptionInfo

from langgraph_checkpoint_s3 import (
    BucketNotFoundError,
    DecryptionError,
    InvalidConfigError,
    InvalidKeyError,
    S3CheckpointError,
)
from langgraph_checkpoint_s3.cli.console import make_console, page, styled, wrapped
from langgraph_checkpoint_s3.cli.target import OPTIONS, shared, store_settings, use_profile
from langgraph_checkpoint_s3.text.sanitize import sanitize
from langgraph_checkpoint_s3.text.values import to_json

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from langgraph_checkpoint_s3 import S3Saver
    from langgraph_checkpoint_s3.admin import S3Admin
    from langgraph_checkpoint_s3.encryption import KeyProvider

FAILED: Final = 1
USAGE: Final = 2
NOT_FOUND: Final = 3
INTERRUPTED: Final = 130
_KINDS: Final = {FAILED: "failed", USAGE: "usage", NOT_FOUND: "not_found", INTERRUPTED: "interrupted"}


_TYPES: Final = {str: "TEXT", int: "INTEGER", float: "NUMBER", Path: "FILE", list[str]: "TEXT"}


class CommandExit(Exception):  # noqa: N818  # not always an error: `check` may have found problems
    """Ends a command.

    Args:
        code: The exit code.
        message: A line for stderr that says what to do. Default: none.
    """

    def __init__(self, code: int, message: str = "") -> None:
        self.code = code
        super().__init__(message)


def open_saver(uri: str | None, **settings: Any) -> S3Saver:
    """Open a saver on a URI, or on the bucket that the environment names."""
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

    from langgraph_checkpoint_s3 import S3Saver

    # Strict: values from the bucket import no modules here. An application's types are shown as plain data.
    settings.setdefault("serde", JsonPlusSerializer(allowed_msgpack_modules=None))
    if uri is not None:
        return S3Saver.from_conn_string(uri, **settings)
    try:
        return S3Saver.from_env(**settings)
    except InvalidConfigError as error:
        if "S3_BUCKET_NAME" not in str(error):
            raise
        raise CommandExit(
            USAGE,
            "No bucket is named: pass --uri s3://bucket/prefix, or set S3_BUCKET_NAME. Only with the "
            "S3_ENDPOINT_URL of another store than AWS there is a default, langgraph-test.",
        ) from error


class Invocation:
    """One invocation of a command: its target and its output.

    All text for people is cleaned of control characters before it is shown.

    Args:
        options: The values of `cli.target.OPTIONS`.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        self.json: bool = options["as_json"]
        self._uri: str = options["uri"]
        self._keys: str = options["keys"]
        self._settings = store_settings(options)
        self._cleanup = contextlib.ExitStack()
        self._progress: tuple[str, int, int | None] | None = None

    @cached_property
    def out(self) -> Console:
        """The console on stdout."""
        return make_console(sys.stdout)

    @cached_property
    def err(self) -> Console:
        """The console on stderr."""
        return make_console(sys.stderr)

    def close(self) -> None:
        """Close the savers that were opened."""
        self._cleanup.close()

    def open_saver(self, uri: str | None = None, **settings: Any) -> S3Saver:
        """Open a saver on the target, or on another URI. It is closed when the command ends."""
        saver = open_saver(uri or self._uri or None, encryption=self.keys, **{**self._settings, **settings})
        self._cleanup.callback(saver.close)
        return saver

    @cached_property
    def keys(self) -> KeyProvider | None:
        """The key provider that `--keys` names.

        Raises:
            CommandExit: It can't be imported.
        """
        if not self._keys:
            return None
        module, _, name = self._keys.partition(":")
        sys.path.insert(0, str(Path.cwd()))  # as `python -m` does
        try:
            provider: KeyProvider = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise CommandExit(
                USAGE, f"--keys {self._keys} can't be imported, as module:name: {error}"
            ) from error
        return provider

    @cached_property
    def saver(self) -> S3Saver:
        """The target's saver."""
        return self.open_saver()

    @cached_property
    def admin(self) -> S3Admin:
        """The target's admin."""
        from langgraph_checkpoint_s3.admin import S3Admin

        return S3Admin(self.saver)

    @property
    def location(self) -> str:
        """The target's bucket and prefix, as a URI."""
        return f"s3://{self.saver.config.bucket}/{self.saver.config.prefix}"

    def answer(self, data: Any, show: Callable[[], None] | str, *, paged: bool = False) -> None:
        """Print the command's result: the data as JSON, or else a line or what `show` prints.

        Args:
            data: The result.
            show: A line, or prints the result.
            paged: Whether to show it in a pager if a terminal is too small for it.
        """
        if self.json:
            # ASCII only, so that nothing in it acts on a terminal.
            sys.stdout.write(json.dumps(to_json(data), indent=2, ensure_ascii=True) + "\n")
        elif isinstance(show, str):
            self.line(show)
        elif paged and _is_interactive() and sys.stdout.isatty():
            with self.out.capture() as captured:
                show()
            page(captured.get(), self.out)
        else:
            show()

    def json_line(self, data: Any) -> None:
        """Print one JSON object of a stream, on a line of its own."""
        sys.stdout.write(json.dumps(to_json(data), ensure_ascii=True) + "\n")
        sys.stdout.flush()

    def line(self, text: str, style: str = "") -> None:
        """Print text on one line, or on several of a terminal."""
        self.wrap(styled(sanitize(text), style))

    def block(self, text: str) -> None:
        """Print text that may have several lines."""
        self.print(styled(sanitize(text, lines=True)))

    def print(self, text: Text) -> None:
        """Print text that is clean."""
        self.out.print(text, soft_wrap=True)

    def wrap(self, text: Text) -> None:
        """Print text that is clean. A terminal's lines end between words, and go on below, indented."""
        if self.out.is_terminal:
            text = wrapped(text, self.out)
        self.print(text)

    def fit(self, text: Text) -> Text:
        """Cut a line to the terminal's width, if stdout is one."""
        if self.out.is_terminal:
            text.truncate(self.out.width, overflow="ellipsis")
        return text

    def note(self, text: str) -> None:
        """Print a note on stderr, which is an object with `--json`."""
        self._print_error(text, {"note": text})

    def fail(self, text: str, kind: str, code: int, label: str = "") -> None:
        """Print on stderr why the command ends."""
        self._print_error(label + text, {"error": text, "kind": kind, "exit_code": code})

    def _print_error(self, text: str, data: dict[str, Any]) -> None:
        if self.json:
            sys.stderr.write(json.dumps(data, ensure_ascii=True) + "\n")
        else:
            note = styled(sanitize(text))
            self.err.print(wrapped(note, self.err) if self.err.is_terminal else note, soft_wrap=True)

    def table(
        self, columns: Sequence[str], rows: Sequence[Sequence[object]], *, whole: Sequence[str] = ()
    ) -> None:
        """Print a table; tab-separated lines if stdout is no terminal.

        Args:
            columns: The headings.
            rows: The cells.
            whole: Columns whose cells are never folded, such as times.
        """
        if not self.out.is_terminal:
            for row in [columns, *rows]:
                self.out.file.write("\t".join(sanitize(value) for value in row) + "\n")
            return
        from rich import box
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, header_style="bold")
        for column in columns:
            table.add_column(column, overflow="fold", no_wrap=column in whole)
        for row in rows:
            table.add_row(*[styled(sanitize(value)) for value in row])
        self.out.print(table)

    def not_found(self, thread: str, checkpoint: str | None = None) -> CommandExit:
        """Return the exit for a thread or a checkpoint that doesn't exist."""
        if checkpoint is None:
            return CommandExit(
                NOT_FOUND,
                f"There is no thread {thread!r} in {self.location}: `langgraph-s3 threads` lists them.",
            )
        return CommandExit(
            NOT_FOUND,
            f"There is no checkpoint {checkpoint!r} in thread {thread!r}: "
            f"`langgraph-s3 history` lists them, with their namespaces (--ns).",
        )

    def confirm(self, question: str, *, yes: bool) -> None:
        """Ask before something is destroyed, unless `--yes` was passed.

        Raises:
            CommandExit: The answer is no, or there is no terminal to ask at.
        """
        if yes:
            return
        if self.json or not _is_interactive():
            raise CommandExit(
                USAGE, f"{question} Nothing was done: pass --yes to confirm, or --dry-run to preview."
            )
        try:
            confirmed = typer.confirm(sanitize(question), err=True)
        except typer.Abort as error:  # Ctrl-C, or Ctrl-D
            self.err.line()  # the cursor is still behind the question
            raise CommandExit(INTERRUPTED, "Nothing was done.") from error
        if not confirmed:
            raise CommandExit(FAILED, "Nothing was done.")

    @contextlib.contextmanager
    def progress(self, activity: str) -> Iterator[Callable[[int, int | None], None]]:
        """Show a progress bar on stderr if that is a terminal. Yields a function of done and total."""
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = (activity, 0, None)
        columns = (TextColumn(activity), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        hidden = self.json or not self.err.is_terminal
        with Progress(*columns, console=self.err, transient=True, disable=hidden) as bar:
            task = bar.add_task(activity, total=None)

            def report(done: int, total: int | None) -> None:
                self._progress = (activity, done, total)
                bar.update(task, completed=done, total=total)

            yield report
        self._progress = None

    @property
    def interrupted(self) -> str:
        """The message after Ctrl-C: what was stopped, and how far it got."""
        if self._progress is None:
            return "Stopped."
        activity, done, total = self._progress
        return f"Stopped while {activity}, after {done:,}{'' if total is None else f' of {total:,}'}."


def _is_interactive() -> bool:
    return sys.stdin.isatty()


def add_command(app: typer.Typer, name: str, function: Callable[..., None], example: str) -> None:
    """Add a command whose first parameter is its `Invocation`, with the shared options.

    Args:
        app: The application.
        name: The command's name.
        function: The command. Its docstring is the help.
        example: The arguments of the example at the end of the help.
    """

    def command(*, context: typer.Context, **arguments: Any) -> None:
        options = shared(context, arguments)
        with use_profile(options["profile"]):
            _invoke(function, Invocation(options), options["debug"], arguments)

    # typer reads the signature: the function's own parameters, and the shared options after them.
    hints = typing.get_type_hints(function, include_extras=True)
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        each.replace(annotation=hints[each.name], kind=keyword)
        for each in list(inspect.signature(function).parameters.values())[1:]
    ]
    for each in parameters:
        _name_type(each.annotation)
    parameters.append(inspect.Parameter("context", keyword, annotation=typer.Context))
    for option, (annotation, default) in OPTIONS.items():
        parameters.append(inspect.Parameter(option, keyword, annotation=annotation, default=default))
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # typer reads it
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    command.__doc__ = inspect.getdoc(function)
    app.command(name, epilog=f"Example: langgraph-s3 {name} {example}")(command)


def _name_type(annotation: Any) -> None:
    """Give an option without a metavar that of its type: `TEXT`, `INTEGER` or `FILE`."""
    type_, *infos = typing.get_args(annotation)
    kinds = {type_, *typing.get_args(type_)}
    for info in infos:
        if isinstance(info, OptionInfo) and info.metavar is None and bool not in kinds:
            info.metavar = next((name for each, name in _TYPES.items() if each in kinds), None)


def _invoke(function: Callable[..., None], ctx: Invocation, debug: bool, arguments: dict[str, Any]) -> None:
    """Run a command; print its warnings and errors as lines, and exit with its code."""
    code = 0
    try:
        with warnings.catch_warnings(), _log_as_notes(ctx):
            warnings.simplefilter("always", UserWarning)
            warnings.showwarning = lambda message, *_, **__: ctx.note(f"warning: {message}")
            try:
                function(ctx, **arguments)
            finally:
                ctx.close()
    except CommandExit as stop:
        code = stop.code
        if str(stop):
            ctx.fail(str(stop), _KINDS[code], code)
    except KeyboardInterrupt:
        code = INTERRUPTED
        ctx.fail(ctx.interrupted, _KINDS[code], code)
    except (BrokenPipeError, typer.Exit):
        raise
    except Exception as error:  # shown as one line; --debug shows the rest
        if debug:
            raise
        code = _exit_code(error)
        kind = error.kind if isinstance(error, S3CheckpointError) else type(error).__name__
        ctx.fail(_error_message(error), kind, code, "error: ")
    if code:
        raise typer.Exit(code)


class _NoteHandler(logging.Handler):
    """Prints log records as notes of one line."""

    def __init__(self, ctx: Invocation) -> None:
        super().__init__(logging.WARNING)
        self._ctx = ctx

    def emit(self, record: logging.LogRecord) -> None:
        self._ctx.note(f"warning: {' '.join(record.getMessage().split())}")


@contextlib.contextmanager
def _log_as_notes(ctx: Invocation) -> Iterator[None]:
    handler = _NoteHandler(ctx)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)


def _exit_code(error: Exception) -> int:
    if isinstance(error, (BucketNotFoundError, FileNotFoundError)):
        return NOT_FOUND
    return USAGE if isinstance(error, ValueError) and isinstance(error, S3CheckpointError) else FAILED


def _error_message(error: Exception) -> str:
    if isinstance(error, BucketNotFoundError):
        return str(error).replace("call setup()", "run `langgraph-s3 setup`")
    if isinstance(error, InvalidKeyError) and "config=" in str(error):
        return "The thread's id is empty: `langgraph-s3 threads` lists them."
    if isinstance(error, DecryptionError):
        return f"Pass the keys by --keys MODULE:NAME. {error}"
    if isinstance(error, OSError) and error.filename and not isinstance(error, S3CheckpointError):
        return f"{error.strerror}: {error.filename}"
    text = " ".join(str(error).split())
    if isinstance(error, (S3CheckpointError, OSError)):
        return text
    return f"{type(error).__name__}: {text} (--debug shows where)"
