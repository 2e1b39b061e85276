"""What `operations` found, as tables: for the terminal and for the document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from benchmarks import report
from benchmarks.crowd import SLOWER
from benchmarks.histories import LIMIT
from benchmarks.measured import Measured, Record

_TITLE: Final = "Operations"
_EXPLANATION: Final = """\
Each operation beside what it is compared with, by turns within one process; the server is in memory and in
another process. The medians, the ratio of the pairs, and between which ratios half of the pairs are.
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
Reads by a saver that remembers nothing, of a thread of 10,000 checkpoints, each with a task's writes, and
of a short one: of 10 checkpoints, and for a page of history ({LIMIT} checkpoints) of 50, so that it is full
in both.
""",
    "writes": """\
A checkpoint and the writes of 50 tasks, by a saver that remembers nothing. What they wrote at once, as
LangGraph's async methods do, shares objects; what they wrote one by one are 50.
""",
    "large": f"""\
`put`, and `get_tuple` by a saver that remembers nothing, beside `upload_fileobj` and `download_fileobj` with
their defaults, with a client of the same settings. The state is one channel of random bytes: so neither
serializing nor compressing gains anything, and boto3 moves as many bytes. {SLOWER:.2f} times its time is 80 %
of its throughput.
""",
    "memory": """\
By how much a fresh process that does only this grows at its peak. The state that goes up was there before;
the one that comes down is counted. Of a state that the caches hold (`cache_bytes`), so are they.
""",
    "cpu": """\
The saver's plans over a dict that answers at once, so without any client, beside serializing the same values
and compressing them with zstd (level 3), and the way back. A list of messages; `put` adds one to it.
""",
    "crowd": f"""\
A turn of a chat in each of 64 conversations at once, on one saver, in one process: with 64 threads, and as
tasks of one loop. Beside it the same requests, as one such conversation sends them alone, sent 64 times by
boto3 or aiobotocore, with clients of the same settings and without any graph; and the graph by itself, over a
saver in memory. One interpreter does both, so their times add up to what can be reached. {SLOWER:.2f} times
the time is 80 % of the throughput.
""",
}
_REASONS: Final = """\
### Why some are missed

- **The latest of a long thread, without latency**: a page of the listing has up to 64 keys, where a thread of
  10 checkpoints has 20: so it doesn't grow any further, and with any latency it doesn't show.
- **50 writes read back**: they are two round trips, where they share objects. The rest is the CPU of ten
  requests. Written one by one, 51 GETs take their turns at `max_concurrency` (16) connections.
- **A large state**: a checksum of each frame, and one copy to join the pieces, which boto3 doesn't need. With
  async methods all of it is one thread's, where boto3 has ten. On the way up that is a copy of each part,
  aiohttp's writes, and the SHA-256 that botocore signs a body with on plain `http` (not on `https`); on the
  way down, aiohttp joins what came twice. An object of 10 MB stays in the caches, which hold it beside what
  is returned; one that is larger than `cache_bytes` isn't kept.
- **CPU of 1 kB**: a header, keys and checks cost 0.04 to 0.1 ms an operation, however small it is. A request
  costs boto3 ten times that.
- **64 conversations**: where a checkpoint borrows, there are a GET and a HEAD beside its PUT,
  and borrowing to compute.
"""


def tables(record: Record) -> str:
    """All of it."""
    parts = [_EXPLANATION]
    for part, (title, *heads) in _HEADS.items():
        chosen = [each for each in record.measured if each.part == part]
        if chosen:
            about = [record.about[part] + "\n"] if part in record.about else []
            parts += [f"### {title}\n", *about, _TEXTS[part], _table(heads, chosen) + "\n"]
    return "\n".join([*parts, _REASONS])


def write(record: Record) -> None:
    """Write the section."""
    report.write(_TITLE, tables(record))


def _table(heads: Sequence[str], chosen: Sequence[Measured]) -> str:
    more = list(dict.fromkeys(name for each in chosen for name in each.more))
    modes, sent = any(each.mode for each in chosen), any(each.requests for each in chosen)
    titles = ["operation", *([""] if modes else []), *heads, "half of them", "at most"]
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
    """What is aimed at, and whether it is met."""
    if each.aim is None:
        return ""
    missed = each.ratio[1] / each.aim - 1
    return f"{each.aim:.2f}, met" if missed <= 0 else f"{each.aim:.2f}, {missed:.0%} more"


def _requests(requests: Mapping[str, float]) -> str:
    return ", ".join(f"{count:.3g} {kind}" for kind, count in requests.items())
