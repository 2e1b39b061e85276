"""A failed request leaves nothing for the garbage collector: its body may be a large state."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import pytest

from langgraph_checkpoint_s3 import S3CheckpointError
from langgraph_checkpoint_s3.s3.request_state import RequestState
from langgraph_checkpoint_s3.s3.requests import GetObject, ListObjects, PutObject
from langgraph_checkpoint_s3.s3.rest.http_parser import ResponseParser
from langgraph_checkpoint_s3.s3.rest.messages import HttpRequest
from tests.s3.rest.scripted import Driver, Peer, Scripted

REFUSED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nx"
HELD = (RequestState, ResponseParser, HttpRequest, BytesIO)


@pytest.fixture(autouse=True)
def collected_by_hand() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


def left_by(call: Callable[[], object]) -> list[str]:
    """Fail, and return which of these objects only a collection frees."""
    with pytest.raises(S3CheckpointError):
        call()
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    gc.set_debug(0)
    return [type(each).__name__ for each in gc.garbage if isinstance(each, HELD)]


@pytest.mark.parametrize("answer", [REFUSED, CUT, b"<html>"], ids=["refused", "cut", "no HTTP"])
@pytest.mark.parametrize(
    "requests",
    [
        lambda: [GetObject("k", keep=False)],
        lambda: [PutObject("k", b"x" * 100_000)],
        lambda: [GetObject("k", keep=False), PutObject("k", b"x" * 100_000), ListObjects("p")],
    ],
    ids=["get", "put", "a batch"],
)
def test_nothing_of_it_stays(driver: Driver, answer: bytes, requests: Callable[[], list[Any]]) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(answer)

    with Scripted(script) as server:
        saver = driver.saver(server.url, max_attempts=2)
        assert left_by(lambda: driver.send(saver, *requests())) == []
