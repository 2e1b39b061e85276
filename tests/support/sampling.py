"""Samples of long series of cases, so that `make test` stays quick. `EXHAUSTIVE=1` plays all of them."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import pytest

T = TypeVar("T")


def is_exhaustive() -> bool:
    """Return whether all cases are to be played."""
    return os.environ.get("EXHAUSTIVE") == "1"


def sample(cases: Sequence[T], count: int) -> Sequence[T]:
    """Return some of the cases, spread evenly, the first and the last among them.

    Args:
        cases: The cases.
        count: How many, at least two.
    """
    if is_exhaustive() or len(cases) <= count:
        return cases
    return [cases[number * (len(cases) - 1) // (count - 1)] for number in range(count)]


def pairs(*choices: Sequence[Any]) -> Sequence[tuple[Any, ...]]:
    """Return combinations in which any two values of two of the choices occur together, and few others.

    Args:
        *choices: The values of each parameter.
    """
    combinations = list(itertools.product(*choices))
    if is_exhaustive():
        return combinations

    def parts(combination: tuple[Any, ...]) -> set[Any]:
        return set(itertools.combinations(enumerate(combination), 2))

    missing: set[Any] = set().union(*map(parts, combinations))
    chosen: list[tuple[Any, ...]] = []
    while missing:
        chosen.append(max(combinations, key=lambda each: len(parts(each) & missing)))
        missing -= parts(chosen[-1])
    return chosen


def combined(**parameters: Mapping[str, Any] | Iterable[Any]) -> pytest.MarkDecorator:
    """Give a test every second combination of its parameters, as one colour of a chessboard has them.

    Of three parameters and more, each pair of values comes. Of two, each value.

    Args:
        **parameters: For each parameter its values, by their names in the test's id if there are any.
    """
    named = [
        list(values.items() if isinstance(values, Mapping) else ((str(value), value) for value in values))
        for values in parameters.values()
    ]
    cases = [
        pytest.param(*(named[place][number][1] for place, number in enumerate(numbers)), id=name)
        for numbers in itertools.product(*(range(len(values)) for values in named))
        if is_exhaustive() or sum(numbers) % 2 == 0
        for name in ["-".join(named[place][number][0] for place, number in enumerate(numbers))]
    ]
    return pytest.mark.parametrize(tuple(parameters), cases)
