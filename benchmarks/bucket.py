"""The benchmarks' S3 buckets in memory, and S3's responses. No I/O."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property
from typing import Final
from urllib.parse import quote
from xml.sax.saxutils import escape, unescape

_PAGE: Final = 1000
_LAST: Final = "\U0010ffff"
_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)")
_KEPT: Final = ("content-type", "content-encoding")


@dataclass(frozen=True, slots=True)
class Request:
    """A parsed HTTP request."""

    method: str
    bucket: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes | bytearray

    @property
    def operation(self) -> str:
        """Name of the S3 operation."""
        if self.method == "GET":
            return "GetObject" if self.key else "ListObjectsV2"
        if self.method == "HEAD":
            return "HeadObject" if self.key else "HeadBucket"
        if self.method == "PUT":
            if "partNumber" in self.query:
                return "UploadPart"
            copied = "x-amz-copy-source" in self.headers
            return ("CopyObject" if copied else "PutObject") if self.key else "CreateBucket"
        if self.method == "DELETE":
            return "AbortMultipartUpload" if "uploadId" in self.query else "DeleteObject"
        if "delete" in self.query:
            return "DeleteObjects"
        return "CreateMultipartUpload" if "uploads" in self.query else "CompleteMultipartUpload"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response. For a HEAD, the body isn't sent."""

    status: int = 200
    body: bytes | bytearray = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Stored:
    """An object. Its ETag is a unique number.

    Parts are joined at the first read: an upload isn't measured with it.
    """

    parts: Sequence[bytes | bytearray]
    etag: str
    modified: str
    headers: Mapping[str, str]

    @cached_property
    def data(self) -> bytes:
        """Its bytes."""
        return b"".join(self.parts)

    @property
    def size(self) -> int:
        """Its size, in bytes."""
        return sum(map(len, self.parts))


@dataclass(slots=True)
class Upload:
    """An unfinished multipart upload."""

    headers: Mapping[str, str]
    parts: dict[int, bytes | bytearray] = field(default_factory=dict)


class Bucket:
    """Objects by key, and a count of the requests of each operation."""

    def __init__(self) -> None:
        self.objects: dict[str, Stored] = {}
        self.requests: Counter[str] = Counter()
        self._keys: list[str] = []
        self._uploads: dict[str, Upload] = {}
        self._number = 0
        self._operations: dict[str, Callable[[Request], Answer]] = {
            "CreateBucket": lambda _: Answer(),
            "HeadBucket": lambda _: Answer(),
            "PutObject": lambda request: self._put(request, [request.body], _kept(request.headers)),
            "GetObject": self._get,
            "HeadObject": self._get,
            "ListObjectsV2": self._list,
            "CopyObject": self._copy,
            "DeleteObject": lambda request: self._delete([request.key]),
            "DeleteObjects": self._delete_objects,
            "CreateMultipartUpload": self._create_upload,
            "UploadPart": self._upload_part,
            "CompleteMultipartUpload": self._complete_upload,
            "AbortMultipartUpload": self._abort_upload,
        }

    @property
    def size(self) -> int:
        """Size of all objects, in bytes."""
        return sum(stored.size for stored in self.objects.values())

    def answer(self, request: Request) -> Answer:
        """Count and answer a request."""
        self.requests[request.operation] += 1
        return self._operations[request.operation](request)

    def _put(
        self, request: Request, parts: Sequence[bytes | bytearray], headers: Mapping[str, str]
    ) -> Answer:
        if request.headers.get("if-none-match") == "*" and request.key in self.objects:
            return error(412, "PreconditionFailed")
        if request.key not in self.objects:
            insort(self._keys, request.key)
        modified = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        self.objects[request.key] = Stored(parts, f'"{self._next():032x}"', modified, headers)
        return Answer(headers={"ETag": self.objects[request.key].etag})

    def _get(self, request: Request) -> Answer:
        stored = self.objects.get(request.key)
        if stored is None:
            return error(404, "NoSuchKey")
        when = datetime.strptime(stored.modified, "%Y-%m-%dT%H:%M:%S.000Z").replace(tzinfo=timezone.utc)
        headers = {
            **stored.headers,
            "ETag": stored.etag,
            "Last-Modified": when.strftime("%a, %d %b %Y %H:%M:%S GMT"),
        }
        found = _RANGE.fullmatch(request.headers.get("range", ""))
        if found is None:
            return Answer(200, stored.data, headers)
        size = len(stored.data)
        first, last = found.groups()
        start = int(first) if first else max(0, size - int(last))
        end = min(size, int(last) + 1) if first and last else size
        if start >= size:
            return error(416, "InvalidRange")
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        return Answer(206, stored.data[start:end], headers)

    def _list(self, request: Request) -> Answer:
        prefix, delimiter = request.query.get("prefix", ""), request.query.get("delimiter", "")
        after = request.query.get("continuation-token") or request.query.get("start-after") or ""
        most = min(_PAGE, int(request.query.get("max-keys", _PAGE)))
        place = max(bisect_left(self._keys, prefix), bisect_right(self._keys, after))
        rows: list[str] = []
        token = ""
        while place < len(self._keys) and self._keys[place].startswith(prefix):
            if len(rows) == most:
                break
            key = self._keys[place]
            folded, found, _ = key[len(prefix) :].partition(delimiter or "\0")
            if delimiter and found:
                token = prefix + folded + found + _LAST
                rows.append(f"<CommonPrefixes><Prefix>{_name(token[:-1])}</Prefix></CommonPrefixes>")
                place = bisect_right(self._keys, token)
            else:
                token = key
                rows.append(_row(key, self.objects[key]))
                place += 1
        else:
            token = ""
        cut = f"<NextContinuationToken>{escape(token)}</NextContinuationToken>" if token else ""
        return _document(
            "ListBucketResult",
            f"<Name>{request.bucket}</Name><EncodingType>url</EncodingType><KeyCount>{len(rows)}</KeyCount>"
            f"<IsTruncated>{'true' if token else 'false'}</IsTruncated>{cut}{''.join(rows)}",
        )

    def _copy(self, request: Request) -> Answer:
        _, _, key = request.headers["x-amz-copy-source"].lstrip("/").partition("/")
        source = self.objects.get(key)
        if source is None:
            return error(404, "NoSuchKey")
        self._put(request, source.parts, source.headers)
        copied = self.objects[request.key]
        told = f"<ETag>{copied.etag}</ETag><LastModified>{copied.modified}</LastModified>"
        return _document("CopyObjectResult", told)

    def _delete(self, keys: list[str]) -> Answer:
        for key in keys:
            if self.objects.pop(key, None) is not None:
                self._keys.pop(bisect_left(self._keys, key))
        return Answer(204)

    def _delete_objects(self, request: Request) -> Answer:
        keys = _texts("Key", request.body)
        self._delete(keys)
        quiet = _texts("Quiet", request.body) == ["true"]
        told = "" if quiet else "".join(f"<Deleted><Key>{escape(key)}</Key></Deleted>" for key in keys)
        return _document("DeleteResult", told)

    def _create_upload(self, request: Request) -> Answer:
        name = f"{self._next():x}"
        self._uploads[name] = Upload(_kept(request.headers))
        return _document("InitiateMultipartUploadResult", f"<UploadId>{name}</UploadId>")

    def _upload_part(self, request: Request) -> Answer:
        upload = self._uploads.get(request.query["uploadId"])
        if upload is None:
            return error(404, "NoSuchUpload")
        number = int(request.query["partNumber"])
        upload.parts[number] = request.body
        return Answer(headers={"ETag": f'"{number:032x}"'})

    def _complete_upload(self, request: Request) -> Answer:
        upload = self._uploads.get(request.query["uploadId"])
        if upload is None:
            return error(404, "NoSuchUpload")
        numbers = [int(number) for number in _texts("PartNumber", request.body)]
        answer = self._put(request, [upload.parts[number] for number in numbers], upload.headers)
        if answer.status != 200:
            return answer
        del self._uploads[request.query["uploadId"]]
        return _document("CompleteMultipartUploadResult", f"<ETag>{answer.headers['ETag']}</ETag>")

    def _abort_upload(self, request: Request) -> Answer:
        self._uploads.pop(request.query["uploadId"], None)
        return Answer(204)

    def _next(self) -> int:
        self._number += 1
        return self._number


def error(status: int, code: str) -> Answer:
    """Return an S3 error response."""
    return _document("Error", f"<Code>{code}</Code><Message>{code}</Message>", status)


def _document(root: str, inner: str, status: int = 200) -> Answer:
    body = f'<?xml version="1.0" encoding="UTF-8"?><{root}>{inner}</{root}>'
    return Answer(status, body.encode(), {"Content-Type": "application/xml"})


def _row(key: str, stored: Stored) -> str:
    return (
        f"<Contents><Key>{_name(key)}</Key><LastModified>{stored.modified}</LastModified>"
        f"<ETag>{escape(stored.etag)}</ETag><Size>{stored.size}</Size>"
        "<StorageClass>STANDARD</StorageClass></Contents>"
    )


def _name(key: str) -> str:
    """Encode a key in a listing as with `encoding-type=url`, which every SDK requests."""
    return quote(key, safe="/-_.~*")


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers stored with an object."""
    return {name: value for name, value in headers.items() if name in _KEPT or name.startswith("x-amz-meta-")}


def _texts(tag: str, body: bytes | bytearray) -> list[str]:
    """Return the texts of all elements of that name."""
    return [unescape(found) for found in re.findall(f"<{tag}>(.*?)</{tag}>", body.decode())]
