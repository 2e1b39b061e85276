"""Stores, objects and terms that leases refuse, and renewal of a saver's own leases."""

from __future__ import annotations

import asyncio
import json
import math
import os
import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from langgraph_checkpoint_s3 import (
    ConflictError,
    CorruptObjectError,
    InvalidConfigError,
    InvalidKeyError,
    Lease,
    NotSupportedError,
    S3Saver,
)
from langgraph_checkpoint_s3.s3.requests import CompareAndSwap, GetWithAge, Request
from tests.admin.retention.test_prune import admin_of
from tests.plans.helpers import once
from tests.plans.leasing import KEY, Time, lease, said, time
from tests.support.fake_s3 import FakeS3, client_error
from tests.support.hanging import HANG

__all__ = ["time"]


SOUND: dict[str, Any] = {
    "v": 1,
    "owner": "o",
    "holder": "h",
    "token": 1,
    "ttl": 1.0,
    "write": 1,
    "renewed": 1,
    "released": False,
}
WRONG: list[dict[str, Any]] = [
    {"ttl": math.nan}, {"ttl": 0}, {"ttl": "1"}, {"ttl": 10**400}, {"token": True}, {"token": -1},
    {"token": 2**63}, {"holder": 1}, {"holder": "h" * 257}, {"owner": None}, {"released": 1},
]  # fmt: skip


class TestRefusal:
    def test_a_store_that_ignores_conditions(self, fake: FakeS3, saver: S3Saver, time: Time) -> None:
        fake.plain = True
        for _ in range(2):
            with pytest.raises(NotSupportedError, match="keep nobody out"):
                lease(saver, time).acquire()
            assert fake.keys() == []

    @pytest.mark.parametrize("ignored", [None, "If-Match"])
    def test_a_store_that_ignores_one_of_them(
        self, fake: FakeS3, saver: S3Saver, time: Time, ignored: str | None
    ) -> None:
        def hook(moment: Any, request: Request[Any]) -> None:
            if isinstance(request, CompareAndSwap):
                fake.plain = (request.expected is None) == (ignored is None) and moment == "before"

        fake.hook = hook
        with pytest.raises(NotSupportedError):
            lease(saver, time).acquire()

    def test_a_store_that_answers_501(self, fake: FakeS3, saver: S3Saver, time: Time) -> None:
        def refuse(request: Request[Any]) -> None:
            raise client_error("NotImplemented", 501, request)

        fake.hook = once(CompareAndSwap, refuse)
        with pytest.raises(NotSupportedError, match="no conditional writes"):
            lease(saver, time).acquire()
        assert fake.keys() == []

    @pytest.mark.parametrize(
        "data",
        [
            *(b"", b"{", b"[]", b"null", b'{"v":2}', b"[" * 4000, b"\xff"),
            json.dumps({name: value for name, value in SOUND.items() if name != "token"}).encode(),
            *(json.dumps(SOUND | wrong).encode() for wrong in WRONG),
        ],
    )
    def test_what_is_no_lease(self, fake: FakeS3, saver: S3Saver, time: Time, data: bytes) -> None:
        fake.put(KEY, data)
        with pytest.raises(CorruptObjectError, match="isn't a lease"):
            lease(saver, time).acquire()
        assert fake.objects[KEY].data == data

    def test_what_is_shown_half_overwritten_is_read_again(
        self, fake: FakeS3, saver: S3Saver, time: Time
    ) -> None:
        """As LocalStack does: the new one's beginning, as long as the old one was."""
        first = lease(saver, time).acquire()
        whole = fake.objects[KEY]
        fake.objects[KEY] = replace(whole, data=whole.data[:-3])

        def mend(request: Request[Any]) -> None:
            fake.objects[KEY] = whole

        fake.hook = once(GetWithAge, mend, "after")
        with pytest.raises(ConflictError, match="holds the lease"):
            lease(saver, time).acquire()
        first.release()

    @pytest.mark.parametrize(
        "terms",
        [
            {"ttl": 0.9}, {"ttl": 8 * 86400}, {"ttl": "60"}, {"ttl": True}, {"ttl": math.nan}, {"wait": -1},
            {"wait": None}, {"holder": ""}, {"holder": 7}, {"holder": "h" * 257},
        ],
    )  # fmt: skip
    def test_terms_out_of_range(self, fake: FakeS3, saver: S3Saver, terms: dict[str, Any]) -> None:
        with fake.counted() as count, pytest.raises(InvalidConfigError):
            saver.lease("t", **terms)
        assert not count.requests

    @pytest.mark.parametrize("thread", ["", "\ud800"])
    def test_threads_that_cant_be(self, saver: S3Saver, thread: str) -> None:
        with pytest.raises(InvalidKeyError):
            saver.lease(thread)


class TestTheSaversOwn:
    @pytest.fixture(autouse=True)
    def soon(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Renewed at once, not after a third of a ttl that is short, or it would end on a slow machine."""
        monkeypatch.setattr(Lease, "_until_renewal", lambda self: 0.001)

    def test_it_is_renewed_in_the_background(self, fake: FakeS3, saver: S3Saver) -> None:
        renewed = threading.Event()
        with saver.lease("t", ttl=timedelta(minutes=10)) as held:
            first = said(fake)["write"]
            fake.hook = lambda moment, request: (
                renewed.set() if moment == "after" and isinstance(request, CompareAndSwap) else None
            )
            assert renewed.wait(HANG)
            fake.hook = None
            assert said(fake)["write"] > first
            held.check()
        assert not [each for each in threading.enumerate() if "lease" in each.name]

    def test_a_task_renews_it(self, fake: FakeS3, saver: S3Saver) -> None:
        async def use() -> None:
            async with saver.alease("t", ttl=600, holder="a task") as held:
                first = said(fake)["write"]
                while said(fake)["write"] == first:  # noqa: ASYNC110  # the fake knows no events
                    await asyncio.sleep(0)
                held.check()
            assert len(asyncio.all_tasks()) == 1

        asyncio.run(use())
        assert said(fake)["released"]

    def test_what_was_lost_in_the_background_shows(self, fake: FakeS3, saver: S3Saver) -> None:
        held = saver.lease("t", ttl=600).acquire()
        fake.delete(KEY)
        thread = held._thread
        assert thread is not None
        thread.join(HANG)
        assert held.lost
        assert held.remaining == 0
        with pytest.raises(ConflictError, match="deleted"):
            held.release()

    def test_an_object_deleted_too_early_lets_a_second_holder_in(
        self, fake: FakeS3, saver: S3Saver, time: Time
    ) -> None:
        """So no client deletes any, `find_orphans` neither: a rule of the store's does, after 8 days."""
        held = lease(saver, time).acquire()
        fake.delete(KEY)
        second = lease(saver, time, "the second").acquire()
        held.check()  # it can't know before it renews
        with pytest.raises(ConflictError, match="the second took it over"):
            held.renew()
        assert second.token >= held.token  # by the clock alone: in the same ms they may be equal
        fake.age(timedelta(days=99))
        assert fake.keys() == [KEY]
        assert admin_of(fake).find_orphans().items == ()

    def test_the_default_holder_names_the_process(self, saver: S3Saver) -> None:
        held = saver.lease("t")
        assert str(os.getpid()) in held.holder
        assert held.token == 0
        assert "'t'" in repr(held)
        with pytest.raises(ConflictError, match="isn't held"):
            held.check()
        held.release()  # nothing to do

    def test_a_read_is_never_from_the_cache(self, fake: FakeS3, saver: S3Saver) -> None:
        with saver.lease("t", auto_renew=False), fake.counted() as count:
            for _ in range(2):
                with pytest.raises(ConflictError):
                    saver.lease("t").acquire()
        assert count.kinds["GetWithAge"] == 2
        assert GetWithAge("k").MOST == 4096
