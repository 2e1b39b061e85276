"""The command that writes a thread as one HTML file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from langgraph_checkpoint_s3 import InvalidConfigError
from langgraph_checkpoint_s3.cli.checkpoints import config_of, place_of
from langgraph_checkpoint_s3.cli.options import Force, Limit, OnlyNamespace, Thread, check_writable
from langgraph_checkpoint_s3.cli.runtime import FAILED, CommandExit, Invocation
from langgraph_checkpoint_s3.text.humanize import format_size, pluralize

if TYPE_CHECKING:
    from langgraph_checkpoint_s3.admin import UsageReport
    from langgraph_checkpoint_s3.cli.report_page import Checkpoint

_PUT_PRICE: Final = 0.005 / 1000
"""Dollars for a PUT at S3 Standard's price in us-east-1, as in docs/benchmarks.md."""


def report(
    ctx: Invocation,
    thread: Thread,
    html: Annotated[Path, typer.Option("--html", metavar="FILE", help="The file to write.")],
    ns: OnlyNamespace = None,
    limit: Limit = 100,
    force: Force = False,
) -> None:
    """Write a thread as one HTML file: its history, states, changes, conversations, sizes and cost.

    The file loads nothing and runs no script. It contains the thread's data: share it as you would the
    thread.
    """
    check_writable(html, force)
    try:
        import jinja2  # noqa: F401  # is it installed?
    except ImportError as error:
        raise CommandExit(
            FAILED, 'The report needs Jinja2: run pip install ".[cli]" in a clone of the repository.'
        ) from error
    from langgraph_checkpoint_s3.admin import History, HistoryEntry
    from langgraph_checkpoint_s3.cli.report_page import Checkpoint, render

    found = list(ctx.saver.list(config_of(thread, ns), limit=limit + 1))
    if not found:
        raise ctx.not_found(thread)
    more, found = len(found) > limit, found[:limit]
    stored = {
        (each.checkpoint_ns, each.checkpoint_id): each.bytes for each in ctx.admin.checkpoint_sizes(thread)
    }
    entries = (HistoryEntry.from_tuple(each, stored.get(place_of(each))) for each in found)
    history = History(thread, tuple(entries), more)
    checkpoints = []
    for entry, each in zip(history, found, strict=True):
        values = each.checkpoint["channel_values"]
        state_bytes = len(ctx.saver.serde.dumps_typed(values)[1])
        checkpoints.append(Checkpoint(entry, values, each.pending_writes or [], state_bytes))
    left_out: Counter[str] = Counter()
    for (name, _), size in stored.items():
        left_out[name] += size
    for entry in history:
        left_out[entry.checkpoint_ns] -= entry.bytes or 0
    note = f"There are more than {limit} checkpoints: these are the newest." if more else ""
    tiles = _tiles(checkpoints, ctx.admin.usage(thread))
    html.write_text(render(thread, checkpoints, ctx.location, tiles, left_out, note), encoding="utf-8")
    data: dict[str, Any] = {"file": str(html), "checkpoints": len(checkpoints), "more": more}
    ctx.answer(data, f"Wrote {pluralize(len(checkpoints), 'checkpoint')} of {thread} to {html}.")
    if more:
        ctx.note(f"There are more than {limit} checkpoints: --limit takes more.")


def _tiles(checkpoints: Sequence[Checkpoint], usage: UsageReport) -> list[tuple[str, str, str]]:
    puts = usage.checkpoints + usage.writes
    try:
        cost = usage.monthly_cost()
        note = "a month, at the prices of us-east-1"
        storage = ("Keeping it", f"${cost:,.2f}" if cost >= 0.01 else "under $0.01", note)
    except InvalidConfigError as error:  # no price is known for a storage class of another store
        storage = ("Keeping it", "—", str(error).partition(". ")[0])
    written = ""
    if usage.oldest is not None and usage.newest is not None:
        written = f"written {usage.oldest:%Y-%m-%d %H:%M} to {usage.newest:%Y-%m-%d %H:%M %Z}"
    return [
        ("Checkpoints", f"{usage.checkpoints:,}", f"in {pluralize(usage.namespaces, 'namespace')}"),
        ("State", format_size(checkpoints[0].state_bytes), "of the latest checkpoint"),
        ("Stored", format_size(usage.bytes), written),
        storage,
        ("Writing it", f"${puts * _PUT_PRICE:,.6f}", f"{puts:,} PUTs; other requests leave no trace"),
    ]
