"""Kills workers at random moments, lets others go on, and checks what must hold.

    for report in sweep(place, folder, kills=200, seed=1): ...

Whatever the moment:

- Each `put` and `put_writes` that was acknowledged is there, and reads as it was given; nothing is
  there twice.
- A task is never run again whose `put_writes` was acknowledged, together with the `put` of its checkpoint
  and, in a subgraph, of the checkpoints around it. (With `durability="async"` LangGraph may store a task's
  writes before their checkpoint; if that never arrives, the step is done again, under another id.)
- Each side effect happened, and the state at the end is that of an undisturbed run.
"""

from __future__ import annotations

import itertools
import multiprocessing
import random
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT, RESUME, SCHEDULED

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.format.keys import Layout, WritesLeaf
from tests.contract.fixtures import environment
from tests.contract.support import Place, at
from tests.crash.graphs import SCENARIOS, carry
from tests.crash.worker import Job, Journal, short, work

Lines = Sequence[Mapping[str, Any]]
Kind = tuple[str, bool, str]

PREFIX = "crash/"
SPECIAL = frozenset({ERROR, INTERRUPT, RESUME, SCHEDULED})
_PATIENCE = 120
"""Seconds after which a worker that nobody killed hangs."""
# LangGraph's `interrupt` finds its run through a context variable, which async tasks take along from 3.11 on.
_DRIVERS = (False, True) if sys.version_info >= (3, 11) else (False,)


@dataclass
class Report:
    """What a sweep did."""

    kills: int = 0
    threads: int = 0
    puts: int = 0
    writes: int = 0
    orphans: int = 0
    """Acknowledged writes whose checkpoint never arrived."""
    settled: int = 0
    """Effects that had been acknowledged, of a thread that was killed afterwards."""
    again: int = 0
    """Effects that happened more than once."""
    moments: Counter[str] = field(default_factory=Counter)
    """What a killed worker had last written into its journal."""


class Workers:
    """Starts workers as forks of a process that has imported everything, so that each is ready at once."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["tests.crash.worker"])

    def run(self, job: Job, *, kill_after: float | None) -> float | None:
        """Let a worker do its job, or kill it after so many seconds.

        Returns:
            How long it took; `None` if it was killed.
        """
        ours, theirs = self._context.Pipe(duplex=False)
        process = self._context.Process(target=work, args=(job, theirs), daemon=True)
        process.start()
        theirs.close()
        with ours:
            assert ours.poll(_PATIENCE), "the worker didn't begin"
            assert ours.recv() == "ready"
        begun = time.monotonic()
        process.join(_PATIENCE if kill_after is None else kill_after)
        took = time.monotonic() - begun
        if process.exitcode is None:
            process.kill()
            process.join()
            assert kill_after is not None, f"the worker hangs: {job}"
        killed = process.exitcode == -9
        assert killed or process.exitcode == 0, f"the worker ended with {process.exitcode}: {job}"
        process.close()
        return None if killed else took


def sweep(place: Place, folder: Path, *, kills: int, seed: int) -> Report:
    """Kill workers so many times, on one thread after the other, each until it has come to its end."""
    draw = random.Random(seed)
    report = Report()
    workers = Workers()
    kinds: list[Kind] = list(itertools.product(SCENARIOS, _DRIVERS, ("sync", "async", "exit")))
    draw.shuffle(kinds)
    usual: dict[Kind, float] = {}
    with S3Saver(**_arguments(place), cache_bytes=0) as reader:
        for number, kind in enumerate(itertools.cycle(kinds)):
            if report.kills >= kills:
                return report
            if kind not in usual:
                job = _job(place, folder, f"{number}-undisturbed", kind)
                took = workers.run(job, kill_after=None)
                assert took is not None
                usual[kind] = took
                check(reader, place, job, Report())
            job = _job(place, folder, f"{number}", kind)
            while workers.run(job, kill_after=draw.uniform(0, usual[kind])) is None:
                report.kills += 1
                report.moments[Journal.read(job.journal)[-1]["what"]] += 1
                check_acknowledged(reader, place, job)
            check(reader, place, job, report)
    raise AssertionError


def _arguments(place: Place) -> dict[str, Any]:
    """Straight to the server: a front in this process would be a part of the experiment."""
    return place.arguments(endpoint_url=place.server.endpoint_url, prefix=PREFIX)


def _job(place: Place, folder: Path, thread: str, kind: Kind) -> Job:
    scenario, asynchronous, durability = kind
    return Job(
        _arguments(place),
        environment(place.server),
        f"{thread} {scenario} {'async' if asynchronous else 'sync'} {durability}",
        scenario,
        asynchronous,
        durability,
        folder / f"{thread}.journal",
    )


def check(reader: S3Saver, place: Place, job: Job, report: Report) -> None:
    """All that must hold at the end; adds to the report."""
    lines = Journal.read(job.journal)
    effects: list[str] = []
    undisturbed = carry(
        SCENARIOS[job.scenario](lambda label, _: effects.append(label)),
        InMemorySaver(),
        "thread",
        asynchronous=False,
        durability=job.durability,
    )
    assert lines[-1]["what"] == "end", job.thread
    assert lines[-1]["values"] == short(undisturbed), f"{job.thread} ends with another answer"
    happened = Counter(line["label"] for line in lines if line["what"] == "effect")
    assert happened.keys() == set(effects), f"{job.thread} did {happened}, and not {effects}"
    report.threads += 1
    report.settled += check_never_again(lines, job.thread)
    report.again += sum(times > 1 for times in happened.values())
    report.puts += sum(line["what"] == "put" for line in lines)
    report.writes += sum(line["what"] == "writes" for line in lines)
    report.orphans += check_acknowledged(reader, place, job)


def check_acknowledged(reader: S3Saver, place: Place, job: Job) -> int:
    """What was acknowledged is there, once, and right; how many writes are without a checkpoint."""
    lines = Journal.read(job.journal)
    there = list(reader.list(at(job.thread, ns=None)))
    shown = {_where(each.config): each for each in there}
    assert len(shown) == len(there), f"{job.thread} lists one twice"
    for line in lines:
        if line["what"] != "put":
            continue
        found = shown.get((line["ns"], line["id"]))
        assert found is not None, f"{job.thread} lost {line}"
        assert short(found.checkpoint["channel_values"]) == line["values"], f"{job.thread} changed {line}"
        parent = found.parent_config and found.parent_config["configurable"]["checkpoint_id"]
        assert parent == line["parent"], f"{job.thread} has another parent for {line}"
    orphans = 0
    stored = set(place.listing(PREFIX))
    for line in lines:
        if line["what"] != "writes":
            continue
        holder = shown.get((line["ns"], line["id"]))
        if holder is None:
            assert _has_writes(stored, job.thread, line), f"{job.thread} lost {line}"
            orphans += 1
            continue
        pending = [each[1:] for each in holder.pending_writes or () if each[0] == line["task"]]
        wrote = sorted([channel, short(value)] for channel, value in pending)
        # Regular ones are there as they were given, and once. Of special ones the last value counts, which
        # another worker may have written since.
        regular = [each for each in line["wrote"] if each[0] not in SPECIAL]
        if regular:
            assert [each for each in wrote if each[0] not in SPECIAL] == regular, f"{job.thread} lost {line}"
        assert {channel for channel, _ in line["wrote"]} <= {channel for channel, _ in wrote}
    return orphans


def _where(config: Any) -> tuple[str, str]:
    return config["configurable"]["checkpoint_ns"], config["configurable"]["checkpoint_id"]


def _has_writes(stored: set[str], thread: str, line: Mapping[str, Any]) -> bool:
    layout = Layout(PREFIX)
    folder = layout.checkpoint(thread, line["ns"], line["id"])
    leaves = [layout.parse(key).leaf for key in stored if key.startswith(folder)]
    return any(isinstance(leaf, WritesLeaf) and leaf.task == line["task"] for leaf in leaves)


def check_never_again(lines: Lines, thread: str) -> int:
    """No effect follows upon its own acknowledgement.

    Returns:
        How many were acknowledged before a worker was killed.
    """
    puts = {(line["ns"], line["id"]): when for when, line in enumerate(lines) if line["what"] == "put"}
    parents = {(line["ns"], line["id"]): line["parents"] for line in lines if line["what"] == "put"}
    labels = {line["task"]: line["label"] for line in lines if line["what"] == "effect"}
    last_begin = max(when for when, line in enumerate(lines) if line["what"] == "begin")
    settled: dict[str, int] = {}
    for when, line in enumerate(lines):
        if line["what"] != "writes" or all(channel in SPECIAL for channel, _ in line["wrote"]):
            continue
        where = (line["ns"], line["id"])
        around = [where, *parents.get(where, {}).items()]
        if line["task"] in labels and all(each in puts for each in around):
            label = labels[line["task"]]
            settled.setdefault(label, max(when, *(puts[each] for each in around)))
    for when, line in enumerate(lines):
        if line["what"] == "effect":
            assert when < settled.get(line["label"], len(lines)), (
                f"{thread} did {line} again, after {settled}"
            )
    return sum(when < last_begin for when in settled.values())
