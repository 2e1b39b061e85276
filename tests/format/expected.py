"""The contents of the fixtures in `fixtures/`. A format version's part never changes after its release."""

from __future__ import annotations

import datetime as dt
import random
import uuid
from collections.abc import Mapping
from typing import Any, Final

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

NAMESPACE: Final = "sub|graph:1"
CHECKPOINT_ID: Final = "1f0a6c3e-0000-6000-8000-000000000002"
PARENT_ID: Final = "1f0a6c3e-0000-6000-8000-000000000001"
CREATED: Final = 1_760_000_000_123_456_789
WRITER: Final = "langgraph-checkpoint-s3/0.1.0"
TASK_ID: Final = "6f2b1c9a-task"
TASK_PATH: Final = "~__pregel_pull, agent"
WRITES_LEAF: Final = f"writes.t{TASK_ID}.w0-2"
LENDER_ID: Final = PARENT_ID
LENDER_CREATED: Final = CREATED - 60_000_000_000
LENDER_LEAF: Final = "checkpoint.p1f0a6c3e-0000-6000-8000-000000000000.kloop.s2.l"
"""The end of the key under which `lender.bin` would lie; `borrowing.bin` is its child."""
BORROWER_LEAF: Final = "checkpoint.b"

METADATA: Final[Mapping[str, Any]] = {
    "source": "loop",
    "step": 3,
    "parents": {"": PARENT_ID},
    "run_id": "run-1",
    "user": "Zoë",
}
CHECKPOINT: Final[Mapping[str, Any]] = {
    "v": 4,
    "id": CHECKPOINT_ID,
    "ts": "2025-10-09T08:53:20.123456+00:00",
    "channel_versions": {"messages": "00000000000000000000000000000003.0.5", "count": 3},
    "versions_seen": {"agent": {"messages": "00000000000000000000000000000002.0.25"}, "__input__": {}},
    "updated_channels": ["count", "messages"],
}
CHANNELS: Final[Mapping[str, Any]] = {
    "messages": [
        SystemMessage("Be brief.", id="m0"),
        HumanMessage("What's the weather in Zürich? ☀", id="m1"),
        AIMessage(
            "",
            id="m2",
            tool_calls=[{"name": "weather", "args": {"city": "Zürich"}, "id": "c1", "type": "tool_call"}],
        ),
        ToolMessage("21 °C", id="m3", tool_call_id="c1"),
    ],
    "count": 3,
    "nothing": None,
    "empty": "",
    "no bytes": b"",
    "bytes": b"\x00\xff",
    "bytearray": bytearray(b"\x01\x02"),
    "nested": {"list": [1, -2.5, True, None, "x"], "set": {1, 2}, "big": 2**63},
    "when": dt.datetime(2025, 10, 9, 8, 53, 20, 123456, tzinfo=dt.timezone.utc),
    "who": uuid.UUID("00000000-0000-4000-8000-00000000002a"),
    "name with / and ü 🦜": "kept",
    "document": "All work and no play makes Jack a dull boy. " * 800,
    "picture": random.Random(42).randbytes(12_000),
}
"""Small ones of many types, a large one that compresses, and a large one that doesn't."""

WRITES: Final[Mapping[int, tuple[str, Any]]] = {
    0: ("messages", [AIMessage("It is warm.", id="m4")]),
    1: ("count", 4),
    2: ("document", "So far so good. " * 1000),
    -3: ("__interrupt__", {"question": "Really?"}),
    -4: ("__resume__", ["yes"]),
}
LENT: Final[Mapping[str, Any]] = {
    "lent": "From an earlier checkpoint. " * 500,
    "grown": [f"Line {number} of what grows." for number in range(300)],
    "left": "x" * 5000,
}
"""The lender's values."""
BORROWED: Final[Mapping[str, Any]] = {
    "lent": LENT["lent"],
    "grown": [*LENT["grown"][:150], "Inserted.", *LENT["grown"][150:], "Appended."],
    "own": "of its own",
}
"""The borrower's values: one unchanged, one changed, and one new."""

GATHERED: Final[Mapping[str, Any]] = {
    "messages": ([(TASK_ID, ["first"]), ("another", "é" * 5_000), (TASK_ID, None)], ["seed"]),
    "log": ([(TASK_ID, 1)], None),
    "unwritten": ([], None),
}
"""Of each channel, the writes and the stored value that were gathered."""
GATHERED_LEAF: Final = "writes.g3b047816172147f0ad2fafdfed6cea8f"
