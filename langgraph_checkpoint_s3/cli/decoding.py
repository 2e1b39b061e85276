"""The command that shows a checkpoint from outside: from a file, a signed URL, or an object's address."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import unquote

import typer

from langgraph_checkpoint_s3 import CorruptObjectError, DecryptionError, InvalidConfigError, S3CheckpointError
from langgraph_checkpoint_s3.cli.checkpoints import config_of
from langgraph_checkpoint_s3.cli.runtime import NOT_FOUND, USAGE, CommandExit, Invocation
from langgraph_checkpoint_s3.cli.show import show_checkpoint
from langgraph_checkpoint_s3.text.humanize import format_size

_KINDS: Final = {"checkpoint": " of a checkpoint", "writes": " of a task's writes", "thread": " of a thread"}


def decode(
    ctx: Invocation,
    source: Annotated[
        str,
        typer.Argument(metavar="FILE-OR-URL", help="A file, a signed URL, s3://BUCKET/KEY, or - for stdin."),
    ],
) -> None:
    """Show a checkpoint from a file, a signed URL, or an object's address.

    Files and URLs need no bucket. Your application's types are shown as plain data: nothing is imported. What
    can't be shown is described: encrypted data without its keys (--keys), and files of whole threads.
    """
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

    from langgraph_checkpoint_s3.admin import describe, fetch_signed_url, load_signed_url, loads

    if source.startswith("s3://"):
        _decode_object(ctx, source)
        return
    strict = JsonPlusSerializer(allowed_msgpack_modules=None)
    is_url = source.startswith(("https://", "http://"))
    data = b"" if is_url else _read(source)
    try:
        if is_url:
            found = load_signed_url(source, serde=strict, encryption=ctx.keys)
        else:
            found = loads(data, serde=strict, encryption=ctx.keys)
    except (CorruptObjectError, DecryptionError, InvalidConfigError) as error:
        # `describe` and `fetch_signed_url` raise again if these aren't the package's bytes.
        _describe(ctx, asdict(describe(fetch_signed_url(source) if is_url else data)), error)
    else:
        show_checkpoint(ctx, found)


def _read(source: str) -> bytes:
    if source == "-":
        return sys.stdin.buffer.read()
    path = Path(source)
    if path.is_dir() or not path.exists():  # `is_file` is false for a pipe
        raise CommandExit(NOT_FOUND, f"There is no file {source!r}.")
    return path.read_bytes()


def _decode_object(ctx: Invocation, address: str) -> None:
    """Show the checkpoint that an object belongs to, with everything that it borrows."""
    from langgraph_checkpoint_s3.admin import S3Admin, describe_key

    bucket, _, query = address.removeprefix("s3://").partition("?")
    bucket, _, key = bucket.partition("/")
    parsed = describe_key(unquote(key))
    if parsed is None:
        raise CommandExit(
            USAGE,
            "That isn't the key of a checkpoint's object (…/THREAD.thread/NAMESPACE.ns/…/checkpoint…): "
            "`langgraph-s3 show` takes a thread, and what was exported can be piped into `decode -`.",
        )
    # The environment names the store, unless the address has settings of its own.
    uri = f"s3://{bucket}/?{query}" if query else None
    saver = ctx.open_saver(uri=uri, bucket=unquote(bucket), prefix=parsed.prefix)
    try:
        found = saver.get_tuple(config_of(parsed.thread_id, parsed.checkpoint_ns, parsed.checkpoint_id))
    except DecryptionError as error:
        sizes = {
            (each.checkpoint_ns, each.checkpoint_id): each.bytes
            for each in S3Admin(saver).checkpoint_sizes(parsed.thread_id)
        }
        facts = {
            "format": "object",
            "bytes": sizes.get((parsed.checkpoint_ns, parsed.checkpoint_id)),
            "kind": parsed.kind,
            "encrypted": True,
            "thread_id": parsed.thread_id,
            "checkpoint_ns": parsed.checkpoint_ns,
            "checkpoint_id": parsed.checkpoint_id,
        }
        _describe(ctx, facts, error)
        return
    if found is None:
        raise CommandExit(NOT_FOUND, f"There is no checkpoint at {address}.")
    show_checkpoint(ctx, found)


def _describe(ctx: Invocation, facts: dict[str, Any], error: S3CheckpointError) -> None:
    """Print a description of what can't be shown, and the reason."""

    def show() -> None:
        what = "A portable file" if facts["format"] == "file" else "An object"
        size = "" if facts["bytes"] is None else f", {format_size(facts['bytes'])}"
        encrypted = ", encrypted" if facts["encrypted"] else ""
        ctx.line(f"{what}{_KINDS.get(facts['kind'], '')}{size}{encrypted}", "bold")
        for name, value in facts.items():
            if name in {"format", "kind", "bytes", "encrypted"} or value in {None, ()}:
                continue
            if isinstance(value, datetime):
                value = value.isoformat(timespec="seconds")  # noqa: PLW2901  # as text
            elif isinstance(value, tuple):
                value = ", ".join(value)  # noqa: PLW2901  # as text
            ctx.line(f"  {name.replace('_', ' ')}: {value}")

    ctx.answer({"decoded": False, **facts}, show)
    if facts["encrypted"] and ctx.keys is None:
        ctx.note("The state is encrypted: pass --keys MODULE:NAME to show it.")
    elif facts["kind"] == "thread" and isinstance(error, InvalidConfigError):
        ctx.note("It is a whole thread: `langgraph-s3 import` reads it into a bucket.")
    else:
        raise error
