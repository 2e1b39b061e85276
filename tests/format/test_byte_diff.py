"""Shared runs: what is named is the same in both, and after an edit, all but the edit is named."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langgraph_checkpoint_s3.format.borrowing import BorrowPolicy
from langgraph_checkpoint_s3.format.byte_diff import CommonRun, common_runs

SERDE = JsonPlusSerializer()
NOISE = random.Random(5).randbytes(300_000)


SHORTEST = BorrowPolicy(horizon=0).min_run


def new_bytes(old: bytes, new: bytes, shortest: int = SHORTEST) -> int:
    """Check the runs, and return the number of new bytes outside of them."""
    runs = common_runs(old, new, shortest)
    old_end = new_end = 0
    for run in runs:
        assert run.length >= max(shortest, 1)
        assert run.old >= old_end, "not in order in the old one"
        assert run.new >= new_end, "not in order in the new one"
        old_end, new_end = run.old + run.length, run.new + run.length
        assert old[run.old : old_end] == new[run.new : new_end]
    assert old_end <= len(old)
    assert new_end <= len(new)
    return len(new) - sum(run.length for run in runs)


PARTS = st.lists(
    st.one_of(
        st.binary(max_size=100),
        st.integers(0, 500).map(bytes),
        st.tuples(st.binary(min_size=1, max_size=5), st.integers(1, 300)).map(lambda pair: pair[0] * pair[1]),
        st.tuples(st.integers(0, 200_000), st.integers(0, 3000)).map(lambda at: NOISE[at[0] : sum(at)]),
    ),
    max_size=6,
).map(b"".join)
EDIT = st.tuples(st.floats(0, 1), st.integers(0, 500), PARTS)


@given(PARTS, PARTS, st.integers(1, 100))
@example(b"", b"", 1)
@example(b"", b"x", 1)
@example(b"x", b"", 1)
@example(b"x", b"x", 1)
@example(b"ab", b"ba", 1)
def test_runs_of_any_two_values_are_the_same_in_both(old: bytes, new: bytes, shortest: int) -> None:
    assert new_bytes(old, new, shortest) <= len(new)
    assert new_bytes(old, old, shortest) == (0 if len(old) >= shortest else len(old))


@given(PARTS, st.lists(EDIT, max_size=8), st.integers(1, 100))
def test_runs_of_an_edited_value_are_the_same_in_both(
    old: bytes, edits: list[tuple[float, int, bytes]], shortest: int
) -> None:
    new = old
    for place, removed, inserted in edits:
        at = int(place * len(new))
        new = new[:at] + inserted + new[at + removed :]
    assert new_bytes(old, new, shortest) <= len(new)
    assert new_bytes(new, old, shortest) <= len(old)


@given(PARTS, PARTS, PARTS, st.integers(1, 100))
def test_one_edit_leaves_no_more_than_itself(front: bytes, edit: bytes, back: bytes, shortest: int) -> None:
    """Whatever is in front of it and behind it, an insertion costs itself, and ends too short to name."""
    old, new = front + back, front + edit + back
    assert new_bytes(old, new, shortest) <= len(edit) + 2 * (shortest - 1)
    assert new_bytes(new, old, shortest) <= 2 * (shortest - 1)


def test_of_a_value_in_its_middle_both_ends_are_shared() -> None:
    assert common_runs(b"aaaaabbbbbccccc", b"aaaaaXccccc", 5) == [CommonRun(0, 0, 5), CommonRun(10, 6, 5)]
    assert common_runs(b"aaaaabbbbbccccc", b"aaaaaXccccc", 6) == []
    assert common_runs(b"aaaaa", b"aaaaaaa", 1) == [CommonRun(0, 2, 5)]
    assert common_runs(b"abcabc", b"abc", 1) == [CommonRun(3, 0, 3)]


def messages(*numbers: int) -> list[Any]:
    """A conversation: what its messages say has nothing in common, how they are stored has much."""
    return [
        (AIMessage if number % 2 else HumanMessage)(
            random.Random(number).randbytes(random.Random(number).randrange(20, 700)).hex(), id=f"id-{number}"
        )
        for number in numbers
    ]


def dumped(conversation: Sequence[Any]) -> bytes:
    return SERDE.dumps_typed(list(conversation))[1]


def size_of(*added: Any) -> int:
    """Return the serialized form of some messages."""
    return sum(len(dumped([message])) for message in added)


BEFORE = messages(*range(200))
LONGEST = max(size_of(message) for message in messages(*range(230)))
EDITS: dict[str, tuple[Callable[[list[Any]], list[Any]], int]] = {
    "nothing": (lambda old: old, 0),
    "one is appended": (lambda old: [*old, *messages(200)], 1),
    "three are appended": (lambda old: [*old, *messages(200, 201, 202)], 3),
    "the first is dropped": (lambda old: old[1:], 0),
    "ten are dropped in front": (lambda old: old[10:], 0),
    "the window slides by one": (lambda old: [*old[1:], *messages(200)], 1),
    "the window slides by ten": (lambda old: [*old[10:], *messages(*range(200, 210))], 10),
    "the last is dropped": (lambda old: old[:-1], 0),
    "half are dropped behind": (lambda old: old[:100], 0),
    "one is replaced": (lambda old: [*old[:70], *messages(200), *old[71:]], 1),
    "one is inserted": (lambda old: [*old[:70], *messages(200), *old[70:]], 1),
    "one is inserted in front": (lambda old: [*messages(200), *old], 1),
    "one in the middle is dropped": (lambda old: [*old[:70], *old[71:]], 0),
    "ten in the middle are dropped": (lambda old: [*old[:70], *old[80:]], 0),
    "edits here and there": (
        lambda old: [*old[:20], *messages(200), *old[21:60], *old[61:99], *messages(201), *old[99:]],
        2,
    ),
    "the front is summarized": (lambda old: [*messages(200), *old[2:], *messages(201, 202)], 3),
    "much of the front is summarized": (lambda old: [*messages(200), *old[20:]], 1),
    "edits and a slide": (
        lambda old: [*old[3:50], *messages(200), *old[51:], *messages(201, 202)],
        3,
    ),
}


@pytest.mark.parametrize(("edit", "count"), EDITS.values(), ids=EDITS)
def test_an_edited_conversation_leaves_little_more_than_the_new_messages(
    edit: Callable[[list[Any]], list[Any]], count: int
) -> None:
    old, new = dumped(BEFORE), dumped(edit(list(BEFORE)))
    assert new_bytes(old, new) <= count * LONGEST + SHORTEST * (count + 1)


@pytest.mark.parametrize("count", [1, 2, 5, 20])
def test_a_window_slides_at_little_cost(count: int) -> None:
    added = messages(*range(200, 200 + count))
    for start in range(20):
        old, new = dumped(BEFORE[start:]), dumped(BEFORE[start + count :] + added)
        assert new_bytes(old, new) <= size_of(*added) + SHORTEST


@given(st.data())
def test_so_do_any_few_edits_of_it(data: st.DataObject) -> None:
    now, added = list(BEFORE), 0
    count = data.draw(st.integers(1, 4))
    for number in range(count):
        place = data.draw(st.integers(0, len(now)))
        removed, inserted = data.draw(st.integers(0, 8)), data.draw(st.integers(0, 3))
        fresh = messages(*range(200 + 3 * number, 200 + 3 * number + inserted))
        now[place : place + removed] = fresh
        added += size_of(*fresh)
    assert new_bytes(dumped(BEFORE), dumped(now)) <= added + count * LONGEST


def test_values_that_share_nothing_have_no_runs() -> None:
    half = len(NOISE) // 2
    assert common_runs(NOISE[:half], NOISE[half:], 64) == []
    assert common_runs(NOISE[:10], NOISE[half:], 64) == []


def test_what_was_moved_further_than_is_searched_is_not_found() -> None:
    """The search has its limits: this is what they cost."""
    half = len(NOISE) // 2
    assert common_runs(NOISE, NOISE[half:] + NOISE[:half], 64) == []
    assert new_bytes(NOISE, NOISE[:1000] + NOISE[20_000:]) == 0


ADVERSARIAL: dict[str, bytes] = {
    "nothing": b"",
    "one byte": b"\0",
    "zeros": bytes(100_000),
    "more zeros": bytes(300_000),
    "ones": b"\1" * 100_000,
    "a pattern": b"ab" * 50_000,
    "a pattern, shifted": b"ba" * 50_000,
    "a long pattern": NOISE[:1000] * 100,
    "a long pattern with edits": b"".join(NOISE[:1000] + b"%d" % number for number in range(100)),
    "zeros with edits": b"".join(bytes(1000) + b"%d" % number for number in range(100)),
    "zeros with other edits": b"".join(bytes(1000) + b"%d" % number for number in range(100, 200)),
    "noise": NOISE[:100_000],
    "noise with zeros": NOISE[:50_000] + bytes(50_000),
}


@pytest.mark.parametrize("old", ADVERSARIAL.values(), ids=ADVERSARIAL)
@pytest.mark.parametrize("new", ADVERSARIAL.values(), ids=ADVERSARIAL)
def test_what_repeats_itself_is_matched_soundly(old: bytes, new: bytes) -> None:
    assert new_bytes(old, new) <= len(new)


def test_many_edits_end_the_search_and_keep_what_was_found() -> None:
    """So that comparing never costs more than compressing."""
    old = NOISE[:200_000]
    new = bytearray(old)
    new[::500] = bytes(each ^ 255 for each in old[::500])  # four hundred of them
    runs = common_runs(old, bytes(new), 64)
    assert 4 <= len(runs) < 50
    assert [run.new for run in runs[:3]] == [1, 501, 1001]
    assert new_bytes(old, bytes(new), 64) == len(old) - sum(run.length for run in runs)


def test_few_edits_of_what_is_long_are_all_found() -> None:
    old = NOISE[:200_000]
    new = bytearray(old)
    new[9_999::20_000] = bytes(each ^ 255 for each in old[9_999::20_000])  # ten of them
    assert new_bytes(old, bytes(new)) == 10
