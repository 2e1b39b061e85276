"""Samples leave nothing out that they say they have, and `EXHAUSTIVE=1` leaves out nothing."""

from __future__ import annotations

import itertools

import pytest

from tests.support.sampling import combined, sample

PARAMETERS = {"one": {"a": 1, "b": 2, "c": 3}, "two": [False, True], "three": ["x", "y"]}


@pytest.fixture(autouse=True)
def not_exhaustive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EXHAUSTIVE", raising=False)


def cases() -> list[tuple[object, ...]]:
    names, found = combined(**PARAMETERS).args
    assert names == ("one", "two", "three")
    return [each.values for each in found]


def test_every_pair_of_values_comes() -> None:
    found, product = cases(), list(itertools.product((1, 2, 3), (False, True), ("x", "y")))
    assert len(found) == len(product) / 2
    for one, other in itertools.combinations(range(3), 2):
        pairs = {(each[one], each[other]) for each in product}
        assert {(each[one], each[other]) for each in found} == pairs


def test_each_of_two_parameters_values_comes() -> None:
    _, found = combined(one=PARAMETERS["one"], two=PARAMETERS["two"]).args
    assert [(each.id, each.values) for each in found] == [
        ("a-False", (1, False)),
        ("b-True", (2, True)),
        ("c-False", (3, False)),
    ]


def test_a_sample_begins_and_ends_with_the_cases() -> None:
    assert sample(range(100), 4) == [0, 33, 66, 99]
    assert list(sample(range(3), 4)) == [0, 1, 2]


def test_all_of_them_can_be_played(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXHAUSTIVE", "1")
    assert cases() == list(itertools.product((1, 2, 3), (False, True), ("x", "y")))
    assert len(sample(range(100), 4)) == 100
