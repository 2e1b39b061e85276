"""Commands that take threads out of the rules of retention classes, and put them back."""

from __future__ import annotations

from langgraph_checkpoint_s3.cli.options import Threads, Yes
from langgraph_checkpoint_s3.cli.runtime import Invocation
from langgraph_checkpoint_s3.text.humanize import pluralize


def pin(ctx: Invocation, threads: Threads) -> None:
    """Keep threads for ever, whatever their retention class. `threads --pinned` lists them.

    Pin a thread between its runs, or again afterwards: a run that is under way doesn't know of it yet.
    """
    results = [ctx.admin.pin_thread(thread) for thread in dict.fromkeys(threads)]

    def show() -> None:
        for each in results:
            if each.objects:
                counts = f"{pluralize(each.objects, 'object')}, {each.tagged} newly tagged"
                ctx.line(f"{each.thread_id} is pinned: {counts}.")
            else:
                ctx.line(f"{each.thread_id} is pinned. It has no objects yet.")

    ctx.answer({"threads": results}, show)


def unpin(ctx: Invocation, threads: Threads, yes: Yes = False) -> None:
    """Put threads back under the rules of their retention classes.

    S3 then deletes what is past the days of its class.
    """
    names = list(dict.fromkeys(threads))
    ctx.confirm(f"Let S3 delete old objects of {', '.join(names)} in {ctx.location} again?", yes=yes)
    results = [ctx.admin.unpin_thread(thread) for thread in names]

    def show() -> None:
        for each in results:
            counts = f"{pluralize(each.objects, 'object')}, {each.tagged} newly tagged"
            ctx.line(f"{each.thread_id} isn't pinned: {counts}.")

    ctx.answer({"threads": results}, show)
