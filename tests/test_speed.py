"""No test depends on how fast the machine is: what can be seen of that in the tests' own source."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

from hypothesis import HealthCheck, settings

TESTS = Path(__file__).parent
BY_HAND = {"benchmarks", "browser", "crash", "fuzz", "integration", "langgraph_dev", "servers", "soak"}
"""Folders whose tests `make test` leaves out, and start servers and browsers that have to be waited for."""
CLOCKS = {"monotonic", "perf_counter", "process_time", "thread_time"}
WAITS = {"acquire", "communicate", "join", "result", "wait", "wait_for"}
SETTINGS = {"settings", "register_profile"}
CALLS = re.compile(rf"\b(?:{'|'.join(sorted(CLOCKS | WAITS | SETTINGS))})\s*\(")
"""A call that these tests look at."""
LEAST = 60
"""Seconds; less isn't a guard against what hangs, but a bet on how long something takes."""
SHORT = {
    ("contract/admin/test_bulk.py", "asyncio.wait_for(admin.abatch_put(given, concurrency=2), 0.3)"),
    ("contract/test_fault_server.py", "asking.join(0.05)"),
    ("contract/test_loops.py", "threading.Event().wait(0.02)"),
    ("s3/rest/test_connections.py", "peer.server.ending.wait(0.01)"),
    ("s3/rest/test_connections.py", "peer.server.ending.wait(0.2)"),
    ("s3/test_interrupts.py", "threading.Event().wait(0.0005)"),
}
"""Shorter ones, which are no bets: what they wait for never comes while they wait."""


@functools.cache
def source() -> list[tuple[str, ast.AST]]:
    """The calls and assertions in the tests' source that has such calls, each with its place in it."""
    files = [path for path in sorted(TESTS.rglob("*.py")) if path != Path(__file__)]
    return [
        (f"{path.relative_to(TESTS).as_posix()}:{getattr(node, 'lineno', 0)}", node)
        for path in files
        if CALLS.search(text := path.read_text(encoding="utf-8"))
        for node in ast.walk(ast.parse(text))
        if isinstance(node, (ast.Call, ast.Assert))
    ]


def calls() -> Iterator[tuple[str, str, ast.Call]]:
    """Each call: where it is, the function's last name, the call."""
    return ((where, name_of(node.func), node) for where, node in source() if isinstance(node, ast.Call))


def name_of(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def in_make_test(where: str) -> bool:
    return where.partition("/")[0] not in BY_HAND


def seconds(call: ast.Call) -> float | None:
    """The timeout that a call has as a number, not by a name."""
    given = [word.value for word in call.keywords if word.arg == "timeout"] or call.args[-1:]
    value = given[0] if given else None
    literal = value.value if isinstance(value, ast.Constant) else None
    return float(literal) if isinstance(literal, (int, float)) else None


def test_hypothesis_has_no_deadline() -> None:
    assert settings.default is not None
    assert settings.default.deadline is None
    assert settings().deadline is None
    assert HealthCheck.too_slow in settings.default.suppress_health_check


def test_no_test_has_a_deadline_of_its_own() -> None:
    assert not [
        where
        for where, name, call in calls()
        if name in SETTINGS
        and where.partition(":")[0] != "conftest.py"
        and any(word.arg == "deadline" for word in call.keywords)
    ]


def test_a_health_check_that_is_named_leaves_the_slow_ones_out() -> None:
    """`suppress_health_check` isn't added to the profile's, but stands in its place."""
    named = [
        (where, ast.unparse(word.value))
        for where, name, call in calls()
        if name == "settings"
        for word in call.keywords
        if word.arg == "suppress_health_check"
    ]
    assert not [(where, value) for where, value in named if "too_slow" not in value and "list(" not in value]


def test_what_is_waited_for_has_time() -> None:
    short = {
        (where.partition(":")[0], ast.unparse(call))
        for where, name, call in calls()
        if in_make_test(where) and name in WAITS and (given := seconds(call)) is not None and given < LEAST
    }
    assert short == SHORT


def test_no_assertion_reads_a_clock() -> None:
    assert not [
        where
        for where, node in source()
        if isinstance(node, ast.Assert) and in_make_test(where)
        if any(isinstance(each, ast.Call) and name_of(each.func) in CLOCKS for each in ast.walk(node))
    ]
