"""`Place`: from a config and from a key, and back."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from langgraph_checkpoint_s3.errors import CorruptObjectError, InvalidKeyError
from langgraph_checkpoint_s3.format.keys import CheckpointLeaf, Layout
from langgraph_checkpoint_s3.plans.place import Place, leaf_of, namespace_of, thread_of

LAYOUT = Layout("checkpoints/")


def config(**configurable: Any) -> dict[str, Any]:
    return {"configurable": configurable}


@pytest.mark.parametrize(
    ("configurable", "place"),
    [
        ({"thread_id": "t"}, Place("t")),
        ({"thread_id": "t", "checkpoint_ns": None, "checkpoint_id": ""}, Place("t")),
        ({"thread_id": "t", "checkpoint_ns": "a|b", "checkpoint_id": "1"}, Place("t", "a|b", "1")),
        ({"thread_id": 7, "checkpoint_id": UUID(int=1)}, Place("7", "", str(UUID(int=1)))),
    ],
)
def test_a_config_names_a_place(configurable: dict[str, Any], place: Place) -> None:
    assert Place.of(config(**configurable)) == place
    assert Place.of(place.config()) == place


@pytest.mark.parametrize(
    "wrong", [None, [], {}, {"configurable": 1}, config(thread_id=""), config(thread_id=b"t")]
)
def test_a_config_that_names_none_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidKeyError):
        Place.of(wrong)


@pytest.mark.parametrize("place", [Place("t/1", "", "1"), Place("t", "a|b:c", "é"), Place("t", "", "")])
def test_a_key_reads_back(place: Place) -> None:
    key = place.key(LAYOUT, CheckpointLeaf(parent="0"))
    assert Place.of_key(LAYOUT, key) == place
    assert thread_of(key) == LAYOUT.thread(place.thread_id)
    assert namespace_of(key) == place.namespace(LAYOUT)
    assert place.folder(LAYOUT) + leaf_of(key) == key


def test_another_objects_key_is_refused() -> None:
    with pytest.raises(CorruptObjectError):
        Place.of_key(LAYOUT, "checkpoints/t.thread/a/b/c")


def test_a_place_without_a_checkpoint_has_no_folder() -> None:
    place = Place("t")
    assert place.with_id("1").folder(LAYOUT) == Place("t", "", "1").folder(LAYOUT)
    with pytest.raises(InvalidKeyError):
        place.folder(LAYOUT)
