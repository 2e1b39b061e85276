"""The benchmark of turns runs, counts LangGraph's calls, and reports missed targets and regressions."""

from __future__ import annotations

import asyncio
import dataclasses
import shlex
import socket
import subprocess
import sys
import xml.dom.minidom
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver

from benchmarks import baseline, cold, elsewhere, graphs, postgres, turn_worker, turns, turns_report
from benchmarks.baseline import compare, load, save
from benchmarks.chart import bars
from benchmarks.cold import AIO, AIO_BASE, ASYNC, BASE, BOTO3, cold_starts
from benchmarks.environments import ROOT, InstallError
from benchmarks.figures import Cold, Figure, Record
from benchmarks.graphs import GRAPHS, INPUTS, SENDS
from benchmarks.limit import Limit
from benchmarks.runs import BenchmarkError
from benchmarks.savers import LIMIT, OURS, PEERS
from benchmarks.server import Server
from benchmarks.turns import Heat, Worker, race

pytestmark = pytest.mark.integration

THIS, WHOLE = OURS
CHAT = Figure(
    "chat", "sync", 25.0, 200, THIS, 110.0, [1.04, 1.05, 1.06], 0.3, {"PUT": 5.0, "LIST": 1.0}, 6.0, 30.0,
    {"put": [26.0, 30.0]}, None,
)  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as started:
        yield started


@pytest.fixture(scope="module")
def workers(server: Server) -> Iterator[dict[str, Worker]]:
    started = {name: Worker(name, server.endpoint_url) for name in (LIMIT, THIS)}
    yield started
    for worker in started.values():
        worker.close()


def test_a_race_counts_what_langgraph_calls(server: Server, workers: dict[str, Worker]) -> None:
    for mode in ("sync", "async"):
        played = race(server, Heat("chat", mode, 1.0, 3), workers)
        assert {name: len(each.walls) for name, each in played.items()} == {LIMIT: 3, THIS: 3}
        assert not server.buckets[played[THIS].bucket].objects
        assert [len(each) for each in played[THIS].rounds] == [1, 1, 1]
        calls = {method: len(seconds) for method, seconds in played[THIS].calls.items()}
        assert calls == {"get_tuple": 3, "put": 9, "put_writes": 6}
        assert played[THIS].requests == {"PUT": 15, "LIST": 3, "GET": 0, "HEAD": 0, "DELETE": 0}
        ours, limit = (
            next(each for each in turns.figures_of(Heat("chat", mode, 1.0, 3), played) if each.saver == name)
            for name in (THIS, LIMIT)
        )
        assert {kind: count for kind, count in ours.requests.items() if count} == {"PUT": 5, "LIST": 1}
        assert {kind: count for kind, count in limit.requests.items() if count} == {"PUT": 5, "LIST": 1}
        assert ours.owed == limit.owed == 6
        assert ours.dollars == limit.dollars == pytest.approx(30)
        assert limit.to_limit == [1, 1, 1]
        assert ours.to_peer is None
        assert limit.stored is None
        assert ours.stored
        assert ours.stored > 5 * 500  # no less than four turns' texts, compressed
        assert ours.cold
        assert limit.cold
        assert ours.cold >= 2  # a LIST and a GET, of a millisecond each
        assert limit.cold >= 1


def test_the_other_graphs_play_too(server: Server, workers: dict[str, Worker]) -> None:
    for workload, calls in {
        "agent": {"get_tuple": 1, "put": 13, "put_writes": 12},
        "fan-out": {"get_tuple": 1, "put": 4, "put_writes": SENDS + 2},
        "subgraphs": {"get_tuple": 3, "put": 9, "put_writes": 6},
        "durability=sync": {"get_tuple": 1, "put": 3, "put_writes": 2},
        "durability=exit": {"get_tuple": 1, "put": 1},
    }.items():
        for mode in ("sync", "async") if workload in ("agent", "fan-out") else ("async",):
            for each in race(server, Heat(workload, mode, 0, 1), workers).values():
                assert {method: len(seconds) for method, seconds in each.calls.items()} == calls
                assert len(each.sends) == (workload == "fan-out")
    assert GRAPHS.keys() == turns_report.TITLES.keys() == turns.SHARES.keys()


def test_a_saver_that_returns_another_state_has_no_figures(
    server: Server, workers: dict[str, Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = Worker.ask

    def forgetful(worker: Worker, what: str, **keywords: Any) -> Any:
        answer = ask(worker, what, **keywords)
        return {**answer, "same": False} if what == "check" and worker.saver == THIS else answer

    monkeypatch.setattr(Worker, "ask", forgetful)
    with pytest.raises(BenchmarkError, match="another state"):
        race(server, Heat("chat", "sync", 0, 1), workers)
    monkeypatch.setattr(turns, "PEERS", {THIS: OURS[THIS]})
    assert list(race(server, Heat("chat", "sync", 0, 1), workers)) == [LIMIT]


def test_a_savers_own_calls_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "DEPTH", 6)
    for name in turn_worker.METHODS:  # a stage wraps them
        for method in (name, f"a{name}"):
            default = getattr(BaseCheckpointSaver if "history" in name else Limit, method)
            monkeypatch.setattr(Limit, method, default)  # its history is made of its `get_tuple`
    stage = turn_worker.Stage(LIMIT, "")
    for asynchronous in (False, True):
        stage.begin("delta", "", 0, asynchronous)
        calls = {method: len(seconds) for method, seconds in stage.play(1)["calls"].items()}
        assert calls == {"get_tuple": 1, "get_delta_channel_history": 1, "put": 3, "put_writes": 2}
        assert len(stage._state["messages"]) == 8
        assert stage.check()["same"]
        stage._state["messages"].pop()
        assert not stage.check()["same"]
    stage.loop.close()


def test_savers_that_cannot_play_a_graph_are_left_out(
    server: Server,
    workers: dict[str, Worker],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ask = Worker.ask

    def older(worker: Worker, what: str, **keywords: Any) -> Any:
        lacks = what == "begin" and worker.saver == THIS
        return {"lacks": "no DeltaChannel"} if lacks else ask(worker, what, **keywords)

    monkeypatch.setattr(Worker, "ask", older)
    monkeypatch.setattr(turns, "PEERS", {THIS: OURS[THIS]})
    assert list(race(server, Heat("chat", "sync", 0, 1), workers)) == [LIMIT]
    assert capsys.readouterr().err == f"left out: {THIS} can't play chat: no DeltaChannel\n"


def test_a_race_without_savers_is_no_error(server: Server) -> None:
    assert race(server, Heat("chat", "sync", 0, 1), {}) == {}


def test_a_worker_that_ends_is_an_error(server: Server) -> None:
    worker = Worker(LIMIT, server.endpoint_url)
    with pytest.raises(BenchmarkError, match="ended with status 1"):
        worker.ask("no such thing")
    worker.close()


def test_postgres_runs_as_long_as_its_process() -> None:
    try:
        postgres._programs()
    except InstallError as error:
        pytest.skip(str(error))
    code = """
import socket
from urllib.parse import urlsplit
from benchmarks.postgres import server
url = urlsplit(server())
socket.create_connection((url.hostname, url.port)).close()
print(url.port)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(done.stdout)))


def test_a_missing_postgres_raises(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr(postgres, "_DEBIAN", tmp_path)
    with pytest.raises(InstallError, match="Postgres isn't installed here"):
        postgres._programs()


def test_rounds_are_even() -> None:
    assert turns._sizes(200) == [20] * 10
    assert turns._sizes(12) == [2, 2, *[1] * 8]
    assert turns._sizes(2) == [1, 1]


def test_the_limit_waits_once_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def waited(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr("time.sleep", waits.append)
    monkeypatch.setattr("asyncio.sleep", waited)
    limit = Limit()
    limit.latency = 0.5
    graph = GRAPHS["chat"](limit, False)
    graph.invoke(INPUTS["chat"](), {"configurable": {"thread_id": "1"}})
    assert waits == [0.5] * 6
    waits.clear()
    graph = GRAPHS["chat"](limit, True)
    asyncio.run(graph.ainvoke(INPUTS["chat"](), {"configurable": {"thread_id": "2"}}))
    assert waits.count(0.5) == 6


def test_the_server_delays_requests_independently(server: Server) -> None:
    server.latency = 0.3
    host, port = server.endpoint_url.removeprefix("http://").split(":")
    sockets = [socket.create_connection((host, int(port)), timeout=10) for _ in range(20)]
    for each in sockets:
        each.sendall(b"GET /bucket HTTP/1.1\r\n\r\n")
    assert sockets[0].recv(100).startswith(b"HTTP/1.1 200")
    assert server.buckets["bucket"].requests["ListObjectsV2"] == 20  # before the first was answered
    for each in sockets:
        each.close()
    server.latency = 0


def test_cold_starts(server: Server, workers: dict[str, Worker]) -> None:
    workers[THIS].ask("begin", workload="chat", bucket="cold", latency=0, asynchronous=False)
    found = cold_starts(server.endpoint_url, {THIS: "cold"}, THIS, 1)
    assert [each.what for each in found] == [BOTO3, BASE, THIS, AIO, AIO_BASE, f"{THIS}{ASYNC}"]
    assert found[0].to_boto3 == found[3].to_boto3 == [1, 1, 1]
    assert all(each.seconds > 0 for each in found)
    with pytest.raises(BenchmarkError, match="status 1"):
        cold.once(THIS, THIS, server.endpoint_url, "empty")


def test_the_benchmark_runs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    document, chart, recorded = (tmp_path / name for name in ("new/turns.md", "turns.svg", "baseline.json"))
    for function in (load, save):
        monkeypatch.setattr(function, "__defaults__", (recorded,))
    given = ["--turns", "2", "--latency", "0", "1", "--workload", "chat", "--mode", "sync", "--cold", "0"]
    given += ["--saver", LIMIT, THIS, "InMemorySaver"]
    assert turns.main([*given, "--write", str(document), "--chart", str(chart), "--record"]) == 0
    printed = capsys.readouterr().out
    rows = {saver: printed.count(f"| {saver} ") for saver in (LIMIT, THIS, "InMemorySaver")}
    assert rows == {LIMIT: 4, THIS: 3, "InMemorySaver": 1}  # times, requests, calls, the targets' head
    written = document.read_text()
    assert written.strip() == printed.strip()
    assert f"python -m benchmarks.turns {shlex.join(given)} --write " in written
    xml.dom.minidom.parse(str(chart))
    assert list(load()) == [f"{THIS}, chat, sync, {latency} ms, 2 turns" for latency in (0, 1)]
    fast = dataclasses.replace(CHAT, turns=2, latency=1.0, to_limit=[0.1, 0.1, 0.1])
    monkeypatch.setattr(turns, "measure", lambda plan: [(Record([fast], []), {})])
    assert turns.main([*given, "--compare"]) == 0
    assert capsys.readouterr().out.endswith("\nnothing got worse by more than noise\n")
    dear = dataclasses.replace(fast, requests={"PUT": 8.0, "LIST": 1.0})
    monkeypatch.setattr(turns, "measure", lambda plan: [(Record([dear], []), {})])
    assert turns.main([*given, "--compare"]) == 0
    assert "$45.00 a million, was $30.00\n" in capsys.readouterr().out


def entries(**changed: Any) -> dict[str, baseline.Entry]:
    start = Cold(THIS, 0.5, changed.pop("to_boto3", [1.4, 1.5, 1.6]))
    return Record([dataclasses.replace(CHAT, **changed)], [start]).entries()


def test_regressions_are_reported() -> None:
    before = entries()
    name = f"{THIS}, chat, sync, 25 ms, 200 turns"
    assert compare(before, before) == []
    assert compare(entries(to_limit=[1.08, 1.1, 1.12]), before) == []
    assert compare(entries(to_limit=[1.10, 1.11, 1.12]), before) == [f"{name}: ratio 1.11, was 1.05"]
    assert compare(entries(to_limit=[0.9, 1.3, 1.7]), before) == []  # too noisy to say
    more = compare(entries(requests={"PUT": 5.0, "LIST": 2.0, "HEAD": 0.5}), before)
    assert [line.removeprefix(f"{name}: ") for line in more] == [
        "$35.20 a million, was $30.00",
        "2.00 LIST, was 1.00",
        "0.50 HEAD, was 0.00",
    ]
    start = compare(entries(to_boto3=[1.8, 1.9, 2.0]), before)
    assert start == [f"{THIS}, cold start: ratio 1.90, was 1.50"]


def test_only_the_same_measurement_is_compared() -> None:
    turn = Record([CHAT], []).entries()
    fewer = Record([dataclasses.replace(CHAT, turns=10)], []).entries()
    (line,) = compare(fewer, turn)
    assert line.startswith("nothing to compare")
    peer = dataclasses.replace(CHAT, saver=next(iter(PEERS)))
    assert Record([peer], [Cold(BOTO3, 0.25, [1, 1, 1])]).entries() == {}


def test_the_baseline_is_saved_and_loaded(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    assert load(path) == {}
    save(entries(), path)
    assert load(path) == entries()
    save(agent := Record([dataclasses.replace(CHAT, workload="agent")], []).entries(), path)
    assert load(path) == entries() | agent  # a workload can be measured alone


def test_the_recorded_baseline_is_of_workloads_that_exist() -> None:
    recorded = load()
    names = [name for name in recorded if name.endswith((" turns", "cold start"))]
    assert all(name.startswith(tuple(OURS)) for name in names)
    assert all(any(f", {workload}, " in name for name in names) for workload in GRAPHS)
    assert len(names) < len(recorded) < 120


def test_tables_show_missed_targets() -> None:
    peer = dataclasses.replace(CHAT, saver=next(iter(PEERS)), dollars=40.0)
    limit = dataclasses.replace(CHAT, saver=LIMIT, to_peer=0.25, dollars=29.0)
    colds = [Cold(THIS, 0.5, [1.4, 1.5, 1.6]), Cold(BASE, 0.4, [1.2, 1.3, 1.4])]
    found = turns_report.tables(Record([CHAT, peer, limit], colds))
    lines = [line for line in found.split("Targets")[1].splitlines() if line.startswith("| c")]
    verdicts = [[cell.strip() for cell in line.split("|")[2:-1]] for line in lines]
    assert verdicts == [
        ["1.15", "1.05", "yes", "1.00"],
        ["0.40", "0.30", "yes", "0.25"],
        ["1.00", "1.00", "yes", "1.00"],
        ["0.60", "0.75", "no, 25.0% more", "0.72"],
        ["1.15", "1.50", "no, 30.4% more", "1.30"],
    ]


def test_tables_show_storage_and_cold_loads() -> None:
    found = turns_report.tables(Record([dataclasses.replace(CHAT, stored=123_456, cold=51.2)], []))
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in found.splitlines() if THIS in line]
    assert any(" PUT " in line and "stored, kB" in line for line in found.splitlines())
    assert rows[1][-1] == "123"
    assert rows[2][-1] == "51.2"


def test_a_chart_is_drawn() -> None:
    drawn = bars("Times & more", "ms", {"0 ms": {"a": 1.0, "b<": 2.0}, "5 ms": {"a": 300.0}})
    document = xml.dom.minidom.parseString(drawn)
    rects = document.getElementsByTagName("rect")[1:]
    assert [rect.getAttribute("fill") for rect in rects] == [
        rects[0].getAttribute("fill"),
        rects[1].getAttribute("fill"),
        rects[0].getAttribute("fill"),
    ]
    widths = [float(rect.getAttribute("width")) for rect in rects]
    assert widths[0] < widths[1] < widths[2]
    assert ">300 ms<" in drawn
    assert ">b&lt;<" in drawn


def test_a_real_server_is_measured_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert elsewhere.main(["--server", "rclone", "--turns", "1"]) == 0
    rows = [
        line.split("|")[1:3] for line in capsys.readouterr().out.splitlines() if line.startswith("| this")
    ]
    whole = [[f" {name:<24} ", f" {mode:>5} "] for mode in ("sync", "async") for name in OURS]
    assert rows == whole * 2
