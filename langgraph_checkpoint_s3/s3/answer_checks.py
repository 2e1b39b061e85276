"""Checks that a response is S3's and belongs to its request, before its content is believed. Pure.

A status of 200 is no evidence: proxies, captive portals, half-started gateways and wrong addresses answer
everything with it. So each request's codec (`translate.py`) names a field that S3's response to it always
has. A listing is also checked against its request: its prefix, where it begins, the order of its keys, and
that each page leads on.

Some responses can't be told from another server's: to CreateBucket, RestoreObject, HEAD of a bucket and
changes of its settings S3 answers with nothing that is its own. An HTML page is refused for these, and their
callers check the effect by another request.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from langgraph_checkpoint_s3.s3.requests import GetObject, GetWithAge, ListObjects, Request

BEGINNING: Final = 200
"""Bytes of a response that are kept for an error's text."""

_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/")
_ROOT: Final = re.compile(rb"\A(?:\xef\xbb\xbf)?\s*(?:<[?!][^>]*>\s*)*<(?:\w+:)?(\w+)")


class InvalidResponse(Exception):  # noqa: N818  # no error yet: the request is sent again
    """A response that isn't S3's to the request. Its text says what it lacks."""


class UnsupportedListing(Exception):  # noqa: N818  # likewise
    """A listing that isn't as S3's are. Its text says in which way."""


class PartlyDone(Exception):  # noqa: N818  # likewise
    """A part of the request wasn't done, and is worth another try. Its text says which."""


class Received(NamedTuple):
    """Facts about a response before it is parsed.

    Attributes:
        status: Its HTTP status.
        content_type: Its content type; empty if it has none.
        size: The length of its body in bytes; `None` if that is read later.
        beginning: The first bytes of its body.
    """

    status: int
    content_type: str
    size: int | None = None
    beginning: bytes = b""

    @property
    def root(self) -> str:
        """The name of the document's root element; empty if it isn't XML."""
        match = _ROOT.match(self.beginning)
        return match[1].decode() if match else ""


def describe_invalid(request: Request[Any], reason: str, received: Received | None) -> str:
    """Return an error's text about an invalid response: what came, and what to check."""
    came = ""
    is_object = isinstance(request, (GetObject, GetWithAge))
    if received is not None:
        kind = received.content_type or "no content type"
        came = f" (status {received.status}, {kind}"
        if received.size is not None:
            came += f", {received.size} bytes"
        # An object's bytes may be state, which doesn't belong in logs: only markup is shown.
        if received.beginning and (not is_object or received.beginning.lstrip().startswith(b"<")):
            came += f" that begin with {received.beginning[:BEGINNING]!r}"
        came += ")"
    return (
        f"what came isn't S3's answer to {type(request).__name__}: {reason}{came}. Something may answer in "
        "the store's place (a proxy, a portal, a gateway that is starting): check endpoint_url and what lies "
        "between"
    )


def describe_redirect(request: Request[Any], status: int, location: str | None) -> str:
    """Return an error's text about a redirect that isn't followed.

    It names the host only: a path and query may hold secrets.
    """
    try:
        target = urlsplit(location or "")
        where = f" to {target.scheme}://{target.hostname}" if target.hostname else ""
    except ValueError:
        where = ""
    return (
        f"{type(request).__name__} was answered with a redirect ({status}){where}, and redirects are not "
        "followed: they would carry state and credentials elsewhere. Set endpoint_url to the store's own "
        "address"
    )


def need(fields: Mapping[str, Any], *names: str) -> None:
    """Check that a response has at least one of these fields."""
    for name in names:
        if fields.get(name) not in (None, "", '""'):
            return
    raise InvalidResponse(f"it has no {' or '.join(names)}")


def need_below(prefix: str, items: Iterable[Mapping[str, Any]]) -> None:
    """Check that all listed keys begin with the prefix of the request."""
    for item in items:
        if not item["Key"].startswith(prefix):
            raise InvalidResponse(f"the list has {item['Key']!r}, which isn't below {prefix!r}")


def need_progress(before: tuple[str, str] | None, fields: Mapping[str, Any], second: str) -> None:
    """Check that a list of versions or uploads advances, so that following its markers ends.

    Args:
        before: The marker of the request.
        fields: The response.
        second: The name of the second part of its next marker.
    """
    if not fields.get("IsTruncated"):
        return
    key, more = str(fields.get("NextKeyMarker") or ""), str(fields.get(second) or "")
    if not key:
        raise InvalidResponse("the list says that it goes on, and not how (no NextKeyMarker)")
    if before is not None and (key < before[0] or (key, more) == before):
        raise InvalidResponse(f"the list goes on where it was before ({key!r})")


def need_no_page(received: Received | None) -> None:
    """Check that a response without content of S3's isn't an HTML page."""
    if received is not None and received.root.lower() == "html":
        raise InvalidResponse("it is a page")


def need_body(first: int, length: int | None, fields: Mapping[str, Any], data: bytes | memoryview) -> None:
    """Check that a body is complete, and is the range of the request."""
    announced = fields.get("ContentLength", len(data))
    if announced != len(data):
        raise InvalidResponse(f"it announced {announced} bytes, and {len(data)} came")
    if not first and length is None:
        return
    came = str(fields.get("ContentRange") or "")
    found = _RANGE.match(came)
    start, end = (int(found[1]), int(found[2])) if found else (0, len(data) - 1)
    # It may be shorter than asked for, where the object ends; never longer, and never from elsewhere.
    if start != first or end - start + 1 != len(data) or (length is not None and len(data) > length):
        last = "" if length is None else str(first + length - 1)
        raise InvalidResponse(f"bytes {first}-{last} were asked for, and {came or 'all of them'} came")


def need_page(request: ListObjects, fields: Mapping[str, Any]) -> None:
    """Check that a page is what S3 would list.

    The latest checkpoint is found by the order of the keys. A store with another order would hide it without
    an error, so this checks every page.
    """
    if fields.get("IsTruncated"):
        token = fields.get("NextContinuationToken")
        if not token:
            raise InvalidResponse("the list says that it goes on, and not how (no NextContinuationToken)")
        if token == request.token:
            raise InvalidResponse(
                "the list goes on where it was before (the same NextContinuationToken again)"
            )
    prefix, after = request.prefix, request.start_after
    for kind, name in (("Contents", "Key"), ("CommonPrefixes", "Prefix")):
        names = [item[name] for item in fields.get(kind, ())]
        if not names:
            continue
        for one, other in pairwise(names):  # by code points, and so as their UTF-8 bytes, which is S3's order
            if one >= other:
                raise UnsupportedListing(
                    f"{other!r} comes after {one!r}, in another order than that of their bytes"
                )
        if name == "Key" and (delimiter := request.delimiter):
            for key in names:
                if delimiter in key[len(prefix) :]:
                    raise UnsupportedListing(f"{key!r} is shown by itself where {delimiter!r} was to fold it")
        for end in (names[0], names[-1]):  # they are in order, so what is between shares their prefix
            if not end.startswith(prefix):
                raise InvalidResponse(f"the list has {end!r}, which isn't below {prefix!r}")
        # A list may begin within a folder: the rest of that is folded into the folder's name, which is less.
        folded = name == "Prefix" and after != names[0] and (after or "").startswith(names[0])
        if after is not None and names[0] <= after and not folded:
            raise UnsupportedListing(f"{names[0]!r} comes where what is behind {after!r} was asked for")
