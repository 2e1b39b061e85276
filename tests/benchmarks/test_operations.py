"""The benchmarks of operations run, count requests, and report missed targets and regressions."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import cpu, crowd, histories, large, operations, operations_report
from benchmarks.baseline import compare, load, save
from benchmarks.instant import Instant
from benchmarks.measured import Measured, entries, paired
from benchmarks.operations import PARTS, Scale
from benchmarks.runs import ENVIRONMENT
from benchmarks.served import Served

pytestmark = pytest.mark.integration

TINY = Scale(1, 60, (0.0,), (6_000_000,), 1, ("1 kB",), 3, 1)
LATEST = Measured("history", "latest, 0 ms", "sync", 5.0, 4.9, [1.0, 1.02, 1.04], 1.1, {"LIST": 1, "GET": 2})


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with Served() as started:
        yield started


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def test_a_long_thread_needs_as_many_requests_as_a_short_one(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(histories, "LIMIT", 4)
    found = list(PARTS["history"](served, TINY))
    assert [(each.what, each.mode) for each in found] == [
        (f"{what}, 0 ms", mode) for mode in ("sync", "async") for what in histories._SHORT
    ]
    for each in found:
        count = histories.LIMIT if each.what.startswith("history") else 1
        assert each.requests == each.other == {"LIST": 1, "GET": 2 * count}
        assert each.aim == (1.1 if each.what.startswith("latest") else None)


def test_writes_are_read_back_in_round_trips(served: Served) -> None:
    found = list(histories.writes(served, 5.0, 1))
    assert [(each.what, each.mode) for each in found] == [
        (f"50 tasks, {how}", mode) for how in ("at once", "one by one") for mode in ("sync", "async")
    ]
    assert [each.requests for each in found] == [{"LIST": 1, "GET": count} for count in (2, 2, 51, 51)]
    for each in found:
        assert each.ratio[1] == pytest.approx(each.found / 5)


def test_a_large_state_is_transferred_like_boto3(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large, "_peak", lambda served, bucket, size, mode, who, what: 2.0)
    found = list(PARTS["large"](served, TINY))
    assert [(each.part, each.what, each.mode) for each in found] == [
        (part, f"6 MB {way}", mode)
        for mode in ("sync", "async")
        for part in ("large", "memory")
        for way in ("up", "down")
    ]
    assert found[0].requests == {"PUT": 1}  # it isn't large enough for parts
    assert found[1].requests["LIST"] == 1
    assert found[2].ratio == [2.0] * 3


def test_peak_memory_of_one_transfer(served: Served) -> None:
    """In a new process, since a used one reuses freed memory. boto3 copies parts, and this saver doesn't."""
    ours, boto3s = (
        large._peak(served, served.bucket(), 30_000_000, "sync", who, "up") for who in ("this saver", "boto3")
    )
    assert ours < 0.3 < boto3s < 5


def test_cpu_of_operations(served: Served) -> None:
    found = list(PARTS["cpu"](served, TINY))
    names = ["`put`", "`put_writes`", "`get_tuple`, cold", "`get_tuple`, remembered"]
    assert [each.what for each in found] == [
        f"{name}, 1 kB{more}" for more in ("", ", borrow=False") for name in names
    ]
    assert all(each.found > 0 and each.more["peak, bytes"] > 0 for each in found)


@pytest.mark.parametrize("borrow", [True, False])
def test_measured_puts_borrow_if_configured(borrow: bool) -> None:
    put = next(cpu.operations(100_000, borrow=borrow)).ours
    put()
    seen = [cell.cell_contents for cell in getattr(put, "__closure__", None) or ()]
    [bucket] = [each for each in seen if isinstance(each, Instant)]
    first, second = sorted(map(len, bucket.objects.values()))
    assert (first < second / 5) == borrow


def test_a_crowd_sends_as_many_requests_as_the_bare_client(served: Served) -> None:
    for each in PARTS["crowd"](served, TINY):
        assert each.requests == {"PUT": 5, "LIST": 1}
        assert each.other == {"in all": 6}
        assert each.aim == crowd.SLOWER


def test_concurrent_requests_are_one_wave() -> None:
    log = [{"at": at} for at in (0.0, 0.01, 0.03, 0.054, 0.056)]
    assert [len(wave) for wave in crowd.waves(log, 0.025)] == [2, 2, 1]


def test_pairs_alternate() -> None:
    done: list[str] = []
    ticks = iter(range(100))
    found = paired(
        lambda: done.append("a"),
        lambda: done.append("b"),
        2,
        clock=lambda: float(next(ticks)),
        prepare=lambda: done.append("-"),
    )
    assert "".join(done) == "-b-a-a-b"
    assert (found.found, found.beside, found.ratio) == (1000, 1000, [1, 1, 1])


def test_regressions_are_reported() -> None:
    before = entries([LATEST])
    assert compare(before, before) == []
    slower = dataclasses.replace(LATEST, ratio=[1.18, 1.2, 1.22])
    more = dataclasses.replace(LATEST, requests={"LIST": 2, "GET": 2})
    assert compare(entries([slower]), before) == ["history, latest, 0 ms, sync: ratio 1.20, was 1.02"]
    assert "history, latest, 0 ms, sync: 2.00 LIST, was 1.00" in compare(entries([more]), before)
    other = entries([dataclasses.replace(LATEST, mode="async")])
    assert compare(other, before)[0].startswith("nothing to")


def test_the_benchmark_writes_and_compares(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    document, recorded = tmp_path / "operations.md", tmp_path / "baseline.json"
    for function in (load, save):
        monkeypatch.setattr(function, "__defaults__", (recorded,))
    monkeypatch.setattr(operations, "SHORT", TINY)
    assert operations.main(["--part", "cpu", "--write", str(document), "--record"]) == 0
    written = document.read_text()
    assert "python -m benchmarks.operations --part cpu --write " in written
    assert "## CPU of an operation\n" in written
    assert len(load()) == 8
    monkeypatch.setattr(operations, "measure", lambda part, scale: [LATEST])
    assert operations.main(["--part", "history", "--record"]) == 0
    assert {name.partition(",")[0] for name in load()} == {"history", "cpu"}
    capsys.readouterr()
    assert operations.main(["--part", "history", "--compare"]) == 0
    printed = capsys.readouterr().out
    assert "## A long thread\n" in printed
    assert printed.endswith("\nnothing got worse by more than noise\n")


def test_tables_show_missed_targets() -> None:
    missed: Any = dataclasses.replace(LATEST, mode="async", ratio=[1.3, 1.32, 1.4])
    lines = operations_report.tables([LATEST, missed]).splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| latest")]
    assert [(row[1], row[4], row[6], row[7]) for row in rows] == [
        ("sync", "1.02", "1.10, met", "1 LIST, 2 GET"),
        ("async", "1.32", "1.10, 20% more", "1 LIST, 2 GET"),
    ]
    assert operations_report._HEADS.keys() == operations_report._TEXTS.keys() >= PARTS.keys()


def test_the_recorded_baseline_is_of_parts_that_exist() -> None:
    parts = {name.partition(",")[0] for name in load() if " turns" not in name and "cold start" not in name}
    assert parts == operations_report._HEADS.keys()
