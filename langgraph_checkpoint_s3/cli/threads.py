"""Commands about threads as a whole: their ids, and what they store."""

from __future__ import annotations

from typing import Annotated

import typer

from langgraph_checkpoint_s3.cli.options import Inventory
from langgraph_checkpoint_s3.cli.runtime import Invocation


def threads(
    ctx: Invocation,
    prefix: Annotated[str, typer.Option(help="Only ids that begin with this.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="The most threads.")] = 1000,
    inventory: Inventory = None,
) -> None:
    """List the threads."""
    found = list(ctx.admin.threads(prefix, limit + 1, inventory=inventory))
    more = len(found) > limit
    found = found[:limit]

    def show() -> None:
        for thread in found:
            ctx.line(thread)
        if more:
            ctx.note(f"There are more than {limit}: --limit shows more, --prefix narrows it down.")
        if not found:
            ctx.note(f"There are no threads in {ctx.location}.")

    ctx.answer({"threads": found, "more": more}, show)


def usage(
    ctx: Invocation,
    thread: Annotated[str, typer.Option(help="One thread. Default: all of them.")] = "",
    inventory: Inventory = None,
) -> None:
    """Show what is stored, and what that costs a month in us-east-1."""
    report = ctx.admin.usage(thread or None, inventory=inventory)
    if thread and not report.threads:
        raise ctx.not_found(thread)
    ctx.answer(report, str(report))
