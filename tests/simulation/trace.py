"""A history's trace, as a person reads it."""

from __future__ import annotations

from typing import Any

from langgraph_checkpoint_s3 import S3CheckpointError
from langgraph_checkpoint_s3.format.keys import Layout
from langgraph_checkpoint_s3.s3.requests import Body, Deletion, Page, Stored


def describe(request: Any, answer: Any, layout: Layout) -> str:
    """A request and its answer, in one line."""
    name = type(request).__name__
    said = [name]
    if hasattr(request, "keys"):
        said.append(", ".join(_key(key, layout) for key in request.keys))
    elif hasattr(request, "versions"):
        said.append(", ".join(f"{_key(key, layout)} {version}" for key, version in request.versions))
    named = (getattr(request, field, None) for field in ("key", "prefix", "source", "target"))
    said += [_key(key, layout) for key in named if key is not None]
    if getattr(request, "only_new", False):
        said.append("only new")
    if getattr(request, "expected", None):
        said.append(f"if {request.expected[:6]}")
    if hasattr(request, "first") and (request.first or request.length):
        said.append(f"[{request.first}+{request.length}]")
    if hasattr(request, "body"):
        said.append(f"{len(request.body)} bytes")
    return " ".join(said) + f" → {_answer(answer, layout)}"


def _answer(answer: Any, layout: Layout) -> str:
    match answer:
        case None:
            return "·"
        case Body(data, etag, size):
            return f"{len(data)} of {size} bytes, {etag[:6]}"
        case Stored(etag):
            return f"stored {etag[:6]}"
        case Page(entries, _, _):
            return "[" + ", ".join(f"{_key(each.key, layout)} {each.etag[:6]}" for each in entries) + "]"
        case Deletion(failed):
            return f"deleted, but for {len(failed)}" if failed else "deleted"
        case Exception():
            return f"{type(answer).__name__}: {answer}"[:100]
    return str(answer)[:60]


def _key(key: str, layout: Layout) -> str:
    try:
        parsed = layout.parse(key)
    except S3CheckpointError:
        return key
    kind = key.rpartition("/")[2].partition(".")[0]
    leaf = "" if kind == "checkpoint" else " " + key.rpartition("/")[2]
    return f"{parsed.thread_id[:8]}/{parsed.checkpoint_ns[:8]}:{parsed.checkpoint_id}{leaf}"
