"""Units are counted as DynamoDB counts them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import dynamodb
from benchmarks.dynamodb_worker import Meter, size

pytestmark = pytest.mark.integration


class Events:
    """A stand-in for a client's events."""

    def __init__(self) -> None:
        self.handlers: dict[str, Any] = {}
        self.meta = SimpleNamespace(events=self)

    def register(self, name: str, handler: Any) -> None:
        self.handlers[name.partition(".")[0]] = handler

    def call(self, name: str, params: dict[str, Any], parsed: dict[str, Any]) -> None:
        model = SimpleNamespace(name=name)
        self.handlers["provide-client-params"](params=params, model=model, context={})
        self.handlers["after-call"](parsed=parsed, model=model, http_response=None)


@pytest.mark.parametrize(
    ("item", "count"),
    [
        ({"PK": {"S": "abc"}}, 5),
        ({"b": {"B": b"12345"}}, 6),
        ({"ü": {"S": "ü"}}, 4),
        ({"m": {"M": {"x": {"S": "yz"}}}}, 7),
        ({"l": {"L": [{"S": "a"}, {"BOOL": True}]}}, 6),
    ],
)
def test_item_size_is_that_of_names_and_values(item: dict[str, Any], count: int) -> None:
    assert size(item) == count


def test_written_units_count_per_item_and_read_units_in_total() -> None:
    client = Events()
    meter = Meter(client)
    kilobyte = {"b": {"B": bytes(1023)}}
    client.call("PutItem", {"Item": kilobyte}, {})
    client.call("PutItem", {"Item": {"b": {"B": bytes(1024)}}}, {})
    puts = [{"PutRequest": {"Item": kilobyte}}] * 3 + [{"DeleteRequest": {}}]
    client.call("BatchWriteItem", {"RequestItems": {"t": puts}}, {})
    client.call("Query", {}, {"Items": [kilobyte] * 5})
    client.call("GetItem", {"ConsistentRead": True}, {"Item": kilobyte})
    client.call("GetItem", {}, {})
    client.call("BatchGetItem", {}, {"Responses": {"t": [kilobyte, kilobyte]}})
    assert meter.take() == {
        "requests": {"PutItem": 2, "BatchWriteItem": 1, "Query": 1, "GetItem": 2, "BatchGetItem": 1},
        "written": 1 + 2 + 3,
        "read": 1 + 1 + 0.5 + 1,
    }
    assert meter.take() == {"requests": {}, "written": 0, "read": 0}


def test_the_table_has_all_turns_the_first_and_the_last() -> None:
    turns = [{"requests": {"PutItem": n}, "written": 10.0 * n, "read": 1.0} for n in (1, 2, 3)]
    assert dynamodb.dollars(turns) == pytest.approx(20 * 0.625 + 0.125)
    lines = [line.split("|")[1:-1] for line in dynamodb.tables(turns).splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line] for line in lines]
    assert rows[2:] == [
        ["3 turns, all of them", "2.00", "20.0", "1.0", "12.62"],
        ["the first turn", "1.00", "10.0", "1.0", "6.38"],
        ["the last turn", "3.00", "30.0", "1.0", "18.88"],
    ]
