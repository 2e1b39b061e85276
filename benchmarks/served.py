"""The benchmarks' S3 server in a process of its own, so that it doesn't share the measured interpreter.

Commands and answers are lines of JSON. It logs the requests of each bucket, and can create a long thread: the
saver's plans write it straight into memory.
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
    """The server's process, which starts on first use and ends with its `with` block."""

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
        """URL of the server."""
        return str(self.ask("where"))

    def ask(self, what: str, **keywords: Any) -> Any:
        """Send a command, and return the answer.

        Raises:
            BenchmarkError: The process has ended.
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
        """Return the name of an unused bucket."""
        self._number += 1
        return f"bucket-{self._number}"

    def requests(self, bucket: str) -> dict[str, int]:
        """Return the requests of a bucket since the last call, by the kind that they are charged as."""
        found: dict[str, int] = self.ask("take", bucket=bucket)["requests"]
        return {kind: count for kind, count in found.items() if count}


class _Logged(Bucket):
    """A bucket that logs its requests, with times."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[dict[str, Any]] = []

    def answer(self, request: Request) -> Answer:
        entry = {
            "at": time.perf_counter(),
            "operation": request.operation,
            "key": request.key,
            "query": dict(request.query),
            "size": len(request.body),
            "new": request.headers.get("if-none-match") == "*",
        }
        self.log.append(entry)
        return super().answer(request)


class _Commands:
    """The server's commands."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._buckets: defaultdict[str, _Logged] = defaultdict(_Logged)
        server.buckets = self._buckets  # type: ignore[assignment]  # a dict is invariant

    def where(self) -> str:
        """Return the URL of the server."""
        return self._server.endpoint_url

    def latency(self, milliseconds: float) -> None:
        """Set the latency of responses."""
        self._server.latency = milliseconds / 1e3

    def take(self, bucket: str) -> dict[str, Any]:
        """Return the requests of a bucket since the last call."""
        found = self._buckets[bucket]
        taken = {"requests": charged(found.requests), "log": list(found.log)}
        found.requests.clear()
        found.log.clear()
        return taken

    def fill(self, bucket: str, thread: str, count: int) -> list[str]:
        """Create a thread of checkpoints, each with a task's writes. Return their ids, oldest first."""
        ids, objects = write_thread(thread, count)
        for key, data in objects.items():
            super(_Logged, self._buckets[bucket]).answer(Request("PUT", bucket, key, {}, {}, data))
        self._buckets[bucket].requests.clear()
        return ids

    def drop(self, bucket: str) -> None:
        """Drop a bucket."""
        self._buckets.pop(bucket, None)


def main() -> None:
    """Run commands until the input ends."""
    with Server() as server:
        commands = _Commands(server)
        does: dict[str, Callable[..., Any]] = {
            name: getattr(commands, name) for name in ("where", "latency", "take", "fill", "drop")
        }
        for line in sys.stdin:
            name, keywords = json.loads(line)
            print(json.dumps(does[name](**keywords)), flush=True)


if __name__ == "__main__":
    main()
