"""Samples of long series of cases, so that `make test` stays quick. `EXHAUSTIVE=1` plays all of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def sample(cases: Sequence[T], count: int) -> Sequence[T]:
    """Return some of the cases, spread evenly, the first and the last among them.

    Args:
        cases: The cases.
        count: How many, at least two.
    """
    if os.environ.get("EXHAUSTIVE") == "1" or len(cases) <= count:
        return cases
    return [cases[number * (len(cases) - 1) // (count - 1)] for number in range(count)]
