"""Every operation of a saver, by name, for tests that fail all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.contract.support import (
    MIB,
    Calls,
    at,
    checkpoint,
    metadata,
    noise,
)

Call = Callable[[Calls], Any]

READS: dict[str, Call] = {
    "get_tuple": lambda calls: calls.get_tuple(at()),
    "load_checkpoint": lambda calls: calls.load_checkpoint("thread"),
    "list": lambda calls: calls.list(at()),
    "list filtered": lambda calls: calls.list(at(), filter={"none": "such"}),
    "history": lambda calls: calls.get_delta_channel_history(config=at(), channels=["list"]),
}
WRITES: dict[str, Call] = {
    "put": lambda calls: calls.put(at("new"), checkpoint(), metadata(), {}),
    "put large": lambda calls: calls.put(at("new"), checkpoint({"raw": noise(6 * MIB)}), metadata(), {}),
    "save_checkpoint": lambda calls: calls.save_checkpoint("new", {"text": "hello"}),
    "put_writes": lambda calls: calls.put_writes(at("new", checkpoint_id="1"), [("a", 1)], "task"),
    "copy_thread": lambda calls: calls.copy_thread("thread", "new"),
    "delete_thread": lambda calls: calls.delete_thread("thread"),
}
ALL = {**READS, **WRITES}
