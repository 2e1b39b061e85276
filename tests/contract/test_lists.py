"""A list is held against what was asked for, and each page against the one before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from langgraph_checkpoint_s3 import NotSupportedError, StorageUnavailableError
from langgraph_checkpoint_s3.s3.admin_requests import (
    ListUploads,
    ListVersions,
)
from langgraph_checkpoint_s3.s3.requests import (
    ListObjects,
    Request,
)
from langgraph_checkpoint_s3.testing.faults import Fault, Reply, Seen
from tests.contract.front import Answer, Front
from tests.contract.support import Calls, MakeCalls, Place, at
from tests.contract.worlds import ADMIN, Run, listing, threads


class TestLists:
    @pytest.mark.parametrize(
        ("request_", "reply", "match"),
        [
            (ListObjects("p/"), listing("p/a", truncated=True), "no NextContinuationToken"),
            (ListObjects("p/", token="t"), listing("p/a", token="t"), "the same NextContinuationToken"),
            (ListObjects("p/"), listing("p/a", "q/a"), "isn't below 'p/'"),
            (ListObjects("p/"), listing("o/a", "p/a"), "isn't below 'p/'"),
            (ListObjects("p/", delimiter="/"), listing(folders=("o/",)), "isn't below 'p/'"),
            (ListVersions("p/"), Reply(b"<X><IsTruncated>true</IsTruncated></X>"), "no NextKeyMarker"),
            (
                ListVersions("p/", 10, ("k", "v")),
                Reply(
                    b"<X><IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker>"
                    b"<NextVersionIdMarker>v</NextVersionIdMarker></X>"
                ),
                "where it was before",
            ),
            (
                ListUploads("p/", ("k", "u")),
                Reply(b"<X><IsTruncated>true</IsTruncated><NextKeyMarker>j</NextKeyMarker></X>"),
                "where it was before",
            ),
            (ListUploads("p/"), Reply(b"<X><IsTruncated>true</IsTruncated></X>"), "no NextKeyMarker"),
            (
                ListUploads("p/"),
                Reply(
                    b"<X><Bucket>b</Bucket><Upload><Key>q</Key><UploadId>u</UploadId>"
                    b"<Initiated>2026-01-01T00:00:00.000Z</Initiated></Upload></X>"
                ),
                "isn't below 'p/'",
            ),
            (ListObjects("p/"), Reply(listing("p/a").body.replace(b"<Size>1</Size>", b"")), "it has no Size"),
            (
                ListObjects("p/"),
                Reply(listing("p/a").body.replace(b"<Size>1<", b"<Size>one<")),
                "can't be parsed",
            ),
        ],
    )
    def test_one_that_does_not_get_on_or_is_anothers_is_no_answer(
        self, request_: Request[Any], reply: Reply, match: str, run: Run, front: Front
    ) -> None:
        front.fail("*", reply, times=None)
        with pytest.raises(StorageUnavailableError, match=match):
            run(request_)
        assert len(front.log) == 2

    @pytest.mark.parametrize(
        ("request_", "reply"),
        [
            (ListObjects("p/"), listing("p/b", "p/a")),
            (ListObjects("p/"), listing("p/a", "p/B")),  # as people sort
            (ListObjects("p/"), listing("p/9", "p/10")),  # as numbers
            (ListObjects("p/"), listing("p/a", "p/a")),
            (ListObjects("p/"), listing("p/\U00010000", "p/\ue000")),  # as UTF-16
            (ListObjects("p/", delimiter="/"), listing(folders=("p/b/", "p/a/"))),
            (ListObjects("p/", start_after="p/b"), listing("p/a", "p/c")),
            (ListObjects("p/", start_after="p/b"), listing("p/b", "p/c")),
            (ListObjects("p/", token="t", start_after="p/b"), listing("p/a")),
            (ListObjects("p/", token="t", start_after="p/b/", delimiter="/"), listing(folders=("p/b/",))),
            (ListObjects("p/", delimiter="/"), listing("p/a/b")),
        ],
    )
    def test_another_order_is_not_supported(
        self, request_: Request[Any], reply: Reply, run: Run, front: Front
    ) -> None:
        front.fail("*", reply, times=None)
        with pytest.raises(NotSupportedError, match="doesn't list as S3 does"):
            run(request_)
        assert len(front.log) == 1

    @pytest.mark.parametrize(
        "request_",
        [ListObjects("p/"), ListObjects("p/", delimiter="/", start_after="p/a/b")],
    )
    def test_what_s3_may_say(self, request_: ListObjects, run: Run, front: Front) -> None:
        reply = listing("p/b", "p/\ue000", "p/\U00010000", folders=("p/a/", "p/c/"))
        front.fail("*", reply)
        page = run(request_)
        assert [entry.key for entry in page.entries] == ["p/b", "p/\ue000", "p/\U00010000"]
        assert page.prefixes == ("p/a/", "p/c/")


NS = "checkpoints/thread.thread/.ns/"
PAGERS: dict[str, Callable[[Calls], Any]] = {
    "get_tuple": lambda calls: calls.list(at()),
    "delete_thread": lambda calls: calls.delete_thread("thread"),
    "delete_for_runs": lambda calls: calls.delete_for_runs(["run"]),
}


class Pages:
    """A schedule that answers LISTs with pages, in their order, over and over."""

    def __init__(self, *pages: Reply) -> None:
        self._pages = pages
        self.given = 0

    def __call__(self, seen: Seen) -> Fault | None:
        if not seen.operation.startswith("List"):
            return None
        self.given += 1
        return self._pages[(self.given - 1) % len(self._pages)]


class TestPages:
    @pytest.mark.parametrize("name", PAGERS)
    def test_the_next_page_goes_on_behind_the_last(
        self, name: str, make_calls: MakeCalls, front: Front
    ) -> None:
        one, two = f"{NS}b/checkpoint.s1", f"{NS}a/checkpoint.s1"
        front.schedule = Pages(listing(one, token="t1"), listing(two))
        with pytest.raises(NotSupportedError, match="doesn't list as S3 does"):
            PAGERS[name](make_calls())
        assert front.counts() == {"ListObjectsV2": 2}

    @pytest.mark.parametrize("method", ["usage", "find_orphans", "purge_thread"])
    def test_so_it_does_for_the_admin(self, method: str, make_admin: MakeCalls, front: Front) -> None:
        front.fail("ListObjectVersions", Answer(501, "NotImplemented"), times=None)
        front.fail("ListMultipartUploads", Answer(501, "NotImplemented"), times=None)
        pages = Pages(listing(f"{NS}b/checkpoint.s1", token="t1"), listing(f"{NS}a/checkpoint.s1"))
        front.schedule = lambda seen: pages(seen) if NS.startswith(seen.query["prefix"]) else listing()
        with pytest.raises(NotSupportedError, match="doesn't list as S3 does"):
            ADMIN[method](make_admin())
        assert pages.given == 2

    def test_and_for_folders(self, make_admin: MakeCalls, front: Front) -> None:
        folders = ("checkpoints/b.thread/",), ("checkpoints/a.thread/",)
        front.schedule = Pages(listing(folders=folders[0], token="t1"), listing(folders=folders[1]))
        with pytest.raises(NotSupportedError, match="doesn't list as S3 does"):
            threads(make_admin())

    def test_an_endless_list_ends(self, make_calls: MakeCalls, front: Front) -> None:
        """Pages without keys, each with another token."""
        front.schedule = lambda seen: listing(token=f"t{len(front.log)}")
        with pytest.raises(StorageUnavailableError, match="pages without a key"):
            make_calls().delete_thread("thread")
        assert len(front.log) < 200

    def test_pages_in_order_are_joined(self, make_calls: MakeCalls, front: Front) -> None:
        front.schedule = Pages(listing(token="t1"), listing(token="t2"), listing())
        assert make_calls().list(at()) == []
        assert front.counts() == {"ListObjectsV2": 3}


class TestSetup:
    """A store that can't be relied on is found before anything is kept there."""

    @pytest.mark.parametrize(
        ("names", "token"), [(("two/1", "a", "10"), None), (("-", "10", "9", "A"), "the same one")]
    )
    def test_one_that_lists_in_another_order_or_begins_again(
        self, names: tuple[str, ...], token: str | None, make_calls: MakeCalls, place: Place
    ) -> None:
        def wrong(seen: Seen) -> Fault | None:
            if seen.operation != "ListObjectsV2" or place.front.counts()["ListObjectsV2"] == 1:
                return None
            return listing(*(seen.query["prefix"] + name for name in names), token=token)

        place.front.schedule = wrong
        with pytest.raises((NotSupportedError, StorageUnavailableError), match="list"):
            make_calls().setup()
        assert place.listing() == []

    def test_one_that_says_no_etag(self, make_calls: MakeCalls, front: Front) -> None:
        front.fail("PutObject", Reply(b""), times=None)
        with pytest.raises(StorageUnavailableError, match="it has no ETag"):
            make_calls().setup()

    def test_a_large_thread_is_listed_where_folders_are_not_known(
        self, make_calls: MakeCalls, front: Front
    ) -> None:
        keys = [f"{NS}{rank}/checkpoint.kloop.s1" for rank in ("ccz", "cdz", "cez")]
        front.schedule = lambda seen: (
            None
            if seen.operation != "ListObjectsV2"
            else listing()
            if "delimiter" in seen.query
            else listing(*keys[:2], token="t")
            if "continuation-token" not in seen.query
            else listing(keys[2])
        )
        make_calls().list(at(ns=None), limit=1, filter={"source": "none"})
        assert front.counts()["ListObjectsV2"] == 3, "all of it is listed"
