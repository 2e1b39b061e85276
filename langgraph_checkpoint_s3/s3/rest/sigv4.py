"""AWS Signature Version 4, for requests to S3. Pure.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html. The signing key depends only on
the secret, the day, the region and the service, so it is kept. That leaves two HMACs and a hash a request.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import Final, NamedTuple

from langgraph_checkpoint_s3.format.pieces import Data, buffers_of

UNSIGNED_PAYLOAD: Final = "UNSIGNED-PAYLOAD"
"""Stands in for the body's hash where TLS protects the body."""
EMPTY_SHA256: Final = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
_ALGORITHM: Final = "AWS4-HMAC-SHA256"


def sha256(body: Data) -> str:
    """Return the SHA-256 of a body in hexadecimal digits."""
    digest = hashlib.sha256()
    for buffer in buffers_of(body):
        digest.update(buffer)
    return digest.hexdigest()


class Credentials(NamedTuple):
    """Credentials as they are now.

    Attributes:
        access_key: The access key id.
        secret_key: The secret access key.
        token: The session token; `None` for credentials that last.
    """

    access_key: str
    secret_key: str
    token: str | None = None


class Signer:
    """Signs requests for one region and service.

    Args:
        region: The region.
        service: The service's name in signatures.
    """

    def __init__(self, region: str, service: str = "s3") -> None:
        self._scope = f"{region}/{service}/aws4_request"
        self._region = region
        self._service = service
        self._known: tuple[str, str, bytes] = "", "", b""  # the secret, the day, and their key

    def sign(
        self,
        credentials: Credentials,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        payload_hash: str,
        seconds: float,
    ) -> dict[str, str]:
        """Return the headers to add.

        Args:
            credentials: The credentials.
            method: The request's method.
            path: Its path, percent-encoded. S3's isn't normalized.
            query: Its query: names in ascending order, each with a `=`.
            headers: The headers to sign, by their names in lower case; `host` is among them.
            payload_hash: The SHA-256 of the body in hexadecimal digits, or `UNSIGNED_PAYLOAD`.
            seconds: The time, in seconds since 1970.
        """
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))
        day = moment[:8]
        added = {"x-amz-content-sha256": payload_hash, "x-amz-date": moment}
        if credentials.token:
            added["x-amz-security-token"] = credentials.token
        signed = {**headers, **added}
        names = sorted(signed)
        lines = "".join([f"{name}:{' '.join(signed[name].split())}\n" for name in names])
        signed_names = ";".join(names)
        request = f"{method}\n{path}\n{query}\n{lines}\n{signed_names}\n{payload_hash}"
        scope = f"{day}/{self._scope}"
        text = f"{_ALGORITHM}\n{moment}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        key = self._key(credentials.secret_key, day)
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        added["authorization"] = (
            f"{_ALGORITHM} Credential={credentials.access_key}/{scope},"
            f"SignedHeaders={signed_names},Signature={signature}"
        )
        return added

    def _key(self, secret: str, day: str) -> bytes:
        known_secret, known_day, key = self._known
        if known_secret != secret or known_day != day:
            key = f"AWS4{secret}".encode()
            for part in (day, self._region, self._service, "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._known = secret, day, key
        return key
