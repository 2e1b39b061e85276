"""LangGraph's tests that pass with its own savers and can't with `S3Saver`, each with its reason.

One that passes all the same, or isn't there any more, fails `make test-langgraph`: take it out.
"""

from __future__ import annotations

from typing import Final

_DICTIONARIES = "it looks into InMemorySaver's own dictionaries (`blobs`, `writes`), which no other saver has"

KNOWN: Final[dict[str, str]] = {
    "tests/test_channels.py::test_delta_channel_snapshot_version_based": _DICTIONARIES,
    "tests/test_delta_channel_update_state.py::test_bulk_update_state_replays_updates_in_the_order_given": (
        _DICTIONARIES
    ),
    "tests/test_delta_channel_update_state.py::test_abulk_update_state_replays_updates_in_the_order_given": (
        _DICTIONARIES
    ),
    "tests/test_delta_channel_supersteps_bound.py::test_counter_reset_after_supersteps_snapshot": (
        "it looks for a delta channel's snapshot in a later checkpoint than the one that it was put with. "
        "InMemorySaver shows it there, as it keeps values by their version; S3Saver keeps them by their "
        "checkpoint, and LangGraph asks for it by get_delta_channel_history. The state is the same"
    ),
}
