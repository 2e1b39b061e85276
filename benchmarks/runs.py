"""Run one saver on one workload, and count requests and bytes."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final

from benchmarks.bucket import Bucket
from benchmarks.environments import ROOT, python_for
from benchmarks.savers import SAVERS
from benchmarks.server import Server
from benchmarks.workloads import Task
from langgraph_checkpoint_s3.format.container import MAGIC, open_container

# A peer has the import name of this package: so the repository's root goes last on the peer's path, and first
# on ours.
_START: Final = (
    "import runpy, sys; own, root, module = [sys.argv.pop(1) for _ in range(3)]; "
    "sys.path.insert(0 if own else len(sys.path), root); "
    "runpy.run_module(module, run_name='__main__', alter_sys=True)"
)
ENVIRONMENT: Final = {
    "AWS_ACCESS_KEY_ID": "benchmarks",
    "AWS_SECRET_ACCESS_KEY": "benchmarks",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""Variables of AWS's for processes of a benchmark. The server checks no signatures."""

PRICES: Final = {"PUT": 5e-6, "LIST": 5e-6, "GET": 4e-7, "HEAD": 4e-7, "DELETE": 0.0}
"""Price of a request in US dollars, of S3 Standard in us-east-1. Other operations are charged as a PUT."""
GB_MONTH: Final = 0.023
"""Price of storing 10^9 bytes for a month, in US dollars."""
_CHARGED_AS: Final = {"Get": "GET", "Head": "HEAD", "List": "LIST", "Delete": "DELETE", "Abort": "DELETE"}


class BenchmarkError(Exception):
    """A saver failed, so it has no figures."""


@dataclass(frozen=True)
class Run:
    """The result of a run.

    Attributes:
        task: The run's parameters.
        calls: Number of LangGraph's calls of methods that write, by method.
        state: Serialized size of the last state, in bytes.
        stored: Size of all objects, in bytes.
        objects: Number of objects.
        requests: Requests by the kind they are charged as.
        reading: Requests with which a new saver reads the last state.
        lenders: Number of objects that each checkpoint of this package borrows from.
        versions: Versions of packages.
    """

    task: Task
    calls: Mapping[str, int]
    state: int
    stored: int
    objects: int
    requests: Mapping[str, int]
    reading: Mapping[str, int]
    lenders: list[int]
    versions: Mapping[str, str]

    @property
    def ratio(self) -> float:
        """Stored bytes divided by the last state's."""
        return self.stored / self.state

    @property
    def request_dollars(self) -> float:
        """Price of the requests of a million turns, in US dollars."""
        return dollars(self.requests) / self.task.turns

    @property
    def storage_dollars(self) -> float:
        """Monthly price of storing a million turns, in US dollars."""
        return self.stored / 1e9 * GB_MONTH * 1e6 / self.task.turns


def run(server: Server, saver: str, workload: str, text: str, turns: int) -> Run:
    """Run a saver on a workload, in a bucket of its own.

    Raises:
        BenchmarkError: It failed, or read back another state.
        InstallError: It can't be installed here.
    """
    task = Task(saver, workload, text, turns, server.endpoint_url, f"bucket-{len(server.buckets)}")
    bucket = server.buckets[task.bucket]
    with _worker(task) as phases:
        wrote = next(phases)
        requests, stored, objects = charged(bucket.requests), bucket.size, len(bucket.objects)
        bucket.requests.clear()
        if not next(phases)["same"]:
            raise BenchmarkError(f"{saver} gave back another state than it was given")
    done = Run(
        task,
        wrote["calls"],
        wrote["state_bytes"],
        stored,
        objects,
        requests,
        charged(bucket.requests),
        _lenders(bucket),
        wrote["versions"],
    )
    bucket.objects.clear()
    return done


def dollars(requests: Mapping[str, float]) -> float:
    """Return the price of a million times these requests, in US dollars."""
    return sum(PRICES[kind] * count for kind, count in requests.items()) * 1e6


def charged(operations: Mapping[str, int]) -> dict[str, int]:
    """Return the requests by the kind that they are charged as."""
    kinds = dict.fromkeys(PRICES, 0)
    for operation, count in operations.items():
        kinds[next((kind for start, kind in _CHARGED_AS.items() if operation.startswith(start)), "PUT")] += (
            count
        )
    return kinds


def start(
    saver: str, module: str, *arguments: str, secrets: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start a module with a saver's Python, in a process that can import `benchmarks`.

    Args:
        saver: Name of the saver.
        module: The module.
        *arguments: Arguments of the module.
        secrets: AWS's variables, for a server that checks credentials.

    Raises:
        InstallError: The saver's requirements can't be installed.
    """
    return start_in(SAVERS[saver].requirements, module, *arguments, secrets=secrets)


def start_in(
    requirements: Sequence[str], module: str, *arguments: str, secrets: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start a module with a Python that has these requirements."""
    own = "" if requirements else "own"
    argv = [str(python_for(requirements)), "-I", "-c", _START, own, str(ROOT), module, *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= {**ENVIRONMENT, **(secrets or {})}
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


@contextmanager
def _worker(task: Task) -> Iterator[Iterator[dict[str, Any]]]:
    """Yield a worker's reports, one for each phase. It continues when the next one is requested."""
    process = start(task.saver, "benchmarks.worker", json.dumps(asdict(task)))

    def phases() -> Iterator[dict[str, Any]]:
        assert process.stdin
        assert process.stdout
        for line in process.stdout:
            yield json.loads(line)
            process.stdin.write("\n")
            process.stdin.flush()
        raise BenchmarkError(f"{task.saver} ended with status {process.wait()}; see above")

    try:
        yield phases()
    finally:
        process.communicate()


def _lenders(bucket: Bucket) -> list[int]:
    """Return the number of lenders of each checkpoint of this package."""
    counts: list[int] = []
    for stored in bucket.objects.values():
        if stored.data.startswith(MAGIC):
            container = open_container(stored.data, len(stored.data))
            if container.fields["leaf"].startswith("checkpoint"):
                counts.append(len({frame.lender for frame in container.frames if frame.lender}))
    return counts
