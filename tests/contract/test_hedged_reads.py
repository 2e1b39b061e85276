"""Slow reads are sent a second time, through the real clients, within their share; and nothing is left."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.contract.front import Hold, Park
from tests.contract.hedging import Every, Released, learn
from tests.contract.scripts import assert_clean, script
from tests.contract.support import Calls, MakeCalls, MakeSaver, Place, at, checkpoint, metadata, noise
from tests.support import inside

READS = 20
"""Calls of `get_tuple`; each is a listing and a read."""


@pytest.fixture
def calls(make_calls: MakeCalls) -> Calls:
    return make_calls(hedged_reads=0.1, cache_bytes=0)


def reads_in(place: Place) -> int:
    counts = place.front.counts()
    return counts.get("GetObject", 0) + counts.get("ListObjectsV2", 0)


def put(calls: Calls, size: int = 10) -> Any:
    made = checkpoint({"value": noise(size)})
    calls.put(at(), made, metadata(), {})
    return made["channel_values"]


@pytest.mark.parametrize(
    ("begun", "size"), [(False, 10), (True, 500_000)], ids=["no answer", "half an answer"]
)
def test_what_hangs_is_answered_by_a_second_request(
    calls: Calls, place: Place, released: threading.Event, *, begun: bool, size: int
) -> None:
    """One answer in ten never comes before the end. Each read has its own all the same."""
    values = put(calls, size)
    learn(calls.saver, 0.1, saved=None)
    place.front.reset()
    schedule = place.front.schedule = Every(10, Park(released, begun=begun))
    for _ in range(READS):
        found = calls.get_tuple(at())
        assert found.checkpoint["channel_values"] == values
    stats = calls.saver.stats()
    assert len(schedule.done) >= 2 * READS // 10
    assert not [seen for seen in schedule.done if seen.ended], "they hang still"
    # On a busy machine another one may be slow, and a second request may be one that hangs.
    assert len(schedule.done) <= stats.hedges <= 2 * READS
    assert stats.hedges_won
    assert reads_in(place) <= 2 * READS + stats.hedges
    if calls.asynchronous:
        assert connections_in_use(calls) == 0
    released.set()
    calls.saver.close()
    assert not [each for each in threading.enumerate() if "hedge" in each.name]
    assert calls.get_tuple(at()).checkpoint["channel_values"] == values


def connections_in_use(calls: Calls) -> int:
    store: Any = inside.store(calls.saver)
    [holder] = (store._async_rest or store._aio)._loops._holders.values()
    if store._async_rest:
        in_use: int = holder.made.connections_in_use
        return in_use
    [session] = holder.made.client._endpoint.http_session._sessions.values()
    return len(session.connector._acquired)


def test_no_more_than_the_share_is_sent_twice_to_a_store_that_is_slow(calls: Calls, place: Place) -> None:
    put(calls)
    learn(calls.saver, 0.005, saved=0)
    place.front.reset()
    place.front.schedule = lambda _: Hold(0.02)
    for _ in range(READS):
        assert calls.get_tuple(at())
    hedges = calls.saver.stats().hedges
    assert 1 <= hedges <= 0.1 * 2 * READS
    assert reads_in(place) <= 2 * READS + hedges


def test_off_by_default(make_calls: MakeCalls, place: Place) -> None:
    calls = make_calls(cache_bytes=0)
    put(calls)
    learn(calls.saver, 0.0001)
    place.front.reset()
    place.front.schedule = Every(8, Hold(0.05))
    for _ in range(READS):
        assert calls.get_tuple(at())
    assert (calls.saver.stats().hedges, reads_in(place)) == (0, 2 * READS)


ENDINGS = {
    "event loops": """
        async def together():
            await asyncio.gather(*[saver.aget_tuple(at()) for _ in range(4)])
        asyncio.run(together())

        async def leave():
            before = saver.stats().hedges
            tasks = [asyncio.ensure_future(saver.aget_tuple(at())) for _ in range(4)]
            while saver.stats().hedges == before:
                await asyncio.sleep(0.005)
        asyncio.run(leave())

        loop = asyncio.new_event_loop()
        for _ in range(3):
            loop.run_until_complete(saver.aget_tuple(at()))
        while not saver.stats().hedges_won:  # on a busy machine, what is parked may be second requests alone
            loop.run_until_complete(saver.aget_tuple(at()))
        loop.run_until_complete(saver.aclose())
        loop.close()
    """,
    "threads": """
        import threading, urllib.request
        for _ in range(3):
            saver.get_tuple(at())
        while not saver.stats().hedges_won:
            saver.get_tuple(at())
        urllib.request.urlopen(urllib.request.Request(f"{url}/{bucket}", method="HEAD")).close()
        saver.close()
        assert threading.active_count() == 1, threading.enumerate()
        for _ in range(2):
            saver.get_tuple(at())
        assert threading.active_count() > 1
    """,
}


@pytest.mark.parametrize("how", ENDINGS)
def test_nothing_is_left_behind_by(
    place: Place, make_saver: MakeSaver, released: threading.Event, how: str
) -> None:
    """At the process's end, with development mode's warnings, while a slow one may be under way."""
    make_saver().put(at(), checkpoint(), metadata(), {})
    place.front.schedule = Released(5, released)  # of four reads and the second request for one of them, one
    # Where both requests for a read are parked after all, it is sent again soon.
    begin = """
        from tests.contract.hedging import learn
        saver = S3Saver(
            bucket, endpoint_url=url, region="us-east-1", hedged_reads=0.1, cache_bytes=0,
            connect_timeout=1.0, read_timeout=1.0,
        )
        learn(saver, 0.1, saved=None)
    """
    assert_clean(script(place, begin + ENDINGS[how]))
