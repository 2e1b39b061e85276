"""Tables of what `turns` measured, the targets, and a chart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from benchmarks import report
from benchmarks.chart import bars
from benchmarks.cold import AIO, AIO_BASE, ASYNC, BASE, BOTO3
from benchmarks.figures import Cold, Figure, Record
from benchmarks.graphs import DEPTH, SENDS
from benchmarks.runs import PRICES
from benchmarks.savers import DATABASES, FLOORS, LIMIT, OURS, PEERS

_THIS: Final = next(iter(OURS))
_ELSEWHERE: Final = {*FLOORS, *DATABASES}
"""Savers that don't use S3."""
TITLES: Final = {
    "chat": "A chat: one node, a question of 100 characters and an answer of 400",
    "agent": "An agent: five tool calls a turn, one after the other",
    "fan-out": f"A fan-out: {SENDS} `Send`s a turn",
    "documents": "A chat about 5 MB of documents, which never change",
    "subgraphs": "A chat three graphs deep",
    "delta": f"A chat in a delta channel, {DEPTH} writes and more since it was last stored whole",
    "durability=sync": 'The chat with `durability="sync"`',
    "durability=exit": 'The chat with `durability="exit"`',
}
_EXPLANATION: Final = f"""\
The server is in memory and has a set latency. *{LIMIT.capitalize()}* is the time that LangGraph's own calls
need at this latency: a saver in memory that sleeps for the latency in each `get_tuple`, `put`, `put_writes`
and `get_delta_channel_history`, one request each. Savers play a few turns each, one after the other, so
ratios hold on other machines. `InMemorySaver`, `SqliteSaver` and `PostgresSaver` don't use that server: they
are measured at the first latency, Postgres on this machine with its default settings and no network. The
first turn of a conversation isn't counted, since clients connect in it. LangGraph's calls are those of a
process that continues its own thread; *cold load* is `get_state` by a new, connected saver, the median of
three. Each loaded state equalled the stored one.

The async methods of langgraph-checkpoint-tigris are `TigrisSaver`'s, in threads, since `AsyncTigrisSaver`
creates a client for each call. langgraph-checkpoint-s3's only async saver, `AsyncS3CheckpointSaver`, does so
too; it needs a LangGraph without delta channels. Durability is LangGraph's default, "async", unless named.
"""
_COLD: Final = f"""\
From the first import to the first answer, in a new process, without latency. For boto3: its import, a client
and one LIST. For a saver: its import, its constructor, and `get_tuple` of an existing thread. *{BASE}*
imports `langgraph.checkpoint.base` first, as every saver must. Async methods are compared with
aiobotocore, closing included.
"""
_REASONS: Final = f"""\
Why some targets are missed. Where *{LIMIT}* itself exceeds the target, no saver can meet it here.

- **Requests**: a GET (the thread's tombstones) and a HEAD (the oldest lender) accompany a PUT that borrows.
  Without them, deleting beside a running agent could leave a checkpoint that can't be read. `borrow=False`
  sends neither, and stores more. Fewer requests than LangGraph's calls means that concurrent writes share
  objects.
- **Dollars**: LangGraph's own calls in a chat or an agent cost more than 0.6 times the cheapest peer.
- **Time**: the difference to the limit is CPU time: this saver's, for four requests in sequence in a chat's
  turn, and the server's, which shares the cores. So the ratio falls as the latency grows. The GET and the
  HEAD beside a PUT add CPU time, but no round trip.
- **{SENDS} `Send`s**: LangGraph's sync methods run tasks and saves in min(32, cores + 4) threads: six on two
  cores, so nine round trips at least. With async methods all writes are concurrent, and most share an object.
- **A delta channel**: its history is listed and read in windows; the limit waits once.
- **Cold start**: every saver imports `langgraph.checkpoint.base`, so *{BASE}* is the limit here. An existing
  thread takes a LIST and then a GET.
"""


def tables(record: Record) -> str:
    """Return all tables, a heading for each workload."""
    parts = [_EXPLANATION]
    for workload in TITLES:
        chosen = [each for each in record.figures if each.workload == workload]
        if not chosen:
            continue
        latency = max(each.latency for each in chosen)
        slowest = [each for each in chosen if each.latency == latency]
        parts += [
            f"## {TITLES[workload]}\n",
            f"{chosen[0].turns} turns. Milliseconds of a turn, the median; × is times the limit:\n",
            _walls(chosen) + "\n",
            f"Requests of a turn, dollars for those of a million turns ({_prices()} for 1,000), and bytes:\n",
            _requests(slowest) + "\n",
            f"LangGraph's calls at {latency:g} ms, in milliseconds, p50 / p99:\n",
            calls(slowest) + "\n",
        ]
    if record.cold:
        parts += [
            "## Cold start\n",
            _COLD,
            _cold(record.cold) + "\n",
        ]
    parts += ["## Targets\n", _targets(record) + "\n", _REASONS]
    return "\n".join(parts)


def _walls(chosen: Sequence[Figure]) -> str:
    latencies = sorted({each.latency for each in chosen})
    peers = any(each.to_peer for each in chosen)
    heads = ["saver", "", *(text for each in latencies for text in (f"at {each:g} ms", "×"))]
    heads += [f"at {latencies[-1]:g} ms, times the best S3 peer's"] if peers else []
    rows: list[list[object]] = []
    for saver, mode in dict.fromkeys((each.saver, each.mode) for each in chosen):
        found = {each.latency: each for each in chosen if (each.saver, each.mode) == (saver, mode)}
        row: list[object] = [saver, mode]
        for latency in latencies:
            one = found.get(latency)
            row += [f"{one.wall:,.1f}", _times(one.to_limit)] if one else ["", ""]
        last = found.get(latencies[-1])
        if peers:
            row.append(f"{last.to_peer:.2f}" if last and last.to_peer and saver not in _ELSEWHERE else "")
        rows.append(row)
    return report.table(heads, sorted(rows, key=lambda row: str(row[1]), reverse=True))


def _requests(chosen: Sequence[Figure]) -> str:
    kinds = [kind for kind in PRICES if any(each.requests.get(kind) for each in chosen)]
    cheapest = min((each.dollars for each in chosen if each.saver in PEERS), default=None)
    stored = any(each.stored for each in chosen)
    heads = ["saver", "", *kinds, "$", *(["times the cheapest S3 peer's"] if cheapest else [])]
    heads += ["stored, kB"] if stored else []
    rows = [
        [
            each.saver,
            each.mode,
            *(f"{each.requests.get(kind, 0):,.2f}" for kind in kinds),
            f"{each.dollars:,.2f}",
            *([f"{each.dollars / cheapest:.2f}"] if cheapest else []),
            *([f"{each.stored / 1e3:,.0f}" if each.stored else ""] if stored else []),
        ]
        for each in chosen
        if each.saver not in _ELSEWHERE
    ]
    return report.table(heads, rows)


def calls(chosen: Sequence[Figure]) -> str:
    """Return the table of LangGraph's calls."""
    methods = list(dict.fromkeys(method for each in chosen for method in each.calls))
    sends = any(each.sends for each in chosen)
    heads = ["saver", "", *(f"`{method}`" for method in methods), *(["all 50 `put_writes`"] if sends else [])]
    heads += ["cold load"]
    rows = [
        [
            each.saver,
            each.mode,
            *(" / ".join(f"{time:,.1f}" for time in each.calls.get(method, ())) for method in methods),
            *([f"{each.sends:,.1f}" if each.sends else ""] if sends else []),
            "" if each.cold is None else f"{each.cold:,.1f}",
        ]
        for each in chosen
    ]
    return report.table(heads, rows)


def _cold(colds: Sequence[Cold]) -> str:
    rows = [[each.what, f"{each.seconds * 1e3:,.0f}", _times(each.to_boto3)] for each in colds]
    return report.table(["what", "milliseconds", "times the client's"], rows)


def _targets(record: Record) -> str:
    """Return each target, the measurement, by how much it is missed, and the limit's value."""
    rows = [
        [
            name,
            f"{aim:.2f}",
            f"{found:.2f}",
            "yes" if found <= aim else f"no, {found / aim - 1:.1%} more",
            "" if least is None else f"{least:.2f}",
        ]
        for name, aim, found, least in _found(record)
    ]
    return report.table(["target", "at most", "measured", "met", LIMIT], rows)


def _found(record: Record) -> Iterator[tuple[str, float, float, float | None]]:
    """Yield each target's name, upper bound, measured value, and the limit's value."""
    latency = max((each.latency for each in record.figures), default=0)
    for each in record.figures:
        if each.latency != latency or each.saver not in OURS:
            continue
        name = f"{each.workload}, {each.mode}{each.saver.removeprefix(_THIS)}"
        sent = sum(each.requests.values()) / each.owed
        limit = next((one for one in record.figures if one.saver == LIMIT and _same(one, each)), None)
        if each.workload == "chat" and each.to_limit:
            yield f"{name}: time at {latency:g} ms, times the limit", 1.15, each.to_limit[1], 1.0
        if each.workload == "chat" and each.to_peer:
            least = limit.to_peer if limit else None
            yield f"{name}: time at {latency:g} ms, times the best S3 peer's", 0.4, each.to_peer, least
        yield f"{name}: requests, times what LangGraph's calls need", 1.0, sent, 1.0
        rivals = [one.dollars for one in record.figures if one.saver in PEERS and _same(one, each)]
        if rivals:
            least = limit.dollars / min(rivals) if limit else None
            yield f"{name}: dollars, times the cheapest S3 peer's", 0.6, each.dollars / min(rivals), least
        if each.sends and latency:
            least = limit.sends / latency if limit and limit.sends else None
            yield f"{name}: `put_writes` of all, in round trips", 3.0, each.sends / latency, least
    starts = {each.what: each for each in record.cold}
    if _THIS in starts:
        base = starts[BASE].to_boto3[1] if BASE in starts else None
        yield f"cold start, times {BOTO3}'s own", 1.15, starts[_THIS].to_boto3[1], base
    if f"{_THIS}{ASYNC}" in starts:
        found = starts[f"{_THIS}{ASYNC}"].to_boto3[1]
        yield f"cold start, async, times {AIO}'s own", 1.15, found, starts[AIO_BASE].to_boto3[1]


def _same(one: Figure, other: Figure) -> bool:
    return (one.workload, one.mode, one.latency) == (other.workload, other.mode, other.latency)


def chart(record: Record) -> str:
    """Return a chart of the chat's turns with sync methods, as SVG."""
    chats = [each for each in record.figures if each.workload == "chat" and each.mode == "sync"]
    groups = {
        f"{latency:g} ms an answer": {
            each.saver: each.wall
            for each in chats
            if each.latency == latency and each.saver not in _ELSEWHERE
        }
        for latency in sorted({each.latency for each in chats})
    }
    return bars("A turn of a chat, sync: milliseconds, the median", "ms", groups)


def _times(found: Sequence[float]) -> str:
    return f"{found[1]:.2f}" if found else ""


def _prices() -> str:
    return ", ".join(f"{kind} ${price * 1000:g}" for kind, price in PRICES.items() if price)
