"""Reading a checkpoint by its signed URL: plain HTTP, no AWS.

The URL is a credential, so it isn't in messages, logs, or chained errors: the HTTP library's own errors may
quote it, and are replaced.
"""

from __future__ import annotations

import asyncio
import http.client
import re
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.serde.base import SerializerProtocol

from langgraph_checkpoint_s3.admin.transfer.dumps import MAX_BYTES, describe_key, loads
from langgraph_checkpoint_s3.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    CheckpointArchivedError,
    CorruptObjectError,
    InvalidConfigError,
    InvalidKeyError,
    S3CheckpointError,
    StorageUnavailableError,
)
from langgraph_checkpoint_s3.plans.place import Place
from langgraph_checkpoint_s3.request_timeout import LimitedConnection, TimeLimit, limit_requests

if TYPE_CHECKING:
    from langgraph_checkpoint_s3.crypto.provider import KeyProvider

_CODE: Final = re.compile(rb"<Code>([A-Za-z0-9.]{1,64})</Code>")
_ERROR_BYTES: Final = 64 * 1024
_PIECE: Final = 1024 * 1024


def load_signed_url(
    url: str,
    *,
    serde: SerializerProtocol | None = None,
    timeout: float = 30.0,
    max_bytes: int = MAX_BYTES,
    encryption: KeyProvider | None = None,
) -> CheckpointTuple:
    """Read a checkpoint by a URL of `S3Admin.signed_url`. Needs no AWS credentials.

    Sends one GET, which follows no redirect, and limits the response. Proxies are those of the environment.
    The URL isn't in errors or logs. The URL's author controls what the serializer loads, and where this
    machine connects to: use only trusted URLs, or see `loads` for a strict serializer.

    Args:
        url: The URL, `https://` or `http://`.
        serde: The saver's serializer. Default: LangGraph's `JsonPlusSerializer`.
        timeout: Seconds to wait for a connection, and then for the response, plus one second per 16 kB.
        max_bytes: The maximal size of the response, and of its decompressed content.
        encryption: The saver's key provider, if it encrypts. It may send requests.

    Returns:
        The checkpoint, with its pending writes, as it was when the URL was signed.

    Raises:
        AccessDeniedError: The URL has expired, was changed, or its signer may not read the object: the
            message says which.
        InvalidKeyError: The object doesn't exist (any more).
        CheckpointArchivedError: The object is in an offline archive class.
        CorruptObjectError: The object is damaged, too large, or no checkpoint.
        DecryptionError: It is encrypted, and this serializer can't read it.
        InvalidConfigError: It isn't an HTTP URL.
        StorageUnavailableError: The store can't be reached, or refuses for another reason.
    """
    address = _Url.parse(url)
    data = fetch_signed_url(url, timeout=timeout, max_bytes=max_bytes)
    named = describe_key(address.path)
    thread_id = named.thread_id if named else None
    found = loads(data, serde=serde, thread_id=thread_id, max_bytes=max_bytes, encryption=encryption)
    at = Place.of({"configurable": {**found.config["configurable"], "thread_id": "-"}})
    if named is not None and (at.checkpoint_ns, at.checkpoint_id) != (
        named.checkpoint_ns,
        named.checkpoint_id,
    ):
        raise CorruptObjectError("The object lies under another one's key", key=address.path)
    return found


def fetch_signed_url(url: str, *, timeout: float = 30.0, max_bytes: int = MAX_BYTES) -> bytes:
    """Read the bytes that a signed URL leads to, to store them or to `describe` them.

    As `load_signed_url`, it sends one GET that needs no AWS credentials, and keeps the URL out of errors and
    logs.

    Args:
        url: The URL, `https://` or `http://`.
        timeout: Seconds to wait, as in `load_signed_url`.
        max_bytes: The most bytes to read.

    Raises:
        AccessDeniedError: The URL has expired, was changed, or its signer may not read the object.
        InvalidKeyError: There is nothing (any more) where it leads to.
        CheckpointArchivedError: The object lies in an offline archive class.
        CorruptObjectError: The object has more than `max_bytes` bytes.
        InvalidConfigError: It isn't an HTTP URL.
        StorageUnavailableError: The store can't be reached, or refuses for another reason.
    """
    address = _Url.parse(url)
    answer = _get(url, timeout, max_bytes)
    if answer is None:
        raise InvalidConfigError("The signed URL isn't one that can be asked for: it was cut or changed.")
    if isinstance(answer, str):
        raise StorageUnavailableError(f"The store can't be reached ({answer})", key=address.path)
    status, data = answer
    if status != 200:
        raise _refusal(address, status, data)
    if len(data) > max_bytes:
        raise CorruptObjectError(f"The object has more than max_bytes={max_bytes} bytes", key=address.path)
    return data


async def aload_signed_url(
    url: str,
    *,
    serde: SerializerProtocol | None = None,
    timeout: float = 30.0,  # as in the blocking function
    max_bytes: int = MAX_BYTES,
    encryption: KeyProvider | None = None,
) -> CheckpointTuple:
    """`load_signed_url`, as a coroutine. The object is read in a thread."""
    return await asyncio.to_thread(
        load_signed_url, url, serde=serde, timeout=timeout, max_bytes=max_bytes, encryption=encryption
    )


@dataclass(frozen=True, slots=True)
class _Url:
    """The parts of a URL that aren't secret: the object's path, and the expiry."""

    path: str
    expires: datetime | None

    @classmethod
    def parse(cls, url: str) -> _Url:
        try:
            parts = urlsplit(url)
        except (ValueError, TypeError, AttributeError):
            parts = None
        if parts is None or parts.scheme not in ("http", "https") or not parts.netloc:
            raise InvalidConfigError("A signed URL begins with https:// or http:// and names a store.")
        return cls(unquote(parts.path).lstrip("/"), _expiry(dict(parse_qsl(parts.query))))


def _expiry(query: Mapping[str, str]) -> datetime | None:
    try:
        begun = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
        return begun + timedelta(seconds=int(query["X-Amz-Expires"]))
    except (KeyError, ValueError, OverflowError):
        return None


class _Http(LimitedConnection, http.client.HTTPConnection):
    """An HTTP connection with limits."""


class _Https(LimitedConnection, http.client.HTTPSConnection):
    """An HTTPS connection with limits."""


class _Handler(urllib.request.HTTPSHandler):
    """A handler of HTTP and HTTPS URLs with limits."""

    http_request = urllib.request.HTTPSHandler.https_request

    def http_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(_Http, req)

    def https_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(_Https, req)


def _get(url: str, timeout: float, most: int) -> tuple[int, bytes] | str | None:
    """Send the GET, and return the status and body, a connection error, or `None` for an invalid URL."""
    opener = urllib.request.OpenerDirector()  # without handlers for redirects, errors, files and FTP
    opener.add_handler(urllib.request.ProxyHandler())
    opener.add_handler(_Handler())
    limit = TimeLimit(timeout)
    try:
        with limit_requests(limit), opener.open(url, timeout=timeout) as answer:
            if answer.status != 200:
                return answer.status, answer.read(_ERROR_BYTES)
            pieces: list[bytes] = []
            left = most + 1
            while left and (piece := answer.read(min(left, _PIECE))):
                pieces.append(piece)
                left -= len(piece)
            if left and answer.length:
                return "the answer broke off"
            return answer.status, b"".join(pieces)
    except OSError as error:
        if limit.failure:
            return limit.failure
        return f"{type(error).__name__}: {getattr(error, 'reason', error)}"
    except http.client.InvalidURL:
        return None
    except http.client.HTTPException as error:
        return type(error).__name__
    except ValueError:
        return None


def _refusal(address: _Url, status: int, body: bytes) -> S3CheckpointError:
    """Return the error for a response that isn't the object."""
    match = _CODE.search(body)
    code = match[1].decode() if match else ""
    answer = f"{status} {code}".strip()
    key = address.path
    if code == "InvalidObjectState":
        return CheckpointArchivedError(
            "The object lies in an offline archive class (Glacier): restore_archived brings it back", key=key
        )
    if code == "NoSuchBucket":
        return BucketNotFoundError("The bucket that the signed URL leads to doesn't exist", key=key)
    if status == 404:
        return InvalidKeyError(
            "There is nothing where the signed URL leads to: it was deleted, or its export has expired. "
            "Ask for a new URL.",
            key=key,
        )
    if status in (400, 401, 403):
        return AccessDeniedError(f"{_why(address, code)} (the store says: {answer})", key=key)
    if 300 <= status < 400:
        return StorageUnavailableError(
            f"The store answers with a redirect ({answer}), which isn't followed: the URL must be signed for "
            "the bucket's own region and address",
            status=status,
            key=key,
        )
    return StorageUnavailableError(f"The store refuses the signed URL with {answer}", status=status, key=key)


def _why(address: _Url, code: str) -> str:
    if address.expires is not None and address.expires < datetime.now(timezone.utc):
        return f"The signed URL has expired, at {address.expires:%Y-%m-%d %H:%M:%S} UTC: ask for a new one"
    if code in ("ExpiredToken", "TokenRefreshRequired", "InvalidToken"):
        return "The credentials that the URL was signed with have ended: ask for a new one"
    if code == "SignatureDoesNotMatch":
        return "The signed URL was changed after it was signed, or cut off: ask for it again"
    return "The signed URL isn't valid, or who signed it may not read the object"
