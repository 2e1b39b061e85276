"""The command that shows what somebody handed over: a file, a URL, an object's address."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import unquote

import typer

from langgraph_checkpoint_s3 import DecryptionError, InvalidConfigError, S3CheckpointError
from langgraph_checkpoint_s3.admin import S3Admin, describe, loads
from langgraph_checkpoint_s3.admin.signed_urls.download import fetch, load_downloaded
from langgraph_checkpoint_s3.admin.transfer.describe import locate
from langgraph_checkpoint_s3.cli.options import place
from langgraph_checkpoint_s3.cli.runtime import NOT_FOUND, USAGE, CommandExit, Invocation, command
from langgraph_checkpoint_s3.cli.show import tell
from langgraph_checkpoint_s3.format.keys import CheckpointLeaf
from langgraph_checkpoint_s3.text.humanize import human
from langgraph_checkpoint_s3.text.sanitize import clean

if TYPE_CHECKING:
    from langgraph.checkpoint.base import CheckpointTuple

_STDIN: Final = "-"
_OF: Final = {"checkpoint": " of a checkpoint", "writes": " of a task's writes", "thread": " of a thread"}


def add(app: typer.Typer) -> None:
    """Add this file's command."""
    command(app, "decode", "decode state.zip", "Show a checkpoint that somebody handed over.")(decode)


def decode(
    run: Invocation,
    source: Annotated[
        str,
        typer.Argument(metavar="FILE-OR-URL", help="A file, a signed URL, s3://BUCKET/KEY, or - for stdin."),
    ],
) -> None:
    """Show a checkpoint that somebody handed over: a file, a signed URL, or an object's address.

    Needs no bucket, but for an address. Types of an application show as their data: nothing is imported.
    What can't be shown, since its keys (--keys) aren't here or it is a whole thread, is described.
    """
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

    strict = JsonPlusSerializer(allowed_msgpack_modules=None)
    if source.startswith("s3://"):
        _object(run, source)
    elif source.startswith(("https://", "http://")):
        data = fetch(source)
        _bytes(run, data, lambda: load_downloaded(source, data, serde=strict, encryption=run.keys))
    else:
        data = _read(source)
        _bytes(run, data, lambda: loads(data, serde=strict, encryption=run.keys))


def _read(source: str) -> bytes:
    if source == _STDIN:
        return sys.stdin.buffer.read()
    path = Path(source)
    if path.is_dir() or not path.exists():  # a pipe is no regular file
        raise CommandExit(NOT_FOUND, f"There is no file {source!r}.")
    return path.read_bytes()


def _bytes(run: Invocation, data: bytes, load: Callable[[], CheckpointTuple]) -> None:
    try:
        found = load()
    except S3CheckpointError as error:
        facts = asdict(describe(data))  # or what it raises, if it is nothing of ours
        _described(run, facts, error)
    else:
        tell(run, found, found.checkpoint["channel_values"])


def _object(run: Invocation, address: str) -> None:
    """Show the checkpoint that an object belongs to, with all that it borrows."""
    bucket, _, query = address.removeprefix("s3://").partition("?")
    bucket, _, key = bucket.partition("/")
    located = locate(unquote(key))
    if located is None:
        raise CommandExit(
            USAGE,
            "That isn't the key of a checkpoint's object (…/THREAD.thread/NAMESPACE.ns/…/checkpoint…): "
            "`langgraph-s3 show` takes a thread, and what was exported can be piped into `decode -`.",
        )
    prefix, parsed = located
    # The store is that of the environment, unless the address has settings of its own.
    uri = f"s3://{bucket}/?{query}" if query else None
    saver = run.opened(uri=uri, bucket=unquote(bucket), prefix=prefix)
    at = (parsed.thread_id, parsed.checkpoint_ns, parsed.checkpoint_id)
    try:
        found = saver.get_tuple(place(*at))
    except DecryptionError as error:
        sizes = {
            (each.checkpoint_ns, each.checkpoint_id): each.bytes
            for each in S3Admin(saver).checkpoint_sizes(parsed.thread_id)
        }
        facts = {
            "format": "object",
            "bytes": sizes.get(at[1:]),
            "kind": "checkpoint" if isinstance(parsed.leaf, CheckpointLeaf) else "writes",
            "encrypted": True,
            "thread_id": at[0],
            "checkpoint_ns": at[1],
            "checkpoint_id": at[2],
        }
        _described(run, facts, error)
        return
    if found is None:
        raise CommandExit(NOT_FOUND, f"There is no checkpoint at {address}.")
    tell(run, found, found.checkpoint["channel_values"])


def _described(run: Invocation, facts: dict[str, Any], error: S3CheckpointError) -> None:
    """Answer with what is known, and say why that is all."""

    def show() -> None:
        what = "A portable file" if facts["format"] == "file" else "An object"
        size = "" if facts["bytes"] is None else f", {human(facts['bytes'])}"
        head = f"{what}{_OF.get(facts['kind'], '')}{size}"
        run.line(clean(head + (", encrypted" if facts["encrypted"] else "")), "bold")
        for name, value in facts.items():
            if name not in {"format", "kind", "bytes", "encrypted"} and value not in {None, ()}:
                said = value.isoformat(timespec="seconds") if isinstance(value, datetime) else value
                said = ", ".join(said) if isinstance(said, tuple) else said
                run.line(clean(f"  {name.replace('_', ' ')}: {said}"))

    run.answer({"decoded": False, **facts}, show)
    if facts["encrypted"] and run.keys is None:
        run.note("Its state can't be shown without its key: pass --keys MODULE:NAME.")
    elif facts["kind"] == "thread" and isinstance(error, InvalidConfigError):
        run.note("It is a whole thread: `langgraph-s3 import` brings it into a bucket.")
    else:
        raise error
