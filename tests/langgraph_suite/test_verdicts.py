"""Verdicts of `make test-langgraph` on its two runs."""

from __future__ import annotations

import pytest

from tests.langgraph_suite.known import KNOWN
from tests.langgraph_suite.verdict import Seen, assume, problems, to_run

S3 = "S3Saver"
OWN = {
    "t.py::plain": Seen("passed", ["InMemorySaver"]),
    "t.py::known": Seen("passed", ["InMemorySaver"]),
    "t.py::without": Seen("passed", []),
    "t.py::broken": Seen("failed", ["InMemorySaver"]),
    "t.py::skipped": Seen("skipped", []),
}
GOOD = {"t.py::plain": Seen("passed", [S3]), "t.py::known": Seen("failed", [S3])}
REASONS = {"t.py::known": "a reason"}


def test_what_runs_passes_with_a_saver_of_langgraphs() -> None:
    assert to_run(OWN) == ["t.py::known", "t.py::plain"]


def test_all_is_well() -> None:
    assert problems(OWN, GOOD, REASONS) == []


@pytest.mark.parametrize(
    ("changed", "known", "said"),
    [
        ({"t.py::plain": Seen("failed", [S3])}, REASONS, "plain passes with LangGraph's own, not with"),
        ({"t.py::plain": Seen("skipped", [S3])}, REASONS, "plain passes with LangGraph's own, not with"),
        ({"t.py::plain": None}, REASONS, "plain passes with LangGraph's own, not with"),
        ({}, {}, "known passes with LangGraph's own, not with"),
        ({"t.py::known": Seen("passed", [S3])}, REASONS, "known is in known.py, but passes"),
        ({}, REASONS | {"t.py::gone": "a reason"}, "gone is in known.py, but doesn't pass with LangGraph's"),
        ({}, REASONS | {"t.py::broken": "a reason"}, "broken is in known.py, but doesn't pass with"),
        ({"t.py::plain": Seen("passed", ["Other", S3])}, REASONS, "didn't use ours, but Other"),
        ({"t.py::plain": Seen("passed", [])}, REASONS, "didn't use ours, but none"),
    ],
)
def test_what_is_wrong(changed: dict[str, Seen | None], known: dict[str, str], said: str) -> None:
    s3 = {name: test for name, test in {**GOOD, **changed}.items() if test is not None}
    [found] = problems(OWN, s3, known)
    assert said in found


def test_no_tests_at_all() -> None:
    assert problems({}, {}, {}) == ["No test makes a checkpointer, a store or a cache"]


def test_each_known_one_has_a_reason() -> None:
    for known in KNOWN.values():
        assert all("::" in name and len(reason) > 40 for name, reason in known.items())


def test_a_package_without_a_server_is_taken_to_pass() -> None:
    s3 = {**GOOD, "t.py::pure": Seen("passed", [])}
    assert to_run(assume(s3)) == ["t.py::known", "t.py::plain"]
    assert problems(assume(s3), s3, REASONS) == []
    assert len(problems(assume(s3), s3, {})) == 1
