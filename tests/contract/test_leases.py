"""Leases on a real server, by both drivers, and by processes that take turns while requests fail."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from langgraph_checkpoint_s3 import ConflictError, Lease, NotSupportedError
from tests.contract.fixtures import environment
from tests.contract.front import Front, HangUp
from tests.contract.scripts import ROOT
from tests.contract.support import Calls, MakeCalls, MakeSaver, Place
from tests.contract.unsteady import UnsteadyFront
from tests.support.hanging import HANG

WORKER = """
import os, sys, time
from langgraph_checkpoint_s3 import ConflictError, S3Saver

bucket, url, region, path, name, turns = sys.argv[1:]
log = os.open(path, os.O_WRONLY | os.O_APPEND)
saver = S3Saver(bucket, endpoint_url=url, region=region, max_attempts=12)
done = 0

def write(lease, what):
    # A paused process may write when its time is over: such a line doesn't count, and says so.
    os.write(log, f"{name} {what} {lease.token}\\n".encode())
    try:
        lease.check()
    except ConflictError:
        os.write(log, f"{name} late {lease.token}\\n".encode())
        raise

while done < int(turns):
    try:
        with saver.lease("thread", ttl=4, wait=120, holder=name) as lease:
            if name == "mortal":
                os._exit(0)
            lease.check()
            write(lease, "begins")
            time.sleep(0.02)
            lease.renew()
            lease.check()
            write(lease, "ends")
            done += 1
    except ConflictError as error:  # too many faults in a row
        print(error, file=sys.stderr)
"""


def do(calls: Calls, lease: Lease, name: str) -> Any:
    """Call a lease's method by the test's driver."""
    return calls.run(getattr(lease, f"a{name}")()) if calls.asynchronous else getattr(lease, name)()


def skip_without_conditions(place: Place) -> None:
    if not place.server.features.conditional_put:
        pytest.skip("no conditional writes here")


class TestLeases:
    def test_one_after_the_other(self, make_calls: MakeCalls, place: Place, front: Front) -> None:
        skip_without_conditions(place)
        calls, others = make_calls(), make_calls()
        first = calls.saver.lease("a/b", holder="the first", auto_renew=False)
        do(calls, first, "acquire")
        assert front.counts() == {"GetObject": 1, "PutObject": 4}
        front.reset()
        second = others.saver.lease("a/b", auto_renew=False)
        with pytest.raises(ConflictError, match="the first holds the lease of thread 'a/b'"):
            do(others, second, "acquire")
        assert front.counts() == {"GetObject": 1}
        front.reset()
        for _ in range(2):
            do(calls, first, "renew")
            first.check()
        assert front.counts() == {"PutObject": 2}
        do(calls, first, "release")
        do(others, second, "acquire")
        assert second.token > first.token
        assert place.listing() == ["checkpoints/.leases/a.2Fb.lease"]
        assert others.list(None) == []
        do(others, second, "release")

    def test_operations_are_counted_by_what_they_do(self, make_calls: MakeCalls, place: Place) -> None:
        skip_without_conditions(place)
        calls = make_calls()
        lease = calls.saver.lease("thread", auto_renew=False)
        for name in ("acquire", "renew", "release"):
            do(calls, lease, name)
        assert calls.saver.stats().operations == {"acquire": 1, "renew": 1, "release": 1}

    def test_lost_replies(self, make_calls: MakeCalls, place: Place, front: Front) -> None:
        """The client's own retry is refused: the lease is found to be ours all the same."""
        skip_without_conditions(place)
        calls = make_calls()
        lease = calls.saver.lease("thread", auto_renew=False)
        for name in ("acquire", "renew", "release", "acquire", "release"):
            front.fail("PutObject", HangUp(applied=True))
            do(calls, lease, name)

    def test_a_lost_lease_is_an_error(self, make_calls: MakeCalls, place: Place) -> None:
        skip_without_conditions(place)
        calls = make_calls()
        lease = calls.saver.lease("thread", auto_renew=False)
        do(calls, lease, "acquire")
        place.client.delete_object(Bucket=place.bucket, Key="checkpoints/.leases/thread.lease")
        with pytest.raises(ConflictError, match="lost"):
            do(calls, lease, "renew")
        assert lease.lost

    def test_an_ended_one_is_taken_over_and_not_before(self, make_saver: MakeSaver, place: Place) -> None:
        """By the store's own clock."""
        skip_without_conditions(place)
        first = make_saver().lease("thread", ttl=1, auto_renew=False).acquire()
        with make_saver().lease("thread", wait=HANG, auto_renew=False) as second:
            assert first.remaining == 0
            assert second.token > first.token
            with pytest.raises(ConflictError, match="lost"):
                first.renew()

    def test_a_store_that_ignores_conditions_is_refused(self, make_calls: MakeCalls, place: Place) -> None:
        if place.server.features.conditional_put:
            pytest.skip("it heeds them")
        calls = make_calls()
        with pytest.raises(NotSupportedError):
            do(calls, calls.saver.lease("thread"), "acquire")
        assert place.listing() == []


def take_turns(place: Place, log: Path, *, workers: Sequence[str], turns: int, rate: float) -> None:
    """Let processes take the lease in turn while requests fail, and check the log that they share."""
    log.touch()
    with UnsteadyFront(place.server.endpoint_url, rate=rate, seed=5) as unsteady:
        running = [
            subprocess.Popen(
                [
                    *(sys.executable, "-c", WORKER, place.bucket, unsteady.url, place.server.region),
                    *(str(log), name, str(turns)),
                ],
                cwd=ROOT,
                env={"PYTHONPATH": str(ROOT), **environment(place.server)},
                stderr=subprocess.PIPE,
                text=True,
            )
            for name in workers
        ]
        said = [worker.communicate(timeout=HANG)[1] for worker in running]
    failed = [worker.returncode for worker in running if worker.returncode]
    assert not failed, "\n".join(filter(None, said))
    assert unsteady.faults
    lines = [line.split() for line in log.read_text().splitlines()]
    late = {token for _, what, token in lines if what == "late"}
    lines = [line for line in lines if line[2] not in late]
    tokens = [int(token) for _, _, token in lines]
    assert tokens == sorted(tokens), "nobody does anything after the next one has begun"
    begun = [token for _, what, token in lines if what == "begins"]
    assert len(begun) == len(set(begun)), "a token is one holder's"
    finished = sorted(name for name, what, _ in lines if what == "ends")
    assert finished == sorted(name for name in workers if name != "mortal" for _ in range(turns)), said


class TestProcesses:
    def test_they_take_turns(self, place: Place, tmp_path: Path) -> None:
        skip_without_conditions(place)
        take_turns(place, tmp_path / "log", workers=("one", "two", "three"), turns=2, rate=0.1)
