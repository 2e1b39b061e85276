"""The world outside the graph: a booking service whose every call leaves a line in a file.

A checkpoint saver can't undo what happened out here. What it can do is remember which calls were made,
so that a resumed run doesn't make them again. `BOOKINGS_LOG` names the file; `BOOKINGS_STALL` an item
for which the service doesn't answer.
"""

import json
import os
import time
from pathlib import Path
from typing import Literal, TypedDict

PRICES = {"train": 120, "hotel": 95, "ferry": 15, "dinner": 40}


class Hold(TypedDict):
    item: str
    price: int
    reference: str


class Call(TypedDict):
    pid: int
    item: str
    event: Literal["asked", "held"]


def hold(item: str) -> Hold:
    """Hold an item for one traveller."""
    _note(item, "asked")
    if os.environ.get("BOOKINGS_STALL") == item:
        time.sleep(300)
        raise TimeoutError(f"no answer about the {item}")
    _note(item, "held")
    return {"item": item, "price": PRICES[item], "reference": f"{item[0].upper()}{PRICES[item]}"}


def calls() -> list[Call]:
    """Every call so far, by any process."""
    path = os.environ.get("BOOKINGS_LOG")
    if path is None or not Path(path).exists():
        return []
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def items(pid: int, event: Literal["asked", "held"]) -> list[str]:
    """The items that a process has asked for, or got, in alphabetical order."""
    return sorted(call["item"] for call in calls() if (call["pid"], call["event"]) == (pid, event))


def _note(item: str, event: Literal["asked", "held"]) -> None:
    if path := os.environ.get("BOOKINGS_LOG"):
        call: Call = {"pid": os.getpid(), "item": item, "event": event}
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps(call) + "\n")  # one short write in append mode: processes don't mix lines
