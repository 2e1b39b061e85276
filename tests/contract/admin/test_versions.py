"""Versions of checkpoints on a store: listing, restoring, undeleting and purging."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from langgraph_checkpoint_s3 import CorruptObjectError, InvalidKeyError, NotSupportedError
from tests.contract.admin.drivers import async_mostly, async_only, sync_mostly, sync_only
from tests.contract.front import Front
from tests.contract.support import (
    MIB,
    Calls,
    MakeCalls,
    MakeSaver,
    Place,
    at,
    build_thread,
    checkpoint,
    metadata,
    noise,
)
from tests.contract.test_borrowing import put_chain
from tests.support.checkpoints import shown
from tests.support.threads import data_versions, thread_contents

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig


@pytest.fixture
def admin(make_admin: MakeCalls) -> Calls:
    return make_admin()


@pytest.fixture
def versioned(admin: Calls, place: Place) -> Calls:
    """An admin of a bucket that keeps versions."""
    if not place.server.features.versioning:
        pytest.skip("no versions here")
    admin.enable_versioning()
    return admin


@pytest.fixture
def writer(make_calls: MakeCalls) -> Calls:
    """A process that runs a graph."""
    return make_calls()


@pytest.fixture
def reader(make_calls: MakeCalls) -> Calls:
    """A process without a cache."""
    return make_calls(cache_bytes=0)


def where(config: RunnableConfig) -> tuple[str, str]:
    configurable = config["configurable"]
    return configurable["checkpoint_ns"], configurable["checkpoint_id"]


def borrowers(writer: Calls, thread: str = "thread", steps: int = 4) -> list[str]:
    """Put a chain of checkpoints that borrow from each other, with writes. Return their ids, oldest first."""
    made = put_chain(writer, steps, thread)
    for number, config in enumerate(made):
        writer.put_writes(config, [("notes", [number])], "task", "~path")
    return [config["configurable"]["checkpoint_id"] for config in made]


def left(place: Place, part: str) -> list[str]:
    """Return the keys that have versions or delete markers."""
    pages = place.client.get_paginator("list_object_versions").paginate(Bucket=place.bucket)
    items: list[Any] = [
        item for page in pages for item in (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
    ]
    return [item["Key"] for item in items if part in item["Key"]]


def sizes(place: Place, part: str) -> list[int]:
    """Return the sizes of all versions of these keys."""
    pages = place.client.get_paginator("list_object_versions").paginate(Bucket=place.bucket)
    return [item["Size"] for page in pages for item in page.get("Versions", ()) if part in item["Key"]]


class TestSwitching:
    def test_on_and_off(self, admin: Calls, place: Place, front: Front) -> None:
        assert admin.versioning_status() == "off"
        front.reset()
        assert admin.suspend_versioning() == []
        assert front.counts() == {"GetBucketVersioning": 1}
        assert admin.versioning_status() == "off"
        if not place.server.features.versioning:
            with pytest.raises(NotSupportedError):
                admin.enable_versioning()
            assert admin.versioning_status() == "off"
            return
        [change] = admin.enable_versioning()
        assert (change.setting, change.before, change.after) == ("versioning", None, {"Status": "Enabled"})
        front.reset()
        assert admin.enable_versioning() == []
        assert front.counts() == {"GetBucketVersioning": 1}
        assert admin.versioning_status() == "enabled"
        assert place.client.get_bucket_versioning(Bucket=place.bucket)["Status"] == "Enabled"
        assert len(admin.suspend_versioning()) == 1
        assert (admin.suspend_versioning(), admin.versioning_status()) == ([], "suspended")
        assert len(admin.enable_versioning()) == 1


class TestVersions:
    def test_deleted_checkpoints_are_listed_and_read(
        self, versioned: Calls, writer: Calls, reader: Calls, front: Front
    ) -> None:
        ids = borrowers(writer)
        before = thread_contents(reader, "thread")
        writer.delete_thread("thread")
        assert thread_contents(reader, "thread") == {}
        for name in ids:
            marker, version = versioned.list_checkpoint_versions("thread", name)
            assert (marker.latest, marker.delete_marker, marker.size) == (True, True, 0)
            assert (version.latest, version.delete_marker) == (False, False)
            assert version.size > 1_000
            assert marker.modified >= version.modified
            assert marker.key == version.key
            found = versioned.get_checkpoint_version("thread", name, version.version_id)
            assert shown(found) == before["", name]
            assert where(found.config) == ("", name)
            for call in (versioned.get_checkpoint_version, versioned.restore_checkpoint_version):
                with pytest.raises(InvalidKeyError, match="delete marker"):
                    call("thread", name, marker.version_id)
        assert thread_contents(reader, "thread") == {}
        for name in (ids[0], "0"):
            assert versioned.get_checkpoint_version("thread", name, "a" * 32) is None
            with pytest.raises(InvalidKeyError, match="no version 'a"):
                versioned.restore_checkpoint_version("thread", name, "a" * 32)
        assert versioned.list_checkpoint_versions("thread", "0") == []
        assert versioned.list_checkpoint_versions("thread", ids[0], "elsewhere") == []

    @async_only
    def test_the_versions_before_a_pruning_and_a_deletion(
        self, versioned: Calls, writer: Calls, reader: Calls
    ) -> None:
        """The oldest version borrows from checkpoints that were pruned; the one after it doesn't."""
        *_, last = borrowers(writer)
        before = thread_contents(reader, "thread")["", last]
        writer.prune(["thread"])
        whole, borrowing = versioned.list_checkpoint_versions("thread", last)
        assert (whole.latest, borrowing.latest) == (True, False)
        assert whole.size > 50_000 > borrowing.size > 0
        assert whole.etag != borrowing.etag
        assert whole.storage_class == borrowing.storage_class == "STANDARD"
        for each in (whole, borrowing):
            found = versioned.get_checkpoint_version("thread", last, each.version_id)
            assert shown(found) == before
        writer.delete_thread("thread")
        listed = versioned.list_checkpoint_versions("thread", last)
        marker = listed[0]
        assert [each.version_id for each in listed[1:]] == [whole.version_id, borrowing.version_id]
        assert [(each.latest, each.delete_marker) for each in listed] == [
            (True, True),
            (False, False),
            (False, False),
        ]
        assert (marker.size, marker.etag) == (0, "")
        assert [each.modified for each in listed] == sorted((each.modified for each in listed), reverse=True)
        assert {each.key for each in listed} == {marker.key}
        for each in (whole, borrowing):
            found = versioned.get_checkpoint_version("thread", last, each.version_id)
            assert shown(found) == before

    @async_mostly
    def test_an_old_version_is_restored(
        self, versioned: Calls, writer: Calls, reader: Calls, place: Place
    ) -> None:
        ids = borrowers(writer)
        before = thread_contents(reader, "thread")
        writer.delete_thread("thread")
        for number, name in enumerate((ids[-1], ids[0])):  # one that borrowed, and one that didn't
            [version] = data_versions(versioned, name, "thread")
            restored = versioned.restore_checkpoint_version("thread", name, version)
            assert where(restored) == ("", name)
            now = thread_contents(reader, "thread")
            assert len(now) == number + 1
            assert now == {each: before[each] for each in now}
        first = place.listing()
        for name in (ids[-1], ids[0]):
            versioned.restore_checkpoint_version("thread", name, data_versions(versioned, name, "thread")[-1])
        assert place.listing() == first

    @sync_only
    def test_a_damaged_object_is_replaced(
        self, versioned: Calls, writer: Calls, reader: Calls, place: Place
    ) -> None:
        ids = borrowers(writer)
        before, listing = thread_contents(reader, "thread"), place.listing()
        lender = listing[-2]
        body = place.read(lender)
        for damaged in (b"?" * 90_000, b"", body[:-9], body[:-9] + bytes([body[-9] ^ 1]) + body[-8:]):
            place.write(lender, damaged)
            with pytest.raises(CorruptObjectError):
                thread_contents(reader, "thread")
            versioned.restore_checkpoint_version(
                "thread", ids[0], data_versions(versioned, ids[0], "thread")[-1]
            )
            assert thread_contents(reader, "thread") == before
            assert place.listing() == listing

    @async_only
    def test_a_checkpoint_put_twice(self, versioned: Calls, make_saver: MakeSaver, place: Place) -> None:
        """A store that ignores conditions in buckets with versions overwrites the first put."""
        config = at()
        first = checkpoint({"documents": noise(20_000)})
        for number in range(2):
            state = checkpoint({"documents": noise(20_000, number)}, checkpoint_id=first["id"])
            make_saver().put(config, state, metadata(), {})
        warm, cold = make_saver(), make_saver(cache_bytes=0)
        newest, oldest = data_versions(versioned, first["id"], "thread")

        def documents() -> list[bytes]:
            found = [each.get(config) for each in (warm, cold)]
            return [each["channel_values"]["documents"] for each in found if each]

        for version, number in ((oldest, 0), (newest, 1), (oldest, 0)):
            versioned.restore_checkpoint_version("thread", first["id"], version)
            assert documents() == [noise(20_000, number)] * 2
            objects = place.objects()
            versioned.restore_checkpoint_version("thread", first["id"], version)
            assert documents() == [noise(20_000, number)] * 2
            assert place.objects() == objects
        assert {newest, oldest} <= set(data_versions(versioned, first["id"], "thread"))

    @sync_mostly
    def test_objects_in_parts(self, versioned: Calls, make_calls: MakeCalls) -> None:
        parts: dict[str, Any] = {"multipart_threshold": 5 * MIB, "multipart_part_size": 5 * MIB}
        state = checkpoint({"raw": noise(6 * MIB)})
        large = make_calls(**parts, cache_bytes=0)
        large.put(at(), state, metadata(), {})
        large.delete_thread("thread")
        [version] = data_versions(versioned, state["id"], "thread")
        found = versioned.get_checkpoint_version("thread", state["id"], version)
        assert found.checkpoint == state
        versioned.restore_checkpoint_version("thread", state["id"], version)
        assert large.get_tuple(at()).checkpoint == state


class TestUndeleting:
    def test_a_thread_comes_back(
        self, versioned: Calls, writer: Calls, reader: Calls, front: Front, place: Place
    ) -> None:
        borrowers(writer)
        build_thread(writer, ns="sub|x", checkpoints=3)
        build_thread(writer, "another")
        before, others = thread_contents(reader, "thread"), thread_contents(reader, "another")
        listing = place.listing()
        size = sum(place.sizes("checkpoints/thread.thread/").values())
        writer.delete_thread("thread")
        front.reset()
        look = versioned.undelete_thread("thread", dry_run=True)
        assert front.counts() == {"ListObjectVersions": 1}
        assert thread_contents(reader, "thread") == {}
        front.reset()
        back = versioned.undelete_thread("thread")
        again = place.server.name == "ceph"  # which refuses the ETag that it shows, in a bucket with versions
        # They are read, and taken out once all is back.
        tombstones = {"GetObject": 2 + again, "PutObject": 1 + again}
        assert front.counts() == {"ListObjectVersions": 1, "DeleteObjects": 3, **tombstones}
        assert (back.thread_id, back.checkpoints, back.writes, back.lost) == ("thread", 7, 4 + 6, 0)
        assert back.size == size
        assert (look.dry_run, back.dry_run) == (True, False)
        assert (look.checkpoints, look.writes, look.size) == (back.checkpoints, back.writes, back.size)
        assert thread_contents(reader, "thread") == before
        assert thread_contents(reader, "another") == others
        assert [key for key in place.listing() if "/.deleted/" not in key] == listing
        assert versioned.undelete_thread("thread").checkpoints == 0
        assert versioned.undelete_thread("nobody").checkpoints == 0
        found = reader.get_tuple(at())
        config = reader.put(found.config, checkpoint(found.checkpoint["channel_values"]), metadata(9), {})
        assert writer.get_tuple(config).checkpoint["channel_values"] == found.checkpoint["channel_values"]

    @sync_only
    def test_as_of_a_time(self, versioned: Calls, writer: Calls, reader: Calls, place: Place) -> None:
        ids = borrowers(writer)
        everything = thread_contents(reader, "thread")
        writer.prune(["thread"])
        pruned = thread_contents(reader, "thread")
        place.wait_for_next_second()
        moment = place.now()
        place.wait_for_next_second()
        writer.delete_thread("thread")
        back = versioned.undelete_thread("thread", before=moment)
        assert (back.checkpoints, back.writes) == (1, 1)
        assert thread_contents(reader, "thread") == pruned
        assert versioned.undelete_thread("thread", before=moment - timedelta(days=1)).checkpoints == 0
        back = versioned.undelete_thread("thread")
        assert (back.checkpoints, back.writes) == (len(ids) - 1, len(ids) - 1)
        assert thread_contents(reader, "thread") == everything


class TestWithoutVersions:
    @async_only
    def test_deleted_checkpoints_are_gone(
        self, admin: Calls, writer: Calls, reader: Calls, place: Place
    ) -> None:
        made = build_thread(writer)
        name = made[0]["configurable"]["checkpoint_id"]
        if place.server.features.versioning:
            assert data_versions(admin, name, "thread") == ["null"]
            assert where(admin.get_checkpoint_version("thread", name, "null").config) == ("", name)
        else:
            with pytest.raises(NotSupportedError):
                admin.list_checkpoint_versions("thread", name)
            for call in (admin.get_checkpoint_version, admin.restore_checkpoint_version):
                with pytest.raises(NotSupportedError):
                    call("thread", name, "null")
        message = "never kept versions" if place.server.features.versioning else "store"
        for _ in range(2):
            with pytest.raises(NotSupportedError, match=message):
                admin.undelete_thread("thread")
            writer.delete_thread("thread")

    @sync_only
    def test_a_thread_is_purged(self, admin: Calls, writer: Calls, reader: Calls, place: Place) -> None:
        build_thread(writer)
        build_thread(writer, "another")
        others = thread_contents(reader, "another")
        begin_upload(place, "thread.thread/x")
        place.write("checkpoints/.exports/thread/1/whole", b"all of it")
        look = admin.purge_thread("thread")
        assert len(thread_contents(reader, "thread")) == 3
        done = admin.purge_thread("thread", dry_run=False)
        assert (done.versions, done.markers, done.uploads) == (look.versions, 0, 1)
        assert (done.versions, done.exports) == (10, 1)
        assert done.unseen == (() if place.server.features.versioning else ("versions",))
        assert not [key for key in place.listing() if "/thread.thread/" in key or ".exports/" in key]
        assert place.uploads() == []
        assert thread_contents(reader, "another") == others
        assert admin.purge_thread("thread", dry_run=False).versions == 0


def begin_upload(place: Place, name: str) -> None:
    key = f"checkpoints/{name}"
    begun = place.client.create_multipart_upload(Bucket=place.bucket, Key=key)
    place.client.upload_part(
        Bucket=place.bucket, Key=key, UploadId=begun["UploadId"], PartNumber=1, Body=b"personal"
    )


class TestPurging:
    def test_no_version_is_left(self, versioned: Calls, writer: Calls, reader: Calls, place: Place) -> None:
        borrowers(writer)
        writer.prune(["thread"])
        writer.delete_thread("thread")
        build_thread(writer, checkpoints=2)
        build_thread(writer, "another")
        place.write("checkpoints/.exports/thread/1/whole", b"all of it")
        place.write("checkpoints/.exports/another/1/whole", b"somebody else's")
        for name in ("thread.thread/x", ".exports/thread/x", "another.thread/x"):
            begin_upload(place, name)
        others = left(place, "another"), thread_contents(reader, "another")
        look = versioned.purge_thread("thread")
        assert (look.dry_run, look.exports, look.uploads, look.unseen) == (True, 1, 2, ())
        assert look.size == sum(
            size for part in ("/thread.thread/", ".exports/thread/") for size in sizes(place, part)
        )
        assert len(thread_contents(reader, "thread")) == 2
        done = versioned.purge_thread("thread", dry_run=False)
        # four checkpoints, one of them twice, and their writes; two and their four; the export
        assert (done.versions, done.markers, done.exports, done.uploads) == (9 + 6 + 1, 8, 1, 2)
        assert (look.versions, look.markers, look.size) == (done.versions, done.markers, done.size)
        assert not done.dry_run
        assert done.unseen == ()
        assert left(place, "/thread.thread/") == left(place, ".exports/thread/") == []
        assert place.uploads() == ["checkpoints/another.thread/x"]
        assert (left(place, "another"), thread_contents(reader, "another")) == others
        assert thread_contents(reader, "thread") == {}
        assert versioned.purge_thread("thread", dry_run=False).versions == 0

    @sync_mostly
    def test_a_receipt(self, admin: Calls, writer: Calls, place: Place, tmp_path: Path) -> None:
        build_thread(writer, checkpoints=3)
        objects, bytes_of = (
            place.objects("checkpoints/thread.thread/"),
            place.sizes("checkpoints/thread.thread/"),
        )
        file = tmp_path / "receipt.json"
        admin.purge_thread("thread", dry_run=False, receipt=file)
        document = json.loads(file.read_text())
        assert document["complete"]
        assert (document["left"], document["error"]) == ([], None)
        removed = document["removed"]
        assert [(each["key"], each["size"]) for each in removed] == sorted(bytes_of.items())
        assert [each["etag"].strip('"') for each in removed] == [
            objects[key].strip('"') for key in sorted(objects)
        ]
        assert {each["kind"] for each in removed} == {"checkpoint", "writes"}
        assert document["begun"] <= document["listed"]
        assert max(each["modified"][:19] for each in removed) <= document["listed"]
        assert file.stat().st_mode & 0o777 == 0o600
        assert place.listing("checkpoints/thread.thread/") == []


class TestMixedVersions:
    """Written before versioning, with it, and while it was suspended; deleted in between."""

    @pytest.fixture
    def past(self, versioned: Calls, place: Place) -> None:
        if place.server.name == "moto":
            pytest.skip("it can't delete the version null below others")
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
