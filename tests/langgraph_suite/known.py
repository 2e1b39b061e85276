"""LangGraph's tests that pass with its own classes and can't with ours, by its package, each with its reason.

One that passes all the same, or isn't there any more, fails `make test-langgraph`: take it out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_DICTIONARIES = "it looks into InMemorySaver's own dictionaries (`blobs`, `writes`), which no other saver has"


def _each(test: str, *cases: str) -> list[str]:
    """Return the ids of a test's cases."""
    return [f"{test}[{case}]" for case in cases]


_LANGGRAPH: Final = {
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

_REDIS: Final = {
    "tests/test_redis_cache.py::TestRedisCache::test_corrupted_data_handling": (
        "it writes bytes of its own into Redis, and expects that they are passed over. S3Cache raises a "
        "CorruptObjectError for a damaged object, as all of this package does"
    ),
}

_LOOP = (
    "it expects that an event loop's thread is refused the blocking methods, as AsyncSqliteStore and "
    "AsyncPostgresStore do. One S3Store serves both kinds of methods, like InMemoryStore"
)
_JSON_PATHS = "SqliteStore makes JSON paths of a filter's names, and refuses some. Here they are plain names"

_SQLITE: Final = {
    "tests/test_store.py::test_vector_store_initialization": "it looks for SqliteStore's tables of vectors",
    **dict.fromkeys(_each("tests/test_async_store.py::test_no_running_loop", "memory", "file"), _LOOP),
    **dict.fromkeys(
        _each("tests/test_store.py::test_sql_injection_vulnerability", "memory", "file"), _JSON_PATHS
    ),
    **dict.fromkeys(
        _each("tests/test_store.py::test_filter_keys_with_hyphens_and_digits", "memory", "file"),
        "a name with a dot is a path in SqliteStore's filters. Here it is a name, as in InMemoryStore",
    ),
    "tests/test_ttl.py::test_ttl_override_default": (
        "SqliteStore renews nothing unless refresh_on_read is set. LangGraph's TTLConfig says that it is "
        "true by default, and so it is here"
    ),
}

_MODES = ("default", "pipe", "pool")
_OMIT = (
    "filters_read_paths",
    "refresh_ttl_only_refreshes_live_rows",
    "search_pagination",
)

_POSTGRES: Final = {
    **dict.fromkeys(_each("tests/test_async_store.py::test_no_running_loop", *_MODES), _LOOP),
    "tests/test_async_store.py::test_abatch_uses_single_pool_checkout": (
        "it counts the connections that AsyncPostgresStore takes from its pool"
    ),
    **{
        name: "it changes times and looks at rows with SQL. tests/memory has its cases for S3Store"
        for file in ("test_store", "test_async_store")
        for test in _OMIT
        for name in _each(f"tests/{file}.py::test_omit_expired_{test}", *_MODES)
    },
    **dict.fromkeys(
        _each(
            "tests/test_store.py::test_scores",
            *(f"{text}-halfvec-l2" for text in ("aaa", "bbb", "ccc", "abcd", "poisson")),
        ),
        "scores are cosine similarities, as InMemoryStore's; other distances aren't offered",
    ),
}

KNOWN: Final[Mapping[str, Mapping[str, str]]] = {
    "langgraph": _LANGGRAPH,
    "langgraph_checkpoint": _REDIS,
    "langgraph_checkpoint_sqlite": _SQLITE,
    "langgraph_checkpoint_postgres": _POSTGRES,
}
