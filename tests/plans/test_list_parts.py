"""Long threads are listed in parts, side by side: nothing is left out, wherever they begin."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from langgraph_checkpoint_s3.format.keys import CheckpointLeaf, WritesLeaf
from langgraph_checkpoint_s3.plans.scan import Folder, Scan, list_thread
from tests.plans.borrowers import layout
from tests.support import inside
from tests.support.checkpoints import place
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver
from tests.support.sampling import pairs

PLANS = "langgraph_checkpoint_s3.plans."
LENGTH = 3_000
PAGES = 2 * LENGTH // 1000
"""The pages of a thread of that length, with an object of writes each."""


def uuid(moment: int, chosen: random.Random) -> str:
    """Return a version-6 UUID of a time, in units of 100 ns."""
    high, middle, low = moment >> 28 & 0xFFFFFFFF, moment >> 12 & 0xFFFF, moment & 0xFFF
    return f"{high:08x}-{middle:04x}-6{low:03x}-8000-{chosen.getrandbits(48):012x}"


def evenly(length: int) -> list[str]:
    chosen = random.Random(0)
    return [uuid(0x1F0F0000000000 + number * 30_000_000, chosen) for number in range(length)]


def in_turns(length: int) -> list[str]:
    """Ten checkpoints within a minute, and then an hour or so without any."""
    chosen, moment, ids = random.Random(0), 0x1F0F0000000000, list[str]()
    for number in range(length):
        pause = chosen.expovariate(1 / 36_000_000_000) if number % 10 == 0 else 30_000_000
        moment += int(pause) + 1
        ids.append(uuid(moment, chosen))
    return ids


def after_a_year(length: int) -> list[str]:
    """The last tenth is a year younger than the others."""
    chosen, begin = random.Random(0), 0x1F0F0000000000
    return [uuid(begin + n * 10_000 + (n > length * 9 // 10) * 10**14, chosen) for n in range(length)]


def numbered(length: int) -> list[str]:
    return [f"{number:08}" for number in range(length)]


def unlike(length: int) -> list[str]:
    """Ids of many kinds."""
    chosen = random.Random(0)
    kinds: list[Callable[[int], str]] = [
        str,
        lambda n: f"{n:x}",
        lambda n: f"a-{n}",
        lambda n: uuid(n << 40, chosen),
    ]
    return sorted({chosen.choice(kinds)(number) for number in range(length)})


IDS = {each.__name__: each for each in (evenly, in_turns, after_a_year, numbered, unlike)}


def filled(fake: FakeS3, ids: Sequence[str], ns: str = "", *, steps: bool = True) -> None:
    """Put objects with the keys of checkpoints and of writes, straight into the bucket."""
    parent = None
    for number, name in enumerate(ids):
        leaf = CheckpointLeaf(parent=parent, source="loop", step=number - 1 if steps else None)
        fake.put(layout().key("t", ns, name, leaf), b"")
        fake.put(layout().key("t", ns, name, WritesLeaf.of("task", [0])), b"")
        parent = name


def keys_of(folders: Sequence[Folder]) -> list[str]:
    return [entry.key for folder in folders for entry in folder.entries]


@pytest.mark.parametrize(("kind", "page", "steps"), pairs(list(IDS), [2, 7, 45], [True, False]))
def test_all_is_listed(
    fake: FakeS3, monkeypatch: pytest.MonkeyPatch, kind: str, page: int, steps: bool
) -> None:
    monkeypatch.setattr(PLANS + "scan.PAGE", page)
    store: Any = inside.store(make_saver(fake))
    thread = layout().thread("t")
    for length, ns in ((1, ""), (30, ""), (150, ""), (40, "sub"), (8, "sub|x")):
        filled(fake, IDS[kind](length), ns, steps=steps)
        with fake.counted() as count:
            found = keys_of(store.run(list_thread(layout(), thread)))
        assert found == keys_of(store.run(Scan(layout(), thread).rest()))
        assert sorted(found) == fake.keys()
        assert steps or count.round_trips == count.kinds["ListObjects"]
        assert count.kinds["ListObjects"] <= len(found) / page + 2 + 16 + len(found) / page / 2


@pytest.mark.parametrize(("kind", "most"), {"evenly": 5, "in_turns": 5, "numbered": 12}.items())
def test_a_long_thread_is_listed_in_a_few_round_trips(kind: str, most: int) -> None:
    fake = FakeS3()
    filled(fake, IDS[kind](LENGTH))
    with fake.counted() as count:
        make_saver(fake).delete_thread("t")
    assert not fake.objects
    assert count.kinds["DeleteObjects"] == PAGES
    assert count.kinds["ListObjects"] <= PAGES + 10
    assert count.round_trips <= PAGES + most


@pytest.mark.parametrize("kind", ["after_a_year", "unlike"])
def test_a_wrong_guess_costs_a_few_requests(kind: str) -> None:
    fake = FakeS3()
    filled(fake, IDS[kind](LENGTH))
    pages = -(-len(fake.objects) // 1000)
    with fake.counted() as count:
        make_saver(fake).delete_thread("t")
    assert not fake.objects
    assert count.kinds["ListObjects"] <= pages + 10
    assert count.round_trips <= 2 * pages + 1


def test_a_filter_that_keys_decide_lists_side_by_side() -> None:
    fake = FakeS3()
    filled(fake, evenly(LENGTH))
    for step in (-7, LENGTH):
        with fake.counted() as count:
            assert not list(make_saver(fake).list(place("t"), filter={"step": step}))
        assert set(count.kinds) == {"ListObjects"}
        assert count.kinds["ListObjects"] <= PAGES + 10
        assert count.round_trips <= 5


@pytest.mark.parametrize("page", [2, 7, 1000])
@pytest.mark.parametrize("ns", ["", None])
def test_a_filter_shows_the_same(monkeypatch: pytest.MonkeyPatch, page: int, ns: str | None) -> None:
    fake = FakeS3()
    saver = make_saver(fake)
    for number, name in enumerate(evenly(60)):
        checkpoint: Any = {"v": 4, "id": name, "ts": "", "channel_values": {}, "channel_versions": {}}
        said: Any = {"source": "loop", "step": number, "run_id": f"run-{number % 3}"}
        saver.put(place("t"), checkpoint | {"versions_seen": {}}, said, {})
    monkeypatch.setattr(PLANS + "scan.PAGE", page)
    monkeypatch.setattr(PLANS + "list_checkpoints.PAGE", page)
    for number in (0, 1, 30, 58, 59, 60):
        found = make_saver(fake).list(place("t", ns=ns), filter={"step": number})
        assert [each.metadata["step"] for each in found] == [number][: number < 60]
    found = make_saver(fake).list(place("t", ns=ns), filter={"run_id": "run-1"})
    assert [each.metadata["step"] for each in found] == list(range(58, 0, -3))
