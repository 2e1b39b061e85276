"""Names as keyed hashes: the same each time, and with nothing of the name in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_checkpoint_s3.errors import InvalidKeyError
from langgraph_checkpoint_s3.format.key_encoding import HashedName, decode_component, encode_component
from langgraph_checkpoint_s3.format.keys import CheckpointLeaf, Layout, WritesLeaf, decode_leaf
from langgraph_checkpoint_s3.format.name_hashing import NameHasher
from tests.format.hashed import hashed, hashed_writes
from tests.support.keys import secret

NAMES = NameHasher(secret("names"))
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(TEXT, TEXT)
def test_equal_names_alone_have_equal_hashes(one: str, other: str) -> None:
    assert (NAMES.hash("thread_id", one) == NAMES.hash("thread_id", other)) == (one == other)
    assert NAMES.hash("thread_id", one) != NAMES.hash("checkpoint_ns", one)
    assert NAMES.hash("thread_id", one) != NameHasher(secret("other")).hash("thread_id", one)


def test_they_stay_what_they_are() -> None:
    """With other hashes nothing would be found any more: fixed by the format."""
    assert NAMES.hash("thread_id", "customer-42") == "0FA0DwhkrL5nCtQ191YPzly8ZfGLi9WP"


@given(TEXT)
def test_a_hash_goes_through_a_key_and_comes_back(name: str) -> None:
    hidden = NAMES.hash("thread_id", name)
    component = encode_component(hidden)
    assert component.startswith(".h")
    back = decode_component(component)
    assert (back, type(back)) == (hidden, HashedName)
    assert NAMES.hash("thread_id", back) == hidden


@given(TEXT)
def test_no_name_spells_a_hash(name: str) -> None:
    assert not encode_component(name).startswith(".h")
    assert type(decode_component(encode_component(name))) is str


@given(TEXT, TEXT, st.none() | TEXT, st.none() | st.integers())
def test_leaves_come_back_hidden(parent: str, source: str, run: str | None, step: int | None) -> None:
    leaf = CheckpointLeaf(parent, source, step, run, encrypted=True)
    hidden = hashed(leaf, NAMES)
    assert (hidden.parent, hidden.encrypted) == (parent, True)
    for again in (leaf, hidden):  # a hash isn't hashed again
        assert decode_leaf(again.encode(NAMES)) == hidden
    assert hidden.encode() == leaf.encode(NAMES)
    for writes in (
        WritesLeaf.of(source, range(3), encrypted=True),
        WritesLeaf.special(source, encrypted=True),
    ):
        found = decode_leaf(writes.encode(NAMES))
        assert isinstance(found, WritesLeaf)
        assert found == hashed_writes(writes, NAMES)
        assert found.is_special == writes.is_special


@given(st.integers(-5, 5), st.sampled_from(["loop", "input", 1, None, 1.5]), st.integers(-5, 5))
def test_a_hidden_leaf_admits_what_the_plain_one_does(step: int, source: object, wanted: int) -> None:
    leaf = CheckpointLeaf("p", "loop", step, "run-1")
    layout = Layout("", NAMES)
    for each in ({"step": wanted}, {"step": float(wanted)}, {"source": source}, {"run_id": "run-1"}):
        if leaf.may_match(each):
            assert hashed(leaf, NAMES).may_match(layout.index_filter(each))
    assert not hashed(leaf, NAMES).may_match(layout.index_filter({"run_id": "run-2"}))


def test_a_lone_surrogate_has_no_hash() -> None:
    with pytest.raises(InvalidKeyError, match="lone surrogate"):
        NAMES.hash("thread_id", "\ud800")


def test_no_secret_is_shown() -> None:
    assert repr(NAMES) == "NameHasher()"


def test_nothing_of_a_name_is_in_a_key() -> None:
    layout = Layout("agents/", NAMES)
    leaf = CheckpointLeaf(None, "loop", 3, "run-77")
    key = layout.key("customer@example.com", "planner|sub", "01", leaf)
    task = layout.key("customer@example.com", "", "01", WritesLeaf.of("task-99", [0, 1]))
    for secret_name in ("customer", "planner", "loop", "run", "77", "task", "99"):
        assert secret_name not in (key + task).replace("checkpoint", "").replace("writes", "")
    assert layout.lease("customer@example.com").startswith("agents/.leases/.h")
    assert layout.exports("customer@example.com").startswith("agents/.exports/.h")
