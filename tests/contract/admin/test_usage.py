"""Threads and their storage over the wire, from LIST requests alone, by both drivers."""

from __future__ import annotations

from typing import Any

import pytest

from langgraph_checkpoint_s3.admin.usage.usage import ClassUsage
from tests.contract.admin.drivers import async_mostly, async_only, sync_only
from tests.contract.front import Front
from tests.contract.support import Calls, MakeCalls, MakeSaver, Place, at, build_thread, checkpoint, metadata

THREADS = ["customer-1", "customer-2", "customer/3", "other", "ü 💥"]


def threads(admin: Calls, *args: Any, **keywords: Any) -> list[str]:
    """Return all that `threads` yields."""
    if not admin.asynchronous:
        return list(admin.saver.threads(*args, **keywords))

    async def collect() -> list[str]:
        return [each async for each in admin.saver.athreads(*args, **keywords)]

    return admin.run(collect())


class TestThreads:
    def test_they_are_listed_by_prefix(
        self, make_admin: MakeCalls, make_saver: MakeSaver, place: Place, front: Front
    ) -> None:
        for prefix in ("agents", "agents/nested", ""):
            saver = make_saver(prefix=prefix)
            for name in THREADS if prefix == "agents" else ["customer-9"]:
                build_thread(saver, name, checkpoints=2)
        for key in (".exports/x.thread/1", ".probe/1", "readme", "photos/1", "a b.thread/x", ".2fb.thread/x"):
            place.write(f"agents/{key}", b"no thread's")
        admin = make_admin(prefix="agents")
        front.reset()
        assert sorted(threads(admin)) == THREADS
        assert front.counts() == {"ListObjectsV2": 1}
        assert threads(admin, "customer") == ["customer-1", "customer-2", "customer/3"]
        assert threads(admin, "customer", limit=2) == ["customer-1", "customer-2"]
        assert threads(admin, "customer/") == ["customer/3"]
        assert threads(admin, "ü") == ["ü 💥"]
        assert threads(admin, "nobody") == []
        assert threads(make_admin(prefix="agents/nested")) == ["customer-9"]
        assert threads(make_admin(prefix="")) == ["customer-9"]

    @async_mostly
    def test_they_are_found_by_metadata(
        self, make_admin: MakeCalls, make_saver: MakeSaver, front: Front
    ) -> None:
        """Some were put before the setting: their metadata is read."""
        for number, thread in enumerate(THREADS):
            saver = make_saver(indexed_metadata=("user_id",) if number else ())
            config: Any = at(thread)
            config["configurable"]["user_id"] = "even" if number % 2 == 0 else "odd"
            saver.put(config, checkpoint(), metadata(), {})
        admin = make_admin()
        front.reset()
        assert sorted(threads(admin, metadata={"user_id": "even"})) == [THREADS[0], THREADS[2], THREADS[4]]
        assert front.counts() == {"ListObjectsV2": 1, "GetObject": 1}
        assert sorted(threads(admin, "customer", metadata={"user_id": "odd"})) == [THREADS[1]]
        assert threads(admin, metadata={"user_id": "nobody"}) == []
        front.reset()
        found = [
            each.config["configurable"]["thread_id"]
            for each in make_saver().list(None, filter={"user_id": "odd"})
        ]
        assert sorted(found) == [THREADS[1], THREADS[3]]

    @sync_only
    def test_a_page_is_no_longer_than_it_needs_to_be(self, make_admin: MakeCalls, front: Front) -> None:
        admin = make_admin()
        for name in THREADS:
            admin.saver.saver.put(at(name), checkpoint(), metadata(), {})
        everything = threads(admin)
        front.reset()
        assert threads(admin, limit=1) == everything[:1]
        assert threads(admin, limit=4) == everything[:4]
        assert front.counts() == {"ListObjectsV2": 2}

    @async_only
    def test_page_after_page(
        self, make_admin: MakeCalls, place: Place, front: Front, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        admin = make_admin(prefix="agents")
        for name in THREADS:
            build_thread(admin.saver.saver, name, checkpoints=2)
        for key in ("agents/.probe/x", "agents/between/x", "agents/zoo/x"):
            place.write(key, b"x")
        everything = threads(admin)
        assert sorted(everything) == THREADS
        used = admin.usage()
        monkeypatch.setattr("langgraph_checkpoint_s3.admin.usage.threads.PAGE", 2)
        monkeypatch.setattr(
            "langgraph_checkpoint_s3.plans.scan.Scan.__init__.__kwdefaults__",
            {"start_after": None, "page": 3},
        )
        monkeypatch.setattr("langgraph_checkpoint_s3.plans.scan.PAGE", 3)
        front.reset()
        assert threads(admin) == everything
        assert front.counts() == {"ListObjectsV2": 3}  # two names, and then three and three
        assert threads(admin, "customer") == ["customer-1", "customer-2", "customer/3"]
        assert admin.usage() == used


class TestUsage:
    def test_it_agrees_with_a_listing(
        self, make_admin: MakeCalls, make_saver: MakeSaver, place: Place, front: Front
    ) -> None:
        saver = make_saver(prefix="agents")
        build_thread(saver, "a", checkpoints=3, tasks=2)
        build_thread(saver, "a", ns="sub", checkpoints=1, tasks=1)
        build_thread(saver, "b", checkpoints=2, tasks=0)
        build_thread(make_saver(prefix="agents/nested"), "c")
        saver.put_writes(at("b", checkpoint_id="lost"), [("text", "early")], "task")
        twice = saver.get_tuple(at("b"))
        assert twice is not None
        saver.put(at("b"), twice.checkpoint, metadata(9), {})
        place.write("agents/.exports/a/export", b"exported")
        place.write("agents/.exports/b/export", b"12")
        place.write("agents/.store/users/a.item", b"12345")
        place.write("agents/.cache/node/a.item", b"123")
        for key in (".probe/x", "readme"):
            place.write(f"agents/{key}", b"not counted")
        admin = make_admin(prefix="agents")
        pages = place.client.get_paginator("list_objects_v2").paginate(Bucket=place.bucket)
        objects = [item for page in pages for item in page["Contents"] if ".thread/" in item["Key"]]
        ours = [item for item in objects if "/nested/" not in item["Key"]]
        front.reset()
        found = admin.usage()
        assert front.counts() == {"ListObjectsV2": 4}
        assert (found.threads, found.namespaces, found.checkpoints, found.writes) == (2, 3, 6, 8)
        assert found.bytes == sum(item["Size"] for item in ours)
        assert found.oldest == min(item["LastModified"] for item in ours)
        assert found.newest == max(item["LastModified"] for item in ours)
        assert found.exports == 10
        assert (found.memories.items, found.memories.bytes, found.cache.items, found.cache.bytes) == (
            1,
            5,
            1,
            3,
        )
        assert len(ours) == 15
        assert found.classes == {"STANDARD": ClassUsage(15, found.bytes, found.bytes)}
        assert 0 < found.monthly_cost() < 0.001
        assert "2 threads, 3 namespaces, 6 checkpoints, 8 objects of writes" in str(found)
        front.reset()
        one = admin.usage("b")
        assert front.counts() == {"ListObjectsV2": 2}
        assert (one.threads, one.namespaces, one.checkpoints, one.writes, one.exports) == (1, 1, 2, 1, 2)
        assert one.bytes == sum(item["Size"] for item in ours if "/b.thread/" in item["Key"])
        assert admin.usage("nobody").bytes == 0

    @sync_only
    def test_each_checkpoint_is_weighed_from_a_list(
        self, make_admin: MakeCalls, make_saver: MakeSaver, place: Place, front: Front
    ) -> None:
        saver = make_saver(prefix="agents")
        build_thread(saver, "a", checkpoints=3, tasks=2)
        build_thread(saver, "a", ns="sub", checkpoints=1, tasks=1)
        build_thread(saver, "b", checkpoints=2)
        admin = make_admin(prefix="agents")
        front.reset()
        found = admin.checkpoint_sizes("a")
        assert front.counts() == {"ListObjectsV2": 1}
        assert sorted((each.checkpoint_ns, each.objects) for each in found) == [("", 3)] * 3 + [("sub", 2)]
        assert {(each.checkpoint_ns, each.checkpoint_id) for each in found} == {
            (each.config["configurable"]["checkpoint_ns"], each.checkpoint["id"])
            for each in saver.list(at("a", ns=None))
        }
        assert sum(each.bytes for each in found) == admin.usage("a").bytes
        assert max(each.modified for each in found) == admin.usage("a").newest
        assert admin.checkpoint_sizes("nobody") == []
