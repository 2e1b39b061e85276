"""Retention classes and pinned threads: tags, keys, who borrows from whom, requests, and what S3 deletes."""

from __future__ import annotations

import asyncio
import io
import os
import random
from datetime import timedelta
from typing import Any

import pytest
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT

from langgraph_checkpoint_s3 import InvalidConfigError, S3Saver
from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.format.keys import CheckpointLeaf
from langgraph_checkpoint_s3.plans.transfer import Sizes
from langgraph_checkpoint_s3.s3.admin_requests import GetTags, PutTags
from langgraph_checkpoint_s3.s3.requests import PutObject, Request
from tests.plans.borrowers import made_eager, noise
from tests.plans.helpers import once
from tests.support import inside
from tests.support.checkpoints import make_checkpoint, place, shown
from tests.support.fake_s3 import FakeS3, Hook, Moment
from tests.support.fake_store import make_saver

CLASSES = {"default": timedelta(days=90), "trial": timedelta(days=7)}
STATE = noise(2_000)


def classed(fake: FakeS3, **settings: Any) -> S3Saver:
    """A saver with classes that borrows a few bytes already."""
    return made_eager(make_saver(fake, **{"retention": CLASSES, **settings}))


def config(checkpoint_id: str | None = None, retention: Any = None, thread: str = "t", ns: str = "") -> Any:
    named = place(thread, checkpoint_id, ns)
    if retention is not None:
        named["configurable"]["retention"] = retention
    return named


def put(
    saver: S3Saver,
    checkpoint_id: str,
    parent: str | None = None,
    retention: Any = None,
    *,
    thread: str = "t",
    ns: str = "",
    state: bytes = STATE,
) -> Any:
    checkpoint = make_checkpoint(checkpoint_id, {"large": state + checkpoint_id.encode()})
    metadata: Any = {"source": "loop", "step": 1}
    where = config(parent, retention, thread, ns)
    return saver.put(where, checkpoint, metadata, checkpoint["channel_versions"])


def key_of(fake: FakeS3, saver: S3Saver, checkpoint_id: str, thread: str = "t", ns: str = "") -> str:
    [key] = fake.keys(inside.layout(saver).checkpoint(thread, ns, checkpoint_id) + "checkpoint")
    return key


def leaf_of(fake: FakeS3, saver: S3Saver, checkpoint_id: str, thread: str = "t") -> CheckpointLeaf:
    leaf = inside.layout(saver).parse(key_of(fake, saver, checkpoint_id, thread)).leaf
    assert isinstance(leaf, CheckpointLeaf)
    return leaf


def tag_of(fake: FakeS3, saver: S3Saver, checkpoint_id: str, thread: str = "t") -> str | None:
    return fake.objects[key_of(fake, saver, checkpoint_id, thread)].tag


def tags(fake: FakeS3, part: str = ".thread/") -> set[str | None]:
    return {fake.objects[key].tag for key in fake.keys(part)}


def mark(saver: S3Saver, thread: str = "t") -> str:
    layout = inside.layout(saver)
    return layout.pin(layout.thread(thread))


pytestmark = pytest.mark.modes


class TestClassOfACheckpoint:
    def test_it_is_the_runs(self, fake: FakeS3) -> None:
        saver = classed(fake)
        put(saver, "1", retention="trial")
        assert leaf_of(fake, saver, "1").life == ("trial", False)
        assert tags(fake) == {"trial"}

    def test_without_one_it_is_default(self, fake: FakeS3) -> None:
        saver = classed(fake)
        saver.get_tuple(config())
        put(saver, "1")
        assert (leaf_of(fake, saver, "1").retention, tags(fake)) == ("default", {"default"})

    @pytest.mark.parametrize("loads", ["by this process", "by none"])
    def test_else_it_is_the_parents(self, fake: FakeS3, loads: str) -> None:
        put(classed(fake), "1", retention="trial")
        saver = classed(fake)
        if loads == "by this process":
            saver.get_tuple(config())
        put(saver, "2", "1")
        assert leaf_of(fake, saver, "2").retention == "trial"

    def test_a_fork_has_the_class_of_the_checkpoint_that_it_forks_from(self, fake: FakeS3) -> None:
        saver = classed(fake)
        put(saver, "1", retention="trial")
        put(saver, "2", "1", "default")
        put(saver, "3", "1")
        put(saver, "4", "2")
        assert [leaf_of(fake, saver, each).retention for each in "1234"] == [
            *("trial", "default"),
            *("trial", "default"),
        ]

    def test_a_new_namespace_has_that_of_its_thread(self, fake: FakeS3) -> None:
        saver = classed(fake)
        put(saver, "1", retention="trial")
        put(saver, "1", ns="sub:1")
        assert tags(fake) == {"trial"}

    def test_an_empty_namespace_tells_nothing_of_its_thread(self, fake: FakeS3) -> None:
        put(classed(fake), "1", retention="trial")
        saver = classed(fake)
        saver.get_tuple(config())
        saver.get_tuple(config(ns="sub:1"))
        put(saver, "1", ns="sub:1")
        assert tags(fake) == {"trial"}

    def test_a_thread_that_was_deleted_begins_anew(self, fake: FakeS3) -> None:
        saver = classed(fake)
        put(saver, "1", retention="trial")
        saver.delete_thread("t")
        saver.get_tuple(config())
        put(saver, "2")
        assert tags(fake) == {"default"}

    @pytest.mark.parametrize("wrong", ["gold", "pinned", "", 7, ["trial"]])
    def test_another_is_an_error_before_anything_is_sent(self, fake: FakeS3, wrong: Any) -> None:
        saver = classed(fake)
        with fake.counted() as count:
            for call in (
                lambda: put(saver, "1", retention=wrong),
                lambda: saver.get_tuple(config("1", wrong)),
                lambda: saver.put_writes(config("1", wrong), [("c", 1)], "task"),
                lambda: asyncio.run(saver.aput_writes(config("1", wrong), [("c", 1)], "task")),
            ):
                with pytest.raises(InvalidConfigError, match="default, trial"):
                    call()
        assert count.requests == []

    def test_a_saver_without_classes_leaves_the_key_of_the_config_alone(self, fake: FakeS3) -> None:
        saver = make_saver(fake)
        put(saver, "1", retention={"of": "the user's own"})
        assert (leaf_of(fake, saver, "1").life, tags(fake)) == ((None, False), {None})

    def test_large_objects_have_it_too(self, fake: FakeS3) -> None:
        saver = classed(fake, sizes=Sizes(1_000, 400), compression="none")
        put(saver, "1", retention="trial")
        saver.put_writes(config("1"), [("c", noise(3_000))], "task")
        assert tags(fake) == {"trial"}


class TestClassOfWrites:
    def test_it_is_their_checkpoints_whatever_the_run_says(self, fake: FakeS3) -> None:
        put(classed(fake), "1", retention="default")
        saver = classed(fake)
        saver.get_tuple(config("1"))
        saver.put_writes(config("1", "trial"), [("c", 1), (ERROR, "e")], "task")
        assert tags(fake, "writes") == {"default"}

    def test_also_for_a_process_that_has_not_read_it(self, fake: FakeS3) -> None:
        put(classed(fake), "1", retention="default")
        with fake.counted() as count:
            classed(fake).put_writes(config("1", "trial"), [("c", 1)], "task")
        assert tags(fake, "writes") == {"default"}
        assert count.kinds == {"GetObject": 1, "ListObjects": 1, "PutObject": 1}

    def test_writes_that_come_before_their_checkpoint_have_the_runs(self, fake: FakeS3) -> None:
        saver = classed(fake)
        saver.get_tuple(config())
        saver.put_writes(config("1", "trial"), [("c", 1)], "task")
        assert tags(fake, "writes") == {"trial"}

    @pytest.mark.parametrize("loads", ["by this process", "by none"])
    def test_those_of_a_checkpoint_without_a_class_have_none(self, fake: FakeS3, loads: str) -> None:
        put(make_saver(fake), "1")
        saver = classed(fake)
        if loads == "by this process":
            saver.get_tuple(config())
        saver.put_writes(config("1", "trial"), [("c", 1)], "task")
        assert tags(fake) == {None}

    def test_special_writes_keep_one_object_and_its_tag(self, fake: FakeS3) -> None:
        put(classed(fake), "1", retention="trial")
        make_saver(fake).put_writes(config("1"), [(INTERRUPT, 1)], "task")
        saver = classed(fake)
        saver.get_tuple(config())
        saver.put_writes(config("1"), [(ERROR, 2)], "task")
        [key] = fake.keys("/writes")
        assert fake.objects[key].tag == "trial"
        found = saver.get_tuple(config())
        assert found is not None
        assert len(found.pending_writes or ()) == 2


class TestBorrowing:
    def test_only_within_a_class(self, fake: FakeS3) -> None:
        saver = classed(fake)
        put(saver, "1", retention="trial")
        put(saver, "2", "1", "trial")
        put(saver, "3", "2", "default")
        put(saver, "4", "3", "default")
        put(saver, "5", "4", "trial")
        assert [leaf_of(fake, saver, each).borrows for each in "12345"] == [False, True, False, True, False]

    def test_not_between_savers_with_and_without_classes(self, fake: FakeS3) -> None:
        """What has no tag is never deleted, so it may not depend on what has one."""
        savers = make_saver(fake), classed(fake)
        made_eager(savers[0])
        put(savers[0], "1")
        for number in range(2, 6):
            saver = savers[number % 2 == 0]
            saver.get_tuple(config())
            put(saver, str(number), str(number - 1))
        assert not any(leaf_of(fake, savers[0], str(number)).borrows for number in range(1, 6))

    def test_a_pinned_thread_begins_anew(self, fake: FakeS3) -> None:
        saver = classed(fake)
        put(saver, "1")
        S3Admin(classed(fake)).pin_thread("t")
        put(saver, "2", "1")  # the run that was under way
        saver.get_tuple(config())
        put(saver, "3", "2")
        put(saver, "4", "3")
        S3Admin(classed(fake)).unpin_thread("t")
        saver.get_tuple(config())
        put(saver, "5", "4")
        leaves = [leaf_of(fake, saver, each) for each in "12345"]
        assert [leaf.borrows for leaf in leaves] == [False, True, False, True, False]
        assert [leaf.pinned for leaf in leaves] == [False, False, True, True, False]


class TestRequests:
    def test_a_load_is_a_get_more_in_the_listings_round_trip(self, fake: FakeS3) -> None:
        put(classed(fake), "1")
        saver = classed(fake)
        for where in (config(), config("1"), config(thread="nobody")):
            with fake.counted() as count:
                saver.get_tuple(where)
            [first, *_] = count.batches
            assert sorted(type(each).__name__ for each in first) == ["GetObject", "ListObjects"]
        with fake.counted() as count:
            saver.get_tuple(config())
        assert (count.kinds, count.round_trips) == ({"GetObject": 1, "ListObjects": 1}, 1)

    def test_puts_of_a_thread_that_was_loaded_are_what_they_were(self, fake: FakeS3) -> None:
        saver = classed(fake)
        saver.get_tuple(config())
        with fake.counted() as count:
            put(saver, "1", retention="trial")
            saver.put_writes(config("1", "trial"), [("c", 1)], "task")
            put(saver, "1", retention="trial", ns="sub")
        assert count.kinds == {"PutObject": 3}
        with fake.counted() as count:
            put(saver, "2", "1")
        assert count.kinds == {"PutObject": 1, "GetObject": 1, "HeadObject": 1}  # it borrows

    def test_the_first_put_of_an_unknown_thread_asks(self, fake: FakeS3) -> None:
        saver = classed(fake)
        with fake.counted() as count:
            put(saver, "2", "1")
        assert (count.kinds, count.round_trips) == ({"GetObject": 1, "ListObjects": 1, "PutObject": 1}, 2)
        with fake.counted() as count:
            put(saver, "1", None, "trial", thread="u")
        assert (count.kinds, count.round_trips) == ({"GetObject": 1, "PutObject": 1}, 2)

    def test_without_a_cache_of_states_too(self, fake: FakeS3) -> None:
        saver = classed(fake, cache_bytes=0)
        saver.get_tuple(config())
        with fake.counted() as count:
            put(saver, "1")
        assert count.kinds == {"PutObject": 1}

    def test_pinning_is_a_get_and_a_put_an_object_and_again_a_get(self, fake: FakeS3) -> None:
        saver = classed(fake)
        put(saver, "1")
        put(saver, "2", "1")
        saver.put_writes(config("2"), [("c", 1)], "task")
        admin = S3Admin(make_saver(fake))
        with fake.counted() as count:
            assert admin.pin_thread("t").tagged == 3
        marking = {"GetObject": 1, "ListObjects": 3}
        assert count.kinds == {**marking, "GetTags": 4, "PutObject": 1, "PutTags": 3}
        with fake.counted() as count:
            assert admin.pin_thread("t").tagged == 0
        assert count.kinds == {**marking, "GetTags": 4}
        with fake.counted() as count:
            assert admin.unpin_thread("t").tagged == 3
        assert count.kinds == {**marking, "GetTags": 4, "DeleteObjects": 1, "PutTags": 3}
        fake.set_versioning("Enabled")
        with fake.counted() as count:
            assert admin.unpin_thread("t").tagged == 0
        assert count.kinds == {**marking, "GetTags": 4}
        assert not fake.keys(".pinned/")


class TestPinning:
    def test_all_objects_are_tagged_and_back(self, fake: FakeS3) -> None:
        saver = classed(fake)
        put(saver, "1", retention="trial")
        saver.put_writes(config("1"), [("c", 1)], "task")
        put(saver, "2", "1", "default")
        put(saver, "1", retention="trial", ns="sub")
        admin = S3Admin(make_saver(fake))
        pinned = admin.pin_thread("t")
        assert (pinned.pinned, pinned.objects, pinned.tagged) == (True, 4, 4)
        assert (tags(fake), admin.pinned_threads()) == ({"pinned"}, ["t"])
        unpinned = asyncio.run(admin.aunpin_thread("t"))
        assert (unpinned.pinned, unpinned.objects, unpinned.tagged) == (False, 4, 4)
        assert [tag_of(fake, saver, each) for each in "12"] == ["trial", "default"]
        assert (tags(fake, "writes"), asyncio.run(admin.apinned_threads())) == ({"trial"}, [])

    def test_other_tags_stay(self, fake: FakeS3) -> None:
        saver = classed(fake)
        put(saver, "1")
        key = key_of(fake, saver, "1")
        fake.execute(PutTags(key, (("team", "a"), ("langgraph-retention", "default"))))
        S3Admin(saver).pin_thread("t")
        assert fake.objects[key].tags == (("team", "a"), ("langgraph-retention", "pinned"))

    def test_what_is_written_later_is_pinned_from_the_start(self, fake: FakeS3) -> None:
        saver = classed(fake)
        S3Admin(make_saver(fake)).pin_thread("t")  # before there is anything
        saver.get_tuple(config())
        put(saver, "1", retention="trial")
        saver.put_writes(config("1"), [("c", 1), (ERROR, 1)], "task")
        assert (tags(fake), leaf_of(fake, saver, "1").life) == ({"pinned"}, ("trial", True))

    def test_this_process_knows_at_once(self, fake: FakeS3) -> None:
        saver = classed(fake)
        put(saver, "1")
        S3Admin(saver).pin_thread("t")
        put(saver, "2", "1")
        assert tags(fake) == {"pinned"}
        S3Admin(saver).unpin_thread("t")
        put(saver, "3", "2")
        assert tags(fake) == {"default"}

    def test_again_covers_a_run_that_was_under_way(self, fake: FakeS3) -> None:
        saver, admin = classed(fake), S3Admin(make_saver(fake))
        put(saver, "1")
        admin.pin_thread("t")
        put(saver, "2", "1")
        assert [tag_of(fake, saver, each) for each in "12"] == ["pinned", "default"]
        assert admin.pin_thread("t").tagged == 1
        assert tags(fake) == {"pinned"}

    def test_what_arrives_while_it_tags_is_tagged(self, fake: FakeS3) -> None:
        saver = classed(fake)
        put(saver, "1")
        fake.hook = once(PutTags, lambda _: put(saver, "2", "1"), "after")
        S3Admin(make_saver(fake)).pin_thread("t")
        assert tags(fake) == {"pinned"}

    def test_what_goes_while_it_tags_is_passed_over(self, fake: FakeS3) -> None:
        for kind in (GetTags, PutTags):
            saver = classed(fake)
            put(saver, "1")
            fake.hook = once(kind, lambda request: fake.delete(request.key), "before")
            assert S3Admin(make_saver(fake)).pin_thread("t").tagged == 0
            fake.hook = None
            S3Admin(make_saver(fake)).unpin_thread("t")

    def test_threads_from_before_the_setting_come_under_the_default_class(self, fake: FakeS3) -> None:
        put(make_saver(fake), "1")
        assert S3Admin(classed(fake)).unpin_thread("t").tagged == 1
        assert tags(fake) == {"default"}

    def test_deleting_a_thread_unpins_it(self, fake: FakeS3) -> None:
        for operate in (
            lambda: classed(fake).delete_thread("t"),
            lambda: make_saver(fake).delete_thread("t"),
            lambda: make_saver(fake).prune(["t"], strategy="delete"),
            lambda: S3Admin(make_saver(fake)).purge_thread("t", dry_run=False),
        ):
            put(classed(fake), "1")
            S3Admin(make_saver(fake)).pin_thread("t")
            operate()
            assert fake.keys(".thread/") == fake.keys(".pinned/") == []
        S3Admin(make_saver(fake)).pin_thread("t")
        classed(fake).delete_thread("t")
        assert fake.keys(".pinned/") == []

    def test_deleting_a_thread_looks_for_its_mark(self, fake: FakeS3) -> None:
        """It would leave a delete marker in a bucket with versions otherwise."""
        fake.set_versioning("Enabled")
        saver = classed(fake, borrow=False)
        put(saver, "1")
        with fake.counted() as count:
            saver.delete_thread("t")
        assert count.kinds == {"ListObjects": 1, "DeleteObjects": 1, "GetObject": 1}
        assert not any(".pinned/" in key for key in fake.versions)
        S3Admin(saver).pin_thread("t")
        put(saver, "1")
        with fake.counted() as count:
            saver.delete_thread("t")
        assert count.kinds == {"ListObjects": 1, "DeleteObjects": 2, "GetObject": 1}

    @pytest.mark.parametrize("thread", ["t", "-", "/", "t" * 300, "é"])
    def test_pruning_all_threads_passes_over_them(self, fake: FakeS3, thread: str) -> None:
        """Wherever their names come in a listing."""
        for name in (thread, "other", "-other"):
            saver = classed(fake)
            put(saver, "1", thread=name)
            put(saver, "2", "1", thread=name)
        admin = S3Admin(make_saver(fake))
        admin.pin_thread(thread)
        assert {each.thread_id for each in admin.prune_threads(1).victims} == {"other", "-other"}
        assert {each.thread_id for each in admin.prune_threads(1, thread_ids=[thread]).victims} == {thread}

    @pytest.mark.modes("plain")
    def test_thousands_of_marks_are_read_along(self, fake: FakeS3) -> None:
        saver = classed(fake)
        for name in ("a", "z2499"):
            put(saver, "1", thread=name)
            put(saver, "2", "1", thread=name)
        for number in range(2_500):
            fake.put(mark(saver, f"z{number}"), b"mark")
        admin = S3Admin(make_saver(fake))
        with fake.counted() as count:
            assert {each.thread_id for each in admin.prune_threads(1).victims} == {"a"}
        assert count.kinds["ListObjects"] == 3
        assert len(admin.pinned_threads()) == 2_500

    @pytest.mark.parametrize("pinned", [True, False])
    def test_every_request_may_fail(self, fake: FakeS3, pinned: bool) -> None:
        """Lenders are pinned before and unpinned after their borrowers, and another call completes it."""
        saver = classed(fake)
        for number in range(1, 5):
            put(saver, str(number), str(number - 1) if number > 1 else None)
        if not pinned:
            S3Admin(make_saver(fake)).pin_thread("t")
        before = fake.snapshot()
        for number in range(1_000):
            here = before.snapshot()
            admin = S3Admin(make_saver(here))
            operate = admin.pin_thread if pinned else admin.unpin_thread
            here.hook = failing_at(number)
            try:
                operate("t")
                break
            except RuntimeError:
                here.hook = None
            assert tags(here) <= {"pinned", "default"}
            operate("t")
            assert tags(here) == {"pinned" if pinned else "default"}
            assert bool(here.keys(".pinned/")) == pinned
        assert number > 2 * 4


class TestRewriting:
    @pytest.mark.parametrize("when", ["before", "while it rewrites", "never", "no more"])
    def test_what_prune_rewrites_keeps_its_tag(self, fake: FakeS3, when: str) -> None:
        saver, admin = classed(fake), S3Admin(make_saver(fake))
        put(saver, "1", retention="trial")
        if when == "no more":
            admin.pin_thread("t")
            saver.get_tuple(config())
        put(saver, "2", "1")
        put(saver, "3", "2")
        assert leaf_of(fake, saver, "3").borrows
        if when == "no more":
            admin.unpin_thread("t")
        if when == "before":
            admin.pin_thread("t")
        if when == "while it rewrites":

            def rewritten(moment: Moment, request: Request[Any]) -> None:
                if moment == "before" and isinstance(request, PutObject) and "checkpoint" in request.key:
                    fake.hook = None
                    admin.pin_thread("t")

            fake.hook = rewritten
        other = make_saver(fake)
        made_eager(other)
        other.prune(["t"])
        expected = "pinned" if when in ("before", "while it rewrites") else "trial"
        assert len(fake.keys("/checkpoint")) == 1
        assert tag_of(fake, saver, "3") == expected

    def test_a_rewrite_asks_twice_for_the_mark(self, fake: FakeS3) -> None:
        saver = classed(fake)
        put(saver, "1")
        put(saver, "2", "1")
        plain = FakeS3()
        without = made_eager(make_saver(plain))
        put(without, "1")
        put(without, "2", "1")
        with fake.counted() as count:
            saver.prune(["t"])
        with plain.counted() as before:
            without.prune(["t"])
        extra = {name: number - before.kinds[name] for name, number in count.kinds.items()}
        assert extra == {name: 2 * (name == "GetObject") for name in before.kinds}


class TestCopies:
    def filled(self, fake: FakeS3) -> S3Saver:
        saver = classed(fake)
        put(saver, "1", retention="trial")
        put(saver, "2", "1", "trial")
        put(saver, "3", "2", "default")
        saver.put_writes(config("2"), [("c", 1), (ERROR, 2)], "task")
        return saver

    def of_target(self, fake: FakeS3, saver: S3Saver) -> Any:
        return (
            [tag_of(fake, saver, each, "copy") for each in "123"],
            {
                fake.objects[key].tag
                for key in fake.keys(inside.layout(saver).thread("copy"))
                if "/writes" in key
            },
        )

    @pytest.mark.parametrize("source", ["pinned", "not pinned"])
    def test_they_keep_their_classes_and_are_not_pinned(self, fake: FakeS3, source: str) -> None:
        saver = self.filled(fake)
        if source == "pinned":
            S3Admin(saver).pin_thread("t")
        make_saver(fake).copy_thread("t", "copy")
        assert self.of_target(fake, saver) == (["trial", "trial", "default"], {"trial"})
        assert fake.keys(".pinned/") == ([mark(saver)] if source == "pinned" else [])

    def test_copies_into_a_pinned_thread_are_pinned(self, fake: FakeS3) -> None:
        saver = self.filled(fake)
        S3Admin(saver).pin_thread("copy")
        make_saver(fake).copy_thread("t", "copy")
        assert self.of_target(fake, saver) == (["pinned"] * 3, {"pinned"})

    def test_a_target_that_is_pinned_meanwhile(self, fake: FakeS3) -> None:
        saver = self.filled(fake)
        layout = inside.layout(saver)

        def begun(moment: Moment, request: Request[Any]) -> None:
            key = getattr(request, "key", getattr(request, "target", ""))
            if moment == "before" and key.startswith(layout.checkpoint("copy", "", "3")):
                fake.hook = None
                S3Admin(make_saver(fake)).pin_thread("copy")

        fake.hook = begun
        make_saver(fake).copy_thread("t", "copy")
        assert fake.hook is None
        assert self.of_target(fake, saver) == (["pinned"] * 3, {"pinned"})

    def test_an_import_keeps_them(self, fake: FakeS3) -> None:
        saver = self.filled(fake)
        S3Admin(saver).pin_thread("t")
        file = io.BytesIO()
        S3Admin(saver).export_thread("t", file)
        file.seek(0)
        S3Admin(make_saver(fake)).import_thread(file, "copy")
        assert self.of_target(fake, saver) == (["trial", "trial", "default"], {"trial"})

    def test_batches_keep_them_too(self, fake: FakeS3) -> None:
        saver = classed(fake)
        put(saver, "1", retention="trial")
        saver.put_writes(config("1"), [("c", 1)], "task")
        found = saver.get_tuple(config())
        assert found is not None
        moved = found._replace(config=config("1", thread="copy"))
        S3Admin(classed(fake)).batch_put([moved])
        assert tags(fake) == {"trial"}

    def test_undeleting_and_restoring_keep_them(self, fake: FakeS3) -> None:
        fake.set_versioning("Enabled")
        saver = self.filled(fake)
        admin = S3Admin(make_saver(fake))
        saver.delete_thread("t")
        admin.undelete_thread("t")
        assert [tag_of(fake, saver, each) for each in "123"] == ["trial", "trial", "default"]
        [version] = admin.list_checkpoint_versions("t", "2")
        fake.delete(key_of(fake, saver, "2"))
        admin.pin_thread("t")
        admin.restore_checkpoint_version("t", "2", version.version_id)
        assert tag_of(fake, saver, "2") == "pinned"
        assert shown(classed(fake).get_tuple(config("2"))) is not None


def failing_at(number: int) -> Hook:
    """A hook that fails one request, before or after its effect."""
    left = iter(range(number // 2, -1, -1))

    def hook(moment: Moment, request: Request[Any]) -> None:
        if moment == ("before" if number % 2 else "after") and next(left, None) == 0:
            raise RuntimeError

    return hook


def test_a_pinned_thread_outlives_its_class(fake: FakeS3) -> None:
    saver, admin = classed(fake), S3Admin(classed(fake))
    admin.set_lifecycle_policy()
    for thread in ("t", "u"):
        put(saver, "1", retention="trial", thread=thread)
        put(saver, "2", "1", thread=thread)
        saver.put_writes(config("2", thread=thread), [("c", 1)], "task")
    admin.pin_thread("t")
    fake.later += timedelta(days=8)
    fake.expire()
    assert list(admin.threads()) == ["t"]
    found = classed(fake).get_tuple(config())
    assert found is not None
    assert found.checkpoint["channel_values"] == {"large": STATE + b"2"}
    assert len(found.pending_writes or ()) == 1
    admin.unpin_thread("t")
    fake.expire()
    assert list(admin.threads()) == []


class Model:
    """Two threads as they should be: what each checkpoint holds, its class, and when it was put."""

    def __init__(self, fake: FakeS3) -> None:
        self.fake = fake
        self.savers = [classed(fake), classed(fake)]
        self.admins = [S3Admin(classed(fake)), S3Admin(made_eager(make_saver(fake)))]
        self.put: dict[tuple[str, str], tuple[bytes, str, Any]] = {}
        self.pinned: set[str] = set()
        self.dubious: set[tuple[str, str]] = set()

    def step(self, draw: random.Random, number: int) -> None:
        thread, saver, admin = draw.choice("tu"), draw.choice(self.savers), draw.choice(self.admins)
        match draw.choice(["put"] * 8 + ["pin", "unpin", "wait", "wait", "prune", "copy"]):
            case "put":
                self._put(draw, thread, f"{number:04}", saver)
            case "pin":
                admin.pin_thread(thread)
                self.pinned.add(thread)
            case "unpin":
                admin.unpin_thread(thread)
                self.pinned.discard(thread)
            case "wait":
                self.fake.later += timedelta(hours=draw.randrange(1, 90))
                self._expire()
                self.check()
            case "prune" if not any(name == thread for name, _ in self.dubious):
                draw.choice([saver, admin.saver]).prune([thread])
                there = {
                    each.config["configurable"]["checkpoint_id"]
                    for each in saver.list(config(None, None, thread))
                }
                newest = max((each for name, each in self.put if name == thread), default=None)
                assert newest is None or newest in there
                for name, each in list(self.put):
                    if name == thread and each != newest:
                        del self.put[name, each]
            case "copy" if not any(name == "t" for name, _ in self.dubious):
                saver.copy_thread("t", "u")
                for (name, each), known in list(self.put.items()):
                    if name == "t":
                        self.put.setdefault(("u", each), (*known[:2], self.fake.now))

    def _put(self, draw: random.Random, thread: str, checkpoint_id: str, saver: S3Saver) -> None:
        parents = [each for name, each in self.put if name == thread and (name, each) not in self.dubious]
        parent = draw.choice([*parents[-3:], None]) if parents else None
        found = saver.get_tuple(config(parent, None, thread)) if parent else None
        saver.get_tuple(config(checkpoint_id, None, thread))
        before = found.checkpoint["channel_values"]["large"] if found else noise(900, draw.randrange(10))
        retention = draw.choice([None, None, None, "default", "trial"])
        state = before[draw.randrange(40) :] + noise(60, draw.randrange(10**6))
        checkpoint = make_checkpoint(checkpoint_id, {"large": state})
        metadata: Any = {}
        where = config(parent, retention, thread)
        saver.put(where, checkpoint, metadata, checkpoint["channel_versions"])
        own = self.put[thread, parent][1] if parent else None
        if retention is None and parent is None:
            retention = leaf_of(self.fake, saver, checkpoint_id, thread).retention
        self.put[thread, checkpoint_id] = (state, retention or own or "default", self.fake.now)

    def _expire(self) -> None:
        self.fake.expire()
        for (thread, each), (_, retention, written) in list(self.put.items()):
            age = self.fake.now - written
            if thread in self.pinned or age < SHORT[retention]:
                continue
            # What it borrows may be gone, and it may be itself.
            self.dubious.add((thread, each))

    def check(self) -> None:
        """What isn't past its days, or is pinned, is there and reads right, for a process without a cache."""
        saver = classed(self.fake)
        for (thread, each), (state, retention, _) in self.put.items():
            if (thread, each) in self.dubious:
                continue
            found = saver.get_tuple(config(each, None, thread))
            assert found is not None, (thread, each, retention)
            assert found.checkpoint["channel_values"] == {"large": state}
            tag = tag_of(self.fake, saver, each, thread)
            assert tag == ("pinned" if thread in self.pinned else retention)


SHORT = {"default": timedelta(days=6), "trial": timedelta(days=2)}


@pytest.mark.modes("plain")
@pytest.mark.parametrize("seed", range(int(os.environ.get("RETENTION_SEEDS", "6"))))
def test_whatever_remains_reads_right(fake: FakeS3, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts of classes, forks, pins, copies and prunes in turn, while S3 deletes by its rules."""
    monkeypatch.setitem(globals(), "CLASSES", SHORT)
    model = Model(fake)
    model.admins[0].set_lifecycle_policy()
    draw = random.Random(seed)
    for number in range(60):
        model.step(draw, number)
    model.check()
