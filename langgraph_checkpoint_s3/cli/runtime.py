"""What all commands share: the target, `--json`, errors in one line, exit codes, questions, progress."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import json
import logging
import re
import sys
import typing
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from langgraph_checkpoint_s3 import (
    BucketNotFoundError,
    DecryptionError,
    InvalidConfigError,
    InvalidKeyError,
    S3CheckpointError,
    S3Saver,
)
from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.cli.values import plain
from langgraph_checkpoint_s3.text.sanitize import clean

if TYPE_CHECKING:
    from langgraph_checkpoint_s3.crypto.provider import KeyProvider

FAILED: Final = 1
USAGE: Final = 2
NOT_FOUND: Final = 3
INTERRUPTED: Final = 130
_KINDS: Final = {FAILED: "failed", USAGE: "usage", NOT_FOUND: "not_found", INTERRUPTED: "interrupted"}

_WIDE: Final = 10_000
"""The width of a line where nobody looks at it: none is broken."""

_BRANCH: Final = re.compile(r"([│ ]*●[│ ]*  )((?:[0-9a-f]+-){4})[0-9a-f]{12}  ")
"""A line of a history's drawing: what is drawn, and of a UUID what may be left out."""

Command = Callable[..., None]


class CommandExit(Exception):  # noqa: N818  # it may be no error: a check that found something
    """Ends a command.

    Args:
        code: The exit code.
        message: A line for stderr that says what to do; none if all is said.
    """

    def __init__(self, code: int, message: str = "") -> None:
        self.code = code
        super().__init__(message)


def open_saver(uri: str | None, **keywords: Any) -> S3Saver:
    """The saver at the URI, or that of the environment."""
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

    # Strict: what lies in a bucket imports nothing here. Types of an application show as their data.
    keywords.setdefault("serde", JsonPlusSerializer(allowed_msgpack_modules=None))
    if uri is not None:
        return S3Saver.from_conn_string(uri, **keywords)
    try:
        return S3Saver.from_env(**keywords)
    except InvalidConfigError as error:
        if "S3_BUCKET_NAME" not in str(error):
            raise
        raise CommandExit(
            USAGE, "Which bucket? Pass --uri s3://bucket/prefix, or set S3_BUCKET_NAME."
        ) from error


class Invocation:
    """One run of a command: its target, and where its answer goes."""

    def __init__(self, uri: str | None, keys: str | None, as_json: bool) -> None:
        self.json = as_json
        self._uri = uri
        self._keys = keys
        self._closing = contextlib.ExitStack()
        self._work: tuple[str, int, int | None] | None = None
        self.out = _console(sys.stdout)
        self.err = _console(sys.stderr)

    def close(self) -> None:
        """Close what was opened."""
        self._closing.close()

    def opened(self, uri: str | None = None, **keywords: Any) -> S3Saver:
        """A saver on the target, or on another one, closed at the end."""
        saver = open_saver(uri or self._uri, encryption=self.keys, **keywords)
        self._closing.callback(saver.close)
        return saver

    @cached_property
    def keys(self) -> KeyProvider | None:
        """Where keys come from, if threads are encrypted.

        Raises:
            Stop: It can't be imported.
        """
        if self._keys is None:
            return None
        module, _, name = self._keys.partition(":")
        try:
            found: KeyProvider = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise CommandExit(
                USAGE, f"--keys {self._keys} can't be imported, as module:name: {error}"
            ) from error
        return found

    @cached_property
    def saver(self) -> S3Saver:
        """The target's saver."""
        return self.opened()

    @cached_property
    def admin(self) -> S3Admin:
        """The target's admin."""
        return S3Admin(self.saver)

    @property
    def place(self) -> str:
        """Where this is, for people."""
        return f"s3://{self.saver.config.bucket}/{self.saver.config.prefix}"

    def answer(self, data: Any, show: Callable[[], None]) -> None:
        """Give the command's answer: as JSON, or by showing it."""
        if self.json:
            # ASCII alone: nothing in it can steer a terminal.
            sys.stdout.write(json.dumps(plain(data), indent=2, ensure_ascii=True) + "\n")
        else:
            show()

    def json_line(self, data: Any) -> None:
        """Give an answer that goes on: an object a line."""
        sys.stdout.write(json.dumps(plain(data), ensure_ascii=True) + "\n")
        sys.stdout.flush()

    def line(self, text: str | Text, style: str = "") -> None:
        """Show lines of text, cleaned. Of a history's line that is too long, the id's end will do."""
        shown = text if isinstance(text, Text) else Text(clean(text, lines=True), style=style)
        if self.out.is_terminal and shown.cell_len > self.out.width and (found := _BRANCH.match(shown.plain)):
            shown = Text.assemble(shown[: found.end(1)], shown[found.end(2) :])
        self.out.print(shown, soft_wrap=True)

    def note(self, text: str) -> None:
        """Tell something beside the answer, on stderr: with `--json` an object a line, too."""
        self._beside(text, {"note": text})

    def fail(self, text: str, kind: str, code: int, before: str = "") -> None:
        """Tell why a command ends as it does, on stderr."""
        self._beside(before + text, {"error": text, "kind": kind, "exit_code": code})

    def _beside(self, text: str, data: dict[str, Any]) -> None:
        if self.json:
            sys.stderr.write(json.dumps(data, ensure_ascii=True) + "\n")
        else:
            self.err.print(Text(clean(text)), soft_wrap=True)

    @property
    def stopped(self) -> str:
        """What Ctrl-C ended."""
        if self._work is None:
            return "Stopped."
        what, done, total = self._work
        return f"Stopped while {what}, after {done:,}{'' if total is None else f' of {total:,}'}."

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Show a table; where there is no terminal, lines with tabs in between."""
        if not self.out.is_terminal:
            for row in [columns, *rows]:
                self.out.file.write("\t".join(clean(value) for value in row) + "\n")
            return
        table = Table(box=box.SIMPLE_HEAD, header_style="bold")
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*[Text(clean(value)) for value in row])
        self.out.print(table)

    def not_found(self, thread: str, checkpoint: str | None = None) -> CommandExit:
        """What ends a command whose thread or checkpoint isn't there."""
        if checkpoint is None:
            return CommandExit(
                NOT_FOUND,
                f"There is no thread {thread!r} in {self.place}: `langgraph-s3 threads` lists them.",
            )
        return CommandExit(
            NOT_FOUND,
            f"There is no such checkpoint {checkpoint!r} in thread {thread!r}: "
            f"`langgraph-s3 history` lists them, with their namespaces (--ns).",
        )

    def sure(self, question: str, *, yes: bool) -> None:
        """Ask before something is destroyed. Nobody is asked where there is no terminal.

        Raises:
            Stop: It isn't wanted.
        """
        if yes:
            return
        if self.json or not _answers():
            raise CommandExit(
                USAGE, f"{question} Nothing was done: pass --yes to do it, or --dry-run to see what."
            )
        try:
            wanted = typer.confirm(clean(question), err=True)
        except typer.Abort as error:  # Ctrl-C, or Ctrl-D
            self.err.line()  # the cursor is behind the question
            raise CommandExit(INTERRUPTED, "Nothing was done.") from error
        if not wanted:
            raise CommandExit(FAILED, "Nothing was done.")

    @contextlib.contextmanager
    def progress(self, what: str) -> Iterator[Callable[[int, int | None], None]]:
        """A bar with counts and the time left, on stderr, if that is a terminal."""
        self._work = (what, 0, None)
        with contextlib.ExitStack() as stack:
            show: Callable[[int, int | None], None] | None = None
            if self.err.is_terminal and not self.json:
                columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
                bar = stack.enter_context(Progress(*columns, console=self.err, transient=True))
                task = bar.add_task(what, total=None)

                def show(done: int, total: int | None) -> None:
                    bar.update(task, completed=done, total=total)

            def report(done: int, total: int | None) -> None:
                self._work = (what, done, total)
                if show is not None:
                    show(done, total)

            yield report
        self._work = None


def _answers() -> bool:
    """Whether there is somebody to ask."""
    return sys.stdin.isatty()


def _console(file: typing.TextIO) -> Console:
    console = Console(file=file, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = _WIDE
    return console


_URI = typer.Option("--uri", metavar="s3://BUCKET/PREFIX", help="The target. Default: S3_BUCKET_NAME, …")
_KEYS = typer.Option(
    "--keys", metavar="MODULE:NAME", help="Your KeyProvider, if threads are encrypted; it is imported."
)
_SHARED: Final = {
    "uri": Annotated[typing.Optional[str], _URI],  # noqa: UP045  # evaluated
    "keys": Annotated[typing.Optional[str], _KEYS],  # noqa: UP045  # evaluated
    "as_json": Annotated[bool, typer.Option("--json", help="Answer in JSON.")],
    "debug": Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")],
}


def command(
    app: typer.Typer, name: str, example: str, short: str | None = None
) -> Callable[[Command], Command]:
    """Make a command of a function whose first parameter is its `Invocation`.

    Args:
        app: Where it belongs.
        name: What it is called.
        example: What `--help` ends with, without the program's name.
        short: What the list of commands says of it, in 56 letters at most. Default: its first sentence.
    """

    def decorate(function: Command) -> Command:
        def run(*, uri: str | None, keys: str | None, as_json: bool, debug: bool, **arguments: Any) -> None:
            _guarded(function, Invocation(uri, keys, as_json), debug, arguments)

        hints = typing.get_type_hints(function, include_extras=True)
        own = [
            each.replace(annotation=hints[each.name], kind=inspect.Parameter.KEYWORD_ONLY)
            for each in list(inspect.signature(function).parameters.values())[1:]
        ]
        shared = [
            inspect.Parameter(
                each,
                inspect.Parameter.KEYWORD_ONLY,
                annotation=kind,
                default=False if each in {"as_json", "debug"} else None,
            )
            for each, kind in _SHARED.items()
        ]
        run.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]  # typer reads it
        run.__annotations__ = {each.name: each.annotation for each in [*own, *shared]}
        run.__doc__ = inspect.getdoc(function)
        app.command(name, short_help=short, epilog=f"Example: langgraph-s3 {example}")(run)
        return function

    return decorate


def _guarded(function: Command, run: Invocation, debug: bool, arguments: dict[str, Any]) -> None:
    code = 0
    try:
        with warnings.catch_warnings(), _logged(run):
            warnings.simplefilter("always", UserWarning)
            warnings.showwarning = lambda message, *_, **__: run.note(f"warning: {message}")
            try:
                function(run, **arguments)
            finally:
                run.close()
    except CommandExit as stop:
        code = stop.code
        if str(stop):
            run.fail(str(stop), _KINDS[code], code)
    except KeyboardInterrupt:
        code = INTERRUPTED
        run.fail(run.stopped, _KINDS[code], code)
    except BrokenPipeError:
        raise
    except typer.Exit:
        raise
    except Exception as error:  # a person reads it: one line, and --debug for the rest
        if debug:
            raise
        code = _code_of(error)
        kind = error.kind if isinstance(error, S3CheckpointError) else type(error).__name__
        run.fail(_told(error), kind, code, "error: ")
    if code:
        raise typer.Exit(code)


class _Warnings(logging.Handler):
    """Tells what is logged as notes of a run, each in one line."""

    def __init__(self, run: Invocation) -> None:
        super().__init__(logging.WARNING)
        self._run = run

    def emit(self, record: logging.LogRecord) -> None:
        self._run.note(f"warning: {' '.join(record.getMessage().split())}")


@contextlib.contextmanager
def _logged(run: Invocation) -> Iterator[None]:
    """Have warnings of libraries told as those of a command are."""
    handler = _Warnings(run)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)


def _code_of(error: Exception) -> int:
    if isinstance(error, (BucketNotFoundError, FileNotFoundError)):
        return NOT_FOUND
    return USAGE if isinstance(error, ValueError) and isinstance(error, S3CheckpointError) else FAILED


def _told(error: Exception) -> str:
    if isinstance(error, BucketNotFoundError):
        return f"{error} `langgraph-s3 setup` makes it."
    if isinstance(error, InvalidKeyError) and "config=" in str(error):
        return "The thread's id is empty: `langgraph-s3 threads` lists them."
    if isinstance(error, DecryptionError):
        return f"{error}. Here that is --keys MODULE:NAME."
    if isinstance(error, OSError) and error.filename and not isinstance(error, S3CheckpointError):
        return f"{error.strerror}: {error.filename}"
    if isinstance(error, (S3CheckpointError, OSError)):
        return " ".join(str(error).split())
    return f"{type(error).__name__}: {' '.join(str(error).split())} (--debug shows where)"
