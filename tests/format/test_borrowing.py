"""Borrowing: whatever is edited, what is read is what was written, from few lenders, at little cost."""

from __future__ import annotations

import math
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langgraph_checkpoint_s3.format.borrowing import BorrowPolicy, Known
from langgraph_checkpoint_s3.format.checkpoint import SECOND
from langgraph_checkpoint_s3.format.frames import Frame, Lender
from tests.format.made import DAY, SMALL, Shelf, shares

NOISE = random.Random(6).randbytes(1_000_000)
FREE = BorrowPolicy(horizon=DAY, min_value=1, min_run=1, min_share=1, max_lenders=10**6, max_runs=10**6)
"""Rules under which only the logarithmic method and the use of frames keep from borrowing."""
TIGHT = BorrowPolicy(horizon=8, min_value=64, min_run=16, min_share=64, max_lenders=3, max_runs=3)
"""Rules that all cut in, again and again."""

BLOBS = st.one_of(
    st.binary(max_size=30),
    st.tuples(st.integers(0, 900_000), st.integers(0, 600)).map(lambda at: NOISE[at[0] : sum(at)]),
    st.integers(0, 300).map(bytes),
)
EDITS = st.one_of(
    st.tuples(st.just("append"), st.just(0.0), BLOBS),
    st.tuples(st.sampled_from(["insert", "delete", "replace", "trim"]), st.floats(0, 1), BLOBS),
    st.tuples(st.just("grow"), st.floats(0, 1), BLOBS.map(lambda blob: blob * 4)),
    st.tuples(st.sampled_from(["empty", "remove", "keep", "keep"]), st.just(0.0), st.just(b"")),
)
STEPS = st.lists(
    st.tuples(st.integers(0, 3), st.dictionaries(st.sampled_from("ab"), EDITS, min_size=1), st.booleans()),
    min_size=2,
    max_size=12,
)
"""Each a parent (how far back; mostly the last one), edits of some channels, whether it was read anew."""


def edited(old: bytes, kind: str, place: float, blob: bytes) -> bytes:
    """A value after an edit."""
    at = int(place * len(old))
    return {
        "append": old + blob,
        "grow": old[:at] + blob + old[at:],
        "insert": old[:at] + blob + old[at:],
        "delete": old[:at] + old[at + len(blob) :],
        "replace": old[:at] + blob + old[at + len(blob) :],
        "trim": old[at:],
        "empty": b"",
        "keep": old,
    }[kind]


def check(shelf: Shelf, name: str, values: dict[str, bytes], known: Known | None) -> None:
    """All that must be true of a checkpoint, however it came about."""
    made, record, rules = shelf.drafts[name], shelf.read(name), shelf.rules
    assert record.content() == made.content
    assert {channel: record.channel(shelf.serde, channel) for channel in values} == values
    assert shelf.known(name, record.versions(shelf.serde), record) == made.known
    frames = record.container.frames
    assert made.lenders == sorted({frame.lender for frame in frames if frame.lender})
    assert len(made.lenders) <= rules.max_lenders
    assert all(abs(record.created // SECOND - lender.created) <= rules.horizon for lender in made.lenders)
    given = Counter[Lender]()
    for channel, value in record.channels.items():
        lent = [extent for extent in value.extents if frames[extent.frame].lender]
        assert len(lent) <= rules.max_runs
        assert not lent or value.size >= rules.min_value
        for extent in lent:
            lender = frames[extent.frame].lender
            assert lender
            assert known
            assert extent.length >= rules.min_run
            assert record.container.bytes_of(value._replace(extents=(extent,))) in known.values[channel].raw
            given[lender] += extent.length
        used = Counter[Frame]()
        for extent in lent:
            used[frames[extent.frame]] += extent.length
        assert all(2 * used[frame] >= frame.raw for frame in used), "a frame that is hardly used"
    assert all(given[lender] >= rules.min_share for lender in given)


def written(shelf: Shelf, steps: list[tuple[int, dict[str, Any], bool]]) -> list[str]:
    """Write a tree of checkpoints, and check each."""
    states: list[dict[str, bytes]] = [{"a": NOISE[:1000], "b": b""}]
    versions: list[dict[str, int]] = [{"a": 0, "b": 0}]
    names = ["000"]
    shelf.put("000", states[0], versions=versions[0])
    check(shelf, "000", states[0], None)
    for number, (back, edits, read) in enumerate(steps, start=1):
        place = max(0, len(names) - 1 - max(0, back - 1))  # two times of four, the last one
        parent, state, version = names[place], dict(states[place]), dict(versions[place])
        for channel, (kind, *edit) in edits.items():
            if kind == "remove":
                state.pop(channel, None)
            elif kind != "keep" or channel not in state:
                state[channel] = edited(state.get(channel, b""), "append" if kind == "keep" else kind, *edit)
                version[channel] = number
        known = shelf.drafts[parent].known
        if read:
            known = shelf.known(parent, versions[place])
        name = f"{number:03}"
        changed = {channel for channel in edits if version.get(channel) == number}
        shelf.put(name, state, parent, versions=version, changed=changed, known=known)
        check(shelf, name, state, known)
        names.append(name)
        states.append(state)
        versions.append(version)
    return names


@pytest.mark.parametrize("rules", [SMALL, FREE, TIGHT], ids=["small", "free", "tight"])
@settings(max_examples=30)
@given(steps=STEPS)
def test_what_is_read_is_what_was_written(
    rules: BorrowPolicy, steps: list[tuple[int, dict[str, Any], bool]]
) -> None:
    shelf = Shelf(rules)
    names = written(shelf, steps)
    for name in names:  # nothing that was written later made another one unreadable
        assert shelf.read(name).content() == shelf.drafts[name].content


@given(steps=STEPS)
def test_the_lenders_shares_fall_geometrically(steps: list[tuple[int, dict[str, Any], bool]]) -> None:
    shelf = Shelf(FREE)
    for name in written(shelf, steps):
        for channel in shelf.drafts[name].known.values:
            total, given = shares(shelf.drafts[name], channel)
            for share in sorted(given.values()):
                assert share > total
                total += share


@pytest.mark.parametrize("rules", [FREE, BorrowPolicy(horizon=DAY)], ids=["free", "default"])
def test_hundreds_of_appends_stay_cheap_to_write_and_to_read(rules: BorrowPolicy) -> None:
    shelf, count, length = Shelf(rules), 800, rules.min_share + 10
    state, total, most = b"", 0, 0
    for number in range(count):
        state += NOISE[number * length % 900_000 :][:length]
        name, parent = f"{number:04}", f"{number - 1:04}" if number else None
        made = shelf.put(name, {"a": state}, parent, at=number)
        most = max(most, len(made.lenders))
        total += shares(made, "a")[0] if "a" in made.known.values else len(state)
        shelf.drafts = {name: made}
        if number % 50 == 49:
            assert shelf.read(name).channel(shelf.serde, "a") == state
    assert 5 <= most <= math.log2(count) + 1 <= 20
    assert 2 * len(state) < total <= len(state) * math.log2(count)


def lengths(shelf: Shelf, name: str) -> list[tuple[str, int]]:
    """Return the pieces of channel `a`: the object that holds each, and its length."""
    found: list[tuple[str, int]] = []
    for piece in shelf.drafts[name].known.values["a"].pieces:
        assert piece.frame.lender
        found.append((piece.frame.lender.checkpoint_id, piece.length))
    return found


def test_what_is_appended_is_all_that_is_new() -> None:
    shelf = Shelf()
    shelf.put("1", {"a": NOISE[:1000]})
    made = shelf.put("2", {"a": NOISE[:1100]}, "1")
    assert lengths(shelf, "2") == [("1", 1000), ("2", 100)]
    assert made.lenders == [Lender("1", "checkpoint.l", 1)]
    assert len(made.body) < 500


def test_children_borrow_from_any_checkpoint_that_is_known() -> None:
    """Forks and time travel: it isn't the last one that counts, but the parent."""
    shelf = Shelf()
    shelf.put("1", {"a": NOISE[:1000]})
    shelf.put("2", {"a": NOISE[:1100]}, "1")
    shelf.put("3", {"a": NOISE[:1000] + NOISE[5000:5050]}, "1")
    shelf.put("4", {"a": NOISE[:1100] + NOISE[6000:6020]}, "2")
    assert lengths(shelf, "3") == [("1", 1000), ("3", 50)]
    assert lengths(shelf, "4") == [("1", 1000), ("2", 100), ("4", 20)]
    for name, length in (("1", 1000), ("2", 1100), ("3", 1050), ("4", 1120)):
        assert len(shelf.read(name).channel(shelf.serde, "a")) == length


def test_a_lender_whose_share_is_no_more_than_what_is_new_is_written_anew() -> None:
    for new, expected in ((99, [("1", 1000), ("2", 100), ("3", 99)]), (100, [("1", 1000), ("3", 200)])):
        shelf = Shelf()
        shelf.put("1", {"a": NOISE[:1000]})
        shelf.put("2", {"a": NOISE[:1100]}, "1")
        shelf.put("3", {"a": NOISE[: 1100 + new]}, "2")
        assert lengths(shelf, "3") == expected


def test_a_checkpoint_that_is_not_known_lends_nothing() -> None:
    shelf = Shelf()
    shelf.put("1", {"a": NOISE[:1000]})
    made = shelf.put("2", {"a": NOISE[:1000]}, "1", alone=True)
    assert made.lenders == []
    assert shelf.open("2").parent == "1"


def test_of_too_many_lenders_the_smallest_are_written_anew() -> None:
    shelf = Shelf(SMALL._replace(max_lenders=3))
    values: dict[str, bytes] = {}
    found = []
    for number, size in enumerate((900, 300, 700, 500, 600)):  # one channel more each time
        values = {**values, str(number): NOISE[1000 * number :][:size]}
        made = shelf.put(str(number), values, str(number - 1) if number else None)
        check(shelf, str(number), values, shelf.drafts[str(number - 1)].known if number else None)
        found.append("".join(lender.checkpoint_id for lender in made.lenders))
    assert found == ["", "0", "01", "012", "023"]


def test_of_too_many_runs_the_shortest_are_written_anew() -> None:
    """Four runs, of 4,000, 3,000, 2,000 and 1,000 bytes."""
    old = NOISE[:11_000]
    new = old[:4000] + b"|" + old[4200:7200] + b"|" + old[7400:9400] + b"|" + old[10_000:]
    for most, lent in ((5, [4000, 3000, 2000, 1000]), (3, [4000, 3000, 2000]), (2, [4000, 3000]), (0, [])):
        shelf = Shelf(SMALL._replace(max_runs=most))
        shelf.put("1", {"a": old})
        shelf.put("2", {"a": new}, "1")
        assert [length for name, length in lengths(shelf, "2") if name == "1"] == lent


def test_a_frame_is_not_borrowed_for_less_than_half_of_it() -> None:
    for length, lenders in ((500, ["1"]), (499, [])):
        shelf = Shelf()
        shelf.put("1", {"a": NOISE[:1000]})
        made = shelf.put("2", {"a": NOISE[:length]}, "1")
        assert [lender.checkpoint_id for lender in made.lenders] == lenders


def test_what_is_written_anew_is_not_used_of_a_frame() -> None:
    """Runs of 2,000, 2,000 and 1,500 bytes, of which the rules allow two: less than half of the frame."""
    old = NOISE[:10_000]
    for most, lenders in ((3, 1), (2, 0)):
        shelf = Shelf(SMALL._replace(max_runs=most))
        shelf.put("1", {"a": old})
        made = shelf.put("2", {"a": old[:2000] + old[2600:4600] + old[5200:6700]}, "1")
        assert len(made.lenders) == lenders


def test_little_is_not_worth_a_request() -> None:
    for least, lenders in ((300, 1), (301, 0)):
        shelf = Shelf(SMALL._replace(min_share=least))
        shelf.put("1", {"a": NOISE[:300]})
        assert len(shelf.put("2", {"a": NOISE[:320]}, "1").lenders) == lenders


def test_a_small_value_is_not_borrowed() -> None:
    for smallest, lenders in ((300, 1), (301, 0)):
        shelf = Shelf(SMALL._replace(min_value=smallest))
        first = shelf.put("1", {"a": NOISE[:300]})
        assert len(first.known.values) == lenders
        assert len(shelf.put("2", {"a": NOISE[:300]}, "1").lenders) == lenders


@pytest.mark.parametrize("changed", [("a",), ()], ids=["serialized", "unchanged"])
def test_no_lender_is_older_than_the_horizon(changed: tuple[str, ...]) -> None:
    for at, lenders in ((1100, 1), (1100.5, 0), (5000, 0), (940, 1), (939.5, 0)):  # clocks differ, too
        shelf = Shelf(SMALL._replace(horizon=100))
        shelf.put("1", {"a": NOISE[:300]}, versions={"a": 1}, at=1000)
        made = shelf.put("2", {"a": NOISE[:300]}, "1", versions={"a": 1}, changed=changed, at=at)
        assert len(made.lenders) == lenders
        assert shelf.read("2").channel(shelf.serde, "a") == NOISE[:300]


def test_what_is_too_old_moves_to_a_younger_object() -> None:
    shelf = Shelf(SMALL._replace(horizon=100))
    shelf.put("00", {"a": NOISE[:300]}, versions={"a": 1}, at=0)
    lenders: list[int | None] = []
    for number in range(1, 31):
        made = shelf.put(
            f"{number:02}",
            {"a": NOISE[:300]},
            f"{number - 1:02}",
            versions={"a": 1},
            changed=(),
            at=number * 10,
        )
        lenders += [lender.created for lender in made.lenders] or [None]
    assert lenders == [0] * 10 + [None] + [110] * 10 + [None] + [220] * 8
