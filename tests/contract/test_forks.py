"""Two processes that go on with one thread at once fork its history: both branches are kept and listed."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from langgraph_checkpoint_s3 import S3Saver
from tests.contract.fixtures import environment
from tests.contract.fork_worker import two_steps
from tests.contract.scripts import ROOT
from tests.contract.support import MakeSaver, Place, at
from tests.support.hanging import HANG


class Worker:
    """A process that runs the graph once on the thread."""

    def __init__(self, place: Place, name: str, driver: str) -> None:
        arguments = (place.bucket, place.front.url, place.server.region, name, driver)
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.contract.fork_worker", *arguments],
            cwd=ROOT,
            env={"PYTHONPATH": str(ROOT), **environment(place.server)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def read(self) -> str:
        """Wait until it has read the thread; the checkpoint that it goes on from."""
        assert self._process.stdout
        return self._process.stdout.readline().strip()

    def go_on(self) -> None:
        assert self._process.stdin
        self._process.stdin.write("go on\n")
        self._process.stdin.flush()

    def end(self) -> dict[str, str]:
        """Wait for its end; the checkpoints that it put, oldest first, each with its parent."""
        said, _ = self._process.communicate(timeout=HANG)
        assert self._process.returncode == 0
        return dict(json.loads(said))


def test_two_processes_on_one_thread_fork_it(place: Place, make_saver: MakeSaver) -> None:
    saver = make_saver()
    two_steps("base").compile(checkpointer=saver).invoke({"log": ["base"]}, at(), durability="sync")
    base = {each.checkpoint["id"]: parent_of(each) for each in reversed(list(saver.list(at())))}
    tip = max(base)
    workers = [Worker(place, "left", "sync"), Worker(place, "right", "async")]
    assert [worker.read() for worker in workers] == [tip, tip]
    for worker in workers:
        worker.go_on()
    branches = [worker.end() for worker in workers]

    shown = {each.checkpoint["id"]: each for each in saver.list(at())}
    every = {**base, **branches[0], **branches[1]}
    assert len(every) == len(base) + len(branches[0]) + len(branches[1])
    assert list(shown) == sorted(every, reverse=True), "one is lost, or another is there"
    assert {each: parent_of(found) for each, found in shown.items()} == every
    for worker, branch in zip(workers, branches, strict=True):
        began = ["base", "base one", "base two"]
        name = worker.name
        assert next(iter(branch.values())) == tip, "both begin at what both have read"
        # By its tip's id each branch is there, with nothing of the other.
        assert log(saver, max(branch)) == [*began, name, f"{name} one", f"{name} two"]
    assert log(saver) == log(saver, max(every)), "without an id, it is the newest"
    latest = saver.get_tuple(at())
    assert latest is not None
    assert latest.checkpoint["id"] == max(max(branch) for branch in branches)


def parent_of(found: Any) -> str | None:
    parent: str | None = found.parent_config and found.parent_config["configurable"]["checkpoint_id"]
    return parent


def log(saver: S3Saver, checkpoint_id: str | None = None) -> Any:
    found = saver.get_tuple(at(checkpoint_id=checkpoint_id))
    assert found is not None
    return found.checkpoint["channel_values"]["log"]
