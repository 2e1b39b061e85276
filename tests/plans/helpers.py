"""Short ways to put, get and list, for tests that do much of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from langgraph.checkpoint.base import CheckpointTuple

from langgraph_checkpoint_s3 import (
    S3Saver,
)
from langgraph_checkpoint_s3.s3.requests import (
    Request,
)
from tests.support import inside
from tests.support.checkpoints import make_checkpoint, place
from tests.support.fake_s3 import FakeS3, Moment
from tests.support.fake_store import make_saver


def put(
    saver: S3Saver,
    checkpoint_id: str,
    parent: str | None = None,
    *,
    thread: str = "t",
    ns: str = "",
    values: dict[str, Any] | None = None,
    **metadata: Any,
) -> Any:
    checkpoint = make_checkpoint(checkpoint_id, {"v": checkpoint_id} if values is None else values)
    said: Any = metadata
    return saver.put(place(thread, parent, ns), checkpoint, said, checkpoint["channel_versions"])


def overwrite(saver: S3Saver, checkpoint_id: str, parent: str | None = None, **keywords: Any) -> Any:
    """Put a checkpoint in the place of another one's object, as nobody does who knows who borrows from it."""
    store: Any = inside.store(saver)
    elsewhere = FakeS3()
    config = put(make_saver(elsewhere, config=saver.config), checkpoint_id, parent, **keywords)
    [key] = elsewhere.keys()
    [there] = store.fake.keys(f"{key.rpartition('/')[0]}/checkpoint")  # its key may say that it lends
    store.fake.put(there, elsewhere.objects[key].data)
    return config


def get(saver: S3Saver, config: Any) -> CheckpointTuple:
    found = saver.get_tuple(config)
    assert found is not None
    return found


def pending(saver: S3Saver, config: Any) -> list[tuple[str, str, Any]]:
    return [(task, channel, value) for task, channel, value in get(saver, config).pending_writes or ()]


def ids(saver: S3Saver, config: Any, **keywords: Any) -> list[str]:
    return [each.checkpoint["id"] for each in saver.list(config, **keywords)]


def once(kind: type[Request[Any]], action: Callable[[Any], None], moment: Moment = "before") -> Any:
    """A hook that acts at the first request of a kind."""
    left = iter([True])

    def hook(now: Moment, request: Request[Any]) -> None:
        if now == moment and isinstance(request, kind) and next(left, False):
            action(request)

    return hook


def refuse_etags(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the fake refuse each write under the condition of an ETag, also of the one that it shows."""
    may = FakeS3._may

    def may_without_etag(self: FakeS3, request: Any, conditional: bool) -> bool:
        return request.expected is None and may(self, request, conditional)

    monkeypatch.setattr(FakeS3, "_may", may_without_etag)
