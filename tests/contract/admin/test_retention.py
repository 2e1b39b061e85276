"""Pruning and orphan removal over the wire, by both drivers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from langgraph_checkpoint_s3 import AccessDeniedError, S3Saver
from langgraph_checkpoint_s3.admin import RetentionPolicy, S3Admin
from langgraph_checkpoint_s3.admin.retention.prune import Pruned
from tests.contract.admin.drivers import async_mostly, async_only, sync_mostly, sync_only
from tests.contract.front import Answer, Front
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
from tests.support.checkpoints import shown
from tests.support.inside import silent_keys

DAY = timedelta(days=1)


def in_days(admin: Calls, days: float) -> Calls:
    """Set an admin's clock ahead."""
    made: S3Admin = admin.saver
    now = made._now
    made._now = lambda: now() + timedelta(days=days)  # type: ignore[method-assign]  # the test's own
    return admin


def checkpoints_by_id(saver: S3Saver, thread: str = "thread", ns: str = "") -> dict[str, Any]:
    return {each.checkpoint["id"]: shown(each) for each in saver.list(at(thread, ns=ns))}


def borrowing(saver: S3Saver, thread: str, count: int) -> list[str]:
    """Put a chain of checkpoints that share a large value. Return their ids, oldest first."""
    config: Any = at(thread)
    ids: list[str] = []
    shared = noise(MIB // 4)
    for number in range(count):
        held = checkpoint({"shared": shared, "number": number})
        held["channel_versions"]["shared"] = f"{1:032}.5"
        held["channel_versions"]["number"] = f"{number + 1:032}.5"
        changed = dict(held["channel_versions"])
        if number:
            del changed["shared"]
        config = saver.put(config, held, metadata(number), changed)
        ids.append(held["id"])
    return ids


def put_call(saver: S3Saver, ns: str, said: dict[str, Any]) -> None:
    """Put a checkpoint of a subgraph, which names the checkpoints that called it."""
    saver.put(at(ns=ns), checkpoint(), metadata(0, **said), {})


class TestPruning:
    def test_by_number(
        self, make_admin: MakeCalls, make_saver: MakeSaver, place: Place, front: Front
    ) -> None:
        saver = make_saver()
        for thread in ("thread", "a/b"):
            build_thread(saver, thread, checkpoints=4)
            build_thread(saver, thread, ns="sub", checkpoints=1)
        saver.put_writes(
            at(checkpoint_id="lost"), [("text", "early")], "early"
        )  # their checkpoint may come yet
        before = {thread: checkpoints_by_id(saver, thread) for thread in ("thread", "a/b")}
        objects, sizes = place.objects(), place.sizes()
        admin = make_admin()
        front.reset()
        would = admin.prune_threads(2)
        assert set(front.counts()) == {"ListObjectsV2"}
        assert place.objects() == objects
        assert [(each.thread_id, each.checkpoint_ns, each.checkpoint_id) for each in would.victims] == [
            (thread, "", name) for thread in ("a/b", "thread") for name in sorted(before[thread])[1::-1]
        ]
        assert (would.dry_run, would.threads, would.checkpoints, would.objects) == (True, 2, 4, 12)
        front.reset()
        went = admin.prune_threads(2, dry_run=False)
        assert front.counts() == {"ListObjectsV2": 1, "DeleteObjects": 2}
        assert went == Pruned(dry_run=False, victims=would.victims, errors={})
        assert (went.threads, went.checkpoints, went.objects) == (2, 4, 12)
        gone = objects.keys() - place.objects().keys()
        assert (went.objects, went.bytes) == (len(gone), sum(sizes[key] for key in gone))
        for thread, each in before.items():
            newest = sorted(each)[2:]
            assert checkpoints_by_id(make_saver(), thread) == {name: each[name] for name in newest}
            assert len(checkpoints_by_id(make_saver(), thread, "sub")) == 1
        assert any("/writes.tearly" in key for key in place.listing())
        assert admin.prune_threads(2, dry_run=False) == Pruned(dry_run=False, victims=(), errors={})

    @async_mostly
    def test_by_policy(
        self, make_admin: MakeCalls, make_saver: MakeSaver, place: Place, front: Front
    ) -> None:
        """Keep the first, the last and updates: gaps between them, and what they had borrowed within them."""
        saver, config, shared = make_saver(), at(), noise(MIB // 4)
        ids: list[str] = []
        for number in range(6):
            held = checkpoint({"shared": shared, "number": number})
            held["channel_versions"]["shared"] = f"{1:032}.5"
            held["channel_versions"]["number"] = f"{number + 1:032}.5"
            changed = {
                name: held["channel_versions"][name] for name in ("number", "shared")[: 2 - (number > 0)]
            }
            said = {**metadata(number), "source": "update" if number in (2, 3) else "loop"}
            config = saver.put(config, held, said, changed)  # type: ignore[arg-type]  # it is metadata
            ids.append(held["id"])
        before, objects = checkpoints_by_id(saver), place.objects()
        policy = RetentionPolicy(first=1, sources=["update"])
        admin = make_admin()
        would = admin.prune_threads(policy, thread_ids=["thread"])
        assert place.objects() == objects
        assert [each.checkpoint_id for each in would.victims] == [ids[4], ids[1]]
        front.reset()
        history = admin.history("thread", limit=None, read=False)
        assert front.counts() == {"ListObjectsV2": 1}
        drawn = would.draw(history).splitlines()
        assert [line[0] for line in drawn[1:]] == ["●", "○", "●", "●", "○", "●", "○"]
        went = admin.prune_threads(policy, thread_ids=["thread"], dry_run=False)
        assert went.victims == would.victims
        assert checkpoints_by_id(make_saver()) == {ids[each]: before[ids[each]] for each in (0, 2, 3, 5)}
        # Each was made at another time, all of them within an hour.
        hourly = RetentionPolicy(hourly=DAY)
        assert len(admin.prune_threads(hourly, dry_run=False).victims) in (2, 3)

    @sync_mostly
    def test_delta_channels_are_gathered_and_ended_calls_go(
        self, make_admin: MakeCalls, make_saver: MakeSaver, place: Place, front: Front
    ) -> None:
        saver = make_saver()
        config: Any = at()
        for step in range(5):
            held = checkpoint({"text": f"step {step}"} if step else {"log": ["seed"]})
            held["channel_versions"]["log"] = f"{step:032}.5"
            counted: Any = {"counters_since_delta_snapshot": {"log": [step, step]}}
            config = saver.put(config, held, metadata(step, **counted), held["channel_versions"])
            saver.put_writes(config, [("log", [f"write {step}"])], f"task-{step}", "~path")
            caller = {"parents": {"": held["id"]}}
            put_call(saver, f"call:{step}", caller)
            put_call(saver, "persistent", caller)
        before = saver.get_delta_channel_history(config=config, channels=["log"])
        assert (len(before["log"]["writes"]), before["log"]["seed"]) == (4, ["seed"])
        state = shown(saver.get_tuple(config))
        front.reset()
        make_admin().prune_threads(1, thread_ids=["thread"], dry_run=False).raise_errors()
        assert front.counts()["PutObject"] == 1
        assert front.counts()["DeleteObjects"] == 3  # calls, checkpoints, writes
        namespaces = {each.config["configurable"]["checkpoint_ns"] for each in saver.list(at(ns=None))}
        assert namespaces == {"", "call:4", "persistent"}
        reader = make_saver()
        assert shown(reader.get_tuple(config)) == state
        front.reset()
        assert reader.get_delta_channel_history(config=config, channels=["log"]) == before
        assert front.counts() == {"ListObjectsV2": 1, "GetObject": 1}
        assert len([key for key in place.listing() if "/writes.g" in key]) == 1

    @sync_only
    def test_borrowers_are_rewritten(
        self, make_admin: MakeCalls, make_saver: MakeSaver, front: Front
    ) -> None:
        saver = make_saver()
        ids = borrowing(saver, "thread", 4)
        before = checkpoints_by_id(saver)
        front.reset()
        went = make_admin().prune_threads(2, thread_ids=["thread"], dry_run=False)
        assert went.checkpoints == 2
        assert front.counts()["PutObject"] == 1 + 2  # the tombstones
        operations = [each.operation for each in front.log]
        assert operations.index("PutObject") < operations.index("DeleteObjects")
        assert checkpoints_by_id(make_saver()) == {name: before[name] for name in ids[2:]}

    @async_only
    def test_by_age(self, make_admin: MakeCalls, make_saver: MakeSaver, place: Place) -> None:
        saver = make_saver()
        build_thread(saver, "idle", checkpoints=2)
        build_thread(saver, "live", checkpoints=2)
        place.wait_for_next_second()
        config = saver.get_tuple(at("live")).config  # type: ignore[union-attr]  # it isn't `None`
        saver.put(config, checkpoint(), metadata(2), {})
        listed = place.client.list_objects_v2(Bucket=place.bucket, Prefix="checkpoints/live.thread/")
        moment = max(item["LastModified"] for item in listed["Contents"])
        live = checkpoints_by_id(saver, "live")
        assert make_admin().prune_older_than(DAY, dry_run=False).victims == ()
        went = make_admin().prune_older_than(moment, dry_run=False)
        assert [(each.thread_id, each.modified < moment) for each in went.victims] == [
            ("idle", True),
            ("live", True),
            ("live", True),
        ]
        assert len(checkpoints_by_id(make_saver(), "idle")) == 1
        assert checkpoints_by_id(make_saver(), "live") == {max(live): live[max(live)]}
        went = make_admin().prune_older_than(moment, keep_latest=False, dry_run=False)
        assert [each.thread_id for each in went.victims] == ["idle"]
        assert place.listing("checkpoints/idle.thread/") == []
        assert len(checkpoints_by_id(make_saver(), "live")) == 1

    @sync_only
    def test_idle_threads_are_pruned_and_removed(
        self, make_admin: MakeCalls, place: Place, front: Front
    ) -> None:
        admin = in_days(make_admin(), 40)
        for thread in ("a", "b"):
            build_thread(admin.saver.saver, thread, checkpoints=3)
        counts: list[tuple[int, int | None]] = []
        went = admin.prune_older_than(30 * DAY, dry_run=False, progress=lambda *each: counts.append(each))
        assert went.checkpoints == 4
        assert counts == [(2, None)]
        front.reset()
        went = admin.prune_older_than(30 * DAY, keep_latest=False, dry_run=False)
        assert went.checkpoints == 2
        assert front.counts() == {"ListObjectsV2": 1, "DeleteObjects": 2}
        assert place.listing() == []

    @async_only
    def test_one_threads_error_ends_nothing_else(
        self, make_admin: MakeCalls, make_saver: MakeSaver, place: Place, front: Front
    ) -> None:
        with silent_keys():
            for thread in ("a", "b", "c"):
                build_thread(make_saver(), thread, checkpoints=2)
        admin = make_admin(max_attempts=1)
        front.fail("GetObject", Answer(403, "AccessDenied"), within="/b.thread/")
        went = admin.prune_threads(1, dry_run=False)
        assert {each.thread_id for each in went.victims} == {"a", "c"}
        assert [*went.errors] == ["b"]
        with pytest.raises(AccessDeniedError, match="s3:GetObject"):
            went.raise_errors()
        assert len(place.listing("checkpoints/b.thread/")) == 6


class TestIdleThreads:
    def test_they_go_whole(
        self, make_admin: MakeCalls, make_saver: MakeSaver, place: Place, front: Front
    ) -> None:
        for thread in ("a/idle", "used"):
            build_thread(make_saver(), thread, checkpoints=3)
        sizes = place.sizes("checkpoints/a.2Fidle.thread/")
        assert make_admin().prune_idle(DAY, dry_run=False).threads == ()
        place.wait_for_next_second()
        config = make_saver().get_tuple(at("used")).config  # type: ignore[union-attr]  # it isn't `None`
        make_saver().put_writes(config, [("text", "late")], "late")
        listed = place.client.list_objects_v2(Bucket=place.bucket, Prefix="checkpoints/used.thread/")
        moment = max(item["LastModified"] for item in listed["Contents"])
        objects = place.objects()
        front.reset()
        would = make_admin().prune_idle(moment)
        assert front.counts() == {"ListObjectsV2": 2}
        assert place.objects() == objects
        [thread] = would.threads
        assert (thread.thread_id, thread.checkpoints) == ("a/idle", 3)
        assert (thread.objects, thread.bytes) == (len(sizes), sum(sizes.values()))
        front.reset()
        went = make_admin().prune_idle(moment, dry_run=False)
        assert front.counts() == {"ListObjectsV2": 3, "GetObject": 1, "DeleteObjects": 1}
        assert (went.threads, went.spared, went.errors) == (would.threads, {}, {})
        assert place.objects() == {
            key: etag for key, etag in objects.items() if "/a.2Fidle.thread/" not in key
        }

    @sync_only
    def test_a_lease_keeps_its_thread(
        self, make_admin: MakeCalls, make_saver: MakeSaver, place: Place
    ) -> None:
        if not (place.server.features.conditional_put and place.server.features.if_match):
            pytest.skip("no leases here")
        build_thread(make_saver(), "thread", checkpoints=2)
        admin = in_days(make_admin(), 40)
        with make_saver().lease("thread"):
            pruned = admin.prune_idle(30 * DAY, dry_run=False)
            assert (pruned.threads, list(pruned.spared)) == ((), ["thread"])
        pruned = admin.prune_idle(30 * DAY, dry_run=False)
        assert [each.thread_id for each in pruned.threads] == ["thread"]


class TestOrphans:
    def test_orphans_are_found_and_removed(
        self, make_admin: MakeCalls, make_saver: MakeSaver, place: Place, front: Front
    ) -> None:
        saver = make_saver()
        build_thread(saver, checkpoints=2)
        for task in ("one", "two"):
            saver.put_writes(at(checkpoint_id="lost"), [("text", "lost")], task)
        nested = make_saver(prefix="checkpoints/nested")
        nested.put_writes(at(checkpoint_id="lost"), [("text", "lost")], "task")
        place.write("checkpoints/.exports/thread/old", b"exported")
        place.write("checkpoints/.probe/old", b"probe")
        place.write("checkpoints/readme", b"foreign")
        before = place.objects()
        admin = make_admin()
        assert admin.find_orphans().items == ()
        week = in_days(make_admin(), 7)
        assert [each.kind for each in week.find_orphans().items] == ["writes", "writes", "probe"]
        in_days(admin, 9)
        front.reset()
        would = admin.remove_orphans()
        assert front.counts() == {"ListObjectsV2": 4, "ListMultipartUploads": 1}
        assert [each.kind for each in would.items] == ["writes", "writes", "export", "probe"]
        assert place.objects() == before
        front.reset()
        went = admin.remove_orphans(dry_run=False)
        # What goes is listed once more: exports and probes.
        assert front.counts() == {"ListObjectsV2": 7, "ListMultipartUploads": 1, "DeleteObjects": 2}
        assert [each.key for each in went.items] == [each.key for each in would.items]
        assert before.keys() - place.objects().keys() == {each.key for each in went.items}
        assert admin.find_orphans().items == ()
        assert len(checkpoints_by_id(make_saver())) == 2

    @sync_only
    def test_unfinished_uploads(self, make_admin: MakeCalls, place: Place, front: Front) -> None:
        admin = in_days(make_admin(), 2)
        keys = [
            "checkpoints/thread.thread/.ns/cez/checkpoint",
            "checkpoints/.exports/thread/x",
            "checkpoints/nested/thread.thread/.ns/cez/checkpoint",
            "elsewhere",
        ]
        for key in keys:
            place.client.create_multipart_upload(Bucket=place.bucket, Key=key)
        front.reset()
        found = admin.find_orphans()
        assert found.not_supported == ()
        assert sorted(each.key for each in found.items) == sorted(keys[:2])
        assert all(each.upload_id and each.size is None and each.age >= DAY for each in found.items)
        assert len(place.uploads()) == 4
        gone = admin.remove_orphans(dry_run=False).of("upload")
        assert [each.upload_id for each in gone] == [each.upload_id for each in found.items]
        assert sorted(place.uploads()) == sorted(keys[2:])
        for upload in place.client.list_multipart_uploads(Bucket=place.bucket)["Uploads"]:
            place.client.abort_multipart_upload(
                Bucket=place.bucket, Key=upload["Key"], UploadId=upload["UploadId"]
            )
        assert admin.find_orphans().items == ()
