"""The benchmarks' S3 server in a process of its own, so that it takes no time of whom is measured.

Told by lines of JSON what to do, as `turn_worker` is. It logs what each bucket is asked for, and can make a
long thread by itself: the saver's own plans write it, straight into memory.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import defaultdict
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any

from benchmarks.bucket import Answer, Bucket, Request
from benchmarks.instant import write_thread
from benchmarks.runs import BenchmarkError, charged, start
from benchmarks.savers import OURS
from benchmarks.server import Server

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self


class Served:
    """The server's process, for as long as the body of its `with`.

    It starts when it is first asked for something.
    """

    def __init__(self) -> None:
        self._number = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if "_process" in self.__dict__:
            self._process.communicate()

    @cached_property
    def _process(self) -> subprocess.Popen[str]:
        return start(next(iter(OURS)), "benchmarks.served")

    @cached_property
    def endpoint_url(self) -> str:
        """Where it listens."""
        return str(self.ask("where"))

    def ask(self, what: str, **keywords: Any) -> Any:
        """Have it do something.

        Raises:
            BenchmarkError: It has ended.
        """
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([what, keywords]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise BenchmarkError(f"the server ended with status {self._process.wait()}; see above")
        return json.loads(line)

    def bucket(self) -> str:
        """The name of a bucket that nobody has used."""
        self._number += 1
        return f"bucket-{self._number}"

    def requests(self, bucket: str) -> dict[str, int]:
        """What a bucket was asked for since this was asked last, by the kind that it is charged as."""
        found: dict[str, int] = self.ask("take", bucket=bucket)["requests"]
        return {kind: count for kind, count in found.items() if count}


class _Logged(Bucket):
    """A bucket that knows when it was asked for what."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[dict[str, Any]] = []

    def answer(self, request: Request) -> Answer:
        told = {
            "at": time.perf_counter(),
            "operation": request.operation,
            "key": request.key,
            "query": dict(request.query),
            "size": len(request.body),
            "new": request.headers.get("if-none-match") == "*",
        }
        self.log.append(told)
        return super().answer(request)


class _Desk:
    """What the server can be told."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._buckets: defaultdict[str, _Logged] = defaultdict(_Logged)
        server.buckets = self._buckets  # type: ignore[assignment]  # a dict is invariant

    def where(self) -> str:
        """Where it listens."""
        return self._server.endpoint_url

    def latency(self, milliseconds: float) -> None:
        """How long every answer takes from now on."""
        self._server.latency = milliseconds / 1e3

    def take(self, bucket: str) -> dict[str, Any]:
        """What a bucket was asked for since the last time."""
        found = self._buckets[bucket]
        taken = {"requests": charged(found.requests), "log": list(found.log)}
        found.requests.clear()
        found.log.clear()
        return taken

    def fill(self, bucket: str, thread: str, count: int) -> list[str]:
        """Make a thread of so many checkpoints, each with a task's writes; their ids, oldest first."""
        ids, objects = write_thread(thread, count)
        for key, data in objects.items():
            super(_Logged, self._buckets[bucket]).answer(Request("PUT", bucket, key, {}, {}, data))
        self._buckets[bucket].requests.clear()
        return ids

    def drop(self, bucket: str) -> None:
        """Forget a bucket."""
        self._buckets.pop(bucket, None)


def main() -> None:
    """Do what is asked for, until nothing more is."""
    with Server() as server:
        desk = _Desk(server)
        does: dict[str, Callable[..., Any]] = {
            name: getattr(desk, name) for name in ("where", "latency", "take", "fill", "drop")
        }
        for line in sys.stdin:
            name, keywords = json.loads(line)
            print(json.dumps(does[name](**keywords)), flush=True)


if __name__ == "__main__":
    main()
