"""The parser of responses: however they are cut, as http.client reads them, and whatever they hold."""

from __future__ import annotations

import http.client
import io
from itertools import pairwise
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_checkpoint_s3.s3.rest.http_parser import (
    MAX_HEAD,
    RECEIVE,
    BodyTooLong,
    ConnectionClosedError,
    MalformedResponse,
    ResponseParser,
)

MOST: Final = 1024 * 1024
LARGE: Final = bytes(range(256)) * 400
"""Longer than the bodies whose pieces are joined."""


def parsed(
    pieces: list[bytes], method: str = "GET", *, most: int = MOST, ends: bool = True
) -> ResponseParser:
    """Feed pieces, into the buffer where there is one, as the connections do."""
    parser = ResponseParser(method, most)
    for piece in pieces:
        rest = piece
        while rest:
            buffer = parser.buffer()
            if buffer is None:
                parser.feed(rest)
                break
            count = min(len(buffer), len(rest))
            buffer[:count] = rest[:count]
            buffer.release()
            parser.filled(count)
            rest = rest[count:]
    if ends and not parser.complete:
        parser.end()
    return parser


def result(parser: ResponseParser) -> tuple[Any, ...]:
    return (
        parser.status,
        parser.headers,
        parser.body,
        parser.complete,
        parser.keep_alive,
        parser.received,
    )


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """Cut bytes at these places."""
    ends = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[first:last] for first, last in pairwise(ends)]


PLACES = st.lists(st.integers(min_value=0, max_value=2**20), max_size=12)
BODIES = st.one_of(
    st.binary(max_size=200), st.sampled_from([b"\r\n\r\n", b"0\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])
)
INTERIM = (
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 103 Early\r\nLink: </x>\r\nContent-Length: 3\r\n\r\n",
)
HEADERS = st.lists(
    st.tuples(
        st.from_regex(r"[Xx]-[A-Za-z0-9-]{1,8}", fullmatch=True),
        st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20),
    ),
    max_size=4,
    unique_by=lambda pair: pair[0].lower(),
)


@st.composite
def responses(draw: st.DrawFn) -> tuple[str, bytes, bytes]:
    """The method, a whole response, and its body."""
    method = draw(st.sampled_from(["GET", "PUT", "HEAD"]))
    status = draw(st.sampled_from([200, 204, 206, 304, 403, 503]))
    kind = draw(st.sampled_from(["length", "chunked", "close"]))
    body = draw(BODIES)
    lines = [f"HTTP/1.{draw(st.sampled_from('01'))} {status} {draw(st.sampled_from(['OK', '', 'Not so']))}"]
    lines += [f"{name}:{value}" for name, value in draw(HEADERS)]
    if draw(st.booleans()):
        lines.append(f"Connection: {draw(st.sampled_from(['close', 'keep-alive', 'Close']))}")
    sent = body
    if kind == "length":
        lines.append(f"Content-Length: {len(body)}")
    elif kind == "chunked":
        lines.append(f"transfer-encoding: {draw(st.sampled_from(['chunked', 'Chunked']))}")
        sent = b""
        for piece in cut(body, draw(PLACES)):
            extension = draw(st.sampled_from([b"", b";name=value", b' ; q="x;y"', b" "]))
            zeros = b"0" * draw(st.integers(0, 2))
            sent += zeros + f"{len(piece):{draw(st.sampled_from('xX'))}}".encode() + extension + b"\r\n"
            sent += piece + b"\r\n"
        trailer = draw(st.sampled_from([b"", b"x-amz-trailer: yes\r\n", b"a: b\r\nc: d\r\n"]))
        sent += draw(st.sampled_from([b"0", b"000", b"0;last"])) + b"\r\n" + trailer + b"\r\n"
    if method == "HEAD" or status in (204, 304):
        sent = body = b""
    head = "\r\n".join(lines).encode() + b"\r\n\r\n"
    interim = b"".join(draw(st.lists(st.sampled_from(INTERIM), max_size=2)))
    return method, interim + head + sent, body


@given(responses(), PLACES)
def test_any_cut_gives_the_same(response: tuple[str, bytes, bytes], places: list[int]) -> None:
    method, data, body = response
    whole = parsed([data], method)
    assert whole.body == body
    assert result(parsed(cut(data, places), method)) == result(whole)
    assert result(parsed([data[at : at + 1] for at in range(len(data))], method)) == result(whole)


class _Socket:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, *_: Any) -> io.BytesIO:
        return io.BytesIO(self._data)


@given(responses())
def test_it_reads_what_http_client_reads(response: tuple[str, bytes, bytes]) -> None:
    method, data, _ = response
    data = data.replace(INTERIM[1], INTERIM[0])  # http.client takes only 100 for an interim one
    ours = parsed([data], method)
    if "transfer-encoding" in ours.headers and (method == "HEAD" or ours.status in (204, 304)):
        return  # http.client expects chunks even there
    reader: Any = http.client.HTTPResponse(_Socket(data), method=method)  # type: ignore[arg-type]  # it needs only `makefile`
    reader.begin()
    assert (ours.status, ours.body) == (reader.status, reader.read())
    assert ours.headers == {name.lower(): value.strip() for name, value in reader.getheaders()}
    if ours.keep_alive:
        assert not reader.will_close


@pytest.mark.parametrize("first", [0, 1, 100, 40_000, len(LARGE) - 1, len(LARGE)])
@pytest.mark.parametrize("step", [1000, 7919, len(LARGE)])
def test_a_large_body_goes_into_one_buffer(first: int, step: int) -> None:
    parser = ResponseParser("GET", MOST)
    parser.feed(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(LARGE) + LARGE[:first])
    rest, buffers = LARGE[first:], 0
    while rest:
        buffer = parser.buffer()
        if buffer is None:
            parser.feed(rest[:step])
            rest = rest[step:]
        else:
            buffers += 1
            count = min(step, len(buffer))
            buffer[:count] = rest[:count]
            parser.filled(count)
            rest = rest[count:]
    assert parser.complete
    assert parser.keep_alive
    assert parser.body == LARGE
    assert parser.buffer() is None
    if first <= len(LARGE) // 2 and step < len(LARGE):
        assert buffers


def test_bytes_behind_a_large_body_are_not_its() -> None:
    parser = parsed([b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(LARGE) + LARGE[:1], LARGE[1:]])
    assert parser.keep_alive
    parser.feed(b"more")
    assert (parser.complete, parser.keep_alive, parser.body) == (True, False, LARGE)


def test_a_large_body_that_ends_early() -> None:
    parser = parsed([b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(LARGE), LARGE[:-1]], ends=False)
    assert not parser.complete
    with pytest.raises(ConnectionClosedError, match="midst") as caught:
        parser.end()
    assert caught.value.started


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nX: a\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\r\n\tfolded: b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX : a\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n: nameless\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n"[:9] + b"20\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/1.1 ²00 OK\r\n\r\n".encode("latin-1"),
        b"HTTP/1.1 -20 OK\r\n\r\n",
        b"HTTP/1.1  200 OK\r\n\r\n",
        b"HTTP/1.1 099 Less\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.7 200 OK\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        b"\r\n\r\n",
        b"<html>hello</html>",
        b"<html>\r\n\r\n</html>",
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * MAX_HEAD,
        b"HTTP/1.1 100 Continue\r\n\r\n" + b"<html>",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1_0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0x10\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: ²\r\n\r\n".encode("latin-1"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 1" + b"0" * 5000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        CHUNKED + b"\r\n",
        CHUNKED + b"-1\r\n",
        CHUNKED + b"+1\r\nx\r\n",
        CHUNKED + b"0x1\r\nx\r\n",
        CHUNKED + b"1_0\r\n",
        CHUNKED + b"g\r\n",
        CHUNKED + b";name\r\n",
        CHUNKED + b"f" * 16 + b"\r\n",
        CHUNKED + b"1" * 9000,
        CHUNKED + b"1\r\nxy\r\n0\r\n\r\n",
        CHUNKED + b"0\r\n" + b"a" * 9000,
    ],
)
def test_what_is_no_response(data: bytes) -> None:
    for pieces in ([data], [data[at : at + 1] for at in range(min(len(data), 300))] + [data[300:]]):
        with pytest.raises(MalformedResponse):
            parsed(pieces)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (MAX_HEAD + 1),
        b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999999\r\n\r\n",
        b"HTTP/1.1 500 OK\r\nContent-Length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (MAX_HEAD + 1),
        CHUNKED + b"%x\r\n" % (MAX_HEAD + 1) + b"x" * (MAX_HEAD + 1),
        CHUNKED + b"ffffffffffffff\r\n" + b"x" * (MAX_HEAD + 1),
        CHUNKED + b"8000\r\n" + b"x" * 0x8000 + b"\r\n" + b"8001\r\n" + b"x" * 0x8001,
    ],
)
def test_a_body_that_is_too_long(data: bytes) -> None:
    with pytest.raises(BodyTooLong, match=f"at most {MAX_HEAD} were expected"):
        parsed([data[at : at + RECEIVE] for at in range(0, len(data), RECEIVE)], most=10)


def test_a_body_may_have_what_is_allowed() -> None:
    """An error's document is read, too, where few bytes of an object are wanted."""
    for most in (1, MAX_HEAD, MAX_HEAD + 1):
        size = max(most, MAX_HEAD)
        data = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size
        assert len(parsed([data, bytes(size)], most=most).body) == size


@given(st.binary(max_size=300), PLACES, st.sampled_from(["GET", "HEAD"]), st.integers(0, 6))
def test_garbage_raises_nothing_else(garbage: bytes, places: list[int], method: str, kind: int) -> None:
    heads = [b"", b"HTTP/1.1 ", b"HTTP/1.1 200 OK\r\n", CHUNKED, b"HTTP/1.1 200 OK\r\nContent-Length:"]
    data = heads[kind % len(heads)] + garbage
    outcomes = []
    for pieces in ([data], cut(data, places)):
        try:
            outcomes.append(result(parsed(pieces, method)))
        except (MalformedResponse, BodyTooLong, ConnectionClosedError) as error:
            outcomes.append((type(error),))
    if outcomes[0] != outcomes[1]:  # bytes behind the response may come in pieces that nobody reads
        assert len(outcomes[0]) == len(outcomes[1])


@pytest.mark.parametrize(
    ("data", "started"),
    [
        (b"", False),
        (b"H", True),
        (b"HTTP/1.1 200 OK\r\n", True),
        (b"HTTP/1.1 100 Continue\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nx", True),
        (CHUNKED, True),
        (CHUNKED + b"2\r\nx", True),
        (CHUNKED + b"2\r\nxy\r\n", True),
        (CHUNKED + b"2\r\nxy\r\n0\r\n", True),
        (CHUNKED + b"2\r\nxy\r\n0\r\nname: value\r\n", True),
    ],
)
def test_an_early_end(data: bytes, started: bool) -> None:
    parser = parsed([data], ends=False)
    assert not parser.complete
    with pytest.raises(ConnectionClosedError) as caught:
        parser.end()
    assert caught.value.started is started
    assert isinstance(caught.value, ConnectionError)
    assert not parser.keep_alive


@pytest.mark.parametrize(
    ("method", "data"),
    [
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nxy"),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"),
        ("DELETE", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n"),
        ("GET", CHUNKED + b"2\r\nxy\r\n0\r\n\r\n"),
    ],
)
def test_bytes_behind_a_response_forbid_to_use_the_connection_again(method: str, data: bytes) -> None:
    assert parsed([data], method).keep_alive
    for pieces in ([data + b"x"], [data, b"x"], [data[:-1], data[-1:] + b"HTTP/1.1 200 OK\r\n\r\n"]):
        parser = parsed(pieces, method)
        assert parser.complete
        assert not parser.keep_alive
        assert parser.body == parsed([data], method).body


@pytest.mark.parametrize(
    ("data", "kept"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", False),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nconnection: keep-alive\r\nCONNECTION: Close\r\n\r\n",
            False,
        ),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\n\r\n", False),
    ],
)
def test_what_allows_to_use_it_again(data: bytes, kept: bool) -> None:
    assert parsed([data]).keep_alive is kept


def test_repeated_headers_are_joined() -> None:
    parser = parsed([b"HTTP/1.1 200 OK\r\nA: 1\r\na:2\r\nContent-Length: 0\r\ncontent-length: 0\r\n\r\n"])
    assert parser.headers == {"a": "1, 2", "content-length": "0"}
