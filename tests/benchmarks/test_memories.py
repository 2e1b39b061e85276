"""The benchmark of memories counts requests and round trips, and its table shows them."""

from __future__ import annotations

import pytest
from langgraph.store.memory import InMemoryStore

from benchmarks import memories
from benchmarks.runs import ENVIRONMENT
from benchmarks.served import Served

pytestmark = pytest.mark.integration


def test_requests_of_each_operation(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, setting in ENVIRONMENT.items():
        monkeypatch.setenv(name, setting)
    with Served() as served:
        stores = memories.Stores(
            served, 1500, {"InMemoryStore": (InMemoryStore(index=memories.index()), True)}
        )
        found = list(stores.figures(latency=0, rounds=1))
        stores.close()
    assert {each.what: (each.requests, each.trips) for each in found} == {
        "get": ({"GET": 1}, 1),
        "search with a filter": ({"LIST": 2}, 1),
        "search with a query": ({"LIST": 2}, 1),
        "search with a filter, new process": ({"LIST": 2, "GET": 1}, 3),
        "search with a query, new process": ({"LIST": 2, "GET": 1}, 3),
        "put": ({"PUT": 1}, 1),
    }
    assert all(("InMemoryStore" in each.others) != ("new process" in each.what) for each in found)


def test_the_table() -> None:
    own, other = memories.Spent(150.0, 4.0), memories.Spent(1.5, 1.25)
    figure = memories.Figure("search", 10_000, {"LIST": 10, "GET": 1}, 3, own, {"InMemoryStore": other})
    row = memories.table([figure]).splitlines()[-1]
    assert [cell.strip() for cell in row.split("|")[1:-1]] == [
        "search",
        "10,000",
        "10 LIST, 1 GET",
        "3",
        "50.40",
        "150.0",
        "2.00",
        "4.0",
        "1.50",
        "1.25",
    ]
