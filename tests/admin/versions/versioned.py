"""A bucket with versioning, and a thread whose checkpoints borrow from each other."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.checkpoint.base import Checkpoint

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.admin import S3Admin
from tests.plans.borrowers import noise, step
from tests.support.checkpoints import place
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver
from tests.support.threads import thread_contents

PLANS = "langgraph_checkpoint_s3.plans."
DOCUMENTS, NOTES, MORE = noise(40_000), noise(12_000, 1), noise(6_000, 2)


@pytest.fixture
def fake() -> FakeS3:
    """A bucket that keeps versions."""
    fake = FakeS3()
    fake.set_versioning("Enabled")
    return fake


@pytest.fixture
def admin(fake: FakeS3) -> S3Admin:
    """An admin in its own process."""
    return S3Admin(make_saver(fake))


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of three, and deletions one by one."""
    monkeypatch.setattr(PLANS + "scan.PAGE", 3)
    monkeypatch.setattr(PLANS + "delete._BATCH", 1)


def family(saver: S3Saver, thread: str = "t", ns: str = "", *, ids: str = "1234") -> list[Checkpoint]:
    """Put four checkpoints of a run each, with writes: 2 borrows from 1, 3 from 1 and 2, 4 from all."""
    where: Any = {"thread": thread, "ns": ns}
    first = step(saver, ids[0], run="run-1", documents=DOCUMENTS, **where)
    second = step(saver, ids[1], first, run="run-2", notes=NOTES, **where)
    third = step(saver, ids[2], second, run="run-3", more=MORE, **where)
    fourth = step(saver, ids[3], third, run="run-4", n=4, **where)
    for each in (first, second, third, fourth):
        saver.put_writes(place(thread, each["id"], ns), [("c", each["id"])], "task")
        saver.put_writes(place(thread, each["id"], ns), [("d", each["id"])], "other")
    return [first, second, third, fourth]


def contents(fake: FakeS3, thread: str = "t") -> dict[tuple[str, str], Any]:
    """Return what a new process reads of a thread."""
    return thread_contents(make_saver(fake), thread)


def left(fake: FakeS3, part: str = "t.thread/") -> list[str]:
    """Return the keys that have versions or delete markers."""
    return [key for key, versions in fake.versions.items() if part in key and versions]
