"""A chat's turns with `DynamoDBSaver` on moto, counting the units that DynamoDB charges for.

Runs in an environment of its own, for `dynamodb`.
"""

from __future__ import annotations

import importlib
import json
import logging
import math
import sys
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from benchmarks.graphs import GRAPHS, INPUTS

_TABLE: Final = "checkpoints"
_CONFIG: Final[Any] = {"configurable": {"thread_id": "turns"}}


class Meter:
    """Counts the requests and units of a client."""

    def __init__(self, client: Any) -> None:
        self.requests: Counter[str] = Counter()
        self.written = self.read = 0.0
        client.meta.events.register("provide-client-params.dynamodb.*", self._asks)
        client.meta.events.register("after-call.dynamodb.*", self._answered)

    def take(self) -> dict[str, Any]:
        """Return the counts since the last call."""
        found = {"requests": dict(self.requests), "written": self.written, "read": self.read}
        self.requests.clear()
        self.written = self.read = 0.0
        return found

    def _asks(self, params: Mapping[str, Any], model: Any, **_: Any) -> None:
        self.requests[model.name] += 1
        items = [params["Item"]] if "Item" in params else []
        if model.name == "BatchWriteItem":
            requests = [each for table in params["RequestItems"].values() for each in table]
            items = [each["PutRequest"]["Item"] for each in requests if "PutRequest" in each]
        self.written += sum(max(1, math.ceil(size(item) / 1024)) for item in items)
        self._strong = bool(params.get("ConsistentRead"))

    def _answered(self, parsed: Mapping[str, Any], model: Any, **_: Any) -> None:
        unit = 1.0 if self._strong else 0.5
        if model.name == "Query":  # charged in total, including filtered items: so this is a lower bound
            total = sum(map(size, parsed.get("Items", ())))
            self.read += max(1, math.ceil(total / 4096)) * unit
        elif model.name == "GetItem":
            self.read += max(1, math.ceil(size(parsed.get("Item", {})) / 4096)) * unit
        elif model.name == "BatchGetItem":
            items = [item for table in parsed.get("Responses", {}).values() for item in table]
            self.read += sum(max(1, math.ceil(size(item) / 4096)) for item in items) * unit


def size(item: Mapping[str, Any]) -> int:
    """Return an item's size as DynamoDB counts it, approximately for numbers and nesting."""
    return sum(len(name.encode()) + _value(value) for name, value in item.items())


def _value(value: Mapping[str, Any]) -> int:
    [(kind, held)] = value.items()
    if kind == "M":
        return 3 + size(held)
    if kind == "L":
        return 3 + sum(map(_value, held))
    return len(held.encode() if isinstance(held, str) else held) if kind in "SBN" else 1


def main() -> None:
    """Play turns, and print the counts of each."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = importlib.import_module("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    saver: Any = importlib.import_module("langgraph_checkpoint_aws").DynamoDBSaver(
        _TABLE, region_name="us-east-1", endpoint_url=f"http://{host}:{port}"
    )
    names = ("PK", "HASH"), ("SK", "RANGE")
    saver.client.create_table(
        TableName=_TABLE,
        KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in names],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name, _ in names],
        BillingMode="PAY_PER_REQUEST",
    )
    meter = Meter(saver.client)
    graph = GRAPHS["chat"](saver, False)
    found: list[dict[str, Any]] = []
    for _ in range(int(sys.argv[1])):
        graph.invoke(INPUTS["chat"](), _CONFIG)
        found.append(meter.take())
    print(json.dumps(found))
    server.stop()


if __name__ == "__main__":
    main()
