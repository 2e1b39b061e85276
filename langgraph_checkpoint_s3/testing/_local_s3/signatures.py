"""Checks of AWS Signature Version 4, of headers and of signed URLs.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html
"""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import datetime, timedelta, timezone
from urllib.parse import quote, unquote

from .messages import Refused, Request

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
_SKEW = timedelta(minutes=15)
_UNRESERVED = "-._~"


class Signatures:
    """Checks requests against one pair of keys.

    Args:
        access_key: The access key id.
        secret_key: The secret access key.
    """

    def __init__(self, access_key: str, secret_key: str) -> None:
        self._access_key, self._secret_key = access_key, secret_key

    def check(self, request: Request, path: str) -> None:
        """Raise `Refused` unless a request, sent to this path, is signed with these keys."""
        query, headers = request.query, request.headers
        authorization = headers.get("authorization", "")
        if authorization.startswith(ALGORITHM):
            signed = dict(re.findall(r"(\w+)=([^,]+)", authorization))
            date, seconds = headers.get("x-amz-date", ""), None
            payload = headers.get("x-amz-content-sha256", "")
            if payload != UNSIGNED and payload != hashlib.sha256(request.body).hexdigest():
                if payload.startswith("STREAMING-"):
                    raise Refused(
                        501, "NotImplemented", "This server takes no bodies that are signed in chunks"
                    )
                raise Refused(400, "XAmzContentSHA256Mismatch", "The body isn't the one that was signed")
        elif query.get("X-Amz-Algorithm") == ALGORITHM:
            signed = {name[6:]: value for name, value in query.items() if name.startswith("X-Amz-")}
            query = {name: value for name, value in query.items() if name != "X-Amz-Signature"}
            date, seconds, payload = signed.get("Date", ""), int(signed.get("Expires", 0)), UNSIGNED
        elif authorization or "Signature" in query:
            raise Refused(
                400, "InvalidRequest", f"Use {ALGORITHM} (signature_version='s3v4' in boto3's Config)"
            )
        else:
            raise Refused(403, "AccessDenied", "The request isn't signed")
        _check_time(date, seconds)
        key_id, *scope = signed.get("Credential", "").rsplit("/", 4)
        if key_id != self._access_key:
            raise Refused(403, "InvalidAccessKeyId", "This server has another access key")
        names = signed.get("SignedHeaders", "").split(";")
        lines = "".join(f"{name}:{' '.join(headers.get(name, '').split())}\n" for name in names)
        pairs = sorted(
            f"{quote(name, _UNRESERVED)}={quote(value, _UNRESERVED)}" for name, value in query.items()
        )
        path = quote(unquote(path, "latin-1"), "/" + _UNRESERVED, "latin-1")
        canonical = "\n".join((request.method, path, "&".join(pairs), lines, ";".join(names), payload))
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        key = f"AWS4{self._secret_key}".encode()
        for part in scope:
            key = hmac.digest(key, part.encode(), "sha256")
        text = "\n".join((ALGORITHM, date, "/".join(scope), digest))
        expected = hmac.digest(key, text.encode(), "sha256").hex()
        if not hmac.compare_digest(expected.encode(), signed.get("Signature", "").encode()):
            raise Refused(403, "SignatureDoesNotMatch", "The secret key isn't this server's")


def _check_time(date: str, seconds: int | None) -> None:
    """Raise `Refused` if a request is too old: by `seconds` for a URL, by 15 minutes otherwise."""
    try:
        signed = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
    except ValueError:
        raise Refused(403, "AccessDenied", "The request has no valid X-Amz-Date") from None
    age = datetime.now(timezone.utc) - signed
    if seconds is not None and age > timedelta(seconds=seconds):
        raise Refused(403, "AccessDenied", "Request has expired")
    if age < -_SKEW or (seconds is None and age > _SKEW):
        raise Refused(
            403, "RequestTimeTooSkewed", "The clocks of client and server differ by over 15 minutes"
        )
