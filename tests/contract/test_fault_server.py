"""The fault server's own promises; what savers make of its faults is in the other tests here."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import threading

import pytest

from langgraph_checkpoint_s3.testing import FaultServer
from langgraph_checkpoint_s3.testing.faults import Answer, BreakOff, Fault, HangUp, Hold, Park, Reply
from tests.contract.front import Front
from tests.contract.support import Place
from tests.support.hanging import HANG

SLOW = Answer(503, "SlowDown", headers={"Retry-After": "1"})
HUNG_UP = (http.client.RemoteDisconnected, ConnectionResetError)


SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request"}
"""As far as moto looks."""


class Client:
    """Asks through the front, and each time on a connection of its own."""

    def __init__(self, front: FaultServer, bucket: str) -> None:
        self._port = front.port
        self._bucket = bucket

    def ask(self, method: str, key: str = "", body: bytes | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=HANG)
        try:
            connection.request(method, f"/{self._bucket}/{key}", body, SIGNED)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def status(self, method: str, key: str = "", body: bytes | None = None) -> int:
        return self.ask(method, key, body)[0]


@pytest.fixture
def client(front: Front, place: Place) -> Client:
    return Client(front, place.bucket)


def test_a_fault_is_for_so_many_requests_of_an_operation(front: Front, client: Client) -> None:
    front.fail("PutObject", SLOW, times=2)
    assert client.status("GET", "a") == 404
    assert [client.status("PUT", "a", b"1") for _ in range(3)] == [503, 503, 200]
    assert front.counts() == {"GetObject": 1, "PutObject": 3}
    assert [seen.status for seen in front.log] == [404, 503, 503, 200]


def test_a_fault_is_for_keys_that_contain_a_text(front: Front, client: Client) -> None:
    front.fail("*", SLOW, within="checkpoint")
    assert client.status("PUT", "a/writes", b"1") == 200
    assert client.status("PUT", "a/checkpoint", b"1") == 503
    assert client.status("PUT", "a/checkpoint", b"1") == 200


def test_a_fault_without_end_ends_with_reset(front: Front, client: Client) -> None:
    front.fail("*", SLOW, times=None)
    assert [client.status("GET", "a") for _ in range(3)] == [503] * 3
    front.reset()
    assert client.status("GET", "a") == 404
    assert len(front.log) == 1


def test_rules_are_used_in_the_order_in_which_they_were_made(front: Front, client: Client) -> None:
    front.schedule = lambda seen: Answer(418, "Teapot")
    front.fail("GetObject", Answer(500, "InternalError"))
    front.fail("*", SLOW)
    assert [client.status("GET", "a") for _ in range(3)] == [500, 503, 418]


def test_down_is_everything_until_its_body_ends(front: Front, client: Client) -> None:
    front.fail("PutObject", SLOW)
    with front.down():
        for method in ("GET", "PUT"):
            with pytest.raises(HUNG_UP):
                client.ask(method, "a", b"1")
    with front.down(Answer(500, "InternalError")):
        assert client.status("PUT", "a", b"1") == 500
    assert client.status("PUT", "a", b"1") == 503  # the rule from before hasn't been used up
    assert client.status("GET", "a") == 404  # nothing had come through


def test_reset_while_down(front: Front, client: Client) -> None:
    with front.down():
        front.reset()
        assert client.status("GET", "a") == 404


@pytest.mark.parametrize("lost", [HangUp(applied=True), Answer(500, "InternalError", applied=True)])
def test_what_is_applied_is_done(front: Front, client: Client, lost: HangUp | Answer) -> None:
    front.fail("PutObject", lost)
    if isinstance(lost, HangUp):
        with pytest.raises(HUNG_UP):
            client.ask("PUT", "a", b"1")
    else:
        assert client.status("PUT", "a", b"1") == 500
    assert client.ask("GET", "a") == (200, b"1")


def test_an_answer_is_cut_held_or_made_up(front: Front, client: Client) -> None:
    client.ask("PUT", "a", b"0123456789")
    front.fail("GetObject", BreakOff(after=3))
    with pytest.raises(http.client.IncompleteRead) as cut:
        client.ask("GET", "a")
    assert cut.value.partial == b"012"
    front.fail("GetObject", Hold(0.05))
    assert client.ask("GET", "a") == (200, b"0123456789")
    assert front.log[-1].ended - front.log[-1].begun >= 0.05
    front.fail("GetObject", Reply(b"made up"))
    assert client.ask("GET", "a") == (200, b"made up")


@pytest.mark.parametrize("fault", [SLOW, Reply(b"made up"), BreakOff(after=3), Hold(0.0)])
def test_who_has_an_answer_finds_it_in_the_log(
    front: Front, client: Client, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.ask("PUT", "a", b"0123456789")
    front.fail("GetObject", fault)
    done: list[bool] = []
    write = asyncio.StreamWriter.write

    def watched(writer: asyncio.StreamWriter, data: bytes) -> None:
        if data.startswith(b"HTTP/1.1"):  # to the client
            done.append(front.log[-1].ended > 0 and front.log[-1].status > 0)
        write(writer, data)

    monkeypatch.setattr(asyncio.StreamWriter, "write", watched)
    with contextlib.suppress(http.client.IncompleteRead):
        client.ask("GET", "a")
    assert done == [True]


def test_a_parked_answer_waits_for_its_event(front: Front, client: Client) -> None:
    client.ask("PUT", "a", b"1")
    event = threading.Event()
    front.fail("GetObject", Park(event))
    found: list[tuple[int, bytes]] = []
    asking = threading.Thread(target=lambda: found.append(client.ask("GET", "a")))
    asking.start()
    asking.join(0.05)
    assert found == []
    event.set()
    asking.join(HANG)
    assert found == [(200, b"1")]


def test_errors_are_s3s_documents(front: Front, client: Client) -> None:
    front.fail("GetObject", Answer(403, "AccessDenied", "no"))
    status, body = client.ask("GET", "a")
    assert (status, b"<Code>AccessDenied</Code><Message>no</Message>" in body) == (403, True)


@pytest.mark.parametrize("upstream", ["https://s3.amazonaws.com", "127.0.0.1:9000", "http://"])
def test_it_goes_before_plain_http_only(upstream: str) -> None:
    with pytest.raises(ValueError, match="is not a URL like"):
        FaultServer(upstream)
