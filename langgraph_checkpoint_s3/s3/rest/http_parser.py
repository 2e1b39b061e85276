"""Incremental parser of HTTP/1.1 responses. No I/O: both transports feed it (RFC 9112).

The body of a response whose length is known is received where it stays: once the head is parsed, `buffer`
returns the rest of a buffer of that length.
"""

from __future__ import annotations

from typing import Final

from langgraph_checkpoint_s3.format.pieces import Landing

MAX_HEAD: Final = 64 * 1024
"""The most bytes of a response's status line and headers. S3 allows 8 kB of its own headers."""
RECEIVE: Final = 64 * 1024
"""Bytes to receive at once while the length of what comes isn't known."""
_SMALL: Final = 32 * 1024
"""Bytes of a body up to which pieces are joined in the end, rather than received into a buffer."""
_NO_BODY: Final = frozenset({204, 304})


class MalformedResponse(Exception):  # noqa: N818  # mapped where it is caught
    """Bytes that aren't an HTTP/1.1 response. Its text says why."""


class ConnectionClosedError(ConnectionError):
    """The connection was closed before the response had come in full.

    Attributes:
        started: Whether any byte of the response had come.
    """

    def __init__(self, *, started: bool) -> None:
        what = "in the midst of a response" if started else "before a response came"
        super().__init__(f"the connection was closed {what}")
        self.started = started


class BodyTooLong(Exception):  # noqa: N818  # mapped where it is caught
    """The response's body is longer than the caller allows."""


class ResponseParser:
    """Parser of one response.

    Args:
        method: The request's method: a response to `HEAD` has no body.
        most: The most bytes of a successful response's body. A longer one is refused before it is received.
        into: Memory that the body of a successful response is received into, if it has the same length.

    Attributes:
        status: The status; 0 until the head is parsed.
        headers: The headers by their names in lower case. Repeated ones are joined by commas.
        complete: Whether the response has come in full.
        keep_alive: Whether the connection can be used again once the response is complete.
        received: Bytes that came so far, head included.
    """

    __slots__ = (
        "_body",
        "_chunked",
        "_filled",
        "_has_no_body",
        "_head",
        "_into",
        "_landing",
        "_left",
        "_most",
        "_pieces",
        "_until_close",
        "complete",
        "headers",
        "keep_alive",
        "received",
        "status",
    )

    def __init__(self, method: str, most: int, into: memoryview | None = None) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.complete = False
        self.keep_alive = False
        self.received = 0
        self._has_no_body = method == "HEAD"
        self._most = most
        self._head = b""
        self._pieces: list[bytes] = []
        self._left = 0  # bytes of the body that are still to come, where its length is known
        self._into = into
        self._landing: Landing | None = None
        self._body: memoryview | None = None  # the memory that it is received into
        self._filled = 0  # bytes in the buffer, or of a body whose length isn't known
        self._chunked: _ChunkedDecoder | None = None
        self._until_close = False

    @property
    def body(self) -> bytes | memoryview:
        """The body, once the response is complete: `into`, if it was received there."""
        if self._body is not None:
            if self._landing is None:
                return self._body
            self._pieces, self._body = [self._landing.taken()], None
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)

    def buffer(self) -> memoryview | None:
        """Return where the next bytes of the body go; `None` if they are for `feed`."""
        # Never an empty one: asyncio takes it for the connection's end.
        return None if self._body is None or self.complete else self._body[self._filled :]

    def filled(self, count: int) -> None:
        """Note that bytes were received into `buffer`."""
        self.received += count
        self._filled += count
        self.complete = self._filled == len(self._body or b"")

    def feed(self, data: bytes) -> None:
        """Parse the next bytes.

        Raises:
            MalformedResponse: They aren't a response's.
            BodyTooLong: The body is longer than allowed.
        """
        self.received += len(data)
        if not self.status:
            data = self._feed_head(data)
            if not self.status:
                return
        if self.complete:
            if data:  # nothing was asked for beyond this response
                self.keep_alive = False
        elif self._chunked is not None:
            self._feed_chunks(data)
        elif self._until_close:
            self._append(data)
        else:
            self._feed_body(data)

    def end(self) -> None:
        """Note that the connection was closed.

        Raises:
            ConnectionClosedError: The response isn't complete.
        """
        self.keep_alive = False
        if self._until_close:
            self.complete = True
        if not self.complete:
            raise ConnectionClosedError(started=self.received > 0)

    def _feed_head(self, data: bytes) -> bytes:
        """Parse the head once all of it has come, and return the bytes behind it."""
        head = self._head + data if self._head else data
        while True:
            end = head.find(b"\r\n\r\n")
            if end < 0:
                if len(head) > MAX_HEAD:
                    raise MalformedResponse(f"its head has more than {MAX_HEAD} bytes")
                if not head.startswith(b"HTTP/1."[: len(head)]):
                    raise MalformedResponse("it doesn't begin with HTTP/1")
                self._head = head
                return b""
            rest = head[end + 4 :]
            self._parse_head(head[:end])
            if self.status >= 200:
                self._head = b""
                self._begin_body()
                return rest
            # 100 Continue and other interim responses: the final one follows.
            self.status, self.headers, head = 0, {}, rest

    def _parse_head(self, head: bytes) -> None:
        first, *lines = head.decode("latin-1").split("\r\n")
        version, _, rest = first.partition(" ")
        code = rest[:3]
        if not (version in ("HTTP/1.1", "HTTP/1.0") and code.isdigit() and code.isascii() and len(code) == 3):
            raise MalformedResponse("its status line isn't HTTP/1.1's")
        self.status = int(code)
        if self.status < 100 or self.status == 101:
            raise MalformedResponse(f"its status is {code}")
        headers = self.headers
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon or not name or name[-1] in " \t" or name[0] in " \t":
                raise MalformedResponse("one of its headers is none")
            name = name.lower()
            value = value.strip(" \t")
            if name in headers:
                if name == "content-length" and headers[name] != value:
                    raise MalformedResponse("it has two lengths")
                value = value if name == "content-length" else f"{headers[name]}, {value}"
            headers[name] = value
        self.keep_alive = version == "HTTP/1.1" and "close" not in headers.get("connection", "").lower()

    def _begin_body(self) -> None:
        headers = self.headers
        if self._has_no_body or self.status in _NO_BODY:
            self.complete = True
            return
        coding = headers.get("transfer-encoding")
        if coding is not None:
            if coding.lower() != "chunked":
                raise MalformedResponse(f"its transfer coding is {coding[:40]!r}")
            self._chunked = _ChunkedDecoder()
            return
        length = headers.get("content-length")
        if length is None:
            self._until_close = True
            self.keep_alive = False
            return
        if not (length.isdigit() and length.isascii() and len(length) < 20):
            raise MalformedResponse("its length is no number")
        self._left = int(length)
        self._check_length(self._left)
        self.complete = not self._left

    def _feed_body(self, data: bytes) -> None:
        if len(data) > self._left:  # nothing was asked for beyond this response
            data = data[: self._left]
            self.keep_alive = False
        self._left -= len(data)
        if not self._left:
            self._pieces.append(data)
            self.complete = True
        elif self._left > _SMALL:
            begun = sum(map(len, self._pieces)) + len(data)
            self._body = self._memory(begun + self._left)
            for piece in (*self._pieces, data):
                self._body[self._filled : self._filled + len(piece)] = piece
                self._filled += len(piece)
        elif data:
            self._pieces.append(data)

    def _memory(self, size: int) -> memoryview:
        """Return the memory to receive a body into."""
        if self._into is not None and len(self._into) == size and self.status in (200, 206):
            return self._into
        self._landing = Landing(size)
        return self._landing.view

    def _feed_chunks(self, data: bytes) -> None:
        decoder = self._chunked
        assert decoder is not None  # noqa: S101  # for mypy
        for piece in decoder.feed(data):
            self._append(piece)
        if decoder.done:
            self.complete = True
            if decoder.rest:
                self.keep_alive = False

    def _append(self, piece: bytes) -> None:
        """Add to a body whose length isn't known."""
        self._filled += len(piece)
        self._check_length(self._filled)
        self._pieces.append(piece)

    def _check_length(self, length: int) -> None:
        most = max(self._most, MAX_HEAD)  # an error, or what somebody else answers, is read and reported
        if length > most:
            raise BodyTooLong(f"its body has {length} bytes, and at most {most} were expected")


class _ChunkedDecoder:
    """Decoder of the chunked transfer coding.

    Attributes:
        done: Whether the last chunk and the trailer have come.
        rest: Bytes behind them.
    """

    __slots__ = ("_left", "_state", "done", "rest")

    _SIZE: Final = 0
    _DATA: Final = 1
    _DATA_END: Final = 2
    _TRAILER: Final = 3
    _MAX_LINE: Final = 8 * 1024

    def __init__(self) -> None:
        self.done = False
        self.rest = b""
        self._state = self._SIZE
        self._left = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Return the pieces of the body in the next bytes."""
        pieces: list[bytes] = []
        data = self.rest + data if self.rest else data
        place = 0
        while not self.done:
            if self._state == self._DATA:
                piece = data[place : place + self._left]
                place += len(piece)
                self._left -= len(piece)
                if piece:
                    pieces.append(piece)
                if self._left:
                    break
                self._state = self._DATA_END
                continue
            end = data.find(b"\r\n", place)
            if end < 0:
                if len(data) - place > self._MAX_LINE:
                    raise MalformedResponse("a chunk's line is too long")
                break
            line, place = data[place:end], end + 2
            self._read_line(line)
        self.rest = data[place:]
        return pieces

    def _read_line(self, line: bytes) -> None:
        if self._state == self._SIZE:
            digits = line.partition(b";")[0].strip(b" \t")
            if not digits or len(digits) > 15 or digits.strip(b"0123456789abcdefABCDEF"):
                raise MalformedResponse("a chunk has no size")
            self._left = int(digits, 16)
            self._state = self._DATA if self._left else self._TRAILER
        elif self._state == self._DATA_END:
            if line:
                raise MalformedResponse("a chunk is longer than its size")
            self._state = self._SIZE
        elif not line:
            self.done = True
