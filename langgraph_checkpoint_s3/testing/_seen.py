"""Reads from an HTTP request which of S3's operations it is."""

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
    """A request that came by.

    Attributes:
        operation: Which of S3's operations it is, such as `PutObject` or `ListObjectsV2`.
        key: The object's key; empty where the request is for the bucket.
        query: The parameters of its URL.
        headers: Its HTTP headers, their names in small letters.
        size: Bytes of its body, as they were on the wire.
        begun: When it came, as `time.monotonic` has it.
        ended: When the last of its answer was ready to be sent; 0 while it is under way.
        status: The HTTP status of its answer; 0 where there is none.
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
    """What a request with this method and path-style target is."""
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
