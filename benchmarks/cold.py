"""Cold starts: the time from the first import of a new process to its first answer.

For boto3: its import, a client, and one request. For a saver: its import, its constructor, and `get_tuple` of
an existing thread, which takes two requests in sequence. They alternate, several times each. Async methods
are compared with aiobotocore.
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
"""boto3, and what every saver imports: the least that a saver with boto3 needs."""
AIO: Final = "aiobotocore"
AIO_BASE: Final = "langgraph.checkpoint, aiobotocore"
ASYNC: Final = ", async"
"""Suffix of a saver's name for its async methods."""


def cold_starts(endpoint_url: str, buckets: Mapping[str, str], own: str, rounds: int) -> list[Cold]:
    """Measure cold starts.

    Args:
        endpoint_url: URL of the server.
        buckets: For each saver, the bucket of its thread.
        own: The saver in whose environment boto3 is measured.
        rounds: Number of rounds.
    """
    blocking = [BOTO3, BASE, *buckets]
    coroutines = [AIO, AIO_BASE, *(f"{name}{ASYNC}" for name in buckets if name in OURS)]
    seconds: dict[str, list[float]] = {what: [] for what in [*blocking, *coroutines]}
    for number in range(rounds + 1):
        for what, found in seconds.items():
            saver = what.removesuffix(ASYNC)
            where = buckets.get(saver, "bucket")
            took = once(saver if saver in buckets else own, what, endpoint_url, where)
            if number:  # the first round fills the disk cache and compiles modules
                found.append(took)
    return [
        Cold(what, statistics.median(seconds[what]), quartiles(_ratios(seconds[what], seconds[client])))
        for client, found in ((BOTO3, blocking), (AIO, coroutines))
        for what in found
    ]


def quartiles(values: Sequence[float]) -> list[float]:
    """Return the quartiles of any number of values."""
    return statistics.quantiles(values, n=4) if len(values) > 1 else [*values] * 3


def _ratios(values: Sequence[float], others: Sequence[float]) -> list[float]:
    return [value / other for value, other in zip(values, others, strict=True)]


def once(saver: str, what: str, endpoint_url: str, bucket: str) -> float:
    """Return the seconds of one start, in the environment of a saver."""
    with start(saver, "benchmarks.cold_worker", what, endpoint_url, bucket) as process:
        printed, _ = process.communicate()
    if process.returncode:
        raise BenchmarkError(f"{what} ended with status {process.returncode}; see above")
    return float(json.loads(printed)["seconds"])
