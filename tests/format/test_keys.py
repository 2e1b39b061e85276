"""Whole keys: they read back, fit into S3, sort newest first, and keep threads and savers apart."""

from __future__ import annotations

from typing import TypeAlias

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from langgraph_checkpoint_s3.errors import CorruptObjectError, InvalidKeyError
from langgraph_checkpoint_s3.format.keys import (
    AFTER_SLASH,
    MAX_KEY_BYTES,
    MAX_SEGMENT_BYTES,
    CheckpointLeaf,
    Layout,
    ParsedKey,
    WritesLeaf,
    encode_rank,
)
from langgraph_checkpoint_s3.format.name_hashing import LONG_FIELDS
from tests.format.hashed import hashed, hashed_writes
from tests.format.strategies import HOSTILE, IDS, PREFIXES, TEXT

MAYBE = st.none() | IDS
LEAVES = st.one_of(
    st.builds(
        lambda needs, *fields: CheckpointLeaf(*fields)._replace(needs_ancestors=needs),
        *(st.booleans(), MAYBE, MAYBE, st.none() | st.integers(-1, 10**6), MAYBE),
    ),
    st.builds(WritesLeaf.of, IDS, st.sets(st.integers(0, 30), min_size=1)),
    st.builds(WritesLeaf.special, IDS),
    st.builds(WritesLeaf.gathered, IDS, st.sets(IDS, min_size=1)),
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
    shown = hashed_writes(leaf, LONG_FIELDS) if isinstance(leaf, WritesLeaf) else hashed(leaf, LONG_FIELDS)
    assert layout.parse(key) == ParsedKey(thread, ns, checkpoint_id, shown)
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


class Text(str):
    """A text of a type of somebody's own."""

    __slots__ = ()


@pytest.mark.parametrize("part", ["thread_id", "checkpoint_ns"])
def test_a_key_ends_at_1024_bytes_and_the_error_names_the_longest_part(part: str) -> None:
    layout = Layout("/".join("p" * 240 for _ in range(3)) + "/")

    def key(fill: int) -> str:
        thread, ns = ("x" * fill if name == part else "x" for name in ("thread_id", "checkpoint_ns"))
        return layout.key(thread, ns, "i", CheckpointLeaf("p" * 90))

    most = 1 + MAX_KEY_BYTES - len(key(1))
    assert len(key(most)) == MAX_KEY_BYTES == 1024
    with pytest.raises(InvalidKeyError, match=r"1025 bytes, and S3 takes 1024.* longest part") as caught:
        key(most + 1)
    assert "part is the prefix, with 723 bytes" in caught.value.reason


def test_what_stands_between_two_slashes_ends_at_255_bytes() -> None:
    layout = Layout("p/")
    assert layout.key("t", "", "i" * 127, CheckpointLeaf())
    with pytest.raises(InvalidKeyError, match=r"257 bytes.*that keep files take 255.*is the checkpoint_id"):
        layout.key("t", "", "i" * 128, CheckpointLeaf())
    assert layout.key("t", "", "i", CheckpointLeaf("p" * 243))
    with pytest.raises(InvalidKeyError, match=r"256 bytes.*255.*is the parent checkpoint_id, with 244 bytes"):
        layout.key("t", "", "i", CheckpointLeaf("p" * 244))
    everything = CheckpointLeaf("p" * 90, "s" * 99, 10**99, "r" * 99, 2**63, encrypted=True)
    everything = everything._replace(lends=True, needs_ancestors=False)
    assert layout.key("t", "", "i", everything)
    assert layout.key("t", "", "i", WritesLeaf.of("t" * 999, [*range(0, 99, 2), *range(-99, 0, 2)]))


@given(ADDRESSES, LEAVES, LONG)
@example(("", "日本語" * 30, "node|1" * 99, "1"), LEAF, 1)
@example(("", "é" * 40, "x" * 200, "1"), CheckpointLeaf("p" * 250), 1)
def test_no_key_and_no_part_of_it_is_ever_too_long(
    address: Address, leaf: CheckpointLeaf | WritesLeaf, times: int
) -> None:
    prefix, thread, ns, checkpoint_id = address
    layout = Layout(prefix)
    keys = [layout.lease(thread * times), f"{layout.exports(thread * times)}incoming-{'0' * 32}.zip"]
    try:
        keys.append(layout.key(thread * times, ns * times, checkpoint_id, leaf))
    except InvalidKeyError as error:
        assert "longest part is the" in error.reason  # noqa: PT017  # to fit is fine too
    for key in keys:
        assert len(key.encode()) <= MAX_KEY_BYTES
        assert max(map(len, key.split("/"))) <= MAX_SEGMENT_BYTES


LENGTHS = st.sampled_from([1, 20, 66, 67, 99, 100, 101, 200, 201, 400])


@given(TEXT, TEXT, LENGTHS, LENGTHS, st.text("ab.h", max_size=4))
@example("a", "a", 200, 201, "")
@example("é", "é", 66, 67, "")
def test_no_two_names_share_a_folder_however_long(
    one: str, other: str, times: int, more: int, end: str
) -> None:
    layout = Layout("")
    first, second = one * times, other * more + end
    assert (layout.thread(first) == layout.thread(second)) == (first == second)
    assert (layout.namespace("t", first) == layout.namespace("t", second)) == (first == second)
    assert (layout.lease(first) == layout.lease(second)) == (first == second)
    assert (layout.exports(first) == layout.exports(second)) == (first == second)
    assert (layout.run(first) == layout.run(second)) == (first == second)


def test_a_long_name_is_written_as_its_hash() -> None:
    """With other hashes nothing would be found any more: fixed by the format."""
    layout = Layout("agents/")
    assert layout.thread("x" * 200) == f"agents/{'x' * 200}.thread/"
    assert layout.thread("x" * 201) == "agents/.hYwrGpiEdG882XCpMTtEVELl75bHk_qqv.thread/"
    assert layout.namespace("t", "日本" * 12) == "agents/t.thread/.hHykvIF2DWpRYWCBGAPKDF10RjFoNPClE.ns/"
    assert layout.run("r" * 41) == "f6U13I98Ip8_XDulqaREbMUXcFqm5Gjb"
    key = layout.key("t", "", "1", CheckpointLeaf("p", "s" * 41, 10**41, "r" * 41))
    hashes = {
        "m": "up1TT8FziSo5h5RmYtJNp6yukmONUpmu",
        "n": "VwCNd-O9xNEPyjx9PHECa8TBLZZHPanw",
        "q": "f6U13I98Ip8_XDulqaREbMUXcFqm5Gjb",
    }
    fields = "".join(f".{letter}{text}" for letter, text in hashes.items())
    assert key.partition("cez/")[2] == f"checkpoint.pp{fields}"
    leaf = WritesLeaf.of("t" * 41, range(0, 99, 2))
    task, slots = "EvH-izfVRvLbM6Ru-WECmxDWdWsj5h1u", "f683d3beabc3afb673e1fe785e3f8c65"
    assert layout.key("t", "", "1", leaf).partition("cez/")[2] == f"writes.u{task}.wh{slots}"
    assert layout.hashes_thread("x" * 201)
    assert not layout.hashes_thread("x" * 200)


LONG_LEAF = CheckpointLeaf("p", "s" * 50, 10**50, "r" * 50)


@pytest.mark.parametrize(
    "value", ["s" * 50, "s" * 51, "s", 10**50, 10**51, 1e50, 1, None, 2.5, Text("s" * 50)]
)
@pytest.mark.parametrize("name", ["source", "step", "run_id"])
@pytest.mark.parametrize("leaf", [LONG_LEAF, LEAF])
def test_a_filter_finds_what_is_hashed(leaf: CheckpointLeaf, name: str, value: object) -> None:
    metadata = {"source": leaf.source, "step": leaf.step, "run_id": leaf.run}
    layout = Layout("")
    shown = layout.parse(layout.key("t", "", "1", leaf)).leaf
    assert isinstance(shown, CheckpointLeaf)
    admitted = shown.may_match(layout.index_filter({name: value}))
    if metadata[name] == value:
        assert admitted
    elif type(value) in (str, int):
        assert not admitted


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
