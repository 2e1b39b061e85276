"""Says requests in botocore's words and reads its answers. Shared by both clients; no I/O."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from email.utils import parsedate_to_datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from botocore import xform_name

from langgraph_checkpoint_s3.config import S3Config
from langgraph_checkpoint_s3.s3.answer_checks import NotAnAnswer, Received, check
from langgraph_checkpoint_s3.s3.botocore_fields import deletion, etag, of_version
from langgraph_checkpoint_s3.s3.requests import (
    AbortUpload,
    AgedBody,
    Body,
    CompareAndSwap,
    CompleteUpload,
    CopyObject,
    CreateBucket,
    CreateUpload,
    DeleteObjects,
    Done,
    Entry,
    GetObject,
    GetWithAge,
    HeadObject,
    ListObjects,
    Page,
    PutObject,
    Request,
    Stored,
    UploadPart,
)
from langgraph_checkpoint_s3.s3.store_clock import date_of
from langgraph_checkpoint_s3.validation import is_aws

if TYPE_CHECKING:
    from langgraph_checkpoint_s3.s3.admin_requests import Sign, Signed

OPERATIONS: Final[Mapping[type[Request[Any]], str]] = {
    PutObject: "PutObject",
    CompareAndSwap: "PutObject",
    GetWithAge: "GetObject",
    GetObject: "GetObject",
    HeadObject: "HeadObject",
    ListObjects: "ListObjectsV2",
    DeleteObjects: "DeleteObjects",
    CopyObject: "CopyObject",
    CreateUpload: "CreateMultipartUpload",
    UploadPart: "UploadPart",
    CompleteUpload: "CompleteMultipartUpload",
    AbortUpload: "AbortMultipartUpload",
    CreateBucket: "CreateBucket",
}
"""For each of a saver's requests, S3's name of the operation."""

_TOTAL: Final = re.compile(r"/(\d+)$")


class Wire:
    """The settings that go with requests to one bucket, for one client.

    Args:
        config: The saver's.
        endpoint_url: The address that the client really uses.
        region: The client's region.
        credentials: The client's credentials, where they can be seen.
        md5: Whether an MD5 goes with what is written, for want of another checksum.
    """

    def __init__(
        self,
        config: S3Config,
        endpoint_url: str,
        region: str | None,
        credentials: Any = None,
        *,
        md5: bool = False,
    ) -> None:
        self._md5 = md5
        self._region = region
        self._credentials = credentials
        self._bucket = {"Bucket": config.bucket}
        if config.expected_bucket_owner:
            self._bucket["ExpectedBucketOwner"] = config.expected_bucket_owner
        self._payer = {"RequestPayer": "requester"} if config.requester_pays else {}
        config.check_names(on_aws=is_aws(endpoint_url))  # whatever the settings alone had one think
        self._new = _new_object(config)
        self._copied = {**self._new, "TaggingDirective": "REPLACE"} if config.object_tags else self._new
        self._owner = config.expected_bucket_owner

    def arguments(self, request: Request[Any], *, conditional: bool = True) -> dict[str, Any]:
        """The arguments of the client's method. `conditional` says whether the store knows conditions."""
        if type(request) not in OPERATIONS:
            from langgraph_checkpoint_s3.s3 import admin_translate  # for those who use it alone

            return admin_translate.arguments(request, self._bucket, self._payer)
        arguments: dict[str, Any] = self._bucket | self._payer
        match request:
            case PutObject(key, body):
                arguments |= self._new | {"Key": key, "Body": body} | _condition(request, conditional)
                arguments |= self._summed(body)
            case CompareAndSwap(key, body, expected):
                arguments |= self._new | {"Key": key, "Body": body} | _expecting(expected)
                arguments |= self._summed(body)
                arguments.pop("StorageClass", None)  # it lives for seconds, and must be readable at once
            case GetWithAge(key):
                arguments |= {"Key": key} | _range(0, GetWithAge.MOST)
            case GetObject(key, _, first, length, _, version):
                arguments |= {"Key": key} | _range(first, length) | of_version(version)
            case HeadObject(key):
                arguments |= {"Key": key}
            case ListObjects():
                arguments |= _listing(request)
            case DeleteObjects(keys):
                arguments |= {"Delete": {"Objects": [{"Key": key} for key in keys]}}
            case CopyObject(source, target, version):
                arguments |= self._copied | {"Key": target}
                copied = {"Bucket": self._bucket["Bucket"], "Key": source} | of_version(version)
                arguments["CopySource"] = copied
                if self._owner:
                    arguments["ExpectedSourceBucketOwner"] = self._owner
            case CreateUpload(key):
                arguments |= self._new | {"Key": key}
            case UploadPart(key, upload_id, number, body):
                arguments |= {"Key": key, "UploadId": upload_id, "PartNumber": number, "Body": _file(body)}
                arguments |= self._summed(body)
            case CompleteUpload(key, upload_id, etags):
                parts = [{"ETag": etag, "PartNumber": number} for number, etag in enumerate(etags, start=1)]
                arguments |= {"Key": key, "UploadId": upload_id, "MultipartUpload": {"Parts": parts}}
                arguments |= _condition(request, conditional)
            case AbortUpload(key, upload_id):
                arguments |= {"Key": key, "UploadId": upload_id}
            case CreateBucket():
                arguments = _new_bucket(self._bucket["Bucket"], self._region)
        return arguments

    def _summed(self, body: bytes | memoryview) -> dict[str, str]:
        """The MD5 of what is written, where no other checksum goes with it."""
        digest = md5_of(body) if self._md5 else None
        return {"ContentMD5": digest} if digest else {}

    def answer(
        self,
        request: Request[Any],
        response: Mapping[str, Any],
        data: bytes,
        received: Received | None = None,
    ) -> Any:
        """Return what a response means, once it is known to be S3's.

        Args:
            request: The request.
            response: The response, as botocore parsed it.
            data: Its body, where that is an object's.
            received: What was seen of it before it was parsed.

        Raises:
            NotAnAnswer: It isn't S3's answer to the request.
            Unlike: It is a list, and not as S3 lists.
            NotSupportedError: The store takes the request for another one.
        """
        try:
            check(request, response, data)
            return self._read(request, response, data, received)
        except KeyError as missing:
            raise NotAnAnswer(f"it has no {missing.args[0]}") from missing

    def _read(
        self, request: Request[Any], response: Mapping[str, Any], data: bytes, received: Received | None
    ) -> Any:
        match request:
            case GetObject():
                return Body(data, etag(response), _size(response, data))
            case GetWithAge():
                return AgedBody(data, etag(response), _age(response))
            case PutObject() | CompareAndSwap() | HeadObject() | CompleteUpload():
                return Stored(etag(response), date_of(response))
            case CopyObject():
                return Stored(etag(response.get("CopyObjectResult", {})))
            case ListObjects():
                return _page(response)
            case DeleteObjects(keys):
                return deletion(response, [(key, None) for key in keys])
            case CreateUpload():
                return response["UploadId"]
            case UploadPart():
                return response["ETag"]
            case CreateBucket() | AbortUpload():
                return Done()
        return self._admin_answer(request, response, received)

    def _admin_answer(
        self, request: Request[Any], response: Mapping[str, Any], received: Received | None
    ) -> Any:
        from langgraph_checkpoint_s3.s3 import admin_translate
        from langgraph_checkpoint_s3.s3.admin_requests import InspectBucket, Sign

        if isinstance(request, Sign):
            return self._signed(request, response)
        answer = admin_translate.answer(request, response, received)
        return replace(answer, client_region=self._region) if isinstance(request, InspectBucket) else answer

    def _signed(self, request: Sign, url: Any) -> Signed:
        from langgraph_checkpoint_s3.s3.admin_requests import Signed

        # What botocore refreshes knows when it ends; other temporary credentials don't.
        ends_within = getattr(self._credentials, "refresh_needed", None)
        if ends_within is not None and getattr(self._credentials, "has_known_expiry", True):
            return Signed(url, bool(ends_within(request.seconds)))
        return Signed(url, temporary="X-Amz-Security-Token=" in url)


def operation_of(request: Request[Any]) -> str:
    """S3's name of the operation that a request is."""
    known = OPERATIONS.get(type(request))
    if known is not None:
        return known
    from langgraph_checkpoint_s3.s3 import admin_translate

    return admin_translate.operation(request)


def method_of(request: Request[Any]) -> str:
    """The client's method for a request."""
    name: str = xform_name(operation_of(request))
    return name


def md5_of(body: bytes | memoryview) -> str | None:
    """Return the `Content-MD5` of a body; `None` where there is no MD5 (in FIPS mode, it may be missing)."""
    try:
        digest = hashlib.md5(body, usedforsecurity=False).digest()
    except (AttributeError, ValueError):
        return None
    return base64.b64encode(digest).decode()


def _new_object(config: S3Config) -> dict[str, Any]:
    mode = config.server_side_encryption
    # S3 encrypts everything anyway. A header would override the bucket's default, which may be a key in KMS.
    arguments: dict[str, Any] = {} if mode in ("auto", "off") else {"ServerSideEncryption": mode}
    if config.kms_key_id:
        arguments["SSEKMSKeyId"] = config.kms_key_id
    if config.bucket_key_enabled is not None:
        arguments["BucketKeyEnabled"] = config.bucket_key_enabled
    if config.storage_class:
        arguments["StorageClass"] = config.storage_class
    if config.object_tags:
        # `%20` for a space: not every store reads `+` as one.
        arguments["Tagging"] = urlencode(config.object_tags, quote_via=quote)
    return arguments


def _new_bucket(bucket: str, region: str | None) -> dict[str, Any]:
    if region in (None, "us-east-1", "aws-global"):
        return {"Bucket": bucket}
    return {"Bucket": bucket, "CreateBucketConfiguration": {"LocationConstraint": region}}


def _condition(request: PutObject | CompleteUpload, conditional: bool) -> dict[str, str]:
    there = conditional and (request.only_new or request.expected is not None)
    return _expecting(request.expected) if there else {}


def _expecting(expected: str | None) -> dict[str, str]:
    # Ceph compares the bare text; the others take an ETag with or without its quotes.
    return {"IfNoneMatch": "*"} if expected is None else {"IfMatch": expected}


def _age(response: Mapping[str, Any]) -> float | None:
    headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    try:
        age: float = (parsedate_to_datetime(headers["date"]) - response["LastModified"]).total_seconds()
    except (KeyError, TypeError, ValueError):
        return None
    return age


def _range(first: int, length: int | None) -> dict[str, str]:
    if length is None:
        return {"Range": f"bytes={first}-"} if first else {}
    return {"Range": f"bytes={first}-{first + length - 1}"}


def _listing(request: ListObjects) -> dict[str, Any]:
    arguments: dict[str, Any] = {"Prefix": request.prefix, "MaxKeys": request.max_keys}
    if request.token is not None:
        arguments["ContinuationToken"] = request.token
    elif request.start_after is not None:
        arguments["StartAfter"] = request.start_after
    if request.delimiter is not None:
        arguments["Delimiter"] = request.delimiter
    return arguments


def _page(response: Mapping[str, Any]) -> Page:
    return Page(
        tuple(
            Entry(
                item["Key"],
                item["Size"],
                etag(item),
                item["LastModified"],
                item.get("StorageClass") or "STANDARD",
            )
            for item in response.get("Contents", ())
        ),
        tuple(item["Prefix"] for item in response.get("CommonPrefixes", ())),
        response.get("NextContinuationToken") if response.get("IsTruncated", True) else None,
    )


def _file(body: bytes | memoryview) -> BytesIO:
    """A part as botocore would wrap it. Of one that shares its bytes aiohttp would make a second copy."""
    file = BytesIO()
    file.write(body)
    file.seek(0)
    return file


def _size(response: Mapping[str, Any], data: bytes) -> int:
    match = _TOTAL.search(response.get("ContentRange") or "")
    return int(match[1]) if match else len(data)
