"""`changes`: what was written since a time, for syncs and audits."""

from __future__ import annotations

import os
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

import typer

from langgraph_checkpoint_s3.cli.options import OneThread, parse_duration
from langgraph_checkpoint_s3.cli.runtime import USAGE, CommandExit, Invocation
from langgraph_checkpoint_s3.text.humanize import format_size, pluralize

_COLUMNS: Final = ("written", "thread", "namespace", "checkpoint", "object", "size")
_ID_END: Final = 12
"""Characters of a checkpoint's id that a terminal shows: the last part of a UUID."""


def changes(
    ctx: Invocation,
    since: Annotated[
        str,
        typer.Option(metavar="TIME", help="12h, 2026-03-01T12:00:00Z, or a cursor. Default: everything."),
    ] = "",
    cursor: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Go on from the cursor in this file, and keep the next one there."),
    ] = None,
    thread: OneThread = "",
) -> None:
    """List the objects of threads that were written since a time, oldest first, up to a minute ago.

    Nothing is missed or repeated from one cursor to the next. Deletions aren't shown. One LIST per 1,000
    objects.
    """
    begin: str | timedelta | None = _duration(since) or since or None
    if cursor is not None and cursor.exists():
        if since:
            raise CommandExit(USAGE, f"{cursor} says since when: leave out --since, or name another file.")
        begin = cursor.read_text(encoding="utf-8").strip()
    found = ctx.admin.changes(begin, thread_id=thread or None)
    short = ctx.out.is_terminal  # the end of an id is enough for other commands
    rows = [
        (
            f"{each.modified:%Y-%m-%d %H:%M:%S}" if short else each.modified.isoformat(timespec="seconds"),
            each.thread_id,
            each.checkpoint_ns,
            each.checkpoint_id[-_ID_END:] if short else each.checkpoint_id,
            each.kind,
            format_size(each.bytes),
        )
        for each in found.objects
    ]

    def show() -> None:
        if rows:
            used = [n for n in range(len(_COLUMNS)) if not short or any(row[n] for row in rows)]
            shown = [[row[n] for n in used] for row in rows]
            ctx.table([_COLUMNS[n] for n in used], shown, whole=("written", "checkpoint", "object", "size"))
        counts = f"{pluralize(len(rows), 'object')} of {pluralize(len(found.threads), 'thread')}"
        ctx.line(f"{counts}, {format_size(found.bytes)}. Go on with: --since {found.cursor}")

    ctx.answer(found, show)
    for each in found.unseen:
        ctx.note(f"warning: The store can't list {each}: what takes longer than a minute may be missed.")
    if cursor is not None:
        ctx.out.file.flush()  # first the answer: if this is cut short, it is given again
        _replace(cursor, f"{found.cursor}\n")


def _duration(text: str) -> timedelta | None:
    """Return a length of time such as `12h`; `None` if it is something else."""
    return parse_duration(text) if text.isalnum() else None  # a time or a cursor has "-" and ":"


def _replace(path: Path, text: str) -> None:
    """Write a file whole, or not at all."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
