"""Many threads and event loops on one saver, for a long time, while some requests fail.

    make soak                                  20 minutes on moto
    SOAK_SECONDS=180 SOAK_SERVER=ceph make soak

Some threads and loops live as long as the run, others come and go. Each works on threads of its own, checks
what it reads, and deletes them in the end. What the process holds is looked at all the time: after a
while in which caches and pools fill, it must stay the same; and once the saver is closed, nothing is left.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langgraph_checkpoint_s3 import S3CheckpointError, S3Saver
from tests.contract.chaos_worker import Worker
from tests.contract.support import MIB, Calls, at, checkpoint, metadata

RATE = 0.05
"""Of how many requests something goes wrong."""
_LOOK = 2.0
"""Seconds from one look to the next."""
_TELL = 30.0
_CROWD = 12
"""Tasks at once on one loop."""


@dataclass(frozen=True)
class Held:
    """Resources of this process at a moment."""

    rss: float
    """MB."""
    files: int
    sockets: int
    threads: int

    @staticmethod
    def now() -> Held:
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        links = []
        for each in Path("/proc/self/fd").iterdir():
            with suppress(FileNotFoundError):  # closed meanwhile, or what lists them
                links.append(str(each.readlink()))
        sockets = sum(link.startswith("socket:") for link in links)
        return Held(
            pages * os.sysconf("SC_PAGE_SIZE") / 1e6, len(links) - sockets, sockets, threading.active_count()
        )

    def __str__(self) -> str:
        rest = f"{self.sockets:4} sockets {self.files:4} other files {self.threads:4} threads"
        return f"{self.rss:6.0f} MB {rest}"


def middle(looks: Sequence[Held]) -> Held:
    """The median of each figure."""
    rss = statistics.median(each.rss for each in looks)
    counts = [
        round(statistics.median(getattr(each, name) for each in looks))
        for name in ("files", "sockets", "threads")
    ]
    return Held(rss, *counts)


class Soak:
    """The load.

    Args:
        saver: The one that all of it goes to.
        seconds: How long.
        seed: Decides what is done.
    """

    def __init__(self, saver: S3Saver, seconds: float, seed: int) -> None:
        self._saver = saver
        self._seed = seed
        self._until = time.monotonic() + seconds
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.done: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.loops = 0

    @property
    def over(self) -> bool:
        return self._stop.is_set() or time.monotonic() >= self._until

    def run(self, look: Callable[[], None]) -> None:
        """Do it, and look at it in between."""
        kinds: dict[Callable[[str], None], int] = {
            self._thread: 4,
            self._passing_thread: 2,
            self._loop: 2,
            self._passing_loop: 2,
            self._crowd: 1,
        }
        with ThreadPoolExecutor(sum(kinds.values()), "soak") as pool:
            running = [
                pool.submit(kind, f"{kind.__name__}-{number}")
                for kind, many in kinds.items()
                for number in range(many)
            ]
            try:
                while not self.over and not any(future.done() for future in running):
                    time.sleep(_LOOK)
                    look()
            finally:
                self._stop.set()
        for future in running:
            future.result()

    def _turns(self, name: str) -> Iterator[str]:
        turn = 0
        while not self.over:
            yield f"{name}-{turn}"
            turn += 1

    def _work(self, calls: Any, name: str, operations: int) -> None:
        worker = Worker(calls, calls, name, self._seed)
        worker.work(operations)
        worker.leave()
        with self._lock:
            self.done += worker.done
            self.errors += worker.errors

    def _thread(self, name: str) -> None:
        for turn in self._turns(name):
            self._work(self._saver, turn, 40)

    def _passing_thread(self, name: str) -> None:
        for turn in self._turns(name):
            with ThreadPoolExecutor(1) as pool:
                pool.submit(self._work, self._saver, turn, 8).result()

    def _loop(self, name: str) -> None:
        with self._calls() as calls:
            for turn in self._turns(name):
                self._work(calls, turn, 40)

    def _passing_loop(self, name: str) -> None:
        for turn in self._turns(name):
            with self._calls() as calls:
                self._work(calls, turn, 8)

    def _calls(self) -> Calls:
        with self._lock:
            self.loops += 1
        return Calls(self._saver, asynchronous=True, guard=False)

    def _crowd(self, name: str) -> None:
        """Many tasks on one loop."""

        async def one(thread: str) -> None:
            saver = self._saver
            try:
                config = at(thread)
                for step in range(4):
                    held = checkpoint({"step": step, "text": thread * 50})
                    config = await saver.aput(config, held, metadata(step), held["channel_versions"])
                    await saver.aput_writes(config, [("text", step)], "task")
                found = await saver.aget_tuple(at(thread))
                assert found is not None
                assert found.checkpoint["channel_values"]["step"] == 3
                assert found.pending_writes == [("task", "text", 3)]
                assert len([each async for each in saver.alist(at(thread))]) == 4
                with self._lock:
                    self.done.update({"put": 4, "put_writes": 4, "get": 1, "list": 1})
            except S3CheckpointError as error:
                with self._lock:
                    self.errors[type(error).__name__] += 1
            finally:
                await self._delete(thread)

        async def all_of_them(turn: str) -> None:
            await asyncio.gather(*(one(f"{turn}-{number}") for number in range(_CROWD)))

        for turn in self._turns(name):
            with self._calls() as calls:
                calls.run(all_of_them(turn))

    async def _delete(self, thread: str) -> None:
        while True:
            try:
                return await self._saver.adelete_thread(thread)
            except S3CheckpointError as error:
                with self._lock:
                    self.errors[type(error).__name__] += 1


@contextmanager
def served(name: str, seed: int) -> Iterator[dict[str, Any]]:
    """A server in another process, behind a front that fails some requests."""
    command = [sys.executable, "-m", "tests.soak.server", name, str(RATE), str(seed)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdin
        said = process.stdout.readline()
        if not said:
            sys.exit(process.wait())
        try:
            yield json.loads(said)
        finally:
            process.stdin.close()
            process.wait(60)


def judge(looks: Sequence[tuple[float, Held]], seconds: float) -> list[str]:
    """Return the resources that grew from the first part after the warm-up to the last."""
    warm_up = min(seconds / 5, 180)
    part = (seconds - warm_up) / 3
    first = middle([held for when, held in looks if warm_up <= when < warm_up + part])
    last = middle([held for when, held in looks if when >= seconds - part])
    print(f"after the warm-up {first}\nat the end        {last}", flush=True)
    allowed = {
        "rss": first.rss * 1.1 + 20,
        "files": first.files + 4,
        "sockets": first.sockets * 1.2 + 8,
        "threads": first.threads * 1.2 + 4,
    }
    return [
        f"{name} went from {getattr(first, name):g} to {getattr(last, name):g}"
        for name, most in allowed.items()
        if getattr(last, name) > most
    ]


def soak(place: dict[str, Any], seconds: float, seed: int) -> list[str]:
    """Run the load; what is wrong in the end."""
    unraisable: list[str] = []
    sys.unraisablehook = lambda what: unraisable.append(f"{what.exc_value!r} in {what.object!r}")
    os.environ.update(place["environment"])
    before = Held.now()
    began = time.monotonic()
    looks: list[tuple[float, Held]] = []
    last_report = 0.0
    with S3Saver(
        place["bucket"], endpoint_url=place["url"], region=place["region"], cache_bytes=8 * MIB
    ) as saver:
        load = Soak(saver, seconds, seed)

        def look() -> None:
            nonlocal last_report
            now = time.monotonic() - began
            looks.append((now, Held.now()))
            if now - last_report >= _TELL:
                last_report = now
                recent = middle([held for when, held in looks if when > now - _TELL])
                print(
                    f"{now:6.0f} s {recent} {load.done.total():7} done {load.errors.total():4} errors "
                    f"{load.loops:5} loops",
                    flush=True,
                )

        load.run(look)
        print(f"done: {dict(load.done)}; errors: {dict(load.errors)}; loops: {load.loops}", flush=True)
        print(f"requests: {dict(saver.stats().requests)}", flush=True)
        wrong = judge(looks, seconds)
    after = Held.now()
    for _ in range(50):  # connections that are closing take a moment
        if (after.sockets, after.threads) == (before.sockets, before.threads):
            break
        time.sleep(0.1)
        after = Held.now()
    print(f"before it all     {before}\nclosed            {after}", flush=True)
    for name in ("sockets", "threads"):
        if getattr(after, name) > getattr(before, name):
            wrong.append(f"{getattr(after, name) - getattr(before, name)} {name} are left")
    return wrong + unraisable


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--seconds", type=float, default=1200)
    parser.add_argument("--server", default="moto", help="moto, local, rclone, ceph or localstack")
    parser.add_argument("--seed", type=int, default=0, help="0 is another one each time")
    asked = parser.parse_args()
    seed = asked.seed or random.randrange(1, 1 << 32)
    print(f"{asked.seconds:g} s on {asked.server}, seed {seed}", flush=True)
    with served(asked.server, seed) as place:
        wrong = soak(place, asked.seconds, seed)
    print("\n".join(wrong) or "all is flat")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
