"""The executed bytecodes of a saver's calls: unlike times, they are the same on every machine.

They are counted in a process of their own, since other tests load what counts too. A budget has some air for
other versions of Python. `pytest -s` with this file shows the functions that execute most of them.
"""

from __future__ import annotations

import asyncio
import collections
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from types import CodeType
from typing import Any

import pytest

from benchmarks.server import Server
from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.s3.client import Fetched
from langgraph_checkpoint_s3.s3.deadline import Attempt
from langgraph_checkpoint_s3.s3.translate import Translator
from tests.contract.support import at, checkpoint, metadata
from tests.support import inside
from tests.support.surroundings import surroundings

__all__ = ["surroundings"]
pytestmark = [
    pytest.mark.usefixtures("surroundings"),
    pytest.mark.skipif(sys.implementation.name != "cpython", reason="other bytecodes"),
]

TEXT = {"text": "x" * 1000}
BUDGETS = {"put": 8_000, "warm get_tuple": 15_500, "cold get_tuple": 20_000}
"""Of a cold `get_tuple`'s two GETs, the calling thread sends one or both, as threads happen to run."""
OWN_PART = 4_600
ASYNC_BUDGETS = {"put": 9_000, "warm get_tuple": 18_000, "cold get_tuple": 31_000}


class Counter:
    """A count of the bytecodes that this thread executes, by function."""

    def __init__(self) -> None:
        self.by_function: collections.Counter[CodeType] = collections.Counter()
        self._thread = threading.get_ident()

    @property
    def count(self) -> int:
        return self.by_function.total()

    def executed(self, code: CodeType, _: int) -> None:
        if threading.get_ident() == self._thread:
            self.by_function[code] += 1

    def trace(self, frame: Any, event: str, _: Any) -> Any:
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode":
            self.by_function[frame.f_code] += 1
        return self.trace

    def show(self, call: str) -> None:
        print(f"{call}: {self.count} bytecodes")
        for code, count in self.by_function.most_common(60):
            print(f"{count:8}  {code.co_name} ({code.co_filename}:{code.co_firstlineno})")


@contextmanager
def counting() -> Iterator[Counter]:
    """Count until the end of the block. Python 3.13 doesn't tell a trace function of every bytecode."""
    counter = Counter()
    if sys.version_info >= (3, 12):
        watch, tool = sys.monitoring, sys.monitoring.PROFILER_ID
        watch.use_tool_id(tool, "bytecodes")
        watch.register_callback(tool, watch.events.INSTRUCTION, counter.executed)
        watch.set_events(tool, watch.events.INSTRUCTION)
        try:
            yield counter
        finally:
            watch.set_events(tool, watch.events.NO_EVENTS)
            watch.free_tool_id(tool)
    else:
        before = sys.gettrace()
        sys.settrace(counter.trace)
        try:
            yield counter
        finally:
            sys.settrace(before)


def counted(call: Callable[[], object], name: str = "call") -> int:
    with counting() as counter:
        call()
    counter.show(name)
    return counter.count


async def acounted(coroutine: Coroutine[Any, Any, object], name: str = "coroutine") -> int:
    """Count what the loop does meanwhile as well."""
    with counting() as counter:
        await coroutine
    counter.show(name)
    return counter.count


class Dictionary:
    """A client that keeps objects in a dictionary: what is counted then is the saver's own part."""

    retries = False

    def __init__(self, saver: S3Saver) -> None:
        self.translator = Translator(saver.config, "https://s3.us-east-1.amazonaws.com", "us-east-1")
        self.objects: dict[str, bytes] = {}

    def fetch(self, operation: str, arguments: Mapping[str, Any], attempt: Attempt) -> Fetched:
        assert operation == "PutObject"
        self.objects[arguments["Key"]] = arguments["Body"]
        return {"ETag": '"e"', "ResponseMetadata": {"HTTPStatusCode": 200, "HTTPHeaders": {}}}, b""

    def refused(self) -> None:
        raise AssertionError


def test_a_savers_own_part_of_a_put(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", None)  # as in an application without telemetry
    with S3Saver("bucket", region="us-east-1") as saver:
        client = Dictionary(saver)
        monkeypatch.setattr(inside.store(saver), "_client", lambda request: client)
        for number in range(6):
            saver.put(at(f"{number}"), checkpoint(TEXT), metadata(), {})
        made = checkpoint(TEXT)
        count = counted(lambda: saver.put(at("t"), made, metadata(), {}))
    print(count)
    assert len(client.objects) == 7
    assert 1000 < count <= OWN_PART


def forget(saver: S3Saver) -> None:
    inside.shared(saver).cache.clear()
    inside.shared(saver).states.clear()


def test_blocking_calls() -> None:
    with Server() as server, S3Saver("bucket", endpoint_url=server.endpoint_url, region="us-east-1") as saver:
        for number in range(3):
            config = saver.put(at(f"{number}"), checkpoint(TEXT), metadata(), {})
            saver.put_writes(config, [("a", 1)], "task")
            saver.get_tuple(at(f"{number}"))
        made = checkpoint(TEXT)
        counts = {"put": counted(lambda: saver.put(at("t"), made, metadata(), {}))}
        saver.put_writes(at("t", checkpoint_id=made["id"]), [("a", 1)], "task")
        counts["warm get_tuple"] = counted(lambda: saver.get_tuple(at("t")))
        forget(saver)
        counts["cold get_tuple"] = counted(lambda: saver.get_tuple(at("t")))
    print(counts)
    assert {name: count for name, count in counts.items() if count > BUDGETS[name]} == {}
    assert min(counts.values()) > 1000


def test_coroutines() -> None:
    async def use(saver: S3Saver) -> dict[str, int]:
        for number in range(3):
            config = await saver.aput(at(f"{number}"), checkpoint(TEXT), metadata(), {})
            await saver.aput_writes(config, [("a", 1)], "task")
            await saver.aget_tuple(at(f"{number}"))
        made = checkpoint(TEXT)
        counts = {"put": await acounted(saver.aput(at("t"), made, metadata(), {}))}
        await saver.aput_writes(at("t", checkpoint_id=made["id"]), [("a", 1)], "task")
        counts["warm get_tuple"] = await acounted(saver.aget_tuple(at("t")))
        forget(saver)
        counts["cold get_tuple"] = await acounted(saver.aget_tuple(at("t")))
        await saver.aclose()
        return counts

    with Server() as server:
        counts = asyncio.run(use(S3Saver("bucket", endpoint_url=server.endpoint_url, region="us-east-1")))
    print(counts)
    assert {name: count for name, count in counts.items() if count > ASYNC_BUDGETS[name]} == {}
    assert min(counts.values()) > 1000


def test_a_put_takes_a_fraction_of_the_sdks() -> None:
    """CHANGELOG.md and docs/benchmarks.md say about a fifth. Versions of Python and of boto3 differ."""
    counts: dict[str, int] = {}
    with Server() as server:
        for transport in ("http", "sdk"):
            settings: Any = {"endpoint_url": server.endpoint_url, "transport": transport}
            with S3Saver("bucket", region="us-east-1", **settings) as saver:
                for number in range(3):
                    saver.put(at(f"{number}"), checkpoint(TEXT), metadata(), {})
                made = checkpoint(TEXT)
                counts[transport] = counted(lambda: saver.put(at("t"), made, metadata(), {}))  # noqa: B023  # called at once
    print(counts)
    assert counts["http"] < 0.3 * counts["sdk"]
