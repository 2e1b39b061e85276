"""Options and arguments that several commands have."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, Final

import typer

from langgraph_checkpoint_s3.cli.runtime import USAGE, CommandExit

Thread = Annotated[str, typer.Argument(metavar="THREAD", help="The thread's id.", show_default=False)]
Namespace = Annotated[
    str | None,
    typer.Option("--ns", metavar="NAME", help="The namespace. Default: the root, or the id's own."),
]
Checkpoint = Annotated[
    str, typer.Argument(metavar="CHECKPOINT", help="Its id or an end of that, latest, or latest~2.")
]
MaybeCheckpoint = Annotated[
    str,
    typer.Argument(
        metavar="CHECKPOINT",
        help="Its id or an end of that, or latest~2. Default: the latest.",
        show_default=False,
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would happen.")]

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def duration(text: str) -> timedelta:
    """`30d`, `12h`, `45m`, `10s` or `2w`.

    Raises:
        Stop: It is none of these.
    """
    found = re.fullmatch(r"(\d{1,9})([smhdw])", text.strip())
    if found is None:
        raise CommandExit(USAGE, f"{text!r} is no length of time: write 30d, 12h, 45m, 10s or 2w.")
    try:
        return timedelta(seconds=int(found[1]) * _UNITS[found[2]])
    except OverflowError:
        raise CommandExit(USAGE, f"{text!r} is too long.") from None


def place(thread: str, namespace: str | None = "", checkpoint: str = "") -> Any:
    """A config for the saver."""
    named = {"thread_id": thread, "checkpoint_ns": namespace, "checkpoint_id": checkpoint or None}
    return {"configurable": {name: value for name, value in named.items() if value is not None}}
