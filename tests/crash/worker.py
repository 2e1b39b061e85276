"""A process that carries one thread to its end, and writes into a journal what was acknowledged to it.

A line is one `os.write` to a file: it is there when the process is killed the moment after.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig

from langgraph_checkpoint_s3 import S3Saver
from tests.crash.graphs import SCENARIOS, carry


class Journal:
    """A file with a line for each thing that happened, as JSON."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write(self, what: str, **more: Any) -> None:
        line = json.dumps({"what": what, "pid": os.getpid(), **more}).encode() + b"\n"
        assert os.write(self._file, line) == len(line)

    def effect(self, label: str, config: RunnableConfig) -> None:
        # The last namespace is the node's own: name and task.
        task = config["metadata"]["langgraph_checkpoint_ns"].rpartition("|")[2].partition(":")[2]
        self.write("effect", label=label, task=task)

    @staticmethod
    def read(path: Path) -> list[dict[str, Any]]:
        return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def digest(value: Any) -> str:
    """The same for equal values, and for those alone."""
    if isinstance(value, bytes):
        return hashlib.blake2b(value, digest_size=12).hexdigest()
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{name!r}:{digest(value[name])}" for name in sorted(value)) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(digest, value)) + "]"
    return repr(value)


def short(value: Any) -> str:
    return hashlib.blake2b(digest(value).encode(), digest_size=12).hexdigest()


class JournalingSaver(S3Saver):
    """A saver that writes down what it has acknowledged, once it has, and before anybody else knows."""

    journal: Journal

    def put(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> RunnableConfig:
        line = _put_line(config, checkpoint, metadata)
        done = super().put(config, checkpoint, metadata, new_versions)
        self.journal.write("put", **line)
        return done

    async def aput(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> RunnableConfig:
        line = _put_line(config, checkpoint, metadata)
        done = await super().aput(config, checkpoint, metadata, new_versions)
        self.journal.write("put", **line)
        return done

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        line = _writes_line(config, writes, task_id)
        super().put_writes(config, writes, task_id, task_path)
        self.journal.write("writes", **line)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        line = _writes_line(config, writes, task_id)
        await super().aput_writes(config, writes, task_id, task_path)
        self.journal.write("writes", **line)


def _put_line(config: Any, checkpoint: Any, metadata: Any) -> dict[str, Any]:
    # Made before the call: afterwards LangGraph may already be at work on the next one.
    where = config["configurable"]
    return {
        "ns": where.get("checkpoint_ns", ""),
        "id": checkpoint["id"],
        "parent": where.get("checkpoint_id"),
        "parents": dict(metadata.get("parents") or {}),
        "values": short(checkpoint["channel_values"]),
    }


def _writes_line(config: Any, writes: Sequence[tuple[str, Any]], task: str) -> dict[str, Any]:
    where = config["configurable"]
    wrote = sorted([channel, short(value)] for channel, value in writes)
    return {"ns": where.get("checkpoint_ns", ""), "id": where["checkpoint_id"], "task": task, "wrote": wrote}


@dataclass(frozen=True)
class Job:
    """What a worker is to do; a thread's workers, one after the other, have all the same."""

    saver: Mapping[str, Any]
    """The saver's arguments."""
    environment: Mapping[str, str]
    thread: str
    scenario: str
    asynchronous: bool
    durability: str
    journal: Path


def work(job: Job, ready: Connection) -> None:
    """Run in a process of its own, which may be killed once it has said that it is ready."""
    os.environ.update(job.environment)
    with JournalingSaver(**job.saver) as saver:
        saver.journal = Journal(job.journal)
        builder = SCENARIOS[job.scenario](saver.journal.effect)

        def begin() -> None:
            saver.journal.write("begin")
            ready.send("ready")

        values = carry(
            builder,
            saver,
            job.thread,
            asynchronous=job.asynchronous,
            durability=job.durability,
            ready=begin,
        )
        saver.journal.write("end", values=short(values))
