"""The operations that list, page by page, in the order of the keys' bytes.

A page's place is a key and a number: the next page begins behind that key's versions with this number or
greater ones. Clients hand it back as a token, or as a pair of markers.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any, NamedTuple
from urllib.parse import quote

from .messages import Answer, Refused, Request, xml
from .storage import Storage, Version

_ALL = 1 << 62
"""Greater than the number of any version."""
_MAX_KEYS = 1000


class _Page(NamedTuple):
    """A page: versions, common prefixes, and the place of the next page; `None` on the last one."""

    versions: list[Version]
    prefixes: list[str]
    place: tuple[str, int] | None


def list_buckets(storage: Storage, _: Request) -> Answer:
    """Answer ListBuckets."""
    buckets = [("Bucket", [("Name", name), ("CreationDate", time(at))]) for name, at in storage.buckets()]
    return xml("ListAllMyBucketsResult", [("Owner", [("ID", "local")]), ("Buckets", buckets)])


def list_objects(storage: Storage, request: Request) -> Answer:
    """Answer ListObjectsV2, and its predecessor ListObjects."""
    query = request.query
    is_v2 = query.get("list-type") == "2"
    place = query.get("start-after", ""), 0
    if not is_v2:
        place = _behind(request, query.get("marker", ""))
    if is_v2 and "continuation-token" in query:
        try:
            key, number = json.loads(base64.urlsafe_b64decode(query["continuation-token"]))
            place = str(key), int(number)
        except ValueError:
            raise Refused(400, "InvalidArgument", "The continuation token is incorrect") from None
    page = _page(storage, request, "current", place)
    encode = _encoder(request)
    token: list[tuple[str, Any]] = []
    if page.place is not None and is_v2:
        token = [
            ("NextContinuationToken", base64.urlsafe_b64encode(json.dumps(page.place).encode()).decode())
        ]
    elif page.place is not None:
        token = [
            ("NextMarker", encode(max([*page.prefixes[-1:], *(each.key for each in page.versions[-1:])])))
        ]
    return xml(
        "ListBucketResult",
        [
            *_head(request, page),
            ("KeyCount", len(page.versions) + len(page.prefixes)),
            *token,
            *(("Contents", _entry(each, encode)) for each in page.versions),
            *(("CommonPrefixes", [("Prefix", encode(each))]) for each in page.prefixes),
        ],
    )


def list_versions(storage: Storage, request: Request) -> Answer:
    """Answer ListObjectVersions."""
    page = _page(storage, request, "version", _marker(request, "version-id-marker"))
    encode = _encoder(request)
    return xml(
        "ListVersionsResult",
        [
            *_head(request, page),
            *_next(page, encode, "NextVersionIdMarker"),
            *(
                (
                    "DeleteMarker" if each.kind == "marker" else "Version",
                    [("VersionId", each.id), ("IsLatest", bool(each.latest)), *_entry(each, encode)],
                )
                for each in page.versions
            ),
            *(("CommonPrefixes", [("Prefix", encode(each))]) for each in page.prefixes),
        ],
    )


def list_uploads(storage: Storage, request: Request) -> Answer:
    """Answer ListMultipartUploads."""
    page = _page(storage, request, "upload", _marker(request, "upload-id-marker"))
    encode = _encoder(request)
    uploads = (
        [("Key", encode(each.key)), ("UploadId", each.id), ("Initiated", time(each.modified))]
        for each in page.versions
    )
    head = [("Bucket", request.bucket), *_head(request, page), *_next(page, encode, "NextUploadIdMarker")]
    return xml("ListMultipartUploadsResult", [*head, *(("Upload", each) for each in uploads)])


def time(seconds: float) -> str:
    """Return a time as S3's documents have it."""
    return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"


def _page(storage: Storage, request: Request, kind: str, place: tuple[str, int]) -> _Page:
    prefix, limit = request.query.get("prefix", ""), _limit(request)
    page = _Page([], [], None)
    if place[0] < prefix:
        place = prefix, _ALL
    while limit:
        found = storage.versions(request.bucket, *place, kind=kind, limit=limit + 1)
        for version in found:
            if not version.key.startswith(prefix):
                return page
            if len(page.versions) + len(page.prefixes) == limit:
                return page._replace(place=place)
            common = _common_prefix(request, version.key)
            if common:
                page.prefixes.append(common)
                place = _behind(request, common)
                break
            page.versions.append(version)
            place = version.key, version.number
        else:
            break
    return page


def _common_prefix(request: Request, key: str) -> str:
    """Return what a key is folded into; empty if it is listed itself."""
    prefix, delimiter = request.query.get("prefix", ""), request.query.get("delimiter", "")
    name, cut, _ = key[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
    return prefix + name + delimiter if cut else ""


def _behind(request: Request, marker: str) -> tuple[str, int]:
    """Return the place behind a key, or behind all keys of a common prefix."""
    if marker and _common_prefix(request, marker) == marker:
        # The first key that can't begin with it.
        return marker[:-1] + chr(ord(marker[-1]) + 1), _ALL
    return marker, 0


def _limit(request: Request) -> int:
    text = next(
        (request.query[name] for name in ("max-keys", "max-uploads") if name in request.query), "1000"
    )
    if not text.isdecimal():
        raise Refused(400, "InvalidArgument", "max-keys isn't a number")
    return min(int(text), _MAX_KEYS)


def _marker(request: Request, name: str) -> tuple[str, int]:
    """Return the place of a pair of markers: after all of a key's versions, or after one of them."""
    number = request.query.get(name, "")
    return request.query.get("key-marker", ""), int(number) if number.isdecimal() else 0


def _next(page: _Page, encode: Any, name: str) -> list[tuple[str, Any]]:
    return [] if page.place is None else [("NextKeyMarker", encode(page.place[0])), (name, page.place[1])]


def _head(request: Request, page: _Page) -> Iterable[tuple[str, Any]]:
    encode = _encoder(request)
    yield "Name", request.bucket
    yield "Prefix", encode(request.query.get("prefix", ""))
    if "delimiter" in request.query:
        yield "Delimiter", encode(request.query["delimiter"])
    yield "MaxKeys", _limit(request)
    if "encoding-type" in request.query:
        yield "EncodingType", request.query["encoding-type"]
    yield "IsTruncated", page.place is not None


def _entry(version: Version, encode: Any) -> list[tuple[str, Any]]:
    stored_class = json.loads(version.headers).get("x-amz-storage-class", "STANDARD")
    about = [("ETag", f'"{version.etag}"'), ("Size", version.size), ("StorageClass", stored_class)]
    modified = ("LastModified", time(version.modified))
    return [("Key", encode(version.key)), modified, *(about if version.kind == "object" else [])]


def _encoder(request: Request) -> Any:
    return (lambda text: quote(text, "/")) if request.query.get("encoding-type") == "url" else str
