"""Comparison of two runs of LangGraph's tests: with its own classes, and with ours. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

OURS = frozenset({"S3Saver", "S3Store", "S3Cache"})
"""What a record calls ours."""


class Seen(NamedTuple):
    """Outcome of one test.

    Attributes:
        outcome: pytest's word for it.
        made: The classes of the checkpointers, stores and caches that it made.
    """

    outcome: str
    made: Sequence[str]


def to_run(own: Mapping[str, Seen]) -> list[str]:
    """Return the ids of the tests that make one of these, and pass with LangGraph's own."""
    return sorted(name for name, test in own.items() if test.outcome == "passed" and test.made)


def assume(s3: Mapping[str, Seen]) -> dict[str, Seen]:
    """Return what the tests do with LangGraph's own classes, if they pass with them all."""
    return {name: Seen("passed", test.made) for name, test in s3.items()}


def failed(names: Sequence[str], s3: Mapping[str, Seen]) -> list[str]:
    """Return those of the tests that didn't pass."""
    return [name for name in names if name not in s3 or s3[name].outcome != "passed"]


def problems(own: Mapping[str, Seen], s3: Mapping[str, Seen], known: Mapping[str, str]) -> list[str]:
    """Return what is wrong, a sentence each."""
    names = to_run(own)
    lost = failed(names, s3)
    found = [f"{name} passes with LangGraph's own, not with ours" for name in lost if name not in known]
    for name in known:
        if name not in names:
            found.append(f"{name} is in known.py, but doesn't pass with LangGraph's own, or isn't there")
        elif name not in lost:
            found.append(f"{name} is in known.py, but passes with ours: take it out")
    for name in names:
        others = sorted(set(s3[name].made) - OURS) if name in s3 else []
        if name not in lost and (others or not s3[name].made):
            found.append(f"{name} didn't use ours, but {', '.join(others) or 'none'}")
    if not names:
        found.append("No test makes a checkpointer, a store or a cache")
    return found
