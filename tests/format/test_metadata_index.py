"""The index of metadata in a leaf: what it decides, and that it fits."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_checkpoint_s3.format.keys import (
    MAX_KEY_BYTES,
    MAX_SEGMENT_BYTES,
    CheckpointLeaf,
    Layout,
    decode_leaf,
)
from langgraph_checkpoint_s3.format.metadata_index import MAX_INDEXED, make_index, read_index
from langgraph_checkpoint_s3.format.name_hashing import NameHasher

NAMES = NameHasher(bytes(32))
PLAIN, SECRET = Layout("", None, ("user", "tier")), Layout("", NAMES, ("user", "tier"))
VALUES: Any = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(-3, 3).map(round)
    | st.sampled_from(["", "a", "b", "1", "None", "True", 1.0, 1.5, 0.0, Decimal(1), "x" * 500, "é"])
)


class Text(str):
    """Text of another type, equal to plain text."""

    __slots__ = ()


def leaf_of(layout: Layout, metadata: dict[str, Any]) -> CheckpointLeaf:
    """Return a leaf as a listing shows it."""
    leaf = CheckpointLeaf.of(metadata, "p", indexed=layout.index_of(metadata))
    shown = layout.parse(layout.key("t", "", "1", leaf)).leaf
    assert isinstance(shown, CheckpointLeaf)
    return shown


@pytest.mark.parametrize("layout", [PLAIN, SECRET])
@given(VALUES, VALUES)
def test_it_never_decides_otherwise_than_the_metadata(layout: Layout, value: Any, wanted: Any) -> None:
    metadata = {"source": "loop", **({"user": value} if value is not None else {})}
    leaf = leaf_of(layout, metadata)
    tags = layout.index_tags({"user": wanted})
    equal = metadata.get("user") == wanted
    assert leaf.may_match({}, tags) or not equal
    assert equal or not leaf.must_match({}, tags, 1)
    if type(value) in (str, int, bool, type(None)) and type(wanted) in (str, int, bool, type(None)):
        assert leaf.may_match({}, tags) == leaf.must_match({}, tags, 1) == equal


@pytest.mark.parametrize("layout", [PLAIN, SECRET])
def test_several_names(layout: Layout) -> None:
    leaf = leaf_of(layout, {"user": "42", "tier": 3, "other": "x"})
    for wanted, certain in (
        ({"user": "42"}, True),
        ({"user": "42", "tier": 3}, True),
        ({"user": "42", "tier": 4}, False),
        ({"user": "42", "other": "x"}, None),
        ({"other": "x"}, None),
        ({"tier": "3"}, False),
        ({"user": Text("42")}, None),
    ):
        tags = layout.index_tags(wanted)
        assert leaf.must_match({}, tags, len(wanted)) == bool(certain)
        assert leaf.may_match({}, tags) == (certain is not False)
    assert leaf_of(Layout("", layout.names), {"user": "42"}).may_match({}, layout.index_tags({"user": "7"}))


def test_another_keys_index_decides_nothing() -> None:
    """Of a bucket whose names became secret, or got another key."""
    leaf = leaf_of(PLAIN, {"user": "42"})
    tags = SECRET.index_tags({"user": "7"})
    assert leaf.may_match({}, tags)
    assert not leaf.must_match({}, SECRET.index_tags({"user": "42"}), 1)


def test_it_is_fixed_by_the_format() -> None:
    """With other hashes nothing would be found any more."""
    metadata = {"user": "42", "tier": True}
    assert make_index(metadata, ("user",), None) == "iq1GZK3vSQneoXtVT8t4qS9hp"
    assert make_index(metadata, ("user",), NAMES) == "o3Iy1qlQeBEK9DmGWRcGkouH5"
    assert make_index({}, ("user",), None) == "iq1GZKLtk9Wy7yp888Zyt31E1"
    assert make_index({"tier": 1}, ("tier",), None) == make_index(metadata, ("tier",), None)
    assert make_index(metadata, (), None) == ""
    assert make_index({"user": 1.5}, ("user",), None) == ""
    assert make_index({"user": "\ud800"}, ("user",), None) == ""


def test_keys_hold_no_value() -> None:
    key = PLAIN.key("t", "", "1", CheckpointLeaf.of({}, "p", indexed=PLAIN.index_of({"user": "customer-42"})))
    assert "customer" not in key
    assert re.search(r"\.i[A-Za-z0-9_-]{48}$", key)


@pytest.mark.parametrize("names", [None, NAMES])
def test_the_longest_leaf_with_a_uuid_as_parent_fits(names: NameHasher | None) -> None:
    indexed = tuple("abc"[:MAX_INDEXED])
    layout = Layout("", names, indexed)
    metadata = {"source": "s" * 99, "step": 10**60, "run_id": "r" * 99, "a": "x", "b": 1, "c": None}
    leaf = CheckpointLeaf.of(
        metadata,
        "1f0a2c6e-0000-6000-8000-000000000000",
        encrypted=True,
        needs_ancestors=False,
        indexed=layout.index_of(metadata),
    )
    key = layout.key("t", "", "1", leaf)
    assert len(key.rpartition("/")[2]) <= MAX_SEGMENT_BYTES
    shown = layout.parse(key).leaf
    assert isinstance(shown, CheckpointLeaf)
    assert len(read_index(shown.indexed)) == MAX_INDEXED


@pytest.mark.parametrize("parent", ["p" * 200, "p" * 230])
def test_what_does_not_fit_is_left_out(parent: str) -> None:
    metadata = {"user": "42", "tier": 1}
    leaf = CheckpointLeaf.of(metadata, parent, indexed=PLAIN.index_of(metadata))
    shown = PLAIN.parse(PLAIN.key("t", "", "1", leaf)).leaf
    assert isinstance(shown, CheckpointLeaf)
    assert (shown.indexed, shown.parent) == ("", parent)
    short = CheckpointLeaf.of(metadata, "p", indexed=PLAIN.index_of(metadata))
    deep = Layout("a/" * ((MAX_KEY_BYTES - 40) // 2), None, PLAIN.indexed)
    key = deep.key("t", "", "1", short)
    assert len(key) <= MAX_KEY_BYTES
    assert ".i" not in key


@pytest.mark.parametrize("field", [".i", ".iabc", ".o" + "a" * 23, ".i" + "a" * 25, ".i" + "a" * 21 + ".2F"])
def test_what_is_no_index_is_passed_over(field: str) -> None:
    assert decode_leaf(f"checkpoint.pp{field}") == CheckpointLeaf("p")
