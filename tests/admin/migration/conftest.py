"""A source to migrate from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from langgraph.checkpoint.sqlite import SqliteSaver


@pytest.fixture
def source() -> Iterator[SqliteSaver]:
    with SqliteSaver.from_conn_string(":memory:") as saver:
        yield saver
