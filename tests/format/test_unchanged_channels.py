"""A channel that didn't change is taken over unseen; everything else is serialized, by whom it may be."""

from __future__ import annotations

import random
from typing import Any

import pytest
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langgraph_checkpoint_s3.format.borrowing import BorrowPolicy
from langgraph_checkpoint_s3.format.checkpoint import open_checkpoint
from langgraph_checkpoint_s3.format.container import header_length
from tests.format.made import DAY, SMALL, Shelf, Stream

NOISE = random.Random(9).randbytes(10_000)
VALUES: dict[str, Any] = {"same": {"text": NOISE.hex()}, "other": ["x" * 5000], "small": 1}
VERSIONS = {"same": "1.0", "other": "1.5", "small": 1}


class Counting(JsonPlusSerializer):
    """Remembers what it serialized."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        self.seen.append(obj)
        return super().dumps_typed(obj)

    def values(self) -> list[Any]:
        """Return the values serialized besides a checkpoint's metadata and rest."""
        assert [next(iter(each)) for each in (self.seen[0], self.seen[-1])] == ["step", "v"]
        return self.seen[1:-1]


def start(rules: BorrowPolicy = BorrowPolicy(horizon=DAY, min_value=4096)) -> tuple[Shelf, Counting]:  # noqa: B008  # it is frozen
    """A first checkpoint."""
    serde = Counting()
    shelf = Shelf(rules, serde=serde)
    shelf.put("1", VALUES, versions=VERSIONS)
    assert serde.values() == list(VALUES.values())
    serde.seen.clear()
    return shelf, serde


def test_an_unchanged_channel_is_not_serialized() -> None:
    shelf, serde = start()
    made = shelf.put("2", VALUES, "1", versions=VERSIONS, changed=())
    assert serde.values() == [1]  # what is small isn't remembered
    for name in ("same", "other"):
        before = shelf.drafts["1"].content.channels[name][1]
        assert made.content.channels[name][1] is before
        assert made.known.values[name].raw is before
    record = shelf.read("2")
    assert {name: record.channel(serde, name) for name in VALUES} == VALUES
    assert [frame.lender for frame in record.container.frames] == [None, *made.lenders, *made.lenders]


def test_it_is_not_serialized_if_its_parent_was_read_either() -> None:
    shelf, serde = start()
    known = shelf.known("1", VERSIONS)
    made = shelf.put("2", VALUES, "1", versions=VERSIONS, changed=(), known=known)
    assert serde.values() == [1]
    assert made.known.values["same"].raw is known.values["same"].raw


def test_it_stays_so_over_generations() -> None:
    shelf, serde = start()
    for number in range(2, 10):
        shelf.put(str(number), VALUES, str(number - 1), versions=VERSIONS, changed=())
        assert serde.values() == [1]
        serde.seen.clear()
        assert [lender.checkpoint_id for lender in shelf.drafts[str(number)].lenders] == ["1"]
        assert shelf.read(str(number)).channel(serde, "same") == VALUES["same"]


@pytest.mark.parametrize(
    ("versions", "changed"),
    [
        ({**VERSIONS, "same": "2.0"}, ()),
        ({**VERSIONS, "same": 1.0}, ()),
        ({**VERSIONS, "same": None}, ()),
        ({"other": "1.5", "small": 1}, ()),  # it has none
        (VERSIONS, ("same",)),  # it is said to have changed
        ({**VERSIONS, "same": "2.0"}, ("same",)),
    ],
)
def test_a_changed_channel_is_serialized(versions: dict[str, Any], changed: tuple[str, ...]) -> None:
    shelf, serde = start()
    shelf.put("2", {**VALUES, "same": "instead"}, "1", versions=versions, changed=changed)
    assert serde.values() == ["instead", 1]
    assert shelf.read("2").channel(serde, "same") == "instead"


def test_a_channel_that_had_no_version_is_serialized() -> None:
    shelf = Shelf(serde=(serde := Counting()))
    shelf.put("1", VALUES, versions={})
    serde.seen.clear()
    shelf.put("2", VALUES, "1", versions=VERSIONS, changed=())
    assert serde.values() == list(VALUES.values())


def test_a_channel_that_comes_or_goes() -> None:
    shelf, serde = start()
    shelf.put("2", {"same": VALUES["same"]}, "1", versions=VERSIONS, changed=())
    assert serde.values() == []
    serde.seen.clear()
    shelf.put("3", VALUES, "2", versions=VERSIONS, changed=())  # its parent doesn't have it, nor know it
    assert serde.values() == [VALUES["other"], 1]
    assert shelf.read("3").channel(serde, "other") == VALUES["other"]


def test_without_a_parent_that_is_known_everything_is_serialized() -> None:
    shelf, serde = start()
    shelf.put("2", VALUES, "1", versions=VERSIONS, changed=(), alone=True)
    assert serde.values() == list(VALUES.values())


def test_what_is_serialized_to_the_same_is_borrowed_all_the_same() -> None:
    shelf, serde = start()
    made = shelf.put("2", VALUES, "1")
    assert serde.values() == list(VALUES.values())
    assert [lender.checkpoint_id for lender in made.lenders] == ["1"]
    assert len(made.body) < 700


PLAIN = JsonPlusSerializer()
ENCRYPTED = EncryptedSerializer(Stream())


@pytest.mark.parametrize(("before", "after"), [(PLAIN, ENCRYPTED), (ENCRYPTED, PLAIN)], ids=["on", "off"])
@pytest.mark.parametrize("changed", [("same", "other", "small"), ()], ids=["changed", "unchanged"])
def test_another_serializer_takes_nothing_over(before: Any, after: Any, changed: tuple[str, ...]) -> None:
    """After encryption is turned on, new objects hold no plain bytes."""
    shelf = Shelf(SMALL, codec="none", serde=before)
    shelf.put("1", VALUES, versions=VERSIONS)
    shelf.serde = after
    made = shelf.put("2", VALUES, "1", versions=VERSIONS, changed=changed)
    assert made.lenders == []
    assert (NOISE.hex().encode() in made.body) == (after is PLAIN)
    record = shelf.read("2")
    assert {name: record.channel(after, name) for name in VALUES} == VALUES


def test_what_is_encrypted_is_borrowed_by_who_encrypts_so_too() -> None:
    shelf = Shelf(SMALL, serde=ENCRYPTED)
    shelf.put("1", VALUES, versions=VERSIONS)
    made = shelf.put("2", VALUES, "1", versions=VERSIONS, changed=())
    assert [lender.checkpoint_id for lender in made.lenders] == ["1"]
    assert shelf.read("2").channel(ENCRYPTED, "same") == VALUES["same"]


def test_bytes_of_another_type_are_not_borrowed() -> None:
    shelf = Shelf(SMALL)
    shelf.put("1", {"a": NOISE})
    made = shelf.put("2", {"a": bytearray(NOISE)}, "1")
    assert made.lenders == []
    assert shelf.read("2").channel(shelf.serde, "a") == bytearray(NOISE)
    assert type(shelf.read("2").channel(shelf.serde, "a")) is bytearray
    assert [lender.checkpoint_id for lender in shelf.put("3", {"a": bytearray(NOISE)}, "2").lenders] == ["2"]


def test_what_a_bytearray_holds_later_does_not_matter() -> None:
    """The serializer hands on the very bytearray that the graph goes on to change."""
    shelf = Shelf(SMALL)
    value = bytearray(NOISE)
    first = shelf.put("1", {"a": value}, versions={"a": 1})
    assert type(first.content.channels["a"][1]) is bytes
    value[:100] = bytes(100)
    shelf.put("2", {"a": value}, "1", versions={"a": 2})
    value.clear()
    shelf.put("3", {"a": value}, "2", versions={"a": 2}, changed=())  # it says so: it is believed
    assert shelf.read("1").channel(shelf.serde, "a") == NOISE
    assert shelf.read("2").channel(shelf.serde, "a") == bytes(100) + NOISE[100:]
    assert shelf.read("3").channel(shelf.serde, "a") == bytes(100) + NOISE[100:]


def test_what_was_not_read_is_not_known() -> None:
    shelf = Shelf()
    shelf.put("1", {"first": NOISE[:1000], "second": NOISE[1000:]})
    shelf.put("2", {"first": NOISE[:1010], "second": NOISE[1000:]}, "1")
    versions = dict.fromkeys(("first", "second"), "2")
    body = shelf.bodies["2"]
    head = open_checkpoint(body[: header_length(body)], len(body), "", "2", "checkpoint.p1.b")
    assert shelf.known("2", versions, head).values == {}
    lent = shelf.open("2")
    assert shelf.known("2", versions, lent).values == {}
    [first, second] = lent.container.missing(lent.all_values())
    assert lent.container.add_frame(second, shelf.lent(lent.container.frames[second]))
    known = shelf.known("2", versions, lent)
    assert list(known.values) == list(known.versions) == ["second"]
    assert lent.container.add_frame(first, shelf.lent(lent.container.frames[first]))
    assert list(shelf.known("2", versions, lent).values) == ["first", "second"]
