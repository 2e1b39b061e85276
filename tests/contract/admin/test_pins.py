"""Retention classes and pinned threads on a store: tags, rules, and stores that have neither."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from langgraph_checkpoint_s3 import NotSupportedError
from tests.contract.admin.drivers import async_mostly, sync_mostly
from tests.contract.support import MIB, Calls, MakeCalls, Place, at, checkpoint, metadata, noise

CLASSES = {"default": timedelta(days=90), "trial": timedelta(days=7)}


def trial(config: Any) -> Any:
    config["configurable"]["retention"] = "trial"
    return config


def fill(calls: Calls) -> None:
    calls.get_tuple(at())
    config = calls.put(trial(at()), checkpoint({"raw": noise(50_000)}), metadata(), {})
    calls.put_writes(config, [("a", 1)], "task")
    calls.put(trial(at("large")), checkpoint({"raw": noise(6 * MIB)}), metadata(), {})
    calls.copy_thread("thread", "copy")


def tags(place: Place, part: str = "") -> list[dict[str, str]]:
    found = []
    for key in place.listing():
        if part in key and ".pinned/" not in key:
            if place.server.name == "ceph" and "/large.thread/" in key:
                continue  # Ceph 16 forgets the tags of multipart uploads
            answer = place.client.get_object_tagging(Bucket=place.bucket, Key=key)
            found.append({tag["Key"]: tag["Value"] for tag in answer["TagSet"]})
    return found


class TestPins:
    @pytest.fixture
    def classed(self, make_calls: MakeCalls) -> Calls:
        return make_calls(retention=CLASSES, object_tags={"team": "a b"})

    @pytest.fixture(autouse=True)
    def has_tags(self, place: Place) -> None:
        if not place.server.features.tags:
            pytest.skip("no tags here")

    @sync_mostly
    def test_objects_are_tagged_with_their_class(self, classed: Calls, place: Place) -> None:
        fill(classed)
        found = tags(place)
        assert len(found) >= 4
        assert found == [{"team": "a b", "langgraph-retention": "trial"}] * len(found)

    def test_pinning_and_unpinning_a_thread(
        self, classed: Calls, make_admin: MakeCalls, place: Place
    ) -> None:
        fill(classed)
        admin = make_admin()
        before = {head["Key"]: head["LastModified"] for head in objects(place)}
        pinned = admin.pin_thread("thread")
        assert (pinned.objects, pinned.tagged, admin.pin_thread("thread").tagged) == (2, 2, 0)
        assert {each["langgraph-retention"] for each in tags(place, "/thread.thread/")} == {"pinned"}
        assert {each["team"] for each in tags(place)} == {"a b"}
        assert {each["langgraph-retention"] for each in tags(place, "/copy.thread/")} == {"trial"}
        assert admin.pinned_threads() == ["thread"]
        classed.get_tuple(at())
        classed.put_writes(at(checkpoint_id="1"), [("b", 1)], "another")
        assert {each["langgraph-retention"] for each in tags(place, "/thread.thread/")} == {"pinned"}
        assert admin.unpin_thread("thread").pinned is False
        assert {each["langgraph-retention"] for each in tags(place, "/thread.thread/")} <= {
            "trial",
            "default",
        }
        after = {head["Key"]: head["LastModified"] for head in objects(place)}
        if place.server.name != "ceph":  # Ceph 16 counts the age of objects from when they were tagged
            assert before.items() <= after.items(), "their age has changed"
        assert admin.pinned_threads() == []

    @async_mostly
    def test_setup_and_check_try_tags(
        self, make_calls: MakeCalls, make_admin: MakeCalls, place: Place
    ) -> None:
        make_calls(retention=CLASSES).setup()
        admin = make_admin(retention=CLASSES)
        if not place.server.features.lifecycle:
            return
        assert admin.check()["retention"].status == "warning"
        assert admin.set_lifecycle_policy()
        assert admin.set_lifecycle_policy() == []
        assert admin.check()["retention"].status == "ok"


def objects(place: Place) -> list[Any]:
    return place.client.list_objects_v2(Bucket=place.bucket, Prefix="").get("Contents", [])


class TestStoresWithoutTags:
    @pytest.fixture(autouse=True)
    def has_none(self, place: Place) -> None:
        if place.server.features.tags:
            pytest.skip("tags are kept here")

    def test_pinning_is_refused_before_anything_is_changed(
        self, make_calls: MakeCalls, make_admin: MakeCalls, place: Place
    ) -> None:
        """Such a store takes the PUT of an object's tags for one of the object."""
        make_calls().put(at(), checkpoint({"raw": noise(5_000)}), metadata(), {})
        before = {each["Key"]: each["ETag"] for each in objects(place)}
        for operation in (make_admin().pin_thread, make_admin().unpin_thread):
            with pytest.raises(NotSupportedError, match="tags"):
                operation("thread")
        assert {each["Key"]: each["ETag"] for each in objects(place)} == before

    def test_setup_and_check_say_so(self, make_calls: MakeCalls, make_admin: MakeCalls, place: Place) -> None:
        with pytest.raises(NotSupportedError, match="tags"):
            make_calls(retention=CLASSES).setup()
        assert make_admin(retention=CLASSES).check()["retention"].status == "not supported"
        assert objects(place) == []
