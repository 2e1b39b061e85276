"""A thread's tombstones: what is written, what is read, and what is left out."""

from __future__ import annotations

from typing import Any, get_args

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_checkpoint_s3.errors import CorruptObjectError
from langgraph_checkpoint_s3.format.tombstones import (
    Group,
    Reason,
    Tombstones,
    decode_tombstones,
    tombstone_digest,
)

A, B, C = (tombstone_digest(each) for each in "abc")
NAMES = st.frozensets(
    st.integers(0, 30).map(lambda number: tombstone_digest(str(number))), min_size=1, max_size=6
)
CHANGES = st.lists(
    st.one_of(
        st.tuples(
            st.just("plus"), NAMES, st.integers(0, 50), st.sampled_from(get_args(Reason)), st.integers(0, 50)
        ),
        st.tuples(st.just("minus"), NAMES, st.integers(0, 12), NAMES, st.none()),
    ),
    max_size=12,
)


def of(*names: bytes, until: int = 100, reason: Reason = "some") -> Group:
    return Group(frozenset(names), until, reason)


@given(CHANGES)
def test_whatever_is_written_reads_back_and_is_what_was_said(changes: list[Any]) -> None:
    tombstones, groups = Tombstones(), list[Group]()
    for kind, names, number, reason, now in changes:
        if kind == "plus":
            tombstones = tombstones.plus(Group(names, number, reason), now)
            groups = [each for each in groups if each.until > now]
            groups.append(Group(names, number, reason, tombstones.last))
        else:
            there = names | reason
            tombstones = tombstones.minus(names, number, there)
            for place, each in enumerate(groups):
                if each.reason == "coming":
                    groups[place] = each._replace(names=each.names - there)
                elif each.number <= number:
                    groups[place] = each._replace(names=each.names - names)
        assert decode_tombstones(tombstones.encode()) == tombstones
        every = frozenset[bytes]().union(*(each.names for each in groups))
        assert tombstones.named(tombstone_digest(str(each)) for each in range(31)) == every
        for name in every:
            assert tombstones.reasons([name]) == {each.reason for each in groups if name in each.names}
    assert tombstones.last == sum(kind == "plus" for kind, *_ in changes)


def test_numbers_go_on_even_if_all_is_gone() -> None:
    tombstones = Tombstones().plus(of(A), 0).plus(of(B), 0)
    assert [each.number for each in tombstones.groups] == [1, 2]
    empty = tombstones.minus(frozenset({A, B}), 2, frozenset())
    assert (empty.groups, empty.last) == ((), 2)
    assert decode_tombstones(empty.encode()).plus(of(A), 0).groups[0].number == 3


def test_what_a_later_deletion_named_stays() -> None:
    tombstones = Tombstones().plus(of(A, B), 0).plus(of(A), 0)
    left = tombstones.minus(frozenset({A, B}), 1, frozenset({A, B}))
    assert left.named([A, B]) == {A}


def test_what_nobody_can_borrow_from_any_more_is_left_out() -> None:
    tombstones = Tombstones().plus(of(A, until=100), 0)
    assert tombstones.plus(of(B, until=200), 99).named([A, B]) == {A, B}
    assert tombstones.plus(of(B, until=200), 100).named([A, B]) == {B}


def test_the_same_again_takes_no_more_room_and_forgets_nothing() -> None:
    whole = Tombstones().plus(of(A, B, reason="thread"), 0)
    again = whole.plus(of(A, B, reason="thread"), 0)
    assert len(again.groups) == 1
    some = whole.plus(of(A, B, C), 0)  # for another reason: the older one says more
    assert len(some.groups) == 2
    assert some.reasons([A]) == {"some", "thread"}
    assert some.reasons([C]) == {"some"}


def test_what_was_expected_is_so_no_longer_once_it_is_there() -> None:
    gone = Tombstones().plus(of(A, B), 0)
    both = gone.plus(of(A, B, reason="coming"), 0)
    came = both.minus(frozenset({A}), both.last, frozenset({A, B}))
    assert came.reasons([A]) == frozenset()
    assert came.reasons([B]) == {"some"}, "it stood there, and a deletion may be about to take it"


def test_what_an_earlier_try_expected_goes_whatever_came_after_it() -> None:
    """An import that finds all there has nothing to take out of a deletion that is under way."""
    both = Tombstones().plus(of(A, B, reason="coming"), 0).plus(of(A, B), 0)
    assert both.minus(frozenset(), 0, frozenset({A, B})).reasons([A, B]) == {"some"}


def test_an_absent_object_names_nothing() -> None:
    assert Tombstones().named([A]) == frozenset()
    assert not Tombstones().reasons([A])


ROW = [1, "some", 100, A]


@pytest.mark.parametrize(
    "fields",
    [
        None,
        [],
        {"v": 2, "last": 1, "gone": [ROW]},
        {"v": "1", "last": 1, "gone": [ROW]},
        {"v": 1, "gone": [ROW]},
        {"v": 1, "last": 1},
        {"v": 1, "last": -1, "gone": []},
        {"v": 1, "last": "1", "gone": []},
        {"v": 1, "last": 1, "gone": None},
        {"v": 1, "last": 1, "gone": [1]},
        {"v": 1, "last": 1, "gone": [ROW[:3]]},
        {"v": 1, "last": 1, "gone": [[*ROW, 1]]},
        {"v": 1, "last": 1, "gone": [[-1, *ROW[1:]]]},
        {"v": 1, "last": 1, "gone": [[1, 0, 100, A]]},
        {"v": 1, "last": 1, "gone": [[1, "other", 100, A]]},
        {"v": 1, "last": 1, "gone": [[1, "some", 1.5, A]]},
        {"v": 1, "last": 1, "gone": [[1, "some", 100, A[:-1]]]},
        {"v": 1, "last": 1, "gone": [[1, "some", 100, "a" * 8]]},
    ],
    ids=repr,
)
def test_what_is_no_record_of_tombstones_is_refused(fields: Any) -> None:
    with pytest.raises(CorruptObjectError, match="tombstones can't be read"):
        decode_tombstones(msgpack.packb(fields))


@given(st.binary(max_size=60))
def test_no_bytes_crash_it(data: bytes) -> None:
    try:
        decode_tombstones(data)
    except CorruptObjectError:
        return


@given(st.data())
def test_what_is_cut_off_is_refused(data: Any) -> None:
    whole = Tombstones().plus(of(A, B), 0).encode()
    with pytest.raises(CorruptObjectError):
        decode_tombstones(whole[: data.draw(st.integers(0, len(whole) - 1))])
