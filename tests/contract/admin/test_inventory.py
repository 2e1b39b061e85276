"""Inventory reports in a bucket of their own, over the wire, by both drivers."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from langgraph_checkpoint_s3 import AccessDeniedError, CorruptObjectError
from langgraph_checkpoint_s3.s3.requests import Entry
from tests.contract.admin.test_retention import DAY, borrowing, checkpoints_by_id, in_days
from tests.contract.admin.test_usage import threads
from tests.contract.front import Answer, Front
from tests.contract.support import MakeCalls, MakeSaver, Place, build_thread
from tests.support.reports import FOLDER, MADE, Listed, make_report
from tests.support.sampling import combined

FORMATS = ("Parquet", "CSV")
THREADS = ("a", "b/2", "ü 💥", "z" * 300)


@pytest.fixture
def reports(place: Place) -> Iterator[str]:
    """A bucket for reports."""
    name = f"inventory-{uuid.uuid4().hex[:12]}"
    place.client.create_bucket(Bucket=name)
    yield name
    for item in place.client.list_objects_v2(Bucket=name).get("Contents", ()):
        place.client.delete_object(Bucket=name, Key=item["Key"])
    place.client.delete_bucket(Bucket=name)


def deliver(place: Place, reports: str, **how: Any) -> datetime:
    """Put a report of what the bucket holds beside it. Return the time that it names."""
    listed: list[Listed] = []
    for item in place.client.list_objects_v2(Bucket=place.bucket)["Contents"]:
        storage_class = str(item.get("StorageClass", "STANDARD"))
        etag = item["ETag"].strip('"')
        listed.append(Listed(Entry(item["Key"], item["Size"], etag, item["LastModified"], storage_class)))
    created = max(each.entry.modified for each in listed).replace(microsecond=0)
    for key, data in make_report(listed, bucket=place.bucket, created=created, **how).items():
        place.client.put_object(Bucket=reports, Key=key, Body=data)
    return created


class TestInventory:
    @combined(file_format=FORMATS, driver=["sync", "async"])
    def test_it_answers_as_the_store_does(
        self, make_admin: MakeCalls, make_saver: MakeSaver, place: Place, reports: str, file_format: str
    ) -> None:
        saver = make_saver(prefix="agents")
        for name in THREADS:
            build_thread(saver, name, checkpoints=3)
        borrowing(saver, "borrows", 4)
        build_thread(make_saver(prefix="agents/nested"), "other", checkpoints=2)
        created = deliver(place, reports, file_format=file_format)
        admin, source = make_admin(prefix="agents"), {"inventory": f"s3://{reports}/{FOLDER}"}
        assert admin.usage(**source) == replace(admin.usage(), as_of=created)
        assert threads(admin, **source) == threads(admin)
        assert threads(admin, "b/", **source) == ["b/2"]
        assert admin.prune_threads(1, **source) == replace(admin.prune_threads(1), as_of=created)
        in_days(admin, 40)
        by_age = replace(admin.prune_older_than(DAY, keep_latest=False), as_of=created)
        assert admin.prune_older_than(DAY, keep_latest=False, **source) == by_age
        assert by_age.threads == len(THREADS) + 1
        found = admin.find_orphans(timedelta(seconds=1), **source)
        assert found.as_of == created

    def test_deletions_are_decided_by_what_is_there_now(
        self, make_admin: MakeCalls, make_saver: MakeSaver, place: Place, reports: str
    ) -> None:
        saver = make_saver()
        ids = borrowing(saver, "thread", 4)
        build_thread(saver, "gone", checkpoints=3)
        deliver(place, reports)
        saver.delete_thread("gone")
        build_thread(saver, "new", checkpoints=3)
        before = checkpoints_by_id(saver)
        admin = make_admin()
        went = admin.prune_threads(2, dry_run=False, inventory=f"s3://{reports}/{FOLDER}{MADE}/manifest.json")
        went.raise_errors()
        assert [each.checkpoint_id for each in went.victims] == ids[1::-1]
        after = checkpoints_by_id(make_saver())
        assert after == {name: before[name] for name in ids[2:]}
        assert len(checkpoints_by_id(make_saver(), "new")) == 3

    def test_a_damaged_report(
        self, make_admin: MakeCalls, make_saver: MakeSaver, place: Place, reports: str, front: Front
    ) -> None:
        build_thread(make_saver(), "thread", checkpoints=2)
        deliver(place, reports, parts=1)
        [key] = [
            item["Key"]
            for item in place.client.list_objects_v2(Bucket=reports)["Contents"]
            if "/data/" in item["Key"]
        ]
        size = len(place.client.get_object(Bucket=reports, Key=key)["Body"].read())
        place.client.put_object(Bucket=reports, Key=key, Body=bytes(size))
        with pytest.raises(CorruptObjectError, match="another MD5") as error:
            make_admin().usage(inventory=f"s3://{reports}/{FOLDER}")
        assert (error.value.bucket, error.value.key) == (reports, key)

    def test_a_report_that_may_not_be_read(
        self, make_admin: MakeCalls, make_saver: MakeSaver, place: Place, reports: str, front: Front
    ) -> None:
        build_thread(make_saver(), "thread", checkpoints=2)
        deliver(place, reports)
        front.fail("GetObject", Answer(403, "AccessDenied"), times=None)
        with pytest.raises(AccessDeniedError) as error:
            make_admin().usage(inventory=f"s3://{reports}/{FOLDER}{MADE}/manifest.json")
        assert (error.value.action, error.value.bucket) == ("s3:GetObject", reports)
