"""Leases on the fake whose time the test makes pass."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from langgraph_checkpoint_s3 import (
    Lease,
    S3Saver,
)
from langgraph_checkpoint_s3.lease import Clock, LeaseSettings
from tests.support import inside
from tests.support.fake_s3 import FakeS3

KEY = "checkpoints/.leases/t.lease"
TTL = 60.0


class Time:
    """A clock for holders, and pauses that make time pass for them and for the store."""

    def __init__(self, fake: FakeS3) -> None:
        self.now = 0.0
        self.fake = fake
        self.pauses: list[float] = []

    def passes(self, seconds: float) -> None:
        self.now += seconds
        self.fake.age(timedelta(seconds=seconds), ".leases/")

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.passes(seconds)


@pytest.fixture
def time(fake: FakeS3) -> Time:
    return Time(fake)


def lease(saver: S3Saver, time: Time, holder: str = "me", *, wait: float = 0.0, thread: str = "t") -> Lease:
    settings = LeaseSettings.of(TTL, wait, holder, auto_renew=False)
    store: Any = inside.store(saver)
    clock = Clock(lambda: time.now, time.sleep)
    return Lease(store, inside.layout(saver).lease(thread), thread, settings, inside.clock(saver), clock)


def said(fake: FakeS3) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(fake.objects[KEY].data)
    return document
