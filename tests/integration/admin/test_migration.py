"""Migration of hundreds of checkpoints to real servers, by a process that is killed twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from langgraph.checkpoint.sqlite import SqliteSaver

from langgraph_checkpoint_s3.admin import S3Admin
from tests.contract.admin.test_migration import TestMigration, sqlite
from tests.contract.fixtures import environment
from tests.contract.support import MakeSaver, Place
from tests.support import inside
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver as make_fake_saver
from tests.support.histories import assert_equal, fill

__all__ = ["TestMigration", "sqlite"]


ROOT = Path(__file__).parents[2]
MIGRATING = """\
import sys
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.admin import S3Admin

path, bucket, url = sys.argv[1:]
saver = S3Saver(bucket, endpoint_url=url, region="us-east-1")
with SqliteSaver.from_conn_string(path) as source:
    S3Admin(saver).migrate(source, verify=False, progress=lambda done, total: print(done, flush=True))
"""


def killed_at(number: int, path: Path, place: Place) -> None:
    """Migrate in another process, and kill it after this number of checkpoints."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LD_LIBRARY_PATH") if name in os.environ}
    child = subprocess.Popen(
        [sys.executable, "-c", MIGRATING, str(path), place.bucket, place.server.endpoint_url],
        cwd=ROOT,
        env={**inherited, "PYTHONPATH": str(ROOT), **environment(place.server)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    with child.stdout:
        for line in child.stdout:
            if int(line) >= number:
                break
        child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL


class TestHundredsOfCheckpoints:
    def test_they_survive_being_killed_and_compare_equal(
        self, tmp_path: Path, place: Place, make_saver: MakeSaver
    ) -> None:
        if not place.server.features.persistent:
            pytest.skip("it is in memory there, and takes minutes")
        path = tmp_path / "checkpoints.sqlite"
        with SqliteSaver.from_conn_string(str(path)) as source:
            fill(source, 300)
        killed_at(90, path, place)
        killed_at(195, path, place)
        with SqliteSaver.from_conn_string(str(path)) as source:
            left = sum("/checkpoint" in key for key in place.listing())
            assert 195 <= left < 300
            done = S3Admin(make_saver()).migrate(source)
            assert (done.threads, done.skipped, done.checkpoints) == (11, left, 300 - left)
            assert assert_equal(source, make_saver()) == 300
            fake = FakeS3()
            undisturbed = make_fake_saver(fake)
            inside.borrow_like(undisturbed, make_saver())  # the fake's borrow from fewer bytes on
            S3Admin(undisturbed).migrate(source, verify=False)
        # The same objects as if nothing had happened: nothing is doubled, nothing is left over.
        assert place.listing() == fake.keys()
        assert place.uploads() == []
