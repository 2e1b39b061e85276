"""The command that shows, searches and deletes the items of `S3Store`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import quote, unquote

import typer

from langgraph_checkpoint_s3.cli.options import DryRun, Yes
from langgraph_checkpoint_s3.cli.runtime import NOT_FOUND, USAGE, CommandExit, Invocation
from langgraph_checkpoint_s3.text.humanize import format_age, pluralize
from langgraph_checkpoint_s3.text.values import format_value

if TYPE_CHECKING:
    from langgraph.store.base import Item

_ALL: Final = 1_000_000_000
_PREVIEW: Final = 100


def memories(
    ctx: Invocation,
    namespace: Annotated[
        str,
        typer.Argument(
            metavar="NAMESPACE", help="Labels with / between them: users/ada.", show_default=False
        ),
    ] = "",
    key: Annotated[str, typer.Argument(metavar="KEY", help="One item.", show_default=False)] = "",
    filter_: Annotated[
        str, typer.Option("--filter", metavar="JSON", help='Only items with these fields: {"kind": "fact"}.')
    ] = "",
    text: Annotated[str, typer.Option(metavar="TEXT", help="Only items that contain this text.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="The most items or namespaces.")] = 100,
    delete: Annotated[bool, typer.Option("--delete", help="Delete the items.")] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """List namespaces of long-term memory; with NAMESPACE its items, with KEY one item's value.

    A `/` within a label is written as `%2F`. Longer namespaces that begin with NAMESPACE are included.
    """
    from langgraph_checkpoint_s3.memory import S3Store

    store = S3Store(saver=ctx.saver)
    labels = tuple(map(unquote, namespace.split("/"))) if namespace else ()
    conditions = _conditions(filter_)
    if key:
        item = store.get(labels, key, refresh_ttl=False)
        if item is None:
            raise CommandExit(
                NOT_FOUND, f"There is no {key!r} in {namespace}: `langgraph-s3 memories` lists them."
            )
        found = [item]
    elif labels or conditions or text or delete:
        found = [*store.search(labels, filter=conditions, limit=_ALL, refresh_ttl=False)]
        found = [item for item in found if text.lower() in _as_json(item).lower()]
    else:
        _list_namespaces(ctx, store.list_namespaces(limit=limit + 1), limit)
        return
    if delete:
        _delete(ctx, store, found, dry_run=dry_run, yes=yes)
    elif key:
        ctx.answer(found[0].dict(), lambda: ctx.block(format_value(found[0].value)))
    else:
        _list_items(ctx, found, limit)


def _conditions(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text) if text else None
    except ValueError as error:
        raise CommandExit(USAGE, f"--filter is not JSON: {error}.") from error
    if found is not None and not isinstance(found, dict):
        raise CommandExit(USAGE, '--filter must be an object, such as {"kind": "fact"}.')
    return found


def _list_namespaces(ctx: Invocation, found: list[tuple[str, ...]], limit: int) -> None:
    more, found = len(found) > limit, found[:limit]

    def show() -> None:
        for namespace in found:
            ctx.line(_path(namespace))
        if not found:
            ctx.note(f"There are no memories in {ctx.location}.")
        if more:
            ctx.note(f"There are more than {limit}: --limit shows more.")

    ctx.answer({"namespaces": found, "more": more}, show)


def _list_items(ctx: Invocation, found: list[Item], limit: int) -> None:
    more, shown = len(found) > limit, found[:limit]

    def show() -> None:
        rows = []
        for item in shown:
            value = _as_json(item)
            preview = value if len(value) <= _PREVIEW else f"{value[:_PREVIEW]}…"
            rows.append((_path(item.namespace), item.key, format_age(item.updated_at.isoformat()), preview))
        if rows:
            ctx.table(("namespace", "key", "age", "value"), rows)
        else:
            ctx.note(f"There are no such memories in {ctx.location}.")
        if more:
            ctx.note(f"There are {len(found)}: --limit shows more than {limit}.")

    ctx.answer({"items": [item.dict() for item in shown], "more": more}, show)


def _delete(ctx: Invocation, store: Any, found: list[Item], *, dry_run: bool, yes: bool) -> None:
    from langgraph.store.base import PutOp

    what = pluralize(len(found), "item")
    if found and not dry_run:
        ctx.confirm(f"Delete {what} of long-term memory from {ctx.location}?", yes=yes)
        store.batch([PutOp(item.namespace, item.key, None) for item in found])
    data = {"dry_run": dry_run, "items": [{"namespace": each.namespace, "key": each.key} for each in found]}
    ctx.answer(data, f"{'Would delete' if dry_run else 'Deleted'} {what}.")


def _path(namespace: tuple[str, ...]) -> str:
    return "/".join(quote(label, safe=" :@|") if set("/%") & set(label) else label for label in namespace)


def _as_json(item: Item) -> str:
    return json.dumps(item.value, default=str, ensure_ascii=False)
