"""Checkpoints that share most of their state, and what their objects say of each other."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import pytest
from langgraph.checkpoint.base import Checkpoint, CheckpointMetadata

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.format.container import Container
from langgraph_checkpoint_s3.format.keys import Layout, encode_rank
from langgraph_checkpoint_s3.plans.data_keys import run_calls, unlock_objects
from langgraph_checkpoint_s3.plans.load import open_object
from langgraph_checkpoint_s3.s3.requests import Body, HeadObject
from tests.support import inside
from tests.support.checkpoints import make_checkpoint, place
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver
from tests.support.hooks import interrupting
from tests.support.modes import cached


@cached
def layout() -> Layout:
    """Return the key layout of a default saver."""
    return inside.layout(make_saver(FakeS3()))


def eager(fake: FakeS3, *, max_lenders: int = 3, **settings: Any) -> S3Saver:
    """A saver that borrows a few bytes already."""
    return made_eager(make_saver(fake, **settings), max_lenders)


def made_eager(saver: S3Saver, max_lenders: int = 3) -> S3Saver:
    """The same of any saver."""
    inside.set_borrowing(saver, min_value=16, min_run=4, min_share=8, max_lenders=max_lenders)
    return saver


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes that nothing makes shorter, and others than with another seed."""
    return random.Random(f"{seed} of {size}").randbytes(size)


def step(
    saver: S3Saver,
    checkpoint_id: str,
    parent: Checkpoint | None = None,
    *,
    thread: str = "t",
    ns: str = "",
    drop: Iterable[str] = (),
    run: str | None = None,
    **changed: Any,
) -> Checkpoint:
    """Put a child as a graph does: what isn't changed keeps its version, and isn't among the new ones."""
    checkpoint = succeed(checkpoint_id, parent, drop, **changed)
    new = {name: checkpoint["channel_versions"][name] for name in changed}
    metadata: CheckpointMetadata = {} if run is None else {"run_id": run}
    saver.put(place(thread, parent["id"] if parent else None, ns), checkpoint, metadata, new)
    return checkpoint


def succeed(
    checkpoint_id: str, parent: Checkpoint | None, drop: Iterable[str] = (), **changed: Any
) -> Checkpoint:
    """The child itself."""
    values = {**(parent["channel_values"] if parent else {}), **changed}
    checkpoint = make_checkpoint(
        checkpoint_id, {name: value for name, value in values.items() if name not in drop}
    )
    for name in checkpoint["channel_versions"].keys() - changed.keys():
        checkpoint["channel_versions"][name] = parent["channel_versions"][name] if parent else "0"
    return checkpoint


def key_of(fake: FakeS3, checkpoint_id: str, thread: str = "t", ns: str = "") -> str:
    """The key of a checkpoint's object."""
    [key] = fake.keys(f"{layout().namespace(thread, ns)}{encode_rank(checkpoint_id)}/checkpoint")
    return key


def opened(fake: FakeS3, checkpoint_id: str, thread: str = "t", ns: str = "") -> Container:
    """A checkpoint's object."""
    return opened_key(fake, key_of(fake, checkpoint_id, thread, ns))


def opened_key(fake: FakeS3, key: str) -> Container:
    """An object."""
    data = fake.objects[key].data
    context = inside.context(make_saver(fake))
    if context.key_cache is not None:
        run_calls(unlock_objects(context.key_cache, [data]))
    return open_object(context, key, Body(data, "", len(data))).container


def lenders(fake: FakeS3, checkpoint_id: str, thread: str = "t", ns: str = "") -> list[str]:
    """The checkpoints that one borrows from."""
    frames = opened(fake, checkpoint_id, thread, ns).frames
    return sorted({frame.lender.checkpoint_id for frame in frames if frame.lender})


def size(fake: FakeS3, checkpoint_id: str) -> int:
    """The bytes of a checkpoint's object."""
    return len(fake.objects[key_of(fake, checkpoint_id)].data)


def abandon(saver: S3Saver, checkpoint_id: str, parent: Checkpoint, **changed: Any) -> Checkpoint:
    """Put a child whose process is killed when its PUT has landed: it is never acknowledged."""
    store: Any = inside.store(saver)
    fake: FakeS3 = store.fake
    hook = fake.hook
    fake.hook = interrupting(HeadObject)
    try:
        with pytest.raises(KeyboardInterrupt):
            step(saver, checkpoint_id, parent, **changed)
    finally:
        fake.hook = hook
    return succeed(
        checkpoint_id, parent, **{k: v for k, v in changed.items() if k not in ("run", "thread", "ns")}
    )


def cold(fake: FakeS3, checkpoint_id: str | None = None, thread: str = "t", ns: str = "") -> dict[str, Any]:
    """A checkpoint's values, as a process reads them that has just begun."""
    found = make_saver(fake).get_tuple(place(thread, checkpoint_id, ns))
    assert found is not None
    return found.checkpoint["channel_values"]
