"""Comparison of two runs of LangGraph's tests: with its own savers, and with `S3Saver`. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

S3 = "S3Saver"
"""What a record calls a saver of ours."""


class Seen(NamedTuple):
    """Outcome of one test.

    Attributes:
        outcome: pytest's word for it.
        savers: The classes of the checkpointers that it made.
    """

    outcome: str
    savers: Sequence[str]


def to_run(own: Mapping[str, Seen]) -> list[str]:
    """Return the ids of the tests that make a checkpointer, and pass with LangGraph's own."""
    return sorted(name for name, test in own.items() if test.outcome == "passed" and test.savers)


def failed(names: Sequence[str], s3: Mapping[str, Seen]) -> list[str]:
    """Return those of the tests that didn't pass."""
    return [name for name in names if name not in s3 or s3[name].outcome != "passed"]


def problems(own: Mapping[str, Seen], s3: Mapping[str, Seen], known: Mapping[str, str]) -> list[str]:
    """Return what is wrong, a sentence each."""
    names = to_run(own)
    lost = failed(names, s3)
    found = [f"{name} passes with LangGraph's savers, not with S3Saver" for name in lost if name not in known]
    for name in known:
        if name not in names:
            found.append(f"{name} is in known.py, but doesn't pass with LangGraph's savers, or isn't there")
        elif name not in lost:
            found.append(f"{name} is in known.py, but passes with S3Saver: take it out")
    for name in names:
        others = sorted(set(s3[name].savers) - {S3}) if name in s3 else []
        if name not in lost and (others or not s3[name].savers):
            found.append(f"{name} didn't use S3Saver, but {', '.join(others) or 'no checkpointer'}")
    if not names:
        found.append("No test makes a checkpointer")
    return found
