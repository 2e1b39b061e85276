"""The command that makes a page of a thread: one HTML file to look at and to hand on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from langgraph_checkpoint_s3 import InvalidConfigError
from langgraph_checkpoint_s3.admin.usage.history import entry_of, place_of
from langgraph_checkpoint_s3.cli.options import Thread, place
from langgraph_checkpoint_s3.cli.page import Figure, Moment, page
from langgraph_checkpoint_s3.cli.runtime import USAGE, CommandExit, Invocation, command
from langgraph_checkpoint_s3.text.humanize import counted, human
from langgraph_checkpoint_s3.text.sanitize import clean

if TYPE_CHECKING:
    from langgraph_checkpoint_s3.admin import UsageReport

_PUT: Final = 0.005 / 1000
"""Dollars of a PUT at S3 Standard's price in us-east-1, as in docs/benchmarks.md."""
_PRICES: Final = "a month, at the prices of us-east-1"


def add(app: typer.Typer) -> None:
    """Add this file's command."""
    command(app, "report", "report customer-42 --html customer-42.html", "Write a thread as one HTML file.")(
        report
    )


def report(
    run: Invocation,
    thread: Thread,
    html: Annotated[Path, typer.Option("--html", metavar="FILE", help="The file to write.")],
    ns: Annotated[
        str | None, typer.Option("--ns", metavar="NAME", help="One namespace. Default: all.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many checkpoints at most, the newest.")] = 100,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write a thread as one HTML file: its history, states, changes and conversations, sizes, cost.

    The file stands by itself: it asks for nothing and runs no script. It holds what the thread holds: hand it
    on as you would the thread.
    """
    if html.exists() and not force:
        raise CommandExit(USAGE, f"{html} is there already: choose another name, or pass --force.")
    found = list(run.saver.list(place(thread, ns), limit=limit + 1))
    if not found:
        raise run.not_found(thread)
    more, found = len(found) > limit, found[:limit]
    sizes = {
        (each.checkpoint_ns, each.checkpoint_id): each.bytes for each in run.admin.checkpoint_sizes(thread)
    }
    moments = []
    for each in found:
        values = each.checkpoint["channel_values"]
        weight = len(run.saver.serde.dumps_typed(values)[1])
        entry = entry_of(each, sizes.get(place_of(each)))
        moments.append(Moment(entry, values, each.pending_writes or [], weight))
    note = f"There are more than {limit} checkpoints: these are the newest." if more else ""
    text = page(thread, moments, run.place, _figures(moments, run.admin.usage(thread)), note)
    html.write_text(text, encoding="utf-8")
    told: dict[str, Any] = {"file": str(html), "checkpoints": len(moments), "more": more}
    run.answer(
        told, lambda: run.line(clean(f"Wrote {counted(len(moments), 'checkpoint')} of {thread} to {html}."))
    )
    if more:
        run.note(f"There are more than {limit} checkpoints: --limit takes more.")


def _figures(moments: Sequence[Moment], usage: UsageReport) -> list[Figure]:
    """What the thread takes, and what storing and writing it costs, as far as LISTs tell."""
    puts = usage.checkpoints + usage.writes
    try:
        cost = usage.monthly_cost()
        kept = Figure("Keeping it", f"${cost:,.2f}" if cost >= 0.01 else "under $0.01", _PRICES)
    except InvalidConfigError as error:  # a storage class of another store
        kept = Figure("Keeping it", "—", str(error).partition(". ")[0])
    when = ""
    if usage.oldest is not None and usage.newest is not None:
        when = f"written {usage.oldest:%Y-%m-%d %H:%M} to {usage.newest:%Y-%m-%d %H:%M %Z}"
    return [
        Figure("Checkpoints", f"{usage.checkpoints:,}", f"in {counted(usage.namespaces, 'namespace')}"),
        Figure("State", human(moments[0].state_bytes), "of the latest checkpoint"),
        Figure("Stored", human(usage.bytes), when),
        kept,
        Figure(
            "Writing it",
            f"${puts * _PUT:,.6f}",
            f"{puts:,} PUTs; other requests leave no trace",
        ),
    ]
