"""Samples of long series of cases, so that `make test` stays quick. `EXHAUSTIVE=1` plays all of them."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from typing import Any, TypeVar

T = TypeVar("T")


def sample(cases: Sequence[T], count: int) -> Sequence[T]:
    """Return some of the cases, spread evenly, the first and the last among them.

    Args:
        cases: The cases.
        count: How many, at least two.
    """
    if exhaustive() or len(cases) <= count:
        return cases
    return [cases[number * (len(cases) - 1) // (count - 1)] for number in range(count)]


def pairs(*choices: Sequence[Any]) -> Sequence[tuple[Any, ...]]:
    """Return combinations in which any two values of two of the choices occur together, and few others.

    Args:
        *choices: The values of each parameter.
    """
    combinations = list(itertools.product(*choices))
    if exhaustive():
        return combinations

    def parts(combination: tuple[Any, ...]) -> set[Any]:
        return set(itertools.combinations(enumerate(combination), 2))

    missing: set[Any] = set().union(*map(parts, combinations))
    chosen: list[tuple[Any, ...]] = []
    while missing:
        chosen.append(max(combinations, key=lambda each: len(parts(each) & missing)))
        missing -= parts(chosen[-1])
    return chosen


def exhaustive() -> bool:
    """Return whether all cases are wanted."""
    return os.environ.get("EXHAUSTIVE") == "1"
