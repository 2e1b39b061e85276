"""How long a fresh process takes from its first import to a first answer, beside boto3's own.

boto3's own is its import, a client, and one request. A saver's is its import, itself, and `get_tuple` of a
thread that is there: two requests at least, one after the other. In turns, several times each. The same of
this saver's async methods, beside aiobotocore's own.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from typing import Final

from benchmarks.figures import Cold
from benchmarks.runs import BenchmarkError, start
from benchmarks.savers import OURS

BOTO3: Final = "boto3"
BASE: Final = "langgraph.checkpoint, boto3"
"""What every saver must import, and boto3: what no saver with boto3 can beat."""
AIO: Final = "aiobotocore"
AIO_BASE: Final = "langgraph.checkpoint, aiobotocore"
ASYNC: Final = ", async"
"""What is behind a saver's name where it is called as a coroutine."""


def cold_starts(endpoint_url: str, buckets: Mapping[str, str], own: str, rounds: int) -> list[Cold]:
    """Measure.

    Args:
        endpoint_url: The server.
        buckets: For each saver, one in which its thread is.
        own: The saver whose environment boto3 is measured in.
        rounds: How often.
    """
    blocking = [BOTO3, BASE, *buckets]
    coroutines = [AIO, AIO_BASE, *(f"{name}{ASYNC}" for name in buckets if name in OURS)]
    seconds: dict[str, list[float]] = {what: [] for what in [*blocking, *coroutines]}
    for number in range(rounds + 1):
        for what, found in seconds.items():
            saver = what.removesuffix(ASYNC)
            where = buckets.get(saver, "bucket")
            took = once(saver if saver in buckets else own, what, endpoint_url, where)
            if number:  # the first round reads files from the disk, and compiles them
                found.append(took)
    return [
        Cold(what, statistics.median(seconds[what]), quartiles(_ratios(seconds[what], seconds[client])))
        for client, found in ((BOTO3, blocking), (AIO, coroutines))
        for what in found
    ]


def quartiles(values: Sequence[float]) -> list[float]:
    """The quartiles, of any number of values."""
    return statistics.quantiles(values, n=4) if len(values) > 1 else [*values] * 3


def _ratios(values: Sequence[float], others: Sequence[float]) -> list[float]:
    return [value / other for value, other in zip(values, others, strict=True)]


def once(saver: str, what: str, endpoint_url: str, bucket: str) -> float:
    """Seconds of one start, in the environment of a saver."""
    with start(saver, "benchmarks.cold_worker", what, endpoint_url, bucket) as process:
        printed, _ = process.communicate()
    if process.returncode:
        raise BenchmarkError(f"{what} ended with status {process.returncode}; see above")
    return float(json.loads(printed)["seconds"])
