"""Versions, deleted threads and purges on real servers."""

from __future__ import annotations

import pytest

from tests.contract.admin.test_versions import (
    TestPurging,
    TestSwitching,
    TestUndeleting,
    TestVersions,
    TestWithoutVersions,
    admin,
    left,
    reader,
    versioned,
    writer,
)
from tests.contract.support import Calls, Place, build_thread, noise
from tests.support.threads import thread_contents

__all__ = [
    "TestPurging",
    "TestSwitching",
    "TestUndeleting",
    "TestVersions",
    "TestWithoutVersions",
    "admin",
    "reader",
    "versioned",
    "writer",
]


class TestMixedVersions:
    """Written before versioning, with it, and while it was suspended; deleted in between."""

    @pytest.fixture
    def past(self, versioned: Calls, place: Place) -> None:
        names = ["a", "b", "c", "d"]

        def write() -> None:
            for name in names:
                place.write(f"checkpoints/thread.thread/{name}", noise(100))

        def delete(name: str) -> None:
            place.client.delete_object(Bucket=place.bucket, Key=f"checkpoints/thread.thread/{name}")

        versioned.suspend_versioning()
        write()
        versioned.enable_versioning()
        write()
        delete("a")
        versioned.suspend_versioning()
        place.write("checkpoints/thread.thread/b", noise(100))
        delete("c")
        place.write("checkpoints/thread.thread/e", noise(100))

    @pytest.mark.parametrize("enabled", [True, False])
    def test_it_is_purged(self, versioned: Calls, past: None, place: Place, enabled: bool) -> None:
        if enabled:
            versioned.enable_versioning()
        done = versioned.purge_thread("thread", dry_run=False)
        assert (done.versions, done.markers) == (8, 2)
        assert left(place, "thread.thread/") == []


class TestManyVersions:
    def test_more_than_one_request_takes(
        self, versioned: Calls, writer: Calls, reader: Calls, place: Place
    ) -> None:
        if place.server.name != "ceph" or writer.asynchronous:
            pytest.skip("it takes long")
        build_thread(writer, checkpoints=205, tasks=5)
        before = place.objects()
        writer.delete_thread("thread")
        assert versioned.undelete_thread("thread").writes == 1025
        assert place.objects() == before
        writer.delete_thread("thread")
        assert versioned.purge_thread("thread", dry_run=False).versions == 1230
        assert left(place, "thread.thread/") == []
        assert thread_contents(reader, "thread") == {}
