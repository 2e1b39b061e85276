"""CPU time and peak memory of an operation without a client, compared with bare serializing and compressing.

The plans run on a dict, alternating with the bare work in one process.
"""

from __future__ import annotations

import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from langgraph.checkpoint.base import CheckpointMetadata

from benchmarks.changes import CASES
from benchmarks.instant import Instant, checkpoint_of
from benchmarks.measured import Measured, paired
from langgraph_checkpoint_s3.plans import get_tuple
from langgraph_checkpoint_s3.plans import put as put_plans
from langgraph_checkpoint_s3.plans.place import Place

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SIZES: Final = {"1 kB": 1_000, "100 kB": 100_000, "1 MB": 1_000_000}
_LEVEL: Final = 3
_SAMPLE: Final = 0.005
_METADATA: Final[CheckpointMetadata] = {"source": "loop", "step": 1, "parents": {}}
_CONFIG: Final[Any] = {"configurable": {"thread_id": "1", "checkpoint_ns": ""}}

Work = Callable[[], object]


@dataclass(frozen=True)
class Operation:
    """An operation, and the bare work on the same values."""

    what: str
    ours: Work
    bare: Work


def cpu(sizes: Sequence[str], pairs: int) -> Iterator[Measured]:
    """Yield all operations, with borrowing and without."""
    for size in sizes:
        for borrow in (True, False):
            for each in operations(SIZES[size], borrow=borrow):
                found = paired(each.ours, each.bare, pairs, clock=time.process_time, sample=_SAMPLE)
                peaks = {"peak, bytes": _peak(each.ours), "bare, bytes": _peak(each.bare)}
                what = f"{each.what}, {size}{'' if borrow else ', borrow=False'}"
                yield Measured("cpu", what, "", found.found, found.beside, found.ratio, 1.2, more=peaks)


def operations(size: int, *, borrow: bool) -> Iterator[Operation]:
    """Yield operations on a list of messages of that size: put, put_writes, and reads."""
    case = next(each for each in CASES if each.name == "appended")
    parent, child = case.start(size), None
    child = case.change(parent, 1)
    bucket = Instant(borrow=borrow)
    serde, now = bucket.saver.serde, bucket.now
    namespace = bucket.context.layout.namespace("1", "")
    first, second = checkpoint_of(parent, 1), checkpoint_of(child, 2)
    where = bucket.run(put_plans.put(bucket.context, _CONFIG, first, _METADATA, ["messages"], now()))
    known = bucket.context.parent_cache.parent(namespace, first["id"])

    def put() -> None:
        if known:
            bucket.context.parent_cache.add(namespace, known)  # who writes a child forgets its parent
        bucket.run(put_plans.put(bucket.context, where, second, _METADATA, ["messages"], now()))

    def put_writes() -> None:
        bucket.run(put_plans.put_task(bucket.context, where, [("messages", child)], "task", "", now()))

    rest = {name: value for name, value in second.items() if name != "channel_values"}
    complete = {**_METADATA, "step": 1}
    dumped = [serde.dumps_typed(value) for value in (complete, rest, child)]
    packed = [(kind, zstd.compress(raw, level=_LEVEL)) for kind, raw in dumped]

    yield Operation("`put`", put, lambda: _pack(serde, (complete, rest, child)))
    yield Operation("`put_writes`", put_writes, lambda: _pack(serde, (child,)))
    for what, cached in (("`get_tuple`, cold", False), ("`get_tuple`, remembered", True)):
        reading = Instant(cached=cached, borrow=borrow)
        reading.run(put_plans.put(reading.context, _CONFIG, second, _METADATA, ["messages"], now()))

        def get(reading: Instant = reading) -> None:
            assert reading.run(get_tuple.get_tuple(reading.context, Place.of(_CONFIG)))

        yield Operation(what, get, lambda: _unpack(serde, packed))


def _pack(serde: Any, values: Sequence[Any]) -> None:
    for value in values:
        zstd.compress(serde.dumps_typed(value)[1], level=_LEVEL)


def _unpack(serde: Any, packed: Sequence[tuple[str, bytes]]) -> None:
    for kind, stored in packed:
        serde.loads_typed((kind, zstd.decompress(stored)))


def _peak(work: Work) -> float:
    """Return the peak of newly allocated memory, in bytes."""
    work()
    tracemalloc.start()
    try:
        work()
        return float(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
