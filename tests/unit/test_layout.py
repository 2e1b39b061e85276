"""Whole keys: they read back, fit into S3, sort newest first, and keep threads and savers apart."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from langgraph_checkpoint_s3.errors import CorruptObjectError, InvalidKeyError
from langgraph_checkpoint_s3.objects.keys import (
    AFTER_SLASH,
    MAX_KEY_BYTES,
    CheckpointLeaf,
    Layout,
    ParsedKey,
    WritesLeaf,
    encode_rank,
)
from tests.unit.strategies import HOSTILE, IDS, PREFIXES, TEXT

MAYBE = st.none() | IDS
LEAVES = st.one_of(
    st.builds(CheckpointLeaf, MAYBE, MAYBE, st.none() | st.integers(-1, 10**6), MAYBE),
    st.builds(WritesLeaf.of, IDS, st.sets(st.integers(0, 30), min_size=1)),
    st.builds(WritesLeaf.special, IDS),
)
ADDRESSES = st.tuples(PREFIXES, IDS, IDS, IDS)
LONG = st.integers(1, 60)
LEAF = CheckpointLeaf("p", "loop", 1, "r")


Address: TypeAlias = tuple[str, str, str, str]


def folder(address: Address) -> str:
    prefix, thread, ns, checkpoint_id = address
    return Layout(prefix).checkpoint(thread, ns, checkpoint_id)


@given(ADDRESSES, LEAVES)
def test_a_key_reads_back(address: Address, leaf: CheckpointLeaf | WritesLeaf) -> None:
    prefix, thread, ns, checkpoint_id = address
    layout = Layout(prefix)
    key = layout.key(thread, ns, checkpoint_id, leaf)
    assert layout.holds(key)
    assert layout.parse(key) == ParsedKey(thread, ns, checkpoint_id, leaf)
    assert key.startswith(folder(address))


@pytest.mark.parametrize("name", HOSTILE)
def test_every_hostile_name_reads_back_in_every_place(name: str) -> None:
    layout = Layout("agents/")
    leaf = CheckpointLeaf(name, name, 7, name)
    assert layout.parse(layout.key(name, name, name, leaf)) == ParsedKey(name, name, name, leaf)
    for writes in (WritesLeaf.of(name, [0, 1]), WritesLeaf.special(name)):
        assert layout.parse(layout.key(name, name, name, writes)) == ParsedKey(name, name, name, writes)


def test_what_keys_look_like() -> None:
    layout = Layout("agents/")
    assert layout.thread("a/b") == "agents/a.2Fb.thread/"
    assert layout.namespace("t", "") == "agents/t.thread/.ns/"
    assert layout.key("t", "sub|1", "1", LEAF) == "agents/t.thread/sub.7C1.ns/cez/checkpoint.pp.kloop.s1.rr"
    assert layout.key("t", "", "1", WritesLeaf.of("x", [0])) == "agents/t.thread/.ns/cez/writes.tx.w0"


@given(ADDRESSES, ADDRESSES)
@example(("", "a", "", "1"), ("", "a/b", "", "1"))
@example(("", "a/b", "", "1"), ("a/", "b", "", "1"))
@example(("", "a", "b", "1"), ("", "a.thread/b", "", "1"))
@example(("", "t", "", "1"), ("", "t", "", "11"))
@example(("", "t", "a", "1"), ("", "t", "a.ns", "1"))
def test_no_two_checkpoints_share_a_folder(one: Address, other: Address) -> None:
    assume(one != other)
    assert not folder(one).startswith(folder(other))


@given(st.tuples(PREFIXES, IDS), st.tuples(PREFIXES, IDS))
@example(("", "a"), ("", "a/b"))
@example(("", "a.thread"), ("", "a"))
@example(("", "a"), ("a/", "b"))
def test_no_threads_folder_lies_in_anothers(one: tuple[str, str], other: tuple[str, str]) -> None:
    assume(one != other)
    assert not Layout(one[0]).thread(one[1]).startswith(Layout(other[0]).thread(other[1]))


@given(st.tuples(PREFIXES, IDS), st.tuples(PREFIXES, IDS))
@example(("", "t"), ("", "t.lease"))
def test_no_threads_lease_lies_in_anothers_folder_or_lease(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    (prefix, thread), (prefix_2, thread_2) = one, other
    key, key_2 = Layout(prefix).lease(thread), Layout(prefix_2).lease(thread_2)
    assert key_2.startswith(key) == (one == other)
    assert not key.startswith(Layout(prefix_2).thread(thread_2))
    assert not Layout(prefix).holds(key)


@given(PREFIXES, PREFIXES, IDS, IDS, IDS, LEAVES)
@example("", "a/", "t", "", "1", LEAF)
@example("a/", "a/b/", "t", "", "1", LEAF)
def test_nested_savers_never_read_each_others_keys(
    one: str, other: str, thread: str, ns: str, checkpoint_id: str, leaf: CheckpointLeaf | WritesLeaf
) -> None:
    assume(one != other)
    assert not Layout(one).holds(Layout(other).key(thread, ns, checkpoint_id, leaf))


@given(IDS, IDS)
@example("a", "ab")
@example("1", "10")
def test_a_listing_is_newest_first_and_before_is_a_place_in_it(checkpoint_id: str, before: str) -> None:
    layout = Layout("")
    home = layout.namespace("t", "")
    key = layout.key("t", "", checkpoint_id, LEAF)
    assert (key > home + encode_rank(before) + AFTER_SLASH) == (checkpoint_id < before)
    assert (key > layout.key("t", "", before, LEAF)) == (checkpoint_id < before)


def test_writes_come_right_behind_their_checkpoint() -> None:
    layout = Layout("")
    keys = [
        layout.key("t", "", "2", LEAF),
        layout.key("t", "", "2", WritesLeaf.of("a", [0])),
        layout.key("t", "", "1", CheckpointLeaf()),
        layout.key("t", "", "1", WritesLeaf.special("")),
    ]
    assert keys == sorted(keys)


@dataclass(frozen=True)
class Parts:
    """A key's parts; `grown` makes one of them so long that the key has a given length."""

    prefix: str = "p/"
    thread: str = "t"
    ns: str = "n"
    checkpoint_id: str = "i"
    leaf: CheckpointLeaf | WritesLeaf = LEAF

    def key(self) -> str:
        return Layout(self.prefix).key(self.thread, self.ns, self.checkpoint_id, self.leaf)

    def grown(self, part: str, length: int) -> Parts:
        missing = length - len(self.key())
        fill = "x" * missing
        match part:
            case "prefix":
                return replace(self, prefix=fill + self.prefix)
            case "thread_id":
                return replace(self, thread=self.thread + fill)
            case "checkpoint_ns":
                return replace(self, ns=self.ns + fill)
            case "checkpoint_id":  # two characters a byte
                odd = "n" * (missing % 2)
                return replace(self, checkpoint_id="i" * (1 + missing // 2), ns=self.ns + odd)
            case "task_id":
                return replace(self, leaf=WritesLeaf("t" + fill, "w0"))
            case "parent checkpoint_id":
                return replace(self, leaf=replace(LEAF, parent="p" + fill))
            case "metadata['source']":
                return replace(self, leaf=replace(LEAF, source="loop" + fill))
            case "metadata['step']":
                return replace(self, leaf=replace(LEAF, step=int("1" + "0" * missing)))
        return replace(self, leaf=replace(LEAF, run="r" + fill))


@pytest.mark.parametrize(
    "part",
    [
        "prefix",
        "thread_id",
        "checkpoint_ns",
        "checkpoint_id",
        "task_id",
        "parent checkpoint_id",
        "metadata['source']",
        "metadata['step']",
        "metadata['run_id']",
    ],
)
def test_a_key_ends_at_1024_bytes_and_the_error_names_the_longest_part(part: str) -> None:
    parts = Parts(leaf=WritesLeaf("t", "w0")) if part == "task_id" else Parts()
    assert len(parts.grown(part, MAX_KEY_BYTES).key()) == MAX_KEY_BYTES == 1024
    with pytest.raises(InvalidKeyError, match=r"1025 bytes, and S3 takes 1024.* longest part") as caught:
        parts.grown(part, MAX_KEY_BYTES + 1).key()
    assert f"part is the {part}, with " in caught.value.reason


def test_the_length_that_counts_is_the_encoded_one() -> None:
    assert len(Layout("").key("é" * 150, "", "1", LEAF)) < MAX_KEY_BYTES
    with pytest.raises(InvalidKeyError, match="thread_id, with 1020 bytes as encoded"):
        Layout("").key("é" * 170, "", "1", LEAF)


@given(ADDRESSES, LEAVES, LONG)
def test_no_key_is_ever_too_long(address: Address, leaf: CheckpointLeaf | WritesLeaf, times: int) -> None:
    prefix, thread, ns, checkpoint_id = address
    try:
        key = Layout(prefix).key(thread * times, ns * times, checkpoint_id, leaf)
    except InvalidKeyError as error:
        assert "longest part is the" in error.reason  # noqa: PT017  # to fit is fine too
    else:
        assert len(key.encode()) <= MAX_KEY_BYTES


@pytest.mark.parametrize("place", ["thread_id", "checkpoint_ns", "checkpoint_id", "parent", "task_id"])
def test_a_lone_surrogate_is_refused_in_every_place(place: str) -> None:
    names = ["thread_id", "checkpoint_ns", "checkpoint_id"]
    thread, ns, checkpoint_id = ("\udc80" if name == place else "a" for name in names)
    parent = "\udc80" if place == "parent" else None
    leaf = WritesLeaf.of("\udc80", [0]) if place == "task_id" else CheckpointLeaf(parent)
    with pytest.raises(InvalidKeyError, match="lone surrogate"):
        Layout("").key(thread, ns, checkpoint_id, leaf)


@pytest.mark.parametrize(
    "key",
    [
        "p/t.thread/.ns/cez/manifest",
        "p/t.thread/.ns/cez/checkpoint.P",
        "p/t.thread/.ns/cez/checkpoint/x",
        "p/t.thread/.ns/cez/writes.tt.",
        "p/t.thread/.ns/cez",
        "p/t.thread/.ns/CEz/checkpoint",
        "p/t.thread/.ns/ce/checkpoint",
        "p/t.thread/.ns/00z/checkpoint",
        "p/t.thread/ns/cez/checkpoint",
        "p/t.thread/a b.ns/cez/checkpoint",
        "p/t.thread/x",
        "p/t.thread//.ns/cez/checkpoint",
        "p/.2.thread/.ns/cez/checkpoint",
        "p/.41.thread/.ns/cez/checkpoint",
        "p/a b.thread/.ns/cez/checkpoint",
        "p/é.thread/.ns/cez/checkpoint",
        "p/t.thread.thread/.ns/cez/checkpoint",
    ],
)
def test_garbage_in_a_threads_folder_is_an_error_that_names_it(key: str) -> None:
    assert Layout("p/").holds(key)
    with pytest.raises(CorruptObjectError) as caught:
        Layout("p/").parse(key)
    assert caught.value.key == key
    assert isinstance(caught.value.__cause__, ValueError)


@pytest.mark.parametrize(
    "key",
    [
        "p/",
        "p/t.thread/",
        "p/t.thread/.ns/",
        "p/t.thread/.ns/cez/",
        "p/t.thread/holiday/",
        "p/readme.txt",
        "p/t.thread",
        "p/.probe/0123",
        "p/.exports/x/y",
        "p/t/.ns/cez/checkpoint",
        "p/q/t.thread/.ns/cez/checkpoint",
        "p/t.threads/.ns/cez/checkpoint",
        "p/t.THREAD/.ns/cez/checkpoint",
        "t.thread/.ns/cez/checkpoint",
        "pp/t.thread/.ns/cez/checkpoint",
        "",
    ],
)
def test_what_lies_elsewhere_and_folder_markers_are_passed_over(key: str) -> None:
    assert not Layout("p/").holds(key)


@given(
    st.sampled_from(["t.thread/", "t.thread/.ns/", "t.thread/.ns/cez/", "t.thread/.ns/cez/checkpoint"]),
    st.one_of(TEXT, st.text("pt.hreadnswriteckpo/09afz-_F ", max_size=60)),
)
@example("t.thread/", ".ns/z/checkpoint")
def test_any_key_in_a_threads_folder_is_read_or_refused(start: str, end: str) -> None:
    try:
        parsed = Layout("").parse(start + end)
    except CorruptObjectError as error:
        assert error.key == start + end  # noqa: PT017  # to be read is fine too
    else:
        assert parsed.thread_id == "t"
