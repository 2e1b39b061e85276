"""The command that shows, searches, deletes and moves the items of `S3Store`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import quote, unquote

import typer

from langgraph_checkpoint_s3 import InvalidKeyError
from langgraph_checkpoint_s3.cli.options import DryRun, Force, Yes, check_writable
from langgraph_checkpoint_s3.cli.runtime import NOT_FOUND, USAGE, CommandExit, Invocation
from langgraph_checkpoint_s3.text.humanize import format_age, format_size, pluralize
from langgraph_checkpoint_s3.text.values import format_value

if TYPE_CHECKING:
    from langgraph.store.base import Item

    from langgraph_checkpoint_s3.admin import ImportedMemories

ALL: Final = 1_000_000_000
"""A limit that no store reaches."""
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
    purge: Annotated[
        bool, typer.Option("--purge", help="Delete the namespace for good, with old versions.")
    ] = False,
    export: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the namespace's items to a file.")
    ] = None,
    import_: Annotated[
        Path | None,
        typer.Option("--import", metavar="FILE", help="Import the namespace's items from such a file."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="With --import, replace newer items too.")
    ] = False,
    force: Force = False,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """List namespaces of long-term memory; with NAMESPACE its items, with KEY one item's value.

    A `/` within a label is written as `%2F`. Longer namespaces that begin with NAMESPACE are included.
    """
    from langgraph_checkpoint_s3.memory import S3Store

    labels = tuple(map(unquote, namespace.split("/"))) if namespace else ()
    if purge or export is not None or import_ is not None:
        if delete + purge + (export is not None) + (import_ is not None) > 1 or key or filter_ or text:
            raise CommandExit(
                USAGE, "--purge, --export and --import go with a NAMESPACE only, and not with one another."
            )
        if dry_run and not purge:
            raise CommandExit(USAGE, "--dry-run goes with --delete and --purge.")
    if overwrite and import_ is None:
        raise CommandExit(USAGE, "--overwrite goes with --import.")
    if purge:
        _purge(ctx, labels, dry_run=dry_run, yes=yes)
        return
    if export is not None:
        _export(ctx, labels, export, force)
        return
    if import_ is not None:
        _import(ctx, labels, import_, overwrite)
        return
    store = S3Store(saver=ctx.saver)
    conditions = _conditions(filter_)
    if key:
        item = store.get(labels, key, refresh_ttl=False)
        if item is None:
            raise CommandExit(
                NOT_FOUND, f"There is no {key!r} in {namespace}: `langgraph-s3 memories` lists them."
            )
        found = [item]
    elif labels or conditions or text or delete:
        found = [*store.search(labels, filter=conditions, limit=ALL, refresh_ttl=False)]
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


def _purge(ctx: Invocation, labels: tuple[str, ...], *, dry_run: bool, yes: bool) -> None:
    found = ctx.admin.purge_memories(labels)
    where = _path(labels) or "all namespaces"
    what = f"{pluralize(found.versions, 'version')} of items and indexes of {where}"
    nothing = not (found.versions or found.markers or found.uploads)
    if not nothing and not dry_run:
        ctx.confirm(f"Delete {what} from {ctx.location} for good?", yes=yes)
        found = ctx.admin.purge_memories(labels, dry_run=False)
    if found.unseen:
        ctx.note(f"warning: The store can't list {' or '.join(found.unseen)}: some may be left.")
    data = {
        "dry_run": dry_run,
        "namespace": labels,
        **{name: getattr(found, name) for name in ("versions", "markers", "uploads", "size")},
    }
    ctx.answer(data, f"{'Would purge' if dry_run else 'Purged'} {what}.")


def _export(ctx: Invocation, labels: tuple[str, ...], file: Path, force: bool) -> None:
    check_writable(file, force)
    if not file.parent.is_dir():
        raise CommandExit(NOT_FOUND, f"There is no folder {file.parent}.")
    if not all(labels):
        raise CommandExit(USAGE, "The namespace has an empty label: write labels with / between them.")
    try:
        with ctx.progress("exporting") as progress:
            done = ctx.admin.export_memories(file, labels, progress=progress)
    except InvalidKeyError as error:
        message = f"There are no memories of {_path(labels) or 'any namespace'} in {ctx.location}."
        raise CommandExit(NOT_FOUND, message) from error
    ctx.answer(
        {"file": str(file), **asdict(done)},
        f"Wrote {pluralize(done.items, 'item')}, {format_size(done.bytes)}, to {file}.",
    )


def _import(ctx: Invocation, labels: tuple[str, ...], file: Path, overwrite: bool) -> None:
    if not file.is_file():
        raise CommandExit(NOT_FOUND, f"There is no file {file}.")
    with ctx.progress("importing") as progress:
        done = ctx.admin.import_memories(file, labels, overwrite=overwrite, progress=progress)
    ctx.answer(done, f"Imported {describe_import(done)}")


def describe_import(done: ImportedMemories) -> str:
    """Return what was imported, as a sentence without its verb."""
    return (
        f"{pluralize(done.items, 'item')}: {done.written} written, {done.unchanged} already there, "
        f"{len(done.kept)} newer there and kept, {done.expired} expired."
    )


def _path(namespace: tuple[str, ...]) -> str:
    return "/".join(quote(label, safe=" :@|") if set("/%") & set(label) else label for label in namespace)


def _as_json(item: Item) -> str:
    return json.dumps(item.value, default=str, ensure_ascii=False)
