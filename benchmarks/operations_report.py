"""Tables of what `operations` measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from benchmarks import report
from benchmarks.crowd import SLOWER
from benchmarks.histories import LIMIT
from benchmarks.measured import Measured

_EXPLANATION: Final = """\
Each operation and its reference, alternately within one process; the server is in memory, in another
process. Medians, the median ratio of the pairs, and the quartiles of that ratio.
"""
_HEADS: Final[Mapping[str, tuple[str, str, str, str]]] = {
    "history": ("A long thread", "10,000 checkpoints, ms", "a short thread, ms", "ratio"),
    "writes": ("Writes read back", "ms", "two round trips, ms", "round trips"),
    "large": ("A large state", "this saver, ms", "boto3's transfer, ms", "ratio"),
    "memory": ("Memory of a large state", "this saver, times its size", "boto3's, times its size", "times"),
    "cpu": ("CPU of an operation", "this saver, ms", "bare work, ms", "ratio"),
    "crowd": ("Many conversations", "a turn of all, ms", "bare + graph alone, ms", "ratio"),
}
_TEXTS: Final[Mapping[str, str]] = {
    "history": f"""\
Reads by a new saver, of a thread of 10,000 checkpoints, each with a task's writes, and of a short thread: 10
checkpoints, or 50 for a page of history ({LIMIT} checkpoints), so that the page is full in both.
""",
    "writes": """\
A checkpoint and the writes of 50 tasks, read by a new saver. Concurrent writes, as LangGraph's async methods
send them, share objects; sequential writes are 50 objects.
""",
    "large": """\
`put`, and `get_tuple` by a new saver, compared with `upload_fileobj` and `download_fileobj` with their
defaults and a client of the same settings. The state is one channel of random bytes, which can't be
compressed, so both transfer as many bytes.
""",
    "memory": """\
Peak growth of a new process that does only this, in sizes of the state. A state that is uploaded existed
before and isn't counted; a downloaded one is, and so are the caches that hold it (`cache_bytes`).
""",
    "cpu": """\
The saver's plans on a dict, without any client, compared with serializing the same values and compressing
them with zstd (level 3), and the reverse. The value is a list of messages; `put` adds one.
""",
    "crowd": f"""\
A turn of a chat in each of 64 concurrent conversations, on one saver in one process: with 64 threads, and as
tasks of one loop. The reference is the sum of two times: the same requests sent 64 times by boto3 or
aiobotocore, with clients of the same settings and without a graph; and the graph alone, on a saver in memory.
One interpreter does both, so their sum is the best possible time. {SLOWER:.2f} times the time is 80 % of the
throughput.
""",
}
_REASONS: Final = """\
## Why some targets are missed

- **The latest checkpoint of a long thread, without latency**: a page of the listing has up to 64 keys; a
  thread of 10 checkpoints has 20. Longer threads cost no more, and any latency hides the difference.
- **50 writes read back**: two round trips where they share objects, and the CPU time of ten requests. Written
  sequentially, 51 GETs share `max_concurrency` (16) connections.
- **A large state**: a checksum of each frame, which boto3 doesn't need. On plain `http` (not on `https`) both
  make a SHA-256 of each part. The caches keep an object of 10 MB, but none larger than `cache_bytes`: what
  they keep is in memory twice.
- **CPU of 1 kB**: header, keys and checks execute some thousands of Python bytecodes an operation, whatever
  its size: 0.05 to 0.4 ms.
- **64 conversations**: a checkpoint that borrows sends a GET and a HEAD beside its PUT, and needs CPU time
  to find what it can borrow.
"""


def tables(measured: Sequence[Measured]) -> str:
    """Return all tables, a heading for each part."""
    parts = [_EXPLANATION]
    for part, (title, *heads) in _HEADS.items():
        chosen = [each for each in measured if each.part == part]
        if chosen:
            parts += [f"## {title}\n", _TEXTS[part], _table(heads, chosen) + "\n"]
    return "\n".join([*parts, _REASONS])


def _table(heads: Sequence[str], chosen: Sequence[Measured]) -> str:
    more = list(dict.fromkeys(name for each in chosen for name in each.more))
    modes, sent = any(each.mode for each in chosen), any(each.requests for each in chosen)
    titles = ["operation", *([""] if modes else []), *heads, "quartiles", "at most"]
    titles += [*(["requests"] if sent else []), *more]
    rows = [
        [
            each.what,
            *([each.mode] if modes else []),
            f"{each.found:,.2f}",
            f"{each.beside:,.2f}",
            f"{each.ratio[1]:.2f}",
            f"{each.ratio[0]:.2f} to {each.ratio[2]:.2f}",
            _verdict(each),
            *([_requests(each.requests)] if sent else []),
            *(f"{each.more[name]:,.0f}" if name in each.more else "" for name in more),
        ]
        for each in chosen
    ]
    return report.table(titles, rows)


def _verdict(each: Measured) -> str:
    """Return the target, and whether it is met."""
    if each.aim is None:
        return ""
    missed = each.ratio[1] / each.aim - 1
    return f"{each.aim:.2f}, met" if missed <= 0 else f"{each.aim:.2f}, {missed:.0%} more"


def _requests(requests: Mapping[str, float]) -> str:
    return ", ".join(f"{count:.3g} {kind}" for kind, count in requests.items())
