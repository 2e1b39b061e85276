"""The process: HTTP on 127.0.0.1, until its standard input ends."""

from __future__ import annotations

import errno
import json
import os
import signal
import socketserver
import sys
import threading
import traceback
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import NoReturn
from urllib.parse import parse_qsl, unquote

from .messages import Answer, Refused, Request, error
from .operations import MAX_BODY, answer
from .signatures import Signatures
from .storage import Storage, StorageError

HOST = "127.0.0.1"


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    # Elsewhere it would let two servers have one port.
    allow_reuse_address = os.name == "posix"
    request_queue_size = 128

    def __init__(self, port: int, storage: Storage, signatures: Signatures) -> None:
        super().__init__((HOST, port), _Handler)
        self.storage, self.signatures = storage, signatures

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):  # a client that went away
            traceback.print_exc()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    # Otherwise a body that follows its head would wait for the client's acknowledgement.
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing: the client has the answer."""

    def do_GET(self) -> None:
        try:
            found = self._answer()
        except Refused as refused:
            found = error(refused)
        except Exception:  # noqa: BLE001  # it is in the log, and the client is told
            traceback.print_exc()
            found = error(Refused(500, "InternalError", "The local server failed: see its log"))
        self._send(found)

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815  # the library's names

    def _answer(self) -> Answer:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdecimal():
            self.close_connection = True
            raise Refused(411, "MissingContentLength", "You must provide the Content-Length HTTP header")
        if int(length) > MAX_BODY:
            self.close_connection = True
            raise Refused(400, "EntityTooLarge", f"The local server takes {MAX_BODY:,} bytes at most at once")
        body = self.rfile.read(int(length))
        path, _, text = self.path.partition("?")
        bucket, _, key = path.lstrip("/").partition("/")
        try:
            key = unquote(key, errors="strict")
        except UnicodeDecodeError:
            raise Refused(400, "InvalidURI", "The key isn't UTF-8") from None
        query = dict(parse_qsl(text, keep_blank_values=True))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, bucket, key, query, headers, body)
        self.server.signatures.check(request, path)
        # A signed URL has headers among its parameters.
        hoisted = {name: value for name, value in query.items() if name.startswith("x-amz-")}
        return answer(self.server.storage, request._replace(headers={**hoisted, **headers}))

    def _send(self, found: Answer) -> None:
        blocks = list(found.body)
        headers = {"Date": self.date_time_string(), "Server": "local-s3", **found.headers}
        if found.status not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
            headers.setdefault("Content-Length", str(sum(map(len, blocks))))
        if self.close_connection:
            headers["Connection"] = "close"
        lines = [f"{self.protocol_version} {found.status} {HTTPStatus(found.status).phrase}"]
        lines += [f"{name}: {' '.join(value.split())}" for name, value in headers.items()]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")
        content = b"" if self.command == "HEAD" else b"".join(blocks)
        self.wfile.write(head + content)


def main() -> None:
    """Serve until standard input ends. Its first line has the folder, port, keys and buckets, as JSON."""
    settings = json.loads(sys.stdin.readline())
    signal.signal(signal.SIGTERM, _stop)
    try:
        storage = Storage(Path(settings["folder"]))
    except StorageError as reason:
        sys.exit(str(reason))
    try:
        for bucket in settings["buckets"]:
            with storage.transaction():
                storage.create_bucket(bucket)
        signatures = Signatures(settings["access_key"], settings["secret_key"])
        try:
            server = _Server(settings["port"], storage, signatures)
        except OSError as reason:
            taken = reason.errno == errno.EADDRINUSE
            sys.exit(f"{HOST}:{settings['port']}: {'address already in use' if taken else reason}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        storage.announce(f"http://{HOST}:{port}")
        print(port, flush=True)
        sys.stdin.read()
    finally:
        storage.close()


def _stop(*_: object) -> NoReturn:
    sys.exit(0)
