"""Following what is written, over the wire, by both drivers."""

from __future__ import annotations

from datetime import timedelta

from langgraph_checkpoint_s3.admin import S3Admin
from tests.contract.front import Front
from tests.contract.support import Calls, MakeCalls, MakeSaver, Place, build_thread


def minutes_later(admin: Calls, minutes: float) -> Calls:
    """Set an admin's clock ahead, so that the times of what was just written have settled."""
    made: S3Admin = admin.saver
    now = made._now
    made._now = lambda: now() + timedelta(minutes=minutes)  # type: ignore[method-assign]  # the test's own
    return admin


class TestChanges:
    def test_what_is_written_is_told_once(
        self, make_admin: MakeCalls, make_saver: MakeSaver, place: Place, front: Front
    ) -> None:
        for thread in ("a/b", "thread"):
            build_thread(make_saver(), thread, checkpoints=2)
        objects, sizes = place.objects(), place.sizes()
        assert make_admin().changes().objects == ()  # nothing has settled yet
        front.reset()
        found = minutes_later(make_admin(), 2).changes()
        assert front.counts()["ListObjectsV2"] == 1
        assert set(front.counts()) <= {"ListObjectsV2", "ListMultipartUploads"}
        assert {each.key: each.bytes for each in found.objects} == sizes
        assert {each.key: each.etag.strip('"') for each in found.objects} == {
            key: etag.strip('"') for key, etag in objects.items()
        }
        assert set(found.threads) == {"a/b", "thread"}
        assert {each.kind for each in found.objects} == {"checkpoint", "writes"}
        listed = place.client.list_objects_v2(Bucket=place.bucket)
        assert {each.key: each.modified for each in found.objects} == {
            item["Key"]: item["LastModified"] for item in listed["Contents"]
        }
        build_thread(make_saver(), "later", checkpoints=1)
        # The first call's clock was ahead: what was written meanwhile seems to be from before its end.
        later = minutes_later(make_admin(), 9).changes(found.since)
        assert set(later.threads) == {"a/b", "thread", "later"}
        assert minutes_later(make_admin(), 9).changes(later.cursor).objects == ()
        one = minutes_later(make_admin(), 9).changes(timedelta(hours=1), thread_id="later")
        assert one.threads == ("later",)
