"""Large states are encoded and decoded off the event loop, small ones on it."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.format.builder import Builder
from tests.contract.support import MakeSaver
from tests.support.hanging import HANG


class Watching(JsonPlusSerializer):
    """Notes for each call whether it ran beside the event loop."""

    def __init__(self) -> None:
        super().__init__()
        self.beside: list[bool] = []
        self.loop_thread = threading.get_ident()

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        self.beside.append(threading.get_ident() != self.loop_thread)
        return super().dumps_typed(obj)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        self.beside.append(threading.get_ident() != self.loop_thread)
        return super().loads_typed(data)


@pytest.mark.parametrize(("value", "beside"), [("x" * 100, False), (b"\x00\x01" * 1_000_000, True)])
def test_only_large_values_leave_the_loop(make_saver: MakeSaver, value: Any, beside: bool) -> None:
    serde = Watching()
    # Uncompressed, since what decides about decoding is the size as it was read.
    saver = make_saver(serde=serde, cache_bytes=0, compression="none")
    config: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}

    async def round_trip() -> None:
        serde.loop_thread = threading.get_ident()
        checkpoint = empty_checkpoint()
        checkpoint["channel_values"] = {"value": value}
        checkpoint["channel_versions"] = {"value": "1"}
        stored = await saver.aput(config, checkpoint, {"source": "loop", "step": 0}, {"value": "1"})
        assert set(serde.beside) == {beside}
        serde.beside.clear()
        await saver.aput_writes(stored, [("value", value)], "task")
        assert set(serde.beside) == {beside}
        serde.beside.clear()
        loaded = await saver.aget_tuple(config)
        assert loaded is not None
        assert loaded.checkpoint["channel_values"] == {"value": value}
        assert set(serde.beside) == {beside}

    asyncio.run(round_trip())


def test_cancelled_while_encoding_in_a_thread(make_saver: MakeSaver, monkeypatch: pytest.MonkeyPatch) -> None:
    saver: S3Saver = make_saver()
    begun, go_on = threading.Event(), threading.Event()
    pack = Builder.pack

    def slow(self: Builder, serialized: Any) -> Any:
        begun.set()
        assert go_on.wait(HANG)
        return pack(self, serialized)

    config: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}

    async def cancel() -> None:
        checkpoint = empty_checkpoint()
        checkpoint["channel_values"] = {"value": b"\x00" * 1_000_000}
        task = asyncio.ensure_future(saver.aput(config, checkpoint, {"source": "loop", "step": 0}, {}))
        assert await asyncio.to_thread(begun.wait, HANG)
        task.cancel()
        await asyncio.sleep(0.01)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    with monkeypatch.context() as patch:
        patch.setattr(Builder, "pack", slow)
        asyncio.run(cancel())
    assert saver.get_tuple(config) is None


@pytest.mark.parametrize(("value", "beside"), [("x" * 100, False), (b"\x00\x01" * 1_000_000, True)])
def test_only_large_states_leave_the_loop(make_saver: MakeSaver, value: Any, beside: bool) -> None:
    serde = Watching()
    saver = make_saver(serde=serde, cache_bytes=0, compression="none")

    async def round_trip() -> None:
        serde.loop_thread = threading.get_ident()
        for number in range(2):
            serde.beside.clear()
            await saver.asave_checkpoint("t", {"value": value, "number": number})
            assert set(serde.beside) == {beside}
        serde.beside.clear()
        assert await saver.aload_checkpoint("t") == {"value": value, "number": 1}
        assert set(serde.beside) == {beside}

    asyncio.run(round_trip())
