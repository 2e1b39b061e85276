"""Options and arguments that several commands take."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from langgraph_checkpoint_s3.cli.runtime import USAGE, CommandExit
from langgraph_checkpoint_s3.cli.target import complete_thread

Thread = Annotated[
    str,
    typer.Argument(
        metavar="THREAD", help="The thread's id.", show_default=False, autocompletion=complete_thread
    ),
]
Threads = Annotated[
    list[str], typer.Argument(metavar="THREAD", help="The threads.", autocompletion=complete_thread)
]
OneThread = Annotated[
    str,
    typer.Option(
        "--thread", metavar="THREAD", help="One thread. Default: all.", autocompletion=complete_thread
    ),
]
Namespace = Annotated[
    str | None,
    typer.Option("--ns", metavar="NAME", help="The namespace. Default: the root, or the id's own."),
]
OnlyNamespace = Annotated[
    str | None, typer.Option("--ns", metavar="NAME", help="Only this namespace. Default: all.")
]
Checkpoint = Annotated[
    str, typer.Argument(metavar="CHECKPOINT", help="Its id or an end of it, latest, or latest~2.")
]
MaybeCheckpoint = Annotated[
    str,
    typer.Argument(
        metavar="CHECKPOINT",
        help="Its id or an end of it, or latest~2. Default: the latest.",
        show_default=False,
    ),
]
Limit = Annotated[int, typer.Option(min=1, help="The most checkpoints, from the newest.")]
OnlyThreads = Annotated[
    list[str] | None,
    typer.Option(metavar="THREAD", help="Only this thread. Repeatable.", autocompletion=complete_thread),
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")]
Inventory = Annotated[
    str | None,
    typer.Option(
        "--inventory",
        metavar="PLACE",
        help="An S3 Inventory report to read instead of listing: s3://… or a path.",
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask for confirmation.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would happen.")]

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def parse_duration(text: str) -> timedelta:
    """Parse `30d`, `12h`, `45m`, `10s` or `2w`.

    Raises:
        CommandExit: It is none of these.
    """
    found = re.fullmatch(r"(\d{1,9})([smhdw])", text.strip())
    if found is None:
        raise CommandExit(USAGE, f"{text!r} is not a length of time: write 30d, 12h, 45m, 10s or 2w.")
    try:
        return timedelta(seconds=int(found[1]) * _UNITS[found[2]])
    except OverflowError:
        raise CommandExit(USAGE, f"{text!r} is too long.") from None


def parse_metadata(text: str, example: str) -> tuple[str, Any]:
    """Parse `name=value`. A value that is JSON is what that says, and any other is text.

    Raises:
        CommandExit: It isn't that.
    """
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise CommandExit(USAGE, f"{text!r} is not metadata: write {example}.")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def check_writable(file: Path, force: bool) -> None:
    """Check that a command doesn't overwrite a file without `--force`."""
    if file.exists() and not force:
        raise CommandExit(USAGE, f"{file} exists already: choose another name, or pass --force.")
