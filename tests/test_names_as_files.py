"""Names of any length on a store that keeps files, whose names end at 255 bytes: rclone's server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from langgraph_checkpoint_s3 import InvalidKeyError, S3Saver
from langgraph_checkpoint_s3.admin import S3Admin
from tests.servers import rclone_server
from tests.servers.base import client_of
from tests.support.checkpoints import make_checkpoint, place, put_chain

CHINESE = "关于季度报告的长对话以及所有其他的问题和答案还有更多的内容甲乙丙丁戊己庚辛"
NESTED = "|".join(f"planner_{depth}:1f0a2c6e-0000-6000-8002-00000000000{depth}" for depth in range(5))


@pytest.fixture
def saver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Saver]:
    with rclone_server.running(tmp_path) as server:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.secret_key)
        with client_of(server) as client:
            client.create_bucket(Bucket="checkpoints")
        where = server.endpoint_url
        with S3Saver("checkpoints", endpoint_url=where, region=server.region, max_attempts=1) as made:
            yield made


def test_long_threads_and_namespaces(saver: S3Saver, tmp_path: Path) -> None:
    assert len(CHINESE.encode()) * 3 > 255
    for ns in ("", NESTED):
        put_chain(saver, CHINESE, 3, ns=ns, run="r" * 300)
    admin = S3Admin(saver)
    assert list(admin.threads()) == [CHINESE]
    saver.copy_thread(CHINESE, "short")
    saver.copy_thread("short", CHINESE * 2)
    admin.export_thread(CHINESE * 2, tmp_path / "t.zip")
    admin.import_thread(tmp_path / "t.zip", CHINESE * 3)
    admin.signed_url(CHINESE * 3, "00000002", checkpoint_ns=NESTED)
    for name in (CHINESE, "short", CHINESE * 2, CHINESE * 3):
        found = [each.config["configurable"] for each in saver.list(place(name, ns=None))]
        assert {(each["thread_id"], each["checkpoint_ns"]) for each in found} == {(name, ""), (name, NESTED)}
        assert len(found) == 6
        assert asyncio.run(saver.aget_tuple(place(name, ns=NESTED))) is not None
    saver.prune([CHINESE])
    saver.delete_for_runs(["r" * 300])
    assert list(saver.list(None)) == []


def test_ids_that_no_file_can_have_are_refused_at_once(saver: S3Saver) -> None:
    with pytest.raises(InvalidKeyError, match="255"):
        saver.put(place("t"), make_checkpoint("i" * 128, {}), {}, {})
    config = saver.put(place("t", "p" * 127), make_checkpoint("i" * 127, {}), {}, {})
    saver.put_writes(config, [(f"c{slot}", slot) for slot in range(999)], "task" * 99)
    assert saver.get_tuple(place("t")) is not None
