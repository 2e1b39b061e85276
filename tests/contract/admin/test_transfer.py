"""Export and import of threads over the wire, across buckets, prefixes and names."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from langgraph_checkpoint_s3 import CorruptObjectError, InvalidKeyError
from langgraph_checkpoint_s3.admin.transfer.export_import import Imported
from tests.contract.admin.drivers import async_only, sync_only
from tests.contract.front import Answer, Front
from tests.contract.support import (
    MIB,
    MakeCalls,
    MakeSaver,
    Place,
    at,
    build_thread,
    checkpoint,
    metadata,
    noise,
)
from tests.support.threads import nameless_contents


@pytest.fixture
def other_bucket(place: Place) -> Iterator[str]:
    name = f"test-{uuid.uuid4().hex[:12]}"
    place.client.create_bucket(Bucket=name)
    yield name
    for page in place.client.get_paginator("list_objects_v2").paginate(Bucket=name):
        for item in page.get("Contents", ()):
            place.client.delete_object(Bucket=name, Key=item["Key"])
    place.client.delete_bucket(Bucket=name)


def grown(saver: Any, thread: str) -> None:
    """Create a thread with borrowing, a subgraph and writes, one of which is large."""
    build_thread(saver, thread, checkpoints=3)
    build_thread(saver, thread, ns="node:1|deep", checkpoints=2)
    config, values = at(thread, ns="grows"), dict[str, Any]()
    for step in range(4):
        values[f"c{step}"] = noise(20_000, step)
        config = saver.put(config, checkpoint(values), metadata(step), {f"c{step}": "1"})
    saver.put_writes(config, [("large", noise(6 * MIB)), ("small", 1)], "task", "path")


class TestMoving:
    def test_to_another_bucket_prefix_and_name(
        self,
        make_admin: MakeCalls,
        make_saver: MakeSaver,
        place: Place,
        other_bucket: str,
        tmp_path: Path,
        front: Front,
    ) -> None:
        grown(make_saver(), "customer/42")
        progress: list[Any] = []
        exported = make_admin().export_thread(
            "customer/42", tmp_path / "thread.zip", progress=lambda *now: progress.append(now)
        )
        assert (exported.checkpoints, exported.writes) == (9, 11)
        assert progress[-1] == (20, 20)
        assert exported.bytes > 6 * MIB
        with zipfile.ZipFile(tmp_path / "thread.zip") as archive:
            assert archive.testzip() is None
            assert len(archive.namelist()) == 21
        there: dict[str, Any] = {"bucket": other_bucket, "prefix": "moved/here"}
        target = dataclasses.replace(place, bucket=other_bucket)
        with front.counted() as count:
            admin = make_admin(**there, multipart_threshold=5 * MIB)
            imported = admin.import_thread(tmp_path / "thread.zip", "new name")
        assert imported == Imported("new name", 9, 11, 20, 0, ())
        assert count["PutObject"] == 19 + 2  # tombstones of what is about to come, and is there
        assert count["CompleteMultipartUpload"] == 1
        assert nameless_contents(make_saver(**there), "new name") == nameless_contents(
            make_saver(), "customer/42"
        )
        before = target.objects()
        folders = ("moved/here/new.20name.thread/", "moved/here/.deleted/")
        assert all(key.startswith(folders) for key in before)
        assert target.uploads() == []
        with front.counted() as count:
            again = make_admin(**there).import_thread(tmp_path / "thread.zip", "new name")
        assert again == Imported("new name", 9, 11, 0, 20, ())
        assert target.objects() == before
        assert set(count) <= {"ListObjectsV2", "GetObject"}

    @sync_only
    def test_through_files_that_are_open(
        self, make_admin: MakeCalls, make_saver: MakeSaver, place: Place
    ) -> None:
        build_thread(make_saver(), "t", checkpoints=2)
        file = io.BytesIO()
        make_admin().export_thread("t", file)
        assert make_admin().import_thread(file, "u").written == 6
        assert nameless_contents(make_saver(), "u") == nameless_contents(make_saver(), "t")

    @async_only
    def test_missing_threads_and_damaged_files(
        self, make_admin: MakeCalls, make_saver: MakeSaver, tmp_path: Path, place: Place
    ) -> None:
        with pytest.raises(InvalidKeyError, match="no thread"):
            make_admin().export_thread("t", tmp_path / "thread.zip")
        assert list(tmp_path.iterdir()) == []
        build_thread(make_saver(), "t", checkpoints=2)
        make_admin().export_thread("t", tmp_path / "thread.zip")
        before, data = place.objects(), (tmp_path / "thread.zip").read_bytes()
        for damaged in (data[:-1], data[1:], data[:900] + b"x" + data[901:]):
            with pytest.raises(CorruptObjectError):
                make_admin().import_thread(io.BytesIO(damaged), "u")
        assert place.objects() == before

    @sync_only
    def test_an_interrupted_import_can_be_repeated(
        self, make_admin: MakeCalls, make_saver: MakeSaver, front: Front
    ) -> None:
        build_thread(make_saver(), "t", checkpoints=3)
        file = io.BytesIO()
        make_admin().export_thread("t", file)
        front.fail("PutObject", Answer(400, "InvalidRequest"), times=1, within="checkpoint")
        with contextlib.suppress(Exception):
            make_admin().import_thread(file, "u")
        front.reset()
        imported = make_admin().import_thread(file, "u")
        assert imported.written
        assert imported.kept == ()
        assert nameless_contents(make_saver(), "u") == nameless_contents(make_saver(), "t")
