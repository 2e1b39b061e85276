"""Checks that an answer is S3's and belongs to its request, before anything of it is believed. Pure.

A status of 200 is no evidence: proxies, captive portals, half-started gateways and wrong addresses answer
everything with it. So each kind of request names what S3's answer to it always has, and a list is held
against what was asked for: its prefix, its beginning, the order of its keys, and that it gets on.

What can't be told apart: S3 answers CreateBucket, RestoreObject, the changes of a bucket's settings and HEAD
of a bucket with nothing that another server couldn't say too. Of these a page is refused, and who asks for
one of them looks at what became of it by another request.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final
from urllib.parse import urlsplit

from langgraph_checkpoint_s3.s3.requests import (
    AbortUpload,
    CompareAndSwap,
    CompleteUpload,
    CopyObject,
    CreateUpload,
    GetObject,
    GetWithAge,
    HeadObject,
    ListObjects,
    PutObject,
    Request,
    UploadPart,
)

BEGINNING: Final = 200
"""How many bytes of an answer are kept, for an error to show."""

_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/")
_ROOT: Final = re.compile(rb"\A(?:\xef\xbb\xbf)?\s*(?:<[?!][^>]*>\s*)*<(?:\w+:)?(\w+)")


class NotAnAnswer(Exception):  # noqa: N818  # it is no error yet: the request is sent again
    """Answer that isn't S3's to the request. `str` of it says what it lacks."""


class Unlike(Exception):  # noqa: N818  # likewise
    """The store lists in another way than S3. `str` of it says in which."""


class Unfinished(Exception):  # noqa: N818  # likewise
    """A part of the request wasn't done, which is worth another try. `str` of it says what."""


@dataclass(frozen=True, slots=True)
class Received:
    """Facts about an answer before it is parsed.

    Attributes:
        status: Its HTTP status.
        content_type: Its content type; empty if it says none.
        size: The length of its body in bytes; `None` where the body is read later.
        beginning: The first bytes of that.
    """

    status: int
    content_type: str
    size: int | None = None
    beginning: bytes = b""

    @property
    def root(self) -> str:
        """Return the name of the document's first element; empty if it isn't XML."""
        match = _ROOT.match(self.beginning)
        return match[1].decode() if match else ""


def told(request: Request[Any], reason: str, received: Received | None) -> str:
    """Say what came in place of an answer, and what to do, for an error."""
    came = ""
    is_object = isinstance(request, (GetObject, GetWithAge))
    if received is not None:
        kind = received.content_type or "no content type"
        came = f" (status {received.status}, {kind}"
        if received.size is not None:
            came += f", {received.size} bytes"
        # Of an object that may be one's own only what is a page is shown: states don't belong into logs.
        if received.beginning and (not is_object or received.beginning.lstrip().startswith(b"<")):
            came += f" that begin with {received.beginning[:BEGINNING]!r}"
        came += ")"
    return (
        f"what came isn't S3's answer to {type(request).__name__}: {reason}{came}. Something may answer in "
        "the store's place (a proxy, a portal, a gateway that is starting): check endpoint_url and what lies "
        "between"
    )


def redirected(request: Request[Any], status: int, location: str | None) -> str:
    """Say where a redirect leads that isn't followed. Its path and query may hold secrets."""
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


def check(request: Request[Any], response: Mapping[str, Any], data: bytes) -> None:
    """Check the answer to one of a saver's requests; `admin_translate.py` checks those of the admin module.

    Args:
        request: The request.
        response: The answer, as botocore parsed it.
        data: Its body, where that is an object's.

    Raises:
        NotAnAnswer: It isn't S3's, or lacks what S3's always has.
        Unlike: It is a list, and not as S3 lists.
    """
    match request:
        case GetObject(_, _, first, length):
            need(response, "ETag")
            _check_body(first, length, response, data)
        case GetWithAge():
            need(response, "ETag")
            _check_body(0, GetWithAge.MOST, response, data)
        case PutObject() | CompareAndSwap() | HeadObject() | UploadPart():
            need(response, "ETag")
        case CopyObject():
            need(response.get("CopyObjectResult") or {}, "ETag")
        case CompleteUpload():
            need(response, "ETag", "Location", "Bucket", "Key")  # some stores name no ETag
        case CreateUpload():
            need(response, "UploadId")
        case ListObjects():
            need(response, "IsTruncated", "Name", "KeyCount")
            _check_page(request, response)
        case AbortUpload():
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 204)
            if status != 204:
                raise NotAnAnswer("its status isn't 204")


def need(answer: Mapping[str, Any], *names: str) -> None:
    """Check that an answer has one of these at least."""
    if all(answer.get(name) in (None, "", '""') for name in names):
        raise NotAnAnswer(f"it has no {' or '.join(names)}")


def need_below(prefix: str, items: Iterable[Mapping[str, Any]]) -> None:
    """Check that all that is listed lies below the prefix that was asked for."""
    for item in items:
        if not item["Key"].startswith(prefix):
            raise NotAnAnswer(f"the list has {item['Key']!r}, which isn't below {prefix!r}")


def need_progress(before: tuple[str, str] | None, response: Mapping[str, Any], second: str) -> None:
    """Check that a list of versions or uploads gets on.

    Args:
        before: The marker that it was asked to go on from.
        response: The answer.
        second: What it calls the second part of the marker to go on from.
    """
    if not response.get("IsTruncated"):
        return
    key, more = str(response.get("NextKeyMarker") or ""), str(response.get(second) or "")
    if not key:
        raise NotAnAnswer("the list says that it goes on, and not how (no NextKeyMarker)")
    if before is not None and (key < before[0] or (key, more) == before):
        raise NotAnAnswer(f"the list goes on where it was before ({key!r})")


def need_no_page(received: Received | None) -> None:
    """Check that an answer in which S3 has nothing to say isn't a page for people."""
    if received is not None and received.root.lower() == "html":
        raise NotAnAnswer("it is a page")


def _check_body(first: int, length: int | None, response: Mapping[str, Any], data: bytes) -> None:
    """Check that the bytes are those that were asked for, and as many as the answer says."""
    announced = response.get("ContentLength", len(data))
    if announced != len(data):
        raise NotAnAnswer(f"it announced {announced} bytes, and {len(data)} came")
    if not first and length is None:
        return
    came = str(response.get("ContentRange") or "")
    found = _RANGE.match(came)
    start, end = (int(found[1]), int(found[2])) if found else (0, len(data) - 1)
    if start != first or end - start + 1 != len(data) or (length is not None and len(data) > length):
        last = "" if length is None else str(first + length - 1)
        raise NotAnAnswer(f"bytes {first}-{last} were asked for, and {came or 'all of them'} came")


def _check_page(request: ListObjects, response: Mapping[str, Any]) -> None:
    if response.get("IsTruncated"):
        token = response.get("NextContinuationToken")
        if not token:
            raise NotAnAnswer("the list says that it goes on, and not how (no NextContinuationToken)")
        if token == request.token:
            raise NotAnAnswer("the list goes on where it was before (the same NextContinuationToken again)")
    prefix, after = request.prefix, request.start_after
    for kind, name in (("Contents", "Key"), ("CommonPrefixes", "Prefix")):
        names = [item[name] for item in response.get(kind, ())]
        if not names:
            continue
        for one, other in pairwise(names):  # by code points, and so as their UTF-8 bytes, which is S3's order
            if one >= other:
                raise Unlike(f"{other!r} comes after {one!r}, in another order than that of their bytes")
        if name == "Key" and (sign := request.delimiter):
            for key in names:
                if sign in key[len(prefix) :]:
                    raise Unlike(f"{key!r} is shown by itself where {sign!r} was to fold it")
        for end in (names[0], names[-1]):  # what is between them begins with what both begin with
            if not end.startswith(prefix):
                raise NotAnAnswer(f"the list has {end!r}, which isn't below {prefix!r}")
        # Of a folder in whose middle a list begins, the rest is folded into its name.
        folded = name == "Prefix" and after != names[0] and (after or "").startswith(names[0])
        if after is not None and names[0] <= after and not folded:
            raise Unlike(f"{names[0]!r} comes where what is behind {after!r} was asked for")
