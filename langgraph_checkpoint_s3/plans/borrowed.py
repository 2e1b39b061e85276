"""Borrowed frames: those that are stored in the objects of earlier checkpoints.

They are read in one round trip. If one is missing, `load.py` reads the borrower again, since it may have been
rewritten just before its lender was deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from langgraph_checkpoint_s3.format.checkpoint import CheckpointRecord
from langgraph_checkpoint_s3.format.container import Container
from langgraph_checkpoint_s3.format.frames import Frame
from langgraph_checkpoint_s3.format.keys import Layout
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.data_keys import unlock_keys
from langgraph_checkpoint_s3.plans.plan import Plan, ask_all, gather
from langgraph_checkpoint_s3.plans.scan import versions
from langgraph_checkpoint_s3.plans.transfer import Ranges, Sizes
from langgraph_checkpoint_s3.s3.requests import Body, GetObject

_GAP = 64 * 1024
"""Two frames of an object with a gap of at most this many bytes are read in one request."""


class _FrameRef(NamedTuple):
    """A borrowed frame, and the container that needs it."""

    key: str
    frame: Frame
    container: Container
    number: int


def lender_key(namespace: str, frame: Frame) -> str | None:
    """Return the key of the object that a frame is borrowed from, in the borrower's namespace's folder."""
    return Layout.sibling(namespace, *frame.lender[:2]) if frame.lender else None


def lender_keys(namespace: str, record: CheckpointRecord) -> set[str]:
    """Return the keys of the objects that a checkpoint borrows from, given its namespace's folder."""
    return {key for frame in record.container.frames if (key := lender_key(namespace, frame)) is not None}


def missing(record: CheckpointRecord) -> list[int]:
    """Return the numbers of the borrowed frames that a checkpoint still lacks."""
    return record.container.missing(record.all_values())


def missing_lenders(namespace: str, record: CheckpointRecord) -> list[str]:
    """Return the keys of the objects with the frames that a checkpoint still lacks."""
    frames = record.container.frames
    return list(dict.fromkeys(key for n in missing(record) if (key := lender_key(namespace, frames[n]))))


def fetch_borrowed(
    context: Context,
    records: Iterable[tuple[str, CheckpointRecord]],
    past: Mapping[str, str] | None = None,
) -> Plan[None]:
    """Read the frames that checkpoints borrow, as far as they exist and are intact.

    Args:
        context: The saver's.
        records: The checkpoints, each with its namespace's folder.
        past: The version to read of each lender, by key; others aren't read. By default, all current ones.
    """
    refs: list[_FrameRef] = []
    borrowers = list(records)
    for namespace, record in borrowers:
        for number in missing(record):
            frame = record.container.frames[number]
            key = lender_key(namespace, frame)
            if key is None or (past is not None and key not in past):
                continue
            ref = _FrameRef(key, frame, record.container, number)
            stored = context.parent_cache.frame(ref.key, frame)
            if (stored is None or not record.container.add_frame(number, stored)) and frame.stored:
                refs.append(ref)
    if context.key_cache is not None:
        frames = (frame for _, record in borrowers for frame in record.container.frames)
        yield from unlock_keys(context.key_cache, (frame.key for frame in frames if frame.key is not None))
    spans = list(_spans(refs, context.sizes, past or {}))
    answers = yield from ask_all(request for _, span in spans for request in span.requests)
    for group, span in spans:
        found = span.body(answers[: len(span.requests)])
        del answers[: len(span.requests)]
        data = found.data if isinstance(found, Body) else b""  # CRCs later tell whether it is right
        for ref in group:
            start = ref.frame.offset - group[0].frame.offset
            stored = data[start : start + ref.frame.stored]
            if ref.container.add_frame(ref.number, stored):
                context.parent_cache.add_frame(ref.key, ref.frame, stored)


def fetch_borrowed_past(context: Context, namespace: str, record: CheckpointRecord) -> Plan[None]:
    """Read missing borrowed frames from old versions of the lenders, newest first.

    A lender may have been rewritten or overwritten since. The frames' CRCs tell which version is right.
    """
    keys = missing_lenders(namespace, record)
    listed = yield from gather(versions(key) for key in keys)  # including longer keys that begin with it
    old = {
        key: [each.version_id for each in found if each.key == key and not each.marker and not each.latest]
        for key, found in zip(keys, listed, strict=True)
    }
    while missing(record) and any(old.values()):
        past = {key: ids.pop(0) for key, ids in old.items() if ids}
        yield from fetch_borrowed(context, [(namespace, record)], past)


def _spans(
    refs: Sequence[_FrameRef], sizes: Sizes, past: Mapping[str, str]
) -> Iterator[tuple[list[_FrameRef], Ranges]]:
    """Group frames that are close together in an object, with the requests for each group."""
    group: list[_FrameRef] = []
    end = 0
    for ref in sorted(refs, key=lambda each: (each.key, each.frame.offset)):
        if group and (ref.key != group[0].key or ref.frame.offset > end + _GAP):
            yield group, _ranges(group, end, sizes, past)
            group = []
        end = max(end if group else 0, ref.frame.offset + ref.frame.stored)
        group.append(ref)
    if group:
        yield group, _ranges(group, end, sizes, past)


def _ranges(group: Sequence[_FrameRef], end: int, sizes: Sizes, past: Mapping[str, str]) -> Ranges:
    key, first = group[0].key, group[0].frame.offset
    return Ranges(GetObject(key, version=past.get(key)), end, sizes, first=first)
