"""The command that writes a thread as one HTML file."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from langgraph_checkpoint_s3 import InvalidConfigError
from langgraph_checkpoint_s3.cli.checkpoints import config_of, place_of
from langgraph_checkpoint_s3.cli.options import Force, Limit, OnlyNamespace, Thread, check_writable
from langgraph_checkpoint_s3.cli.runtime import FAILED, NOT_FOUND, USAGE, CommandExit, Invocation
from langgraph_checkpoint_s3.text.humanize import format_size, pluralize

if TYPE_CHECKING:
    from langgraph.checkpoint.base import CheckpointTuple

    from langgraph_checkpoint_s3.admin import ResumePoint, UsageReport
    from langgraph_checkpoint_s3.cli.report_page import Figure
    from langgraph_checkpoint_s3.cli.report_page import Thread as Page

_PUT_PRICE: Final = 0.005 / 1000
"""Dollars for a PUT at S3 Standard's price in us-east-1, as in docs/benchmarks.md."""
_UNSAFE: Final = re.compile(r"[^\w.@+-]+")
"""Characters that a shell or a file system may give a meaning: they aren't in a file's name."""
_MAX_NAME: Final = 100


def report(
    ctx: Invocation,
    thread: Thread,
    html: Annotated[
        str,
        typer.Option(
            "--html", metavar="FILE", help="The file to write; - is standard output. Default: THREAD.html."
        ),
    ] = "",
    ns: OnlyNamespace = None,
    limit: Limit = 100,
    force: Force = False,
) -> None:
    """Write a thread as one HTML file: what each step did, conversations, states, sizes and cost.

    The file loads nothing, and only its owner may read it. It contains the thread's data: share it as you
    would the thread.
    """
    if html == "-" and ctx.json:
        raise CommandExit(USAGE, "--html - and --json both write to standard output: pass one of them.")
    file = None if html == "-" else Path(html or file_name(thread))
    if file is not None:
        check_writable(file, force)
        if not file.parent.is_dir():
            raise CommandExit(NOT_FOUND, f"There is no folder {file.parent}.")
    try:
        import jinja2  # noqa: F401  # is it installed?
        import markdown_it  # noqa: F401  # is it installed?
    except ImportError as error:
        raise CommandExit(
            FAILED,
            f'The report needs {error.name}: run pip install ".[cli]" in a clone of the repository.',
        ) from error
    from langgraph_checkpoint_s3.cli.report_page import render

    page, more = _read(ctx, thread, ns, limit)
    text = render(page)
    if file is None:
        sys.stdout.write(text)
    else:
        _write(file, text, force)
        count = len(page.checkpoints)
        data: dict[str, Any] = {"file": str(file), "checkpoints": count, "more": more}
        ctx.answer(data, f"Wrote {pluralize(count, 'checkpoint')} of {thread} to {file}.")
    if more:
        ctx.note(f"There are more than {limit} checkpoints: --limit takes more.")


def file_name(thread: str) -> str:
    """Return the name of a thread's file: its id, with a `_` for what file systems may not take."""
    name = _UNSAFE.sub("_", thread)[:_MAX_NAME].lstrip(".-") or "thread"
    return f"{name}.html"


def _read(ctx: Invocation, thread: str, ns: str | None, limit: int) -> tuple[Page, bool]:
    """Read the thread: its newest checkpoints, and whether there are more.

    The requests are those of `list`; of `get_tuple` for the latest, which is in the saver's cache by then;
    and two LISTs per 1,000 objects, for the sizes and the costs.
    """
    from langgraph_checkpoint_s3.admin import History, HistoryEntry
    from langgraph_checkpoint_s3.cli.report_page import Thread as Page
    from langgraph_checkpoint_s3.cli.report_steps import Checkpoint

    found = list(ctx.saver.list(config_of(thread, ns), limit=limit + 1))
    if not found:
        raise ctx.not_found(thread)
    more, found = len(found) > limit, found[:limit]
    stored = {
        (each.checkpoint_ns, each.checkpoint_id): each.bytes for each in ctx.admin.checkpoint_sizes(thread)
    }
    entries = (HistoryEntry.from_tuple(each, stored.get(place_of(each))) for each in found)
    history = History(thread, tuple(entries), more)
    left_out: Counter[str] = Counter()
    for (name, _), size in stored.items():
        left_out[name] += size
    checkpoints = []
    for entry, each in zip(history, found, strict=True):
        left_out[entry.checkpoint_ns] -= entry.bytes or 0
        values = each.checkpoint["channel_values"]
        state_bytes = len(ctx.saver.serde.dumps_typed(values)[1])
        metadata: Any = each.metadata or {}
        checkpoints.append(
            Checkpoint(entry, values, each.pending_writes or [], state_bytes, metadata.get("parents"))
        )
    note = f"There are more than {limit} checkpoints: these are the newest." if more else ""
    figures = _figures(ctx.admin.usage(thread), checkpoints[0].state_bytes)
    point = _point(ctx, thread, ns, found)
    return Page(thread, ctx.location, checkpoints, point, figures, left_out, note), more


def _point(ctx: Invocation, thread: str, ns: str | None, found: list[CheckpointTuple]) -> ResumePoint | None:
    """Return where the thread would continue; `None` if it has gone on while it was read."""
    latest = next((each for each in found if place_of(each)[0] == (ns or "")), None)
    point = None if latest is None else ctx.admin.resume_point(thread, ns or "")
    same = latest is not None and point is not None and point.checkpoint_id == latest.checkpoint["id"]
    return point if same else None


def _write(file: Path, text: str, force: bool) -> None:
    """Write the file whole or not at all, for its owner alone."""
    if force and file.exists() and not file.is_file():  # such as /dev/stdout
        file.write_text(text, encoding="utf-8")
        return
    handle, name = tempfile.mkstemp(prefix=".report-", dir=file.parent)  # with mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as opened:
            opened.write(text)
        check_writable(file, force)  # it may have come while the thread was read
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _figures(usage: UsageReport, state_bytes: int) -> list[Figure]:
    from langgraph_checkpoint_s3.cli.report_page import Figure

    puts = usage.checkpoints + usage.writes
    try:
        cost = usage.monthly_cost()
        note = "a month, at the prices of us-east-1"
        storage = Figure("Keeping it", f"${cost:,.2f}" if cost >= 0.01 else "under $0.01", note)
    except InvalidConfigError as error:  # no price is known for a storage class of another store
        storage = Figure("Keeping it", "—", str(error).partition(". ")[0])
    written = ""
    if usage.oldest is not None and usage.newest is not None:
        written = f"written {usage.oldest:%Y-%m-%d %H:%M} to {usage.newest:%Y-%m-%d %H:%M %Z}"
    return [
        Figure("Checkpoints", f"{usage.checkpoints:,}", f"in {pluralize(usage.namespaces, 'namespace')}"),
        Figure("State", format_size(state_bytes), "of the latest checkpoint"),
        Figure("Stored", format_size(usage.bytes), written),
        storage,
        Figure("Writing it", f"${puts * _PUT_PRICE:,.6f}", f"{puts:,} PUTs; other requests leave no trace"),
    ]
