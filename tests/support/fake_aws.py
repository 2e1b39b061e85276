"""One server that stands for S3, KMS, STS and the metadata service: credentials are bad, and become good."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

GOOD = "GOODKEY"
KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
_METADATA = "/latest/meta-data/iam/security-credentials/"
_LATER = "2099-01-01T00:00:00Z"


class FakeAws:
    """State of the server.

    Attributes:
        url: Where it listens.
        metadata: Whether the metadata service has credentials, rather than failing with 500.
        accepted: The access keys that S3 and KMS take.
        refusal: The status and code for all others.
        sts: What STS answers: a status and a code; 200 are credentials.
        seen: What was asked, in order: `s3`, `kms`, `sts`, `metadata`.
    """

    def __init__(self) -> None:
        self.url = ""
        self.metadata = True
        self.accepted = {GOOD}
        self.refusal = (400, "ExpiredToken")
        self.sts = (200, "")
        self.seen: list[str] = []

    def answer(self, method: str, path: str, headers: Any, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """The answer to one request."""
        if path.startswith("/latest/"):
            self.seen.append("metadata")
            return self._of_metadata(path)
        if b"Action=Assume" in body:
            self.seen.append("sts")
            return self._of_sts(parse_qs(body.decode())["Action"][0])
        target = headers.get("X-Amz-Target", "")
        self.seen.append("kms" if target else "s3")
        key = headers.get("Authorization", "").partition("Credential=")[2].partition("/")[0]
        if key not in self.accepted:
            return self._refused(bool(target))
        if target:
            secret = base64.b64encode(bytes(32)).decode()
            return 200, {}, json.dumps({"KeyId": KEY, "Plaintext": secret, "CiphertextBlob": secret}).encode()
        return 200, {"ETag": '"etag"'}, b""

    def _of_metadata(self, path: str) -> tuple[int, dict[str, str], bytes]:
        if not self.metadata:
            return 500, {}, b""
        if path.endswith("/token"):
            return 200, {}, b"token"
        if path == _METADATA:
            return 200, {}, b"role"
        found = {
            "AccessKeyId": GOOD,
            "SecretAccessKey": "s",
            "Token": "t",
            "Expiration": _LATER,
            "Code": "Success",
        }
        return 200, {}, json.dumps(found).encode()

    def _of_sts(self, action: str) -> tuple[int, dict[str, str], bytes]:
        status, code = self.sts
        if status != 200:
            text = f"<ErrorResponse><Error><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>"
            return status, {}, text.encode()
        found = {"AccessKeyId": GOOD, "SecretAccessKey": "s", "SessionToken": "t", "Expiration": _LATER}
        credentials = "".join(f"<{name}>{text}</{name}>" for name, text in found.items())
        credentials = f"<Credentials>{credentials}</Credentials>"
        result = f"<{action}Response><{action}Result>{credentials}</{action}Result></{action}Response>"
        return 200, {"Content-Type": "text/xml"}, result.encode()

    def _refused(self, kms: bool) -> tuple[int, dict[str, str], bytes]:
        status, code = self.refusal
        if kms:
            return status, {}, json.dumps({"__type": f"{code}Exception", "message": "no"}).encode()
        return status, {}, f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()


@contextlib.contextmanager
def serving() -> Iterator[FakeAws]:
    """The server, on a port of this machine."""
    fake = FakeAws()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, headers, content = fake.answer(self.command, self.path, self.headers, body)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    for method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
        setattr(Handler, f"do_{method}", Handler.answer)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
