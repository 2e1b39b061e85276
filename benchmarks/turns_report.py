"""What `turns` found: tables, the targets and by how much they are missed, and a chart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from benchmarks import report
from benchmarks.chart import bars
from benchmarks.cold import AIO, AIO_BASE, ASYNC, BASE, BOTO3
from benchmarks.environments import ROOT
from benchmarks.figures import COLD, Cold, Figure, Record
from benchmarks.graphs import DEPTH, SENDS
from benchmarks.runs import PRICES
from benchmarks.savers import DATABASES, FLOORS, LIMIT, OURS, PEERS

_TITLE: Final = "Turns"
CHART: Final = ROOT / "docs" / "charts" / "turns.svg"
_THIS: Final = next(iter(OURS))
_ELSEWHERE: Final = {*FLOORS, *DATABASES}
"""They don't talk to S3."""
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
The server is in memory and takes a set time for each answer. *{LIMIT.capitalize()}* is what LangGraph's own
calls cost at this latency: a saver in memory that sleeps for the latency in each `get_tuple`, `put`,
`put_writes` and `get_delta_channel_history`, one request each, and is called by LangGraph as the others are.
What a saver takes beyond it is its own. All savers play some turns each, one after the other, so ratios hold
where times don't. `InMemorySaver`, `SqliteSaver` and `PostgresSaver` don't talk to that server: they were
measured at the first latency, Postgres on this machine, with its own settings and no network between. Each
conversation's first turn isn't counted: clients connect in it. LangGraph's calls are warm, of a process that
goes on with its own thread; *to load it cold* is `get_state` by a new saver that is connected and remembers
nothing, the median of three. What that found was the same as what was stored.

The async methods of langgraph-checkpoint-tigris are `TigrisSaver`'s, in threads; `AsyncTigrisSaver` makes a
client for each call. So does langgraph-checkpoint-s3's `AsyncS3CheckpointSaver`, the only async one it has.
It works with a LangGraph that has no delta channels yet, so it has no figures of them. LangGraph's own
durability is "async": so is that of all that doesn't name another.
"""
_COLD: Final = f"""\
From the first import to the first answer, in a fresh process, without latency. boto3's own is its import, a
client and one LIST; a saver's is its import, itself, and `get_tuple` of a thread that is there.
*{BASE}* imports `langgraph.checkpoint.base` before that: every saver has to. With async
methods it is beside aiobotocore's own, closing included.
"""
_REASONS: Final = f"""\
Why some are missed. Where *{LIMIT}* itself is above what is aimed at, no saver can meet it here:

- **Requests**: those beyond LangGraph's own are a GET and a HEAD beside each PUT that borrows: the thread's
  tombstones, and the oldest object that it borrows from. `borrow=False` sends none, and stores more. Without
  them a deletion beside an agent that runs could leave a checkpoint that can't be read.
  Where fewer are sent than LangGraph calls, what many tasks wrote at once shares objects.
- **Dollars**, of a chat and an agent: LangGraph's own calls alone are more than 0.6 of what the cheapest peer
  asks for.
- **Time**: what is beyond the limit is CPU: boto3's or aiobotocore's, a millisecond or two a request on this
  machine, four of them one after the other in a chat's turn; a few tenths of one of this saver's own; and
  the server's, which shares the cores. So the ratio falls as the latency grows. A GET and a HEAD beside a
  PUT take no round trip more, but their own CPU.
- **{SENDS} `Send`s**: with sync methods LangGraph runs tasks and saves in min(32, cores + 4) threads, each of
  which waits for its own: on two cores six, so nine round trips at least. With async ones all are under way
  at once, and most of them share an object.
- **A delta channel**: its history is listed and read in windows, where the limit waits for one answer.
- **Cold start**: every saver has to import `langgraph.checkpoint.base`, which is why *{BASE}*
  stands in for the limit here. A thread that is there takes a GET behind the LIST.
"""


def tables(record: Record) -> str:
    """All of it, for the terminal and for the document."""
    parts = [_EXPLANATION]
    for workload in TITLES:
        chosen = [each for each in record.figures if each.workload == workload]
        if not chosen:
            continue
        latency = max(each.latency for each in chosen)
        slowest = [each for each in chosen if each.latency == latency]
        parts += [
            f"### {TITLES[workload]}\n",
            *_about(record, workload),
            f"{chosen[0].turns} turns. Milliseconds of a turn, the median; × is times the limit:\n",
            _walls(chosen) + "\n",
            f"Requests of a turn, dollars for those of a million turns ({_prices()} for 1,000), and bytes:\n",
            _requests(slowest) + "\n",
            f"LangGraph's calls at {latency:g} ms, in milliseconds, p50 / p99:\n",
            calls(slowest) + "\n",
        ]
    if record.cold:
        parts += [
            "### Cold start\n",
            *_about(record, COLD),
            _COLD,
            _cold(record.cold) + "\n",
        ]
    parts += ["### What was aimed at\n", _targets(record) + "\n", _REASONS]
    return "\n".join(parts)


def write(record: Record, chart: Path = CHART) -> None:
    """Write the section, and the chart."""
    chart.parent.mkdir(exist_ok=True)
    chart.write_text(_chart(record), encoding="utf-8")
    report.write(_TITLE, f"![Turns of a chat](charts/{chart.name})\n\n{tables(record)}")


def _about(record: Record, what: str) -> list[str]:
    """When and how it was measured, if that is known."""
    return [record.about[what] + "\n"] if what in record.about else []


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
    """How long LangGraph's calls took, as a table."""
    methods = list(dict.fromkeys(method for each in chosen for method in each.calls))
    sends = any(each.sends for each in chosen)
    heads = ["saver", "", *(f"`{method}`" for method in methods), *(["all 50 `put_writes`"] if sends else [])]
    heads += ["to load it cold"]
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
    return report.table(["what", "milliseconds", "times its client's own"], rows)


def _targets(record: Record) -> str:
    """Each target: what was found, by how much it is missed, and whether anything could meet it."""
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
    return report.table(["of this saver", "at most", "found", "met", LIMIT], rows)


def _found(record: Record) -> Iterator[tuple[str, float, float, float | None]]:
    """What is aimed at: at most how much, how much it is, and how much it is for the limit."""
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


def _chart(record: Record) -> str:
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
