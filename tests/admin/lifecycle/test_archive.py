"""Archived threads on the fake S3: restore requests and their status."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from langgraph_checkpoint_s3 import (
    AccessDeniedError,
    InvalidConfigError,
    InvalidKeyError,
    S3Saver,
)
from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.admin.lifecycle.archive import RestoreStatus
from langgraph_checkpoint_s3.s3.admin_requests import InspectObject, RestoreObject
from tests.plans.helpers import once, put
from tests.support.checkpoints import put_chain
from tests.support.fake_s3 import FakeS3
from tests.support.hooks import failing

NOW = "langgraph_checkpoint_s3.admin.base.BaseAdmin._now"


@pytest.fixture
def clock(fake: FakeS3, monkeypatch: pytest.MonkeyPatch) -> None:
    """The admin's time is the fake's."""
    monkeypatch.setattr(NOW, staticmethod(lambda: fake.now))


def archive(fake: FakeS3, part: str = "", storage_class: str = "GLACIER", **more: Any) -> list[str]:
    keys = fake.keys(part)
    for key in keys:
        fake.objects[key] = replace(fake.objects[key], storage_class=storage_class, **more)
    return keys


def restored(until: str) -> str:
    return f'ongoing-request="false", expiry-date="{until}"'


@pytest.mark.usefixtures("clock")
class TestRestoring:
    def test_a_thread_that_is_not_archived_costs_one_list(self, fake: FakeS3, saver: S3Saver) -> None:
        put_chain(saver, "t", 2)
        with fake.counted() as count:
            status = S3Admin(saver).restore_archived("t")
        assert count.kinds == {"ListObjects": 1}
        assert status == RestoreStatus("t", readable=4)
        assert status.ready

    def test_all_that_is_offline_is_asked_for_at_once(self, fake: FakeS3, saver: S3Saver) -> None:
        put_chain(saver, "t", 3)
        put(saver, "other", thread="other")
        old = archive(fake, "t.thread/.ns/" + "cf" * 7)
        assert len(old) == 6
        admin = S3Admin(saver)
        assert admin.restore_status("t") == RestoreStatus("t", archived=6)
        archive(fake, "other.thread")
        with fake.counted() as count:
            status = admin.restore_archived("t", days=3, tier="Bulk")
        assert count.kinds == {"ListObjects": 1, "InspectObject": 6, "RestoreObject": 6}
        assert count.round_trips == 3
        asked = [request for request in count.requests if isinstance(request, RestoreObject)]
        assert asked == [RestoreObject(key, 3, "Bulk") for key in old]
        assert status == RestoreStatus("t", restoring=6)
        assert not status.ready

    def test_doing_it_again_asks_for_nothing(self, fake: FakeS3, saver: S3Saver) -> None:
        put_chain(saver, "t", 2)
        archive(fake)
        admin = S3Admin(saver)
        first = admin.restore_archived("t")
        with fake.counted() as count:
            assert admin.restore_archived("t") == first
            assert admin.restore_status("t") == first
        assert "RestoreObject" not in count.kinds

    def test_objects_restored_for_long_enough_are_left_alone(self, fake: FakeS3, saver: S3Saver) -> None:
        put_chain(saver, "t", 1)
        archive(fake, restore=restored("Wed, 14 Jan 2026 00:00:00 GMT"))
        admin = S3Admin(saver)
        until = datetime(2026, 1, 14, tzinfo=timezone.utc)
        with fake.counted() as count:
            assert admin.restore_archived("t", days=7) == RestoreStatus("t", restored=2, until=until)
        assert "RestoreObject" not in count.kinds
        with fake.counted() as count:
            longer = admin.restore_archived("t", days=30)
        assert count.kinds == {"ListObjects": 1, "InspectObject": 4, "RestoreObject": 2}
        assert longer == RestoreStatus("t", restored=2, until=fake.now + timedelta(days=30))
        assert longer.ready

    def test_the_first_expiry_of_a_restore_is_reported(self, fake: FakeS3, saver: S3Saver) -> None:
        put_chain(saver, "t", 2, writes=0)
        first, second = fake.keys()
        archive(fake, first, restore=restored("Fri, 9 Jan 2026 00:00:00 GMT"))
        archive(fake, second, restore=restored("Thu, 8 Jan 2026 00:00:00 GMT"))
        status = S3Admin(saver).restore_status("t")
        assert status.until == datetime(2026, 1, 8, tzinfo=timezone.utc)

    def test_a_restore_without_a_date_counts_as_restored(self, fake: FakeS3, saver: S3Saver) -> None:
        put_chain(saver, "t", 1, writes=0)
        archive(fake, restore='ongoing-request="false"')
        assert S3Admin(saver).restore_archived("t") == RestoreStatus("t", restored=1)

    def test_a_mixed_thread_is_counted_once(self, fake: FakeS3, saver: S3Saver) -> None:
        put_chain(saver, "t", 5, writes=0)
        plain, instant, deep, tiered, cold = fake.keys()
        archive(fake, instant, "GLACIER_IR")
        archive(fake, deep, "DEEP_ARCHIVE")
        archive(fake, tiered, "INTELLIGENT_TIERING")
        archive(fake, cold, "INTELLIGENT_TIERING", archive_status="ARCHIVE_ACCESS")
        admin = S3Admin(saver)
        assert admin.restore_status("t") == RestoreStatus("t", readable=3, archived=2)
        with fake.counted() as count:
            assert admin.restore_archived("t", days=5) == RestoreStatus("t", readable=3, restoring=2)
        asked = [request for request in count.requests if isinstance(request, RestoreObject)]
        # What Intelligent-Tiering restores has no days.
        assert asked == [RestoreObject(deep, 5), RestoreObject(cold, None)]
        assert fake.objects[plain].restore is None

    def test_nothing_is_expedited_from_deep_archive(self, fake: FakeS3, saver: S3Saver) -> None:
        put_chain(saver, "t", 1, writes=0)
        archive(fake, storage_class="DEEP_ARCHIVE")
        with fake.counted() as count, pytest.raises(InvalidConfigError, match="deep archive"):
            S3Admin(saver).restore_archived("t", tier="Expedited")
        assert "RestoreObject" not in count.kinds

    def test_objects_deleted_meanwhile_are_not_counted(self, fake: FakeS3, saver: S3Saver) -> None:
        put_chain(saver, "t", 2, writes=0)
        first, second = archive(fake)
        fake.hook = once(InspectObject, lambda request: fake.delete(first))
        admin = S3Admin(saver)
        assert admin.restore_archived("t") == RestoreStatus("t", restoring=1)
        fake.hook = once(RestoreObject, lambda request: fake.delete(request.key))
        archive(fake, second, restore=None)
        assert admin.restore_archived("t") == RestoreStatus("t")

    def test_a_long_thread_goes_page_by_page(self, fake: FakeS3, saver: S3Saver) -> None:
        put_chain(saver, "t", 1100, writes=0)
        archive(fake)
        with fake.counted() as count:
            status = S3Admin(saver).restore_archived("t")
        assert status == RestoreStatus("t", restoring=1100)
        assert max(len(batch) for batch in count.batches) <= 1000
        archive(fake, restore=restored("Fri, 9 Jan 2026 00:00:00 GMT"))
        archive(fake, fake.keys()[-1], restore=restored("Thu, 8 Jan 2026 00:00:00 GMT"))
        until = datetime(2026, 1, 8, tzinfo=timezone.utc)
        assert S3Admin(saver).restore_status("t") == RestoreStatus("t", restored=1100, until=until)

    @pytest.mark.parametrize(
        ("wrong", "reason"),
        [
            ({"days": 0}, "days"),
            ({"days": True}, "days"),
            ({"days": 1.5}, "days"),
            ({"tier": "Quick"}, "Standard, Bulk, Expedited"),
        ],
    )
    def test_invalid_arguments_are_refused_before_any_request(
        self, fake: FakeS3, saver: S3Saver, wrong: dict[str, Any], reason: str
    ) -> None:
        with fake.counted() as count, pytest.raises(InvalidConfigError, match=reason):
            S3Admin(saver).restore_archived("t", **wrong)
        with pytest.raises(InvalidKeyError):
            S3Admin(saver).restore_archived("")
        with pytest.raises(InvalidKeyError):
            S3Admin(saver).restore_status("")
        assert count.requests == []

    def test_a_denied_restore_names_the_action(self, fake: FakeS3, saver: S3Saver) -> None:
        put_chain(saver, "t", 2, writes=0)
        archive(fake)
        fake.hook = failing(RestoreObject, "AccessDenied", 403, times=1)
        with pytest.raises(AccessDeniedError, match="s3:RestoreObject"):
            S3Admin(saver).restore_archived("t")
        # The other one was asked for, and doing it again goes on.
        fake.hook = None
        assert S3Admin(saver).restore_status("t") == RestoreStatus("t", restoring=1, archived=1)
        assert S3Admin(saver).restore_archived("t") == RestoreStatus("t", restoring=2)
