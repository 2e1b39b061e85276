"""Stores on a fake S3, and embeddings that need no model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, cast

from langgraph.store.base import IndexConfig

from langgraph_checkpoint_s3.memory import S3Cache, S3Store
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver

DIMS = 8
WORDS = ("red", "green", "blue", "cat", "dog", "runs", "sleeps", "eats")


def embed(texts: Sequence[str]) -> list[list[float]]:
    """Embed texts by the words in them, and by a little of their hash, so that no two are equally near."""
    vectors = []
    for text in texts:
        digest = hashlib.sha256(text.encode()).digest()
        noise = [byte / 4096 for byte in digest[:DIMS]]
        vectors.append([text.count(word) + small for word, small in zip(WORDS, noise, strict=True)])
    return vectors


def index(**changes: Any) -> IndexConfig:
    return cast("IndexConfig", {"dims": DIMS, "embed": embed, **changes})


def make_store(fake: FakeS3, *, index: Any = None, ttl: Any = None, **settings: Any) -> S3Store:
    """A store as another process has it."""
    return S3Store(saver=make_saver(fake, **settings), index=index, ttl=ttl)


def make_cache(fake: FakeS3, **settings: Any) -> S3Cache[Any]:
    """A cache as another process has it."""
    return S3Cache(saver=make_saver(fake, **settings))
