"""Versions, deleted threads and purges on real servers."""

from __future__ import annotations

import pytest

from tests.contract.admin.test_versions import (
    TestMixedVersions,
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
from tests.contract.support import Calls, Place, build_thread
from tests.support.threads import thread_contents

__all__ = [
    "TestMixedVersions",
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


class TestManyVersions:
    def test_more_than_one_request_takes(
        self, versioned: Calls, writer: Calls, reader: Calls, place: Place
    ) -> None:
        if place.server.name != "local" or writer.asynchronous:
            pytest.skip("it takes minutes on others")
        build_thread(writer, checkpoints=205, tasks=5)
        before = place.objects()
        writer.delete_thread("thread")
        assert versioned.undelete_thread("thread").writes == 1025
        assert place.objects() == before
        writer.delete_thread("thread")
        assert versioned.purge_thread("thread", dry_run=False).versions == 1230
        assert left(place, "thread.thread/") == []
        assert thread_contents(reader, "thread") == {}
