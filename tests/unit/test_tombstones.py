"""A thread's tombstones: what is written, what is read, and what is left out."""

from __future__ import annotations

import zlib
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_checkpoint_s3.errors import CorruptObjectError
from langgraph_checkpoint_s3.objects.tombstones import Group, Tombstones, decode_tombstones, name_of

A, B, C = (name_of(each) for each in "abc")
NAMES = st.frozensets(st.integers(0, 30).map(lambda number: name_of(str(number))), min_size=1, max_size=6)
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("plus"), NAMES, st.integers(0, 50), st.booleans(), st.integers(0, 50)),
        st.tuples(st.just("minus"), NAMES, st.integers(0, 12), st.none(), st.none()),
    ),
    max_size=12,
)


def of(*names: bytes, until: int = 100, thread: bool = False) -> Group:
    return Group(frozenset(names), until, thread)


@given(CHANGES)
def test_whatever_is_written_reads_back_and_is_what_was_said(changes: list[Any]) -> None:
    tombstones, groups = Tombstones(), list[Group]()
    for kind, names, number, thread, now in changes:
        if kind == "plus":
            tombstones = tombstones.plus(Group(names, number, thread), now)
            groups = [each for each in groups if each.until > now]
            groups.append(Group(names, number, thread, tombstones.last))
        else:
            tombstones = tombstones.minus(names, number)
            groups = [
                Group(each.names - names, each.until, each.thread, each.number)
                if each.number <= number
                else each
                for each in groups
            ]
        assert decode_tombstones(tombstones.encode()) == tombstones
        every = frozenset[bytes]().union(*(each.names for each in groups))
        assert tombstones.named(name_of(str(each)) for each in range(31)) == every
        for name in every:
            assert tombstones.of_thread([name]) == any(each.thread and name in each.names for each in groups)
    assert tombstones.last == sum(kind == "plus" for kind, *_ in changes)


def test_numbers_go_on_even_if_all_is_gone() -> None:
    tombstones = Tombstones().plus(of(A), 0).plus(of(B), 0)
    assert [each.number for each in tombstones.groups] == [1, 2]
    empty = tombstones.minus([A, B], 2)
    assert (empty.groups, empty.last) == ((), 2)
    assert decode_tombstones(empty.encode()).plus(of(A), 0).groups[0].number == 3


def test_what_a_later_deletion_named_stays() -> None:
    tombstones = Tombstones().plus(of(A, B), 0).plus(of(A), 0)
    left = tombstones.minus([A, B], 1)
    assert left.named([A, B]) == {A}


def test_what_nobody_can_borrow_from_any_more_is_left_out() -> None:
    tombstones = Tombstones().plus(of(A, until=100), 0)
    assert tombstones.plus(of(B, until=200), 99).named([A, B]) == {A, B}
    assert tombstones.plus(of(B, until=200), 100).named([A, B]) == {B}


def test_the_same_again_takes_no_more_room_and_forgets_nothing() -> None:
    whole = Tombstones().plus(of(A, B, thread=True), 0)
    again = whole.plus(of(A, B, thread=True), 0)
    assert len(again.groups) == 1
    some = whole.plus(of(A, B, C), 0)  # not with the thread: the older one says more
    assert len(some.groups) == 2
    assert some.of_thread([A])
    assert not some.of_thread([C])


def test_an_absent_object_names_nothing() -> None:
    assert Tombstones().named([A]) == frozenset()
    assert not Tombstones().of_thread([A])


ROW = [1, False, 100, A]


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
        {"v": 1, "last": 1, "gone": [[1, False, 1.5, A]]},
        {"v": 1, "last": 1, "gone": [[1, False, 100, A[:-1]]]},
        {"v": 1, "last": 1, "gone": [[1, False, 100, "a" * 8]]},
    ],
    ids=repr,
)
def test_what_is_no_record_of_tombstones_is_refused(fields: Any) -> None:
    packed = msgpack.packb(fields)
    with pytest.raises(CorruptObjectError, match="tombstones can't be read"):
        decode_tombstones(packed + zlib.crc32(packed).to_bytes(4, "big"))


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


def test_no_bit_can_flip() -> None:
    """A name that differs would let somebody borrow from what is about to go."""
    whole = Tombstones().plus(of(A, B), 0).encode()
    for place in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[place // 8] ^= 1 << place % 8
        with pytest.raises(CorruptObjectError):
            decode_tombstones(bytes(flipped))
