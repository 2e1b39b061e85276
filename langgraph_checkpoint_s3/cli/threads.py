"""Commands about threads as a whole: their ids, and what they store."""

from __future__ import annotations

from typing import Annotated

import typer

from langgraph_checkpoint_s3.cli.options import Inventory, OneThread, parse_metadata
from langgraph_checkpoint_s3.cli.runtime import USAGE, CommandExit, Invocation


def threads(
    ctx: Invocation,
    prefix: Annotated[str, typer.Option(help="Only ids that begin with this.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="The most threads.")] = 1000,
    metadata: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Only those with this metadata, all of it. Repeatable."),
    ] = None,
    pinned: Annotated[bool, typer.Option("--pinned", help="Only those that `pin` keeps.")] = False,
    inventory: Inventory = None,
) -> None:
    """List the threads."""
    wanted = dict(parse_metadata(each, "--metadata user_id=42") for each in metadata or ()) or None
    if pinned and (inventory or wanted):
        raise CommandExit(USAGE, "--pinned lists the marks of pinned threads: no inventory, and no metadata.")
    if pinned:
        found = [each for each in ctx.admin.pinned_threads() if each.startswith(prefix)][: limit + 1]
    else:
        found = list(ctx.admin.threads(prefix, limit + 1, metadata=wanted, inventory=inventory))
    more = len(found) > limit
    found = found[:limit]

    def show() -> None:
        for thread in found:
            ctx.line(thread)
        if more:
            ctx.note(f"There are more than {limit}: --limit shows more, --prefix narrows it down.")
        if not found:
            ctx.note(f"There are no {'pinned ' if pinned else ''}threads in {ctx.location}.")

    ctx.answer({"threads": found, "more": more}, show)


def usage(
    ctx: Invocation,
    thread: OneThread = "",
    inventory: Inventory = None,
) -> None:
    """Show what is stored, and what that costs a month in us-east-1."""
    report = ctx.admin.usage(thread or None, inventory=inventory)
    if thread and not report.threads:
        raise ctx.not_found(thread)
    ctx.answer(report, str(report))
