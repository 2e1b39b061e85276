"""The thread in the documents' pictures: a chat with an interrupt, an error, two forks and a subgraph.

Ids, times and versions are fixed, so that a commit's pictures are reproducible.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any, Final

from langgraph.types import Interrupt

from langgraph_checkpoint_s3 import S3Saver
from tests.support.checkpoints import place
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver

THREAD: Final = "customer-42"
BEGAN: Final = datetime(2026, 1, 1, tzinfo=timezone.utc)
NOW: Final = BEGAN + timedelta(hours=3)
"""The current time in the pictures."""
SUBGRAPH: Final = "research:5f1c"

_TRAINS: Final = """\
[
  {"train": "R 607", "leaves": "23:03", "arrives": "06:51", "couchette": 89},
  {"train": "R 605", "leaves": "16:03", "arrives": "22:47", "seat": 54}
]"""
_RULES: Final = """\
Night trains between Oslo and Bergen run every night but Saturday. A couchette is booked with the ticket and
can be given back until 24 hours before it leaves. Bicycles need a place of their own."""
_OFFER: Final = """\
**Yes**: two trains, and the night train has room.

| train | leaves | arrives | price |
|---|---|---|---|
| **R 607** | 23:03 | 06:51 | 89 €, couchette |
| R 605 | 16:03 | 22:47 | 54 €, seat |

Shall I book R 607? The [rules](https://trains.example/night) allow a return until 24 hours before."""


def human(text: str) -> dict[str, Any]:
    """Return a message of the customer."""
    return {"type": "human", "content": text}


def ai(text: str, tool: str = "", **args: Any) -> dict[str, Any]:
    """Return a message of the model, or its tool call."""
    calls = [{"name": tool, "args": args, "id": f"call-{tool}", "type": "tool_call"}] if tool else []
    return {"type": "ai", "content": text, "tool_calls": calls}


_ASKED: Final = [human("Is there a night train from Oslo to Bergen on Friday? At most 100 €, please.")]
_LOOKED: Final = [*_ASKED, ai("I'll look it up.", "search_trains", to="Bergen", day="Friday")]
_FOUND: Final = [
    *_LOOKED,
    {"type": "tool", "name": "search_trains", "content": _TRAINS, "tool_call_id": "call-search_trains"},
]
_TOLD: Final = [*_FOUND, ai(_OFFER)]
_WANTED: Final = [*_TOLD, human("Yes, book it.")]
_BOOKED: Final = [*_WANTED, ai("", "book", train="R 607", kind="couchette", price=89)]
_DAYTIME: Final = [*_TOLD, human("By day, rather: I want to see the mountains.")]
_SEAT: Final = [*_DAYTIME, ai("Then R 605, at 16:03. A seat is 54 €.")]
_BICYCLE: Final = [*_TOLD, human("I have a bicycle with me. Does that work?")]
_CHECKED: Final = [*_BICYCLE, ai("Let me see whether there is room.", "bicycle_places", train="R 607")]


def build(saver: S3Saver) -> None:
    """Put the thread."""
    trip = {"trip": {"from": "Oslo", "to": "Bergen", "day": "Friday", "budget": 100}}
    rules = {"documents": [_RULES]}
    steps: list[tuple[int, int | None, str, int, dict[str, Any]]] = [
        (0, None, "input", -1, {"__start__": {"messages": _ASKED}}),
        (1, 0, "__start__", 0, {"messages": _ASKED}),
        (2, 1, "model", 1, {"messages": _LOOKED, **trip}),
        (3, 2, "research", 2, {"messages": _FOUND, **trip, **rules}),
        (4, 3, "model", 3, {"messages": _TOLD, **trip, **rules, "offer": {"train": "R 607", "price": 89}}),
        (5, 4, "input", 4, {"messages": _WANTED, **trip, **rules, "offer": {"train": "R 607", "price": 89}}),
        (6, 5, "model", 5, {"messages": _BOOKED, **trip, **rules, "offer": {"train": "R 607", "price": 89}}),
        (7, 4, "fork", 4, {"messages": _BICYCLE, **trip, **rules, "offer": {"train": "R 607", "price": 89}}),
        (8, 7, "model", 5, {"messages": _CHECKED, **trip, **rules, "offer": {"train": "R 607", "price": 89}}),
        (9, 4, "fork", 4, {"messages": _DAYTIME, **trip, **rules}),
        (10, 9, "model", 5, {"messages": _SEAT, **trip, **rules, "offer": {"train": "R 605", "price": 54}}),
    ]
    for number, parent, by, step, values in steps:
        _put(saver, number, parent, by, step, values)
    for step, after in enumerate((2.25, 2.75)):
        found = {"question": "night trains Oslo–Bergen", "notes": [_RULES] * step}
        _put(saver, after, 2.25 if step else None, "search", step, found, SUBGRAPH)
    question = (Interrupt("Book a couchette on R 607 for 89 €?", id="9d2f"),)
    saver.put_writes(place(THREAD, id_of(6)), [("__interrupt__", question)], "book-3c1a")
    error = "TimeoutError: bicycle_places didn't answer within 10 s"
    saver.put_writes(place(THREAD, id_of(8)), [("__error__", error)], "tools-77e0")


def steady(fake: FakeS3) -> S3Saver:
    """Return a saver whose objects always have the same sizes.

    Its clock is the fake's. It compresses nothing, as compressed sizes differ between versions of a library.
    """
    return make_saver(fake, prefix="agents/", compression="none")


def built(fake: FakeS3) -> S3Saver:
    """Put the thread, and return a saver with empty caches."""
    build(steady(fake))
    return steady(fake)


def id_of(number: float) -> str:
    """Return a checkpoint's id. The subgraph's numbers have quarters."""
    place = int(4 * number)
    return f"1f116{place:03x}-8a40-6c31-8{place:03x}-2b6f{(place + 1) * 2654435761 % 2**32:08x}"


def _put(
    saver: S3Saver,
    number: float,
    parent: float | None,
    by: str,
    step: int,
    values: dict[str, Any],
    namespace: str = "",
) -> None:
    """Put a checkpoint that a source led to, or a node."""
    source = by if by in {"input", "fork"} else "loop"
    version = f"{int(4 * number) + 1:032}.5"
    checkpoint: Any = {
        "v": 4,
        "id": id_of(number),
        "ts": (BEGAN + timedelta(seconds=4 * number + (600 if number > 4 else 0))).isoformat(),
        "channel_values": values,
        "channel_versions": dict.fromkeys(values, version),
        "versions_seen": {by: {f"branch:to:{by}": version}} if source == "loop" else {},
        "updated_channels": sorted(values),
    }
    metadata: Any = {"source": source, "step": step, "parents": {"": id_of(2)} if namespace else {}}
    where = place(THREAD, None if parent is None else id_of(parent), namespace)
    saver.put(where, checkpoint, metadata, checkpoint["channel_versions"])
