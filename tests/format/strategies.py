"""Strategies of the property tests: ids that break naive keys, and values that graphs keep."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st

from langgraph_checkpoint_s3.format.codecs import Compression

EVERY_CODEC: Final[tuple[Compression, ...]] = ("zstd", "gzip", "none")

HOSTILE: Final = (
    "",
    "a",
    "b",
    "a/b",
    "a/b/",
    "/",
    ".",
    "..",
    "../b",
    "a.thread",
    ".thread",
    "a.thread/b",
    "a.ns",
    ".ns/",
    "checkpoint",
    "writes.ta.w0",
    "__default__",
    "%2F",
    "a%2Fb",
    "a.2Fb",
    ".2F",
    "a b",
    " ",
    "a\\b",
    "a+b",
    "a=b",
    "~a",
    "a!",
    "A",
    "z",
    "0",
    "-1",
    "\x00",
    "a\x00",
    "\n",
    "a\n",
    "\x7f",
    "é",
    "e\u0301",
    "日本",
    "\uffff",
    "🦜",
    "a🦜",
    "\U0010ffff",
    "a" * 40,
)
"""Ids that some encoding somewhere confuses, mangles or takes for a folder."""

TEXT: Final = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
IDS: Final = st.one_of(st.sampled_from(HOSTILE), TEXT, st.text("a./%z", max_size=4))
PREFIXES: Final = st.sampled_from(
    ("", "a/", "a/b/", "a/b/c/", "b/", "checkpoints/", ".ns/", "a.threads/", "a.2Fb/", "thread/")
)

SCALARS: Final[st.SearchStrategy[Any]] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False),
    TEXT,
    st.binary(max_size=20),
    st.binary(min_size=1, max_size=8).map(lambda part: part * 2000),
    st.uuids(),
    st.datetimes(),
    st.decimals(allow_nan=False),
)
VALUES: Final[st.SearchStrategy[Any]] = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(TEXT, inner, max_size=4),
        st.sets(st.integers(0, 1000), max_size=4),
    ),
    max_leaves=6,
)
"""Channel values that LangGraph's serializer gives back as they were."""
