"""Time of a cold start of `examples.lambda_handler`, and the S3 saver's share of it.

    python -m examples.lambda_cold_start [ROUNDS]

There is no Lambda here. What stands in for it is a fresh process that imports the handler and calls it with
events, on a local S3 server. In turns, the same handler runs with `InMemorySaver` in the saver's place.
CPU time is what is compared: it tells least of what else the machine does, and of how fast the server is.
Lambda fetches the package besides and gives CPU by memory, and S3 takes tens of milliseconds for a request.
"""

import importlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langgraph_checkpoint_s3.testing import LocalS3

STARTED = time.process_time(), time.perf_counter()

PARTS = {
    "langgraph": "import langgraph and langchain-core",
    "saver": "import the saver",
    "handler": "import the handler: saver and graph are made",
    "client": "client, connection, one LIST",
    "first": "the first event",
    "second": "the second event",
}

CLIENTS = ("boto3", "botocore.client", "aiobotocore")


class Context:
    """The context that Lambda passes beside the event."""

    def __init__(self, request_id: str, seconds: float = 30.0) -> None:
        self.aws_request_id = request_id
        self._end = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return int((self._end - time.monotonic()) * 1000)


def in_memory() -> None:
    """Put `InMemorySaver` where the handler looks for `S3Saver`."""
    from langgraph.checkpoint.memory import InMemorySaver

    class Saver(InMemorySaver):
        @classmethod
        def from_env(cls, **settings: Any) -> "Saver":
            return cls()

        def lease(self, thread_id: str, **terms: Any) -> nullcontext[None]:
            return nullcontext()

    package: Any = types.ModuleType("langgraph_checkpoint_s3")
    errors: Any = types.ModuleType("langgraph_checkpoint_s3.errors")
    package.S3Saver = Saver
    errors.ConflictError = errors.InvalidKeyError = errors.StorageUnavailableError = ConnectionError
    sys.modules |= {package.__name__: package, errors.__name__: errors}


def start(kind: str) -> None:
    """One cold start, in this process: CPU seconds of each part, seconds by the clock, memory."""
    seconds: dict[str, float] = {}
    last, began = STARTED

    def lap(part: str) -> None:
        nonlocal last
        seconds[part], last = time.process_time() - last, time.process_time()

    importlib.import_module("langchain_core.language_models")
    importlib.import_module("langgraph.graph")

    lap("langgraph")
    if kind == "memory":
        in_memory()
    else:
        importlib.import_module("langgraph_checkpoint_s3.errors")
    lap("saver")
    from examples import lambda_handler

    lap("handler")
    early = [name for name in CLIENTS if name in sys.modules]
    lambda_handler.saver.get_tuple({"configurable": {"thread_id": "nobody"}})
    lap("client")
    elapsed = 0.0
    for part, text in (("first", "My name is Ada."), ("second", "Who am I?")):
        event = {"thread": f"ada-{os.getpid()}", "text": text}
        assert lambda_handler.handler(event, Context(part))["reply"]
        lap(part)
        elapsed = elapsed or time.perf_counter() - began
    late = [name for name in CLIENTS if name in sys.modules]
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
    print(json.dumps({"seconds": seconds, "elapsed": elapsed, "peak": peak, "early": early, "late": late}))


def one(kind: str, server: "LocalS3") -> dict[str, Any]:
    """Return the output of `start`, run in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "S3_"))}
    environment |= server.environment() | {"S3_BUCKET_NAME": "checkpoints"}
    argv = [sys.executable, "-m", "examples.lambda_cold_start", kind]
    done = subprocess.run(argv, env=environment, check=True, stdout=subprocess.PIPE)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def measure(rounds: int) -> dict[str, list[dict[str, Any]]]:
    """Cold starts of both kinds, in turns. The first of each reads files from the disk, and doesn't count."""
    from langgraph_checkpoint_s3.testing import local_s3

    with tempfile.TemporaryDirectory() as folder, local_s3(folder) as server:
        starts = [(one("s3", server), one("memory", server)) for _ in range(rounds + 1)][1:]
    return {"s3": [s3 for s3, _ in starts], "memory": [memory for _, memory in starts]}


def table(found: dict[str, list[dict[str, Any]]]) -> str:
    """Medians in ms, and how the whole compares, start by start."""

    def row(name: str, values: list[float]) -> str:
        return f"{name:<48}{values[0]:>10.0f}{values[1]:>15.0f}"

    def medians(of: Callable[[dict[str, Any]], float]) -> list[float]:
        return [statistics.median(map(of, starts)) for starts in found.values()]

    def whole(start: dict[str, Any]) -> float:
        seconds: dict[str, float] = start["seconds"]
        return (sum(seconds.values()) - seconds["second"]) * 1e3

    def seconds(part: str, start: dict[str, Any]) -> float:
        taken: float = start["seconds"][part]
        return taken * 1e3

    parts = {text: medians(partial(seconds, part)) for part, text in PARTS.items()}
    again = parts.pop(PARTS["second"])
    ratios = [whole(s3) / whole(memory) for s3, memory in zip(*found.values(), strict=True)]
    ratio = statistics.median(ratios)
    lines = [
        f"{'CPU, ms':<48}{'S3Saver':>10}{'InMemorySaver':>15}",
        *(row(text, values) for text, values in parts.items()),
        row("together", medians(whole)),
        row(PARTS["second"], again),
        row("until the first answer, ms by the clock", medians(lambda start: start["elapsed"] * 1e3)),
        row("peak memory, MB", medians(lambda start: start["peak"])),
    ]
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    lines += [
        f"S3Saver's start takes {ratio:.2f} times the CPU time ({spread}): {1 - 1 / ratio:.0%} is its share."
    ]
    return "\n".join(lines)


def main(argument: str = "7") -> None:
    if argument in ("s3", "memory"):
        start(argument)
    else:
        print(table(measure(int(argument))))


if __name__ == "__main__":
    main(*sys.argv[1:])
