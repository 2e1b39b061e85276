"""Two processes that go on with one thread at once fork its history: both branches are kept and listed."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from langgraph_checkpoint_s3 import S3Saver
from tests.contract.fixtures import environment
from tests.contract.scripts import ROOT
from tests.contract.support import MakeSaver, Place, at

# Each reads the thread, waits until the other has done so too, and goes on.
WORKER = """
import asyncio, json, operator, sys
from typing import Annotated
from typing_extensions import TypedDict
from langgraph.graph import END, START, StateGraph
from langgraph_checkpoint_s3 import S3Saver

bucket, url, region, name, driver = sys.argv[1:]

class Meeting(S3Saver):
    def __init__(self, *args, **settings):
        super().__init__(*args, **settings)
        self.made = []

    def meet(self, found):
        print("read", found and found.checkpoint["id"], flush=True)
        assert sys.stdin.readline() == "go on\\n"
        return found

    def get_tuple(self, config):
        return self.meet(super().get_tuple(config))

    async def aget_tuple(self, config):
        return self.meet(await super().aget_tuple(config))

    def put(self, config, checkpoint, metadata, new_versions):
        self.made.append([checkpoint["id"], config["configurable"].get("checkpoint_id")])
        return super().put(config, checkpoint, metadata, new_versions)

    async def aput(self, config, checkpoint, metadata, new_versions):
        self.made.append([checkpoint["id"], config["configurable"].get("checkpoint_id")])
        return await super().aput(config, checkpoint, metadata, new_versions)

class State(TypedDict):
    log: Annotated[list[str], operator.add]

builder = StateGraph(State)
builder.add_node("one", lambda state: {"log": [name + " one"]})
builder.add_node("two", lambda state: {"log": [name + " two"]})
builder.add_edge(START, "one")
builder.add_edge("one", "two")
builder.add_edge("two", END)

async def run(saver, config):
    async with saver:
        await builder.compile(checkpointer=saver).ainvoke({"log": [name]}, config, durability="sync")

saver = Meeting(bucket, endpoint_url=url, region=region)
config = {"configurable": {"thread_id": "thread"}}
if driver == "async":
    asyncio.run(run(saver, config))
else:
    with saver:
        builder.compile(checkpointer=saver).invoke({"log": [name]}, config, durability="sync")
print(json.dumps(saver.made), flush=True)
"""

Made = list[tuple[str, str]]
"""Checkpoints that a process put, each with its parent."""


class Worker:
    """A process that runs the graph once on the thread."""

    def __init__(self, place: Place, name: str, driver: str) -> None:
        arguments = (place.bucket, place.front.url, place.server.region, name, driver)
        self._process = subprocess.Popen(
            [sys.executable, "-c", WORKER, *arguments],
            cwd=ROOT,
            env={"PYTHONPATH": str(ROOT), **environment(place.server)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def read(self) -> str:
        """Wait until it has read the thread; the checkpoint that it goes on from."""
        assert self._process.stdout
        said, _, what = self._process.stdout.readline().strip().partition(" ")
        assert said == "read"
        return what

    def go_on(self) -> None:
        assert self._process.stdin
        self._process.stdin.write("go on\n")
        self._process.stdin.flush()

    def end(self) -> Made:
        with self._process:  # closes the pipes
            said, _ = self._process.communicate(timeout=60)
        assert self._process.returncode == 0
        return [(new, parent) for new, parent in json.loads(said)]


class TestForks:
    @pytest.mark.parametrize("drivers", [("sync", "sync"), ("async", "sync")])
    def test_two_processes_on_one_thread(
        self, place: Place, make_saver: MakeSaver, drivers: tuple[str, str]
    ) -> None:
        first = Worker(place, "first", drivers[0])
        assert first.read() == "None"
        first.go_on()
        base = first.end()
        workers = [
            Worker(place, name, driver) for name, driver in zip(("left", "right"), drivers, strict=True)
        ]
        tip = base[-1][0]
        assert [worker.read() for worker in workers] == [tip, tip]
        for worker in workers:
            worker.go_on()
        branches = [worker.end() for worker in workers]
        saver = make_saver()
        shown = {each.checkpoint["id"]: each for each in saver.list(at())}
        made = [*base, *branches[0], *branches[1]]
        assert list(shown) == sorted((new for new, _ in made), reverse=True), "one is lost, or there twice"
        for new, parent in made:
            found = shown[new].parent_config
            assert (found and found["configurable"]["checkpoint_id"]) == parent
        began = ["first", "first one", "first two"]
        for name, branch in zip(("left", "right"), branches, strict=True):
            assert branch[0][1] == tip, "both begin where both have read"
            # By the address of its tip each branch is there, with nothing of the other.
            assert log(saver, branch[-1][0]) == [*began, name, f"{name} one", f"{name} two"]
        newest = max(new for new, _ in made)
        assert newest in (branches[0][-1][0], branches[1][-1][0])
        latest = saver.get_tuple(at())
        assert latest is not None
        assert latest.checkpoint["id"] == newest


def log(saver: S3Saver, checkpoint_id: str) -> Any:
    found = saver.get_tuple(at(checkpoint_id=checkpoint_id))
    assert found is not None
    return found.checkpoint["channel_values"]["log"]
