"""A report answers LISTs as the store would have: random trees, orders, formats, pages and delimiters."""

from __future__ import annotations

import json
import random
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langgraph_checkpoint_s3 import CorruptObjectError, S3CheckpointError
from langgraph_checkpoint_s3.admin.inventory import report as reports
from langgraph_checkpoint_s3.admin.inventory import rows
from langgraph_checkpoint_s3.admin.inventory.report import Report
from langgraph_checkpoint_s3.admin.inventory.source import Location, open_report
from langgraph_checkpoint_s3.plans.transfer import Sizes
from langgraph_checkpoint_s3.s3.requests import Entry, ListObjects, Page
from tests.support import inside
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver
from tests.support.reports import (
    FOLDER,
    MADE,
    Listed,
    make_report,
    md5,
    rows_of,
    with_checksum,
    write_files,
)

CREATED = datetime(2026, 11, 30, 1, tzinfo=timezone.utc)
FORMATS = ("Parquet", "CSV")


@contextmanager
def opened(root: Path, listed: list[Listed], prefix: str = "", **how: Any) -> Iterator[Report]:
    """A report of these rows, read from a local folder."""
    folder = write_files(make_report(listed, created=CREATED, **how), root)
    store: Any = inside.store(make_saver(FakeS3()))
    plan = open_report(Location(None, str(folder)), "fake-bucket", prefix, Sizes(8 << 20, 8 << 20))
    report = store.run(plan)
    try:
        yield report
    finally:
        report.close()


def entry(key: str, age: int = 0, size: int = 1) -> Entry:
    return Entry(key, size, f"etag of {size}", CREATED - timedelta(seconds=age), "STANDARD_IA")


def pages(answer: Any, request: ListObjects) -> list[tuple[tuple[Entry, ...], tuple[str, ...]]]:
    """Page after page of a listing."""
    found: list[tuple[tuple[Entry, ...], tuple[str, ...]]] = []
    while True:
        page: Page = answer(request)
        found.append((page.entries, page.prefixes))
        if page.token is None:
            return found
        request = replace(request, token=page.token)


def small_blocks(patch: pytest.MonkeyPatch, size: int) -> None:
    patch.setattr(rows, "BLOCK", size)
    patch.setattr(reports, "BLOCK", size)


KEYS = st.lists(
    st.text(alphabet=st.sampled_from("ab/.+% -0é\U0001f4a5\uffff'\"*[?"), min_size=1, max_size=8),
    unique=True,
    max_size=25,
)


@settings(max_examples=8)  # each makes a report
@given(data=st.data(), keys=KEYS, file_format=st.sampled_from(FORMATS), block=st.integers(1, 5))
def test_pages_are_those_of_the_store(
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
    keys: list[str],
    file_format: str,
    block: int,
) -> None:
    fake = FakeS3()
    for key in keys:
        fake.put(key, key.encode())
    with pytest.MonkeyPatch.context() as patch:
        small_blocks(patch, block)
        root = tmp_path_factory.mktemp("reports")
        with opened(
            root, rows_of(fake), file_format=file_format, parts=data.draw(st.integers(1, 3))
        ) as report:
            for _ in range(20):
                request = ListObjects(
                    data.draw(st.sampled_from(["", "a", "a/", "b", "é", *keys])),
                    max_keys=data.draw(st.integers(1, 4)),
                    start_after=data.draw(st.sampled_from([None, None, "a", "a0", "b/", *keys])),
                    delimiter=data.draw(st.sampled_from([None, "/"])),
                )
                if request.delimiter is not None:
                    request.start_after = None  # plans don't begin a listing of folders in one
                assert pages(report.page, request) == pages(fake.execute, request)


@pytest.mark.parametrize("file_format", FORMATS)
def test_thousands_of_objects(tmp_path: Path, file_format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    small_blocks(monkeypatch, 512)
    fake = FakeS3()
    chance = random.Random(5)
    for _ in range(2_500):
        parts = (
            f"{chance.choice('abcdef.-_')}{chance.randrange(300)}" for _ in range(chance.randrange(1, 4))
        )
        fake.put("/".join(parts), b"x" * chance.randrange(9))
    with opened(tmp_path, rows_of(fake), prefix="a", file_format=file_format, parts=7) as report:
        for request in (
            ListObjects("a"),
            ListObjects("a", delimiter="/"),
            ListObjects("a", start_after="a150"),
            ListObjects("a7/", max_keys=3),
            ListObjects("a99999"),
        ):
            assert pages(report.page, request) == pages(fake.execute, request)


@pytest.mark.parametrize("file_format", FORMATS)
def test_of_all_versions_the_current_ones_count(tmp_path: Path, file_format: str) -> None:
    listed = [
        Listed(entry("a", 0), "v2"),
        Listed(entry("a", 9), "v1", latest=False),
        Listed(entry("b", 0), "v2", marker=True),
        Listed(entry("b", 9), "v1", latest=False),
        Listed(entry("c", 9), "v1", latest=False),
        Listed(entry("d", 5)),
    ]
    with opened(tmp_path, listed, file_format=file_format, versions=True) as report:
        assert report.page(ListObjects("")).entries == (entry("a"), entry("d", 5))


def test_an_object_that_is_listed_twice_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest of the two, also where a page or a block ends between them."""
    small_blocks(monkeypatch, 2)
    listed = [Listed(entry(key, age, age + 1)) for key in "abcd" for age in (0, 7)]
    with opened(tmp_path, listed) as report:
        for size in (1, 2, 3, 4, 5):
            found = pages(report.page, ListObjects("", max_keys=size))
            assert [each for page, _ in found for each in page] == [entry(key) for key in "abcd"]
            assert all(page for page, _ in found)


@pytest.mark.parametrize("file_format", FORMATS)
def test_fields_in_another_order_and_more_of_them(tmp_path: Path, file_format: str) -> None:
    fields = ["StorageClass", "IsMultipartUploaded", "ETag", "LastModifiedDate", "Size"]
    with opened(tmp_path, [Listed(entry("a"))], file_format=file_format, fields=fields) as report:
        assert report.page(ListObjects("")) == Page((entry("a"),), (), None)


@pytest.mark.parametrize("file_format", FORMATS)
def test_an_empty_report(tmp_path: Path, file_format: str) -> None:
    with opened(tmp_path, [], file_format=file_format) as report:
        assert report.page(ListObjects("", delimiter="/")) == Page((), (), None)
        assert report.page(ListObjects("a", start_after="b")) == Page((), (), None)


def test_quoted_etags_and_a_missing_class(tmp_path: Path) -> None:
    given = replace(entry("a"), etag='"quoted"', storage_class="")
    with opened(tmp_path, [Listed(given)]) as report:
        assert report.page(ListObjects("")).entries == (
            replace(given, etag="quoted", storage_class="STANDARD"),
        )


def test_an_object_without_a_size_is_corrupt(tmp_path: Path) -> None:
    size: Any = None
    listed = [Listed(replace(entry("a"), size=size)), Listed(entry("b"))]
    with (
        pytest.raises(CorruptObjectError, match="1 objects in the inventory report have no size"),
        opened(tmp_path, listed),
    ):
        pass


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("content", [b"", b"no such format", b"PAR1PAR1", b"\x1f\x8b\x08\x00cut"])
def test_files_that_are_not_what_the_manifest_says(tmp_path: Path, file_format: str, content: bytes) -> None:
    files = make_report([Listed(entry("a"))], created=CREATED, file_format=file_format, parts=1)
    [data] = [key for key in files if "/data/" in key]
    manifest = json.loads(files[f"{FOLDER}{MADE}/manifest.json"])
    manifest["files"] = [{"key": data, "size": len(content), "MD5checksum": md5(content)}]
    files |= {data: content} | with_checksum(f"{FOLDER}{MADE}/", json.dumps(manifest).encode())
    folder = write_files(files, tmp_path)
    store: Any = inside.store(make_saver(FakeS3()))
    with pytest.raises(CorruptObjectError, match=r"isn't as its manifest says: .*manifest\.json\)"):
        store.run(open_report(Location(None, str(folder)), "fake-bucket", "", Sizes(8 << 20, 8 << 20)))


def test_no_room_to_sort_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_MEMORY", "1MB")
    listed = [Listed(entry(f"{number:0200}")) for number in range(20_000)]
    with (
        pytest.raises(S3CheckpointError, match=r"can't be sorted in .*TMPDIR") as error,
        opened(tmp_path, listed),
    ):
        pass
    assert type(error.value) is S3CheckpointError


def test_its_memory_in_python_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks are let go: eight of them stay."""
    small_blocks(monkeypatch, 256)
    with opened(tmp_path, [Listed(entry(f"{number:0100}")) for number in range(9_000)], parts=1) as report:
        tracemalloc.start()
        count = 0
        request: ListObjects | None = ListObjects("")
        while request is not None:
            page = report.page(request)
            count += len(page.entries)
            request = None if page.token is None else replace(request, token=page.token)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert count == 9_000
    assert peak < 9 * 256 * 800
