"""Telemetry where there is none: nothing is imported, and little is done."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import suppress
from typing import get_args

import pytest

from langgraph_checkpoint_s3.s3 import telemetry
from langgraph_checkpoint_s3.s3.stats import Counts, Number, Stats
from langgraph_checkpoint_s3.s3.telemetry import Operation

PROGRAM = """
import sys
{before}
from tests.support import inside
from tests.support.checkpoints import place, put_chain
from tests.support.fake_s3 import FakeS3
from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.s3.telemetry import instruments
saver = S3Saver("bucket")
with inside.shared(saver).operation("put") as counts:
    counts.count("retries")
assert saver.stats().operations == {{"put": 1}}
assert saver.stats().retries == 1
print(instruments() is not None, [name for name in sys.modules if name.startswith("opentelemetry")][:1])
"""


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("sys.modules['opentelemetry'] = None", "False ['opentelemetry']"),
        ("", "False []"),
        ("import opentelemetry.trace", "True ['opentelemetry']"),
    ],
    ids=["not installed", "not used", "used"],
)
def test_it_is_there_where_the_application_uses_it(before: str, expected: str) -> None:
    program = [sys.executable, "-W", "error", "-c", PROGRAM.format(before=before)]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == (expected, "")


def test_an_operations_counts_count_for_all() -> None:
    total = Counts()
    one, two = Counts(total), Counts(total)
    with Operation("put", "bucket", total):
        one.count("bytes_sent", 7)
        one.request("PutObject")
    with suppress(KeyError), Operation("put", "bucket", total):
        two.count("bytes_sent", 1)
        raise KeyError
    assert total.stats("closed") == Stats(
        requests={"PutObject": 1},
        bytes_sent=8,
        circuit="closed",
        operations={"put": 2},
        errors={"put": 1},
    )
    assert (one.numbers["bytes_sent"], two.numbers["bytes_sent"]) == (7, 1)


def test_no_count_is_lost_between_threads() -> None:
    total = Counts()

    def work() -> None:
        for _ in range(200):
            with Operation("put", "bucket", total) as counts:
                counts.count("retries")
                counts.request("PutObject")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stats = total.stats("off")
    assert (stats.retries, stats.operations, stats.requests) == (1_600, {"put": 1_600}, {"PutObject": 1_600})


def test_every_number_has_its_place() -> None:
    """A number that `Stats` doesn't have would break it."""
    numbers = set(telemetry._COUNTERS) | {"hedges_won"}
    assert numbers == set(get_args(Number))
    assert numbers <= set(Stats.__dataclass_fields__)
