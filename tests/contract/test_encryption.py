"""Encryption through both drivers and a real store: LangGraph's suite, large states, keys off the loop."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from langgraph_checkpoint_s3 import DecryptionError
from langgraph_checkpoint_s3.crypto.provider import DataKey, KeyRef
from tests.contract.admin.drivers import async_mostly, sync_mostly
from tests.contract.front import Front
from tests.contract.support import (
    MIB,
    MakeCalls,
    MakeSaver,
    Place,
    at,
    build_thread,
    checkpoint,
    metadata,
    noise,
)
from tests.contract.test_conformance import assert_full, run_suite
from tests.support.keys import Keys

SECRET = "customer@example.com"


class Slow(Keys):
    """Gives keys as one over a network does: nothing may wait for it on an event loop."""

    def current(self) -> DataKey:
        time.sleep(0.01)
        return super().current()

    def unlock(self, ref: KeyRef) -> bytes:
        time.sleep(0.01)
        return super().unlock(ref)


class TestEncryption:
    def test_langgraphs_suite(self, make_saver: MakeSaver) -> None:
        def make(prefix: str) -> Any:
            return make_saver(prefix=prefix, encryption=Keys(names="n"), private_keys=True)

        assert_full(run_suite("encrypted", make))

    def test_keys_are_asked_for_off_the_loop(self, make_calls: MakeCalls) -> None:
        keys = Slow(wrapped=True)
        build_thread(make_calls(encryption=keys), checkpoints=3, tasks=2)
        reader = make_calls(encryption=keys)
        assert len(reader.list(at())) == 3
        assert keys.asked == {"current": 1, "unlock": 1}

    @async_mostly
    def test_a_large_state_in_parts(self, make_calls: MakeCalls, front: Front, place: Place) -> None:
        state = {"raw": noise(20 * MIB), "text": SECRET}
        make_calls(encryption=Keys()).put(at(), checkpoint(state), metadata(), {})
        assert front.counts()["UploadPart"] == 3
        reader = make_calls(encryption=Keys())
        assert reader.get_tuple(at()).checkpoint["channel_values"] == state
        assert not any(SECRET.encode() in place.read(key) for key in place.objects())

    def test_a_graph_by_someone_else(self, make_calls: MakeCalls) -> None:
        build_thread(make_calls(encryption=Keys("k1")))
        with pytest.raises(DecryptionError, match="'k1'"):
            make_calls(encryption=Keys("k2")).get_tuple(at())
        with pytest.raises(DecryptionError, match="encryption="):
            make_calls().list(at())

    @sync_mostly
    def test_copy_prune_and_delete(self, make_calls: MakeCalls, place: Place) -> None:
        calls = make_calls(encryption=Keys(names="n"), private_keys=True)
        build_thread(calls, SECRET)
        before = [each.checkpoint for each in calls.list(at(SECRET))]
        calls.copy_thread(SECRET, "copy")
        assert [each.checkpoint for each in calls.list(at("copy"))] == before
        calls.prune([SECRET])
        assert [each.checkpoint for each in calls.list(at(SECRET))] == before[:1]
        calls.delete_thread("copy")
        calls.delete_thread(SECRET)
        assert place.objects() == {}


def test_many_coroutines_ask_for_a_key_once(make_saver: MakeSaver) -> None:
    keys = Slow(wrapped=True)
    saver = make_saver(encryption=keys)

    async def put_all() -> None:
        await saver.aput(at("first"), checkpoint(), metadata(), {})
        await asyncio.gather(*(saver.aput(at(f"{n}"), checkpoint(), metadata(), {}) for n in range(20)))
        await saver.aclose()

    asyncio.run(put_all())
    assert keys.asked["current"] == 1
