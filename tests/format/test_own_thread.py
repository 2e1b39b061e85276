"""Metadata that names its own thread is stored without the name."""

from __future__ import annotations

from typing import Any

import pytest

from langgraph_checkpoint_s3.format.own_thread import hide_own_thread, show_own_thread


@pytest.mark.parametrize(
    ("metadata", "copied"),
    [
        ({"thread_id": "t", "step": 1}, {"thread_id": "u", "step": 1}),
        ({"thread_id": "other"}, {"thread_id": "other"}),
        ({"thread_id": None}, {"thread_id": None}),
        ({"thread_id": ["t"]}, {"thread_id": ["t"]}),
        ({"step": 1}, {"step": 1}),
        ({}, {}),
    ],
)
def test_a_copy_names_its_own_thread(metadata: dict[str, Any], copied: dict[str, Any]) -> None:
    before = dict(metadata)
    stored = hide_own_thread(metadata, "t")
    assert "t" not in stored.values()
    assert show_own_thread(stored, "t") == before == metadata
    assert show_own_thread(stored, "u") == copied
