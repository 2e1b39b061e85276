"""Rewriting a borrower, as before its lenders are deleted: in place, for those who borrow from it."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_checkpoint_s3.format.borrowing import BorrowPolicy
from langgraph_checkpoint_s3.format.checkpoint import CheckpointRecord
from langgraph_checkpoint_s3.format.checkpoint_writer import Draft
from langgraph_checkpoint_s3.format.codecs import Compression
from langgraph_checkpoint_s3.format.header import COMPRESSED
from tests.format.made import DAY, SMALL, Shelf
from tests.format.strategies import EVERY_CODEC

NOISE = random.Random(10).randbytes(1_000_000)
MANY = SMALL._replace(max_lenders=1000)
"""Rules by which there may be very many lenders."""


def check(shelf: Shelf, name: str, whole: bytes) -> CheckpointRecord:
    """All that must be true of a rewritten object, which then takes the other one's place."""
    before, data = shelf.open(name), shelf.bodies[name]
    content = shelf.drafts[name].content
    shelf.bodies[name] = whole
    after = shelf.open(name)
    assert after.container.base == before.container.base
    assert whole[before.container.base :].startswith(data[before.container.base :])
    for old, new in zip(before.container.frames, after.container.frames, strict=True):
        assert new.lender is None
        assert new == old or old.lender
    assert after.container.missing(after.all_values()) == []
    assert after.content() == content
    assert after.metadata(shelf.serde) == before.metadata(shelf.serde)
    assert (after.parent, after.created) == (before.parent, before.created)
    return after


def rewritten(shelf: Shelf, name: str, compression: Compression = "zstd") -> bytes:
    """The object with what its lenders give in it."""
    return shelf.read(name).materialized(compression)


def line(shelf: Shelf, count: int = 5) -> Draft:
    """Checkpoints that each append to one channel, half as much as before, and leave another one as it is."""
    state, length = NOISE[:8000], 4000
    made = shelf.put("0", {"a": state, "b": NOISE[50_000:55_000]}, versions={"a": 0, "b": 0})
    for number in range(1, count):
        state, length = state + NOISE[number * 10_000 :][:length], length // 2 - 1
        made = shelf.put(
            str(number),
            {"a": state, "b": NOISE[50_000:55_000]},
            str(number - 1),
            versions={"a": number, "b": 0},
            changed=("a",),
        )
    return made


def test_a_borrower_is_rewritten_in_place() -> None:
    shelf = Shelf()
    made = line(shelf)
    assert [lender.checkpoint_id for lender in made.lenders] == ["0", "1", "2", "3"]
    after = check(shelf, "4", rewritten(shelf, "4"))
    assert after.checkpoint(shelf.serde)["channel_values"]["b"] == NOISE[50_000:55_000]


def test_who_borrows_from_a_rewritten_one_still_does() -> None:
    shelf = Shelf()
    line(shelf)
    for name in "1234":
        check(shelf, name, rewritten(shelf, name))
        for other in "01234":
            assert shelf.read(other).content() == shelf.drafts[other].content
    for name in "0123":
        del shelf.bodies[name]
    assert shelf.read("4").content() == shelf.drafts["4"].content


def test_one_that_borrows_nothing_stays_as_it_is() -> None:
    shelf = Shelf()
    line(shelf)
    assert rewritten(shelf, "0") == shelf.bodies["0"]
    whole = rewritten(shelf, "4")
    check(shelf, "4", whole)
    assert rewritten(shelf, "4") == whole


def test_children_may_borrow_from_a_rewritten_one() -> None:
    shelf = Shelf()
    line(shelf)
    record = check(shelf, "4", rewritten(shelf, "4"))
    known = shelf.known("4", {"a": 4, "b": 0}, record)
    values = {"a": known.values["a"].raw + b"more", "b": NOISE[50_000:55_000]}
    made = shelf.put("5", values, "4", versions={"a": 5, "b": 0}, changed=("a",), known=known)
    assert [lender.checkpoint_id for lender in made.lenders] == ["4"]
    assert shelf.read("5").checkpoint(shelf.serde)["channel_values"] == values


@pytest.mark.parametrize("codec", EVERY_CODEC)
@pytest.mark.parametrize("again", EVERY_CODEC)
def test_a_draft_can_be_made_whole_before_anybody_read_it(codec: Compression, again: Compression) -> None:
    """The lenders were deleted while the checkpoint was written."""
    shelf = Shelf(codec=codec)
    made = line(shelf)
    for name in "0123":
        del shelf.bodies[name]
    check(shelf, "4", made.materialized(again))


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),
        st.integers(0, 900_000),
        st.integers(0, 3000),
        st.sampled_from(["append", "new", "middle", "empty", "keep"]),
        st.booleans(),
    ),
    min_size=1,
    max_size=10,
)


def edited(old: bytes, kind: str, blob: bytes) -> bytes:
    """A value after an edit."""
    half = len(old) // 2
    return {
        "append": old + blob,
        "new": blob,
        "middle": old[:half] + blob[:50] + old[half:],
        "empty": b"",
        "keep": old,
    }[kind]


@given(
    st.sampled_from([SMALL, MANY, BorrowPolicy(horizon=DAY, min_value=256, min_run=64, min_share=64)]),
    st.sampled_from(EVERY_CODEC),
    STEPS,
    st.sampled_from(["{}", "{:04}", "1f1e7b84-5e37-6ab4-8000-{:012}"]),
)
def test_it_always_fits_and_nobody_notices(
    rules: BorrowPolicy, codec: Compression, steps: Any, ids: str
) -> None:
    shelf = Shelf(rules, codec)
    state: dict[str, bytes] = {"a": NOISE[:2000]}
    names = [ids.format(0)]
    shelf.put(names[0], state)
    for number, (channel, start, length, kind, compressible) in enumerate(steps, start=1):
        blob = bytes(length) if compressible else NOISE[start : start + length]
        state = {**state, channel: edited(state.get(channel, b""), kind, blob)}
        names.append(ids.format(number))
        shelf.put(names[-1], state, names[-2])
    for name in names[1:]:
        check(dataclasses.replace(shelf, bodies=dict(shelf.bodies)), name, rewritten(shelf, name))
        check(
            dataclasses.replace(shelf, bodies=dict(shelf.bodies)),
            name,
            shelf.drafts[name].materialized(codec),
        )
    for name in names:
        check(shelf, name, rewritten(shelf, name))
    for name in names:
        assert shelf.open(name).content() == shelf.drafts[name].content


@pytest.mark.parametrize("large", [0, 100_000, 1_000_000])
@pytest.mark.parametrize("frames", [1, 20, 300])
@pytest.mark.parametrize("content", ["noise", "the same", "zeros"])
def test_it_fits_with_very_many_frames(content: str, frames: int, large: int) -> None:
    """Their rows are alike and cost next to nothing; behind something large, their offsets cost more."""
    shelf = Shelf(MANY)
    values = {
        f"{number:03}": {"noise": NOISE[100 * number :][:100], "the same": NOISE[:100], "zeros": bytes(100)}[
            content
        ]
        for number in range(frames)
    }
    shelf.put("a", values, versions=dict.fromkeys(values, 1), at=1)
    after = {**values, "large": NOISE[:large]}
    shelf.put("b", after, "a", versions=dict.fromkeys(values, 1), changed=("large",), at=2)
    assert len(shelf.open("b").container.missing(shelf.open("b").all_values())) == frames
    shelf.bodies["b2"] = shelf.bodies["b"]
    check(dataclasses.replace(shelf, bodies=dict(shelf.bodies)), "b", shelf.drafts["b"].materialized("none"))
    check(shelf, "b", rewritten(shelf, "b"))


@pytest.mark.parametrize("size", [20, 500_000])
def test_it_fits_with_very_many_lenders(size: int) -> None:
    """Their ids and leaves have little to lose: one letter each, all written in one second."""
    shelf = Shelf(MANY)
    names = [chr(code) for code in range(ord("A"), ord("z"))]
    values: dict[str, bytes] = {}
    for number, name in enumerate(names):
        values = {**values, name: NOISE[1000 * number :][:1000]}
        parent = names[number - 1] if number else None
        shelf.put(name, values, parent, versions=dict.fromkeys(values, 1), changed=(name,), at=1.5)
    values = {**values, "large": NOISE[:size]}
    made = shelf.put("z", values, "y", versions=dict.fromkeys(values, 1), changed=("large",), at=1.5)
    assert len(made.lenders) == len(names)
    check(dataclasses.replace(shelf, bodies=dict(shelf.bodies)), "z", made.materialized("gzip"))
    check(shelf, "z", rewritten(shelf, "z"))


def test_it_fits_whatever_the_channels_are_called() -> None:
    """A header is mostly text, and text can always be compressed a little: so there can be room in it."""
    shelf, rng = Shelf(MANY), random.Random(11)
    names = ["".join(chr(rng.randrange(128)) for _ in range(20)) for _ in range(4000)]
    values = {**dict.fromkeys(names), "a": NOISE[:5000]}
    shelf.put("1", values, versions={"a": 1})
    shelf.put("2", values, "1", versions={"a": 1}, changed=())
    shelf.put("3", {**values, "a": NOISE[:5100]}, "2", versions={"a": 2}, changed=("a",))
    for name in "23":
        assert shelf.bodies[name][5] == COMPRESSED
        check(shelf, name, rewritten(shelf, name))
