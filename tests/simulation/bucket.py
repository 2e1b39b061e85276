"""A bucket in virtual time, which can be broken in several ways."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final

from langgraph_checkpoint_s3.s3.requests import (
    CompleteUpload,
    CopyObject,
    DeleteObjects,
    Deletion,
    GetObject,
    GetWithAge,
    HeadObject,
    ListObjects,
    NotFound,
    PreconditionFailed,
    PutObject,
    Request,
    Stored,
)
from tests.support.fake_s3 import FakeS3

if TYPE_CHECKING:
    from tests.simulation.world import World

EPOCH: Final = datetime(2026, 1, 1, tzinfo=timezone.utc)
BROKEN: Final = {
    "loses PUTs": "acknowledged",
    "deletes nothing": "deleted, and there",
    "lists less": "acknowledged and not listed",
    "copies less": "acknowledged and",
    "rewrites nothing": "acknowledged, and can't be read",
    "has no conditions": "deleted, and there|the first write isn't kept",
    "keeps no notice": "acknowledged|the latest is gone",
    "waits for nobody": "acknowledged|the latest is gone",
    "has no clock": "acknowledged|the latest is gone",
}
"""Faults of the bucket or around it, and the kinds of violation that each leads to."""


class Bucket(FakeS3):
    """A bucket in virtual time.

    Attributes:
        odd_etags: Whether it tells a wrong ETag when an upload is completed, as Ceph 16 and rclone do.
        broken: What it does wrong, one of `BROKEN`: to see that the oracle notices.
    """

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.odd_etags = False
        self.broken = ""

    @property
    def now(self) -> datetime:
        """S3 tells whole seconds."""
        return EPOCH + timedelta(seconds=int(self.world.now))

    def execute(self, request: Request[Any], *, conditional: bool = True) -> Any:
        """Answer a request; rightly, unless it is broken."""
        chance = self.world.chosen.random() if self.broken else 1.0
        key = getattr(request, "key", "")
        match self.broken, request:
            case "loses PUTs", PutObject() if chance < 0.2:
                return Stored("1" * 32)
            case "rewrites nothing", PutObject() if request.expected is not None:
                return Stored("1" * 32)
            case "deletes nothing", DeleteObjects() if chance < 0.5:
                return Deletion(())
            case "copies less", CopyObject() if chance < 0.3:
                return Stored("1" * 32)
            case "keeps no notice", GetObject() | GetWithAge() | HeadObject() if ".deleted/" in key:
                return NotFound()
            case "lists less", ListObjects() if chance < 0.1:
                page = super().execute(request)
                return replace(page, entries=page.entries[:-1])
            case "has no conditions", _:
                conditional = False
        return super().execute(request, conditional=conditional)

    def _complete(self, request: CompleteUpload, conditional: bool) -> Stored | PreconditionFailed:
        answer = super()._complete(request, conditional)
        return Stored("0" * 32 + "-1") if self.odd_etags and isinstance(answer, Stored) else answer
