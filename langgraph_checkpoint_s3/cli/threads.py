"""Commands about threads as a whole: which there are, and what they take."""

from __future__ import annotations

from typing import Annotated

import typer

from langgraph_checkpoint_s3.cli.runtime import Invocation, command


def add(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app, "threads", "threads --prefix customer- --limit 20")(threads)
    command(app, "usage", "usage --thread customer-42", "Tell what is stored, and what that costs a month.")(
        usage
    )


def threads(
    run: Invocation,
    prefix: Annotated[str, typer.Option(help="What the ids begin with.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 1000,
) -> None:
    """List the threads."""
    found = list(run.admin.threads(prefix, limit + 1))
    more = len(found) > limit
    found = found[:limit]

    def show() -> None:
        for thread in found:
            run.line(thread.replace("\n", "\\n").replace("\t", "\\t"))
        if more:
            run.note(f"There are more than {limit}: --limit shows more, --prefix narrows it down.")
        if not found:
            run.note(f"There are no threads in {run.place}.")

    run.answer({"threads": found, "more": more}, show)


def usage(
    run: Invocation, thread: Annotated[str, typer.Option(help="One thread. Default: all of them.")] = ""
) -> None:
    """Tell what is stored, and what that costs a month in us-east-1."""
    report = run.admin.usage(thread or None)
    if thread and not report.threads:
        raise run.not_found(thread)
    run.answer(report, lambda: run.line(str(report)))
