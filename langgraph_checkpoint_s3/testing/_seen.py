"""The S3 operation of an HTTP request."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote

_SETTINGS = {
    "versioning": "BucketVersioning",
    "lifecycle": "BucketLifecycleConfiguration",
    "encryption": "BucketEncryption",
    "publicAccessBlock": "PublicAccessBlock",
    "policy": "BucketPolicy",
    "metrics": "BucketMetricsConfiguration",
    "accelerate": "BucketAccelerateConfiguration",
    "replication": "BucketReplication",
    "intelligent-tiering": "BucketIntelligentTieringConfiguration",
    "location": "BucketLocation",
}


@dataclass(slots=True)
class Seen:
    """A request that the fault server received.

    Attributes:
        operation: The S3 operation, such as `PutObject` or `ListObjectsV2`.
        key: The object's key; empty for requests about the bucket.
        query: Parameters of the URL.
        headers: HTTP headers by lower-case name.
        size: Bytes of the body on the wire.
        begun: When it arrived, by `time.monotonic`.
        ended: When its response was ready to be sent; 0 until then.
        status: HTTP status of the response; 0 if there is none.
    """

    operation: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    size: int
    begun: float
    ended: float = 0.0
    status: int = 0


def read_request(method: str, target: str, headers: Mapping[str, str]) -> Seen:
    """Parse a request with a path-style target."""
    path, _, text = target.partition("?")
    _, _, key = unquote(path).lstrip("/").partition("/")
    query = {name: values[0] for name, values in parse_qs(text, keep_blank_values=True).items()}
    return Seen(_operation(method, key, query, headers), key, query, headers, 0, time.monotonic())


def _operation(method: str, key: str, query: Mapping[str, str], headers: Mapping[str, str]) -> str:
    setting = next((setting for name, setting in _SETTINGS.items() if name in query), None)
    if setting is not None and not key:
        return f"{method.capitalize()}{setting}"
    if method == "PUT":
        if not key:
            return "CreateBucket"
        if "partNumber" in query:
            return "UploadPart"
        return "CopyObject" if "x-amz-copy-source" in headers else "PutObject"
    if method == "POST":
        if "restore" in query:
            return "RestoreObject"
        if "delete" in query:
            return "DeleteObjects"
        return "CreateMultipartUpload" if "uploads" in query else "CompleteMultipartUpload"
    if method == "DELETE":
        return "AbortMultipartUpload" if "uploadId" in query else "DeleteObject"
    if method == "HEAD":
        return "HeadObject" if key else "HeadBucket"
    if key:
        return "GetObject"
    listed = {"versions": "ListObjectVersions", "uploads": "ListMultipartUploads"}
    return next((operation for name, operation in listed.items() if name in query), "ListObjectsV2")
