"""Components, ranks and leaves: what a key is made of reads back, and is mistaken for nothing else."""

from __future__ import annotations

import re
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from langgraph_checkpoint_s3.errors import InvalidKeyError
from langgraph_checkpoint_s3.format.key_encoding import decode_component, encode_component
from langgraph_checkpoint_s3.format.keys import (
    CheckpointLeaf,
    WritesLeaf,
    decode_leaf,
    decode_rank,
    encode_rank,
)
from tests.format.strategies import HOSTILE, IDS, TEXT

MAYBE = st.none() | IDS
SLOTS = st.sets(st.integers(0, 6) | st.integers(0, 10**6), min_size=1, max_size=30)


@given(IDS)
@example("".join(map(chr, range(256))))
def test_a_component_reads_back(text: str) -> None:
    assert decode_component(encode_component(text)) == text


@given(IDS, IDS)
@example("a/b", "a.2Fb")
@example("é", "e\u0301")
def test_two_texts_never_share_a_component(one: str, other: str) -> None:
    assert (encode_component(one) == encode_component(other)) == (one == other)


@given(IDS)
def test_a_component_keeps_to_characters_that_nothing_changes(text: str) -> None:
    encoded = encode_component(text)
    assert re.fullmatch(r"(?:[A-Za-z0-9_-]|\.[0-9A-F]{2})*", encoded)


@given(IDS)
@example("a.thread")
@example(".ns")
@example(".pfoo")
def test_a_component_never_spells_an_ending_or_a_field(text: str) -> None:
    assert not re.search(r"\.[a-z]", encode_component(text))


def test_what_a_component_looks_like() -> None:
    assert encode_component("a/b") == "a.2Fb"
    assert encode_component("a-b_C.9") == "a-b_C.2E9"
    assert encode_component("é~") == ".C3.A9.7E"


@pytest.mark.parametrize(
    "text",
    [".", ".2", ".2f", "a.", "a.b", "/", "a b", "é", "%2F", ".41", ".5F", ".FF", ".C3", "a\n", ".ED.A0.80"],
)
def test_what_is_no_component_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"component|codec"):
        decode_component(text)


@pytest.mark.parametrize("text", ["\ud800", "a\udfff"])
def test_a_lone_surrogate_has_no_key(text: str) -> None:
    with pytest.raises(InvalidKeyError, match=r"thread_id .* lone surrogate"):
        encode_component(text, "thread_id")
    with pytest.raises(InvalidKeyError, match=r"checkpoint_id .* lone surrogate"):
        encode_rank(text)


@given(IDS, IDS)
@example("a", "ab")
@example("", "a")
@example("\uffff", "\U00010000")  # in the other order as UTF-16
@example("z", "é")
def test_ranks_sort_the_other_way_round(one: str, other: str) -> None:
    assert (encode_rank(one) > encode_rank(other)) == (one < other)
    assert (encode_rank(one) == encode_rank(other)) == (one == other)


@given(IDS)
def test_a_rank_reads_back(text: str) -> None:
    assert decode_rank(encode_rank(text)) == text
    assert re.fullmatch(r"[0-9a-f]*z", encode_rank(text))


def test_what_a_rank_looks_like() -> None:
    assert encode_rank("1f0-z") == "ce99cfd285z"
    assert encode_rank("é\x00") == "3c56ffz"
    assert encode_rank("") == "z"


@given(IDS, IDS)
@example("a", "ab")
def test_no_rank_begins_another(one: str, other: str) -> None:
    assert one == other or not encode_rank(one).startswith(encode_rank(other))


@pytest.mark.parametrize(
    "text", ["", "9", "9e", "9Ez", "9ez ", "z9e", "9ezz", "9ez\n", "gz", "9z", "00z", "é"]
)
def test_what_is_no_rank_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"rank|codec"):
        decode_rank(text)


@given(MAYBE, MAYBE, st.none() | st.integers(), MAYBE, st.none() | st.integers(0))
@example("", "", 0, "", 0)
@example(None, None, -1, None, None)
@example("a.sb", "x.p", None, ".r", 2**63)
def test_a_checkpoint_leaf_reads_back(
    parent: str | None, source: str | None, step: int | None, run: str | None, created: int | None
) -> None:
    leaf = CheckpointLeaf(parent, source, step, run, created)
    assert decode_leaf(leaf.encode()) == leaf


@given(MAYBE, MAYBE, st.none() | st.integers(0), st.booleans(), st.sampled_from("01b"), st.booleans())
def test_a_leaf_shows_if_its_object_is_encrypted_borrows_lends_and_needs_ancestors(
    parent: str | None, run: str | None, created: int | None, sealed: bool, flag: str, needs: bool
) -> None:
    """A checkpoint that borrows may lend, too."""
    borrows, lends = flag == "b", flag in "1b"
    leaf = CheckpointLeaf(parent, "loop", 3, run, created, sealed, lends, borrows, needs)
    assert decode_leaf(leaf.encode()) == leaf


def test_what_a_checkpoint_leaf_looks_like() -> None:
    assert CheckpointLeaf().encode() == "checkpoint"
    assert CheckpointLeaf("a/b", "loop", -1, "r").encode() == "checkpoint.pa.2Fb.kloop.s-1.rr"
    assert CheckpointLeaf("a", created=12).encode() == "checkpoint.pa.c12"
    assert CheckpointLeaf("a", lends=True).encode() == "checkpoint.pa.l"
    assert CheckpointLeaf("a", None, 3, encrypted=True, created=12, lends=True, borrows=True).encode() == (
        "checkpoint.pa.s3.b.e.c12"
    )
    assert CheckpointLeaf("a", lends=True, needs_ancestors=False, encrypted=True, created=12).encode() == (
        "checkpoint.pa.l.v.e.c12"
    )


def test_a_key_without_the_field_may_need_ancestors() -> None:
    """Only what says so is certain, for a writer may not know the field."""
    for text, needs in (("checkpoint.pa.kloop.s3.l", True), ("checkpoint.pa.kloop.s3.l.v", False)):
        leaf = decode_leaf(text)
        assert isinstance(leaf, CheckpointLeaf)
        assert leaf.needs_ancestors is needs


@given(TEXT, SLOTS)
def test_a_writes_leaf_reads_back(task: str, slots: set[int]) -> None:
    leaf = WritesLeaf.of(task, slots)
    assert decode_leaf(leaf.encode()) == leaf


TASKS = st.lists(st.tuples(TEXT, SLOTS), min_size=2, max_size=4)


@given(TASKS, st.booleans())
def test_a_leaf_of_several_tasks_reads_back(tasks: list[tuple[str, set[int]]], sealed: bool) -> None:
    leaf = WritesLeaf.of_several(tasks, encrypted=sealed)
    assert re.fullmatch(r"writes\.j[0-9a-f]{32}(\.e)?", leaf.encode())
    assert decode_leaf(leaf.encode()) == leaf


@given(TASKS, TASKS)
def test_several_tasks_share_a_key_exactly_if_they_and_their_slots_are_the_same(
    one: list[tuple[str, set[int]]], other: list[tuple[str, set[int]]]
) -> None:
    assert (WritesLeaf.of_several(one) == WritesLeaf.of_several(other)) == (one == other)
    assert WritesLeaf.of_several(one) == WritesLeaf.of_several([(task, sorted(slots)) for task, slots in one])


@given(SLOTS, SLOTS)
@example({0, 1, 2}, {0, 2})
@example({12}, {1, 2})
@example(set(range(0, 100, 2)), set(range(0, 102, 2)))
def test_sets_of_slots_share_a_key_exactly_if_they_are_equal(one: set[int], other: set[int]) -> None:
    assert (WritesLeaf.of("t", one).encode() == WritesLeaf.of("t", other).encode()) == (one == other)


@given(st.lists(st.integers(0, 40), min_size=1))
def test_the_order_of_slots_does_not_matter(slots: list[int]) -> None:
    assert WritesLeaf.of("t", slots) == WritesLeaf.of("t", slots[::-1]) == WritesLeaf.of("t", slots * 2)


@pytest.mark.parametrize(
    ("slots", "text"),
    [
        ({0}, "w0"),
        ({0, 1, 2, 3, 7}, "w0-3_7"),
        ({5, 6}, "w5-6"),
    ],
)
def test_what_slots_look_like(slots: set[int], text: str) -> None:
    assert WritesLeaf.of("t", slots).encode() == f"writes.tt.{text}"


@given(TEXT, st.booleans())
def test_special_slots_share_a_leaf_whichever_they_are(task: str, sealed: bool) -> None:
    leaf = WritesLeaf.special(task, encrypted=sealed)
    assert leaf.encode() == f"writes.t{encode_component(task)}.x{'.e' if sealed else ''}"
    assert decode_leaf(leaf.encode()) == leaf
    assert leaf.is_special
    assert not WritesLeaf.of(task, [0]).is_special


def test_many_scattered_slots_become_a_digest() -> None:
    leaf = WritesLeaf.of("t", range(0, 10_000, 2))
    assert re.fullmatch(r"writes\.tt\.wh[0-9a-f]{32}", leaf.encode())
    assert WritesLeaf.of("t", range(10_000)).slots == "w0-9999"


@given(MAYBE, st.none() | st.integers(), st.sampled_from("adfghijotvwxyz"), IDS)
def test_a_later_versions_fields_are_passed_over(
    parent: str | None, step: int | None, letter: str, text: str
) -> None:
    leaf = CheckpointLeaf(parent, "loop", step, None, needs_ancestors=False)
    added = f".{letter}{encode_component(text)}"
    assert decode_leaf(leaf.encode() + added) == leaf
    assert decode_leaf(leaf.encode().replace("checkpoint", "checkpoint" + added, 1)) == leaf
    assert decode_leaf("writes.tt.w0-3.a" + encode_component(text)) == WritesLeaf("t", "w0-3")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "checkpoint.",
        "checkpoint.P1",
        "checkpoint.2F",
        "checkpoint.p/",
        "checkpoint.pa b",
        "checkpoint.p.41",
        "checkpoint.s",
        "checkpoint.sx",
        "checkpoint.s1.5",
        "checkpoint.c",
        "checkpoint.cx",
        "checkpoint.c01",
        "checkpointp1",
        "checkpoints.p1",
        "Checkpoint",
        "checkpoint\n",
        "writes",
        "writes.",
        "writes.w0",
        "writes.tt.",
        "writes.t.FF.w0",
        "lease.p1",
        "manifest",
        "checkpoint.p1/x",
        *HOSTILE[1:10],
    ],
)
def test_what_is_no_leaf_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"leaf|component|codec|literal"):
        decode_leaf(text)


class _Text(str):
    """A string that may compare differently from its text."""

    __slots__ = ()


def test_a_leaf_names_exact_values_only() -> None:
    named = CheckpointLeaf.of({"source": "loop", "step": 3, "run_id": "r"}, "p")
    assert named == CheckpointLeaf("p", "loop", 3, "r")
    other = {"source": _Text("loop"), "step": True, "run_id": 5.5}
    assert CheckpointLeaf.of(other, None) == CheckpointLeaf() == CheckpointLeaf.of({}, None)
    assert CheckpointLeaf.of({"source": None, "step": 1.0, "run_id": None}, "") == CheckpointLeaf("")


def test_a_leaf_names_a_run_by_its_text() -> None:
    run = UUID("12345678-1234-5678-1234-567812345678")
    for said in (run, str(run), _Text(str(run))):
        assert CheckpointLeaf.of({"run_id": said}, None) == CheckpointLeaf(run=str(run))
    assert CheckpointLeaf.of({"run_id": 5}, None) == CheckpointLeaf(run="5")


def test_what_a_leaf_admits() -> None:
    leaf = CheckpointLeaf("p", "loop", 3, None)
    assert leaf.may_match({})
    assert leaf.may_match({"source": "loop", "step": 3})
    assert leaf.may_match({"run_id": "any", "user": "any"})  # not said here
    assert leaf.may_match({"step": 3.0})  # equal, as metadata would be
    assert not leaf.may_match({"source": "input"})
    assert not leaf.may_match({"source": "loop", "step": 4})
    assert not leaf.may_match({"source": None})
    assert CheckpointLeaf(step=0).may_match({"step": 0})
    assert not CheckpointLeaf(step=0).may_match({"step": None})
