"""The guess at how heavy values are: whatever a value does, nothing fails for a guess."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from langgraph_checkpoint_s3.format.serialization import estimate_size


def odd(**methods: Callable[..., Any]) -> Any:
    """An object of a class with these methods."""
    return type("Odd", (), dict(methods))()


def fail(*_: Any) -> Any:
    raise ZeroDivisionError


def endless(self: Any) -> int:
    return len(self)


class Pretender:
    """It raises when it is asked what it is."""

    def __getattribute__(self, name: str) -> Any:
        raise ZeroDivisionError

    def __len__(self) -> int:
        raise ZeroDivisionError


class Scalar:
    """Looks like one of numpy's arrays without dimensions."""

    def __len__(self) -> int:
        raise TypeError("len() of unsized object")

    def __iter__(self) -> Iterator[int]:
        raise TypeError("iteration over a 0-d array")


ODD: dict[str, Any] = {
    "scalar": Scalar(),
    "raises": odd(__len__=fail),
    "negative": odd(__len__=lambda _: -1),
    "beyond": odd(__len__=lambda _: sys.maxsize + 1),
    "text": odd(__len__=lambda _: "many"),
    "recursion": odd(__len__=endless),
    "memory": odd(__len__=lambda _: (_ for _ in ()).throw(MemoryError())),
    "class": Pretender(),
    "size": odd(__sizeof__=fail),
    "iteration": odd(__iter__=fail),
    "attributes": odd(__getattribute__=fail),
    "hash": odd(__hash__=fail, __eq__=fail),
}


@pytest.mark.parametrize("name", ODD)
def test_what_cannot_be_weighed_is_light(name: str) -> None:
    value = ODD[name]
    assert estimate_size([value]) == 0
    assert estimate_size([b"1234", value, "56"]) == 6


def test_who_lies_is_believed() -> None:
    assert estimate_size([odd(__len__=lambda _: sys.maxsize)] * 2) == 2 * 512 * sys.maxsize


def test_the_rest_is_weighed_by_length() -> None:
    assert estimate_size([b"1234", "56", bytearray(3), [1, 2], {"a": 1}, 5, None]) == 4 + 2 + 3 + 3 * 512
