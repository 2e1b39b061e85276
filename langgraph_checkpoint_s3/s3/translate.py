"""Requests as arguments of botocore, and botocore's responses as answers. Shared by both clients; no I/O.

Each request type has an entry in `CODECS`: a function for its arguments, and one that checks its response and
reads it. Those of the admin requests are in `admin_translate.py`, which is imported for them only.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, Generic, NamedTuple, TypeAlias, TypeVar
from urllib.parse import quote, urlencode

from langgraph_checkpoint_s3.config import S3Config
from langgraph_checkpoint_s3.format.pieces import Data, buffers_of
from langgraph_checkpoint_s3.format.retention import TAG
from langgraph_checkpoint_s3.s3.answer_checks import (
    InvalidResponse,
    Received,
    need,
    need_body,
    need_page,
)
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
    Deletion,
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

A = TypeVar("A")
R = TypeVar("R", bound=Request[Any])
_Arguments: TypeAlias = dict[str, Any]

UNNAMED: Final = "Unnamed"
"""Stands in for S3's error code of a key that the answer to a deletion doesn't mention."""

_TRANSIENT: Final = frozenset(
    {
        *("InternalError", "InternalServerError", "InternalFailure", "ServiceUnavailable", "Unavailable"),
        *("SlowDown", "Throttling", "ThrottlingException", "RequestThrottled", "RequestThrottledException"),
        *("RequestLimitExceeded", "BandwidthLimitExceeded", "TooManyRequests", "TooManyRequestsException"),
        *("RequestTimeout", "RequestTimeoutException", "OperationTimedOut", "OperationAborted"),
        *("ConditionalRequestConflict", "500", "502", "503", "504", UNNAMED),
    }
)


class Response(NamedTuple):
    """A client's response.

    Attributes:
        fields: The response, as botocore parsed it; of a signed URL, its text.
        data: The body, if it is an object's.
        received: Facts about the response before it was parsed, where they are known.
    """

    fields: Any
    data: bytes | memoryview = b""
    received: Received | None = None


class RequestTranslation(Generic[R]):
    """Arguments and answers of one type of request.

    Args:
        arguments: Returns the arguments of the client's method.
        answer: Checks a response, and returns the answer.
    """

    def __init__(
        self,
        arguments: Callable[[Translator, R], _Arguments],
        answer: Callable[[Translator, R, Response], Any],
    ) -> None:
        self.arguments = arguments
        self.answer = answer


class Translator:
    """Translates requests to one bucket for one client, and the responses to them.

    Args:
        config: The saver's.
        endpoint_url: The address that the client really uses.
        region: The client's region.
        credentials: The client's credentials, where they can be seen.
        md5: Whether an MD5 is sent with each body, for want of another checksum.

    Attributes:
        endpoint_url: The address that the client really uses.
        owner: The account that the bucket has to belong to.
        bucket: The arguments that name the bucket and its owner.
        payer: The argument that says who pays, if there is one.
        common: The arguments of every request for objects: `bucket` and `payer`.
        new: The arguments of every request that creates an object: `common`, encryption, class, tags.
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
        # Checked once more: only the client knows whether its address is AWS's.
        config.check_names(on_aws=is_aws(endpoint_url))
        self.endpoint_url = endpoint_url
        self.region = region
        self.credentials = credentials
        self.owner = config.expected_bucket_owner
        self.bucket = {"Bucket": config.bucket}
        if self.owner:
            self.bucket["ExpectedBucketOwner"] = self.owner
        self.payer = {"RequestPayer": "requester"} if config.requester_pays else {}
        self.common: _Arguments = self.bucket | self.payer
        self.new = self.common | _new_object(config)
        self._md5 = md5

    def arguments(self, request: Request[Any], *, conditional: bool = True) -> _Arguments:
        """Return the arguments of the client's method.

        Args:
            request: The request.
            conditional: Whether the store knows conditional writes; without, conditions are left out.
        """
        if not conditional and isinstance(request, (PutObject, CompleteUpload)):
            request = replace(request, only_new=False, expected=None)
        return _codec_of(request).arguments(self, request)

    def tagged(self, tag: str | None) -> _Arguments:
        """Return `new` with a retention tag, of letters that a header takes as they are."""
        if tag is None:
            return self.new
        others = self.new.get("Tagging")
        return {**self.new, "Tagging": f"{others}&{TAG}={tag}" if others else f"{TAG}={tag}"}

    def answer(
        self,
        request: Request[A],
        fields: Mapping[str, Any],
        data: bytes | memoryview,
        received: Received | None = None,
    ) -> A:
        """Check that a response is S3's, and return the answer that it is.

        Args:
            request: The request.
            fields: The response, as botocore parsed it.
            data: Its body, if that is an object's.
            received: Facts about the response before it was parsed.

        Raises:
            InvalidResponse: It isn't S3's response to the request.
            UnsupportedListing: It is a list, but not in S3's order.
            NotSupportedError: The store took the request for another one.
        """
        try:
            # An unchecked cast: the table is keyed by type, so mypy can't relate a codec's answer to `A`.
            answer: A = _codec_of(request).answer(self, request, Response(fields, data, received))
        except KeyError as missing:
            raise InvalidResponse(f"it has no {missing.args[0]}") from missing
        return answer

    def body(self, body: Data) -> _Arguments:
        """Return the arguments for a body: itself, and its MD5 where no other checksum is sent with it."""
        digest = md5_of(body) if self._md5 else None
        return {"Body": body, "ContentMD5": digest} if digest else {"Body": body}


def _codec_of(request: Request[Any]) -> RequestTranslation[Any]:
    codec = CODECS.get(type(request))
    if codec is None:
        from langgraph_checkpoint_s3.s3 import admin_translate  # a saver's process doesn't need it

        codec = admin_translate.CODECS[type(request)]
    return codec


def method_of(operation: str) -> str:
    """Return the name of an SDK client's method for an operation."""
    from botocore import xform_name

    name: str = xform_name(operation)
    return name


def md5_of(body: Data) -> str | None:
    """Return the `Content-MD5` of a body; `None` where there is no MD5 (in FIPS mode, it may be missing)."""
    try:
        digest = hashlib.md5(usedforsecurity=False)
    except (AttributeError, ValueError):
        return None
    for buffer in buffers_of(body):
        digest.update(buffer)
    return base64.b64encode(digest.digest()).decode()


def is_transient(code: str) -> bool:
    """Return whether an error code of one key in a deletion is worth another try."""
    return code in _TRANSIENT


def of_version(version: str | None) -> dict[str, str]:
    """Return the argument that names a version."""
    return {} if version is None else {"VersionId": version}


def etag(fields: Mapping[str, Any]) -> str:
    """Return the ETag without quotes, which some stores leave out."""
    return str(fields.get("ETag", "")).strip('"')


def _delete_arguments(to: Translator, delete: DeleteObjects) -> dict[str, Any]:
    objects = [{"Key": key} for key in delete.keys]
    for each, etag in zip(objects, delete.etags, strict=False):
        each["ETag"] = etag
    return {**to.common, "Delete": {"Objects": objects}}


def deletion(fields: Mapping[str, Any], targets: Iterable[tuple[str, str | None]]) -> Deletion:
    """Return the keys that DeleteObjects didn't delete.

    The request asks S3 to name deleted keys too, since silence about a key is no evidence.

    Args:
        fields: The response.
        targets: The keys to delete, each with its version or `None`.

    Raises:
        InvalidResponse: It names none of them.
    """
    failed = [
        (str(error.get("Key")), str(error.get("Code")), str(error.get("Message")))
        for error in fields.get("Errors", ())
    ]
    named = {(item.get("Key"), item.get("VersionId")) for item in fields.get("Deleted", ())}
    if not failed and not named:
        raise InvalidResponse("it names nothing that was deleted, or that failed to be")
    refused = {key for key, _, _ in failed}
    failed += [
        (key, UNNAMED, "the store doesn't say whether it was")
        for key, version in targets
        if not (key in refused or (key, version) in named or (key, None) in named)
    ]
    return Deletion(tuple(failed))


def _new_object(config: S3Config) -> _Arguments:
    mode = config.server_side_encryption
    # S3 encrypts everything anyway. A header would override the bucket's default, which may be a key in KMS.
    arguments: _Arguments = {} if mode in ("auto", "off") else {"ServerSideEncryption": mode}
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


def _condition(request: PutObject | CompleteUpload) -> dict[str, str]:
    return _expecting(request.expected) if request.only_new or request.expected is not None else {}


def _expecting(expected: str | None) -> dict[str, str]:
    # Ceph compares the bare text; the others take an ETag with or without its quotes.
    return {"IfNoneMatch": "*"} if expected is None else {"IfMatch": expected}


def _range(first: int, length: int | None) -> dict[str, str]:
    if length is None:
        return {"Range": f"bytes={first}-"} if first else {}
    return {"Range": f"bytes={first}-{first + length - 1}"}


def _stored(_: Translator, __: Request[Any], response: Response) -> Stored:
    need(response.fields, "ETag")
    return Stored(etag(response.fields), date_of(response.fields))


def _swap_arguments(to: Translator, swap: CompareAndSwap) -> _Arguments:
    arguments = {**to.new, "Key": swap.key, **to.body(swap.body), **_expecting(swap.expected)}
    arguments.pop("StorageClass", None)  # a lease lives for seconds, and must be readable at once
    return arguments


def _body(_: Translator, get: GetObject, response: Response) -> Body:
    fields, data = response.fields, response.data
    need(fields, "ETag")
    need_body(get.first, get.length, fields, data)
    total = (fields.get("ContentRange") or "").partition("/")[2]
    landed = get.into is not None and data is get.into
    size = int(total) if total.isdecimal() else len(data)
    return Body(b"" if landed else bytes(data), etag(fields), size, landed)


def _aged_body(_: Translator, __: GetWithAge, response: Response) -> AgedBody:
    fields = response.fields
    need(fields, "ETag")
    need_body(0, GetWithAge.MOST, fields, response.data)
    headers = fields.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    age: float | None
    try:
        age = (parsedate_to_datetime(headers["date"]) - _modified(fields, headers)).total_seconds()
    except (KeyError, TypeError, ValueError):
        age = None
    return AgedBody(bytes(response.data), etag(fields), age)


def _modified(fields: Mapping[str, Any], headers: Mapping[str, str]) -> datetime:
    found = fields.get("LastModified")
    return found if found is not None else parsedate_to_datetime(headers["last-modified"])


def _list_arguments(to: Translator, listing: ListObjects) -> _Arguments:
    arguments: _Arguments = {**to.common, "Prefix": listing.prefix, "MaxKeys": listing.max_keys}
    if listing.token is not None:
        arguments["ContinuationToken"] = listing.token
    elif listing.start_after is not None:
        arguments["StartAfter"] = listing.start_after
    if listing.delimiter is not None:
        arguments["Delimiter"] = listing.delimiter
    return arguments


def _page(_: Translator, listing: ListObjects, response: Response) -> Page:
    fields = response.fields
    need(fields, "IsTruncated", "Name", "KeyCount")
    need_page(listing, fields)
    return Page(
        tuple(
            Entry(
                item["Key"],
                item["Size"],
                etag(item),
                item["LastModified"],
                item.get("StorageClass") or "STANDARD",
            )
            for item in fields.get("Contents", ())
        ),
        tuple(item["Prefix"] for item in fields.get("CommonPrefixes", ())),
        fields.get("NextContinuationToken") if fields.get("IsTruncated", True) else None,
    )


def _copy_arguments(to: Translator, copy: CopyObject) -> _Arguments:
    source = {"Bucket": to.bucket["Bucket"], "Key": copy.source, **of_version(copy.version)}
    arguments = {**to.tagged(copy.tag), "Key": copy.target, "CopySource": source}
    if "Tagging" in arguments:
        arguments["TaggingDirective"] = "REPLACE"
    if to.owner:
        arguments["ExpectedSourceBucketOwner"] = to.owner
    return arguments


def _copied(_: Translator, __: CopyObject, response: Response) -> Stored:
    result = response.fields.get("CopyObjectResult") or {}
    need(result, "ETag")
    return Stored(etag(result))


def _upload_id(_: Translator, __: CreateUpload, response: Response) -> str:
    need(response.fields, "UploadId")
    return str(response.fields["UploadId"])


def _part_arguments(to: Translator, part: UploadPart) -> _Arguments:
    upload = {"Key": part.key, "UploadId": part.upload_id, "PartNumber": part.number}
    return {**to.common, **upload, **to.body(part.body)}


def _part_etag(_: Translator, __: UploadPart, response: Response) -> str:
    need(response.fields, "ETag")
    return str(response.fields["ETag"])


def _complete_arguments(to: Translator, complete: CompleteUpload) -> _Arguments:
    parts = [{"ETag": etag, "PartNumber": number} for number, etag in enumerate(complete.etags, start=1)]
    upload = {"Key": complete.key, "UploadId": complete.upload_id, "MultipartUpload": {"Parts": parts}}
    return {**to.common, **upload, **_condition(complete)}


def _completed(_: Translator, __: CompleteUpload, response: Response) -> Stored:
    need(response.fields, "ETag", "Location", "Bucket", "Key")  # some stores name no ETag
    return Stored(etag(response.fields), date_of(response.fields))


def _aborted(_: Translator, __: AbortUpload, response: Response) -> Done:
    if response.fields.get("ResponseMetadata", {}).get("HTTPStatusCode", 204) != 204:
        raise InvalidResponse("its status isn't 204")
    return Done()


def _create_arguments(to: Translator, _: CreateBucket) -> _Arguments:
    arguments: _Arguments = {"Bucket": to.bucket["Bucket"]}
    if to.region not in (None, "us-east-1", "aws-global"):
        arguments["CreateBucketConfiguration"] = {"LocationConstraint": to.region}
    return arguments


CODECS: Final[Mapping[type[Request[Any]], RequestTranslation[Any]]] = {
    PutObject: RequestTranslation[PutObject](
        lambda to, put: {
            **(to.new if put.tag is None else to.tagged(put.tag)),
            "Key": put.key,
            **to.body(put.body),
            **_condition(put),
        },
        _stored,
    ),
    CompareAndSwap: RequestTranslation[CompareAndSwap](_swap_arguments, _stored),
    GetObject: RequestTranslation[GetObject](
        lambda to, get: {
            **to.common,
            "Key": get.key,
            **_range(get.first, get.length),
            **of_version(get.version),
        },
        _body,
    ),
    GetWithAge: RequestTranslation[GetWithAge](
        lambda to, get: {**to.common, "Key": get.key, **_range(0, GetWithAge.MOST)}, _aged_body
    ),
    HeadObject: RequestTranslation[HeadObject](lambda to, head: {**to.common, "Key": head.key}, _stored),
    ListObjects: RequestTranslation[ListObjects](_list_arguments, _page),
    DeleteObjects: RequestTranslation[DeleteObjects](
        _delete_arguments,
        lambda _, delete, response: deletion(response.fields, [(key, None) for key in delete.keys]),
    ),
    CopyObject: RequestTranslation[CopyObject](_copy_arguments, _copied),
    CreateUpload: RequestTranslation[CreateUpload](
        lambda to, create: {**to.tagged(create.tag), "Key": create.key}, _upload_id
    ),
    UploadPart: RequestTranslation[UploadPart](_part_arguments, _part_etag),
    CompleteUpload: RequestTranslation[CompleteUpload](_complete_arguments, _completed),
    AbortUpload: RequestTranslation[AbortUpload](
        lambda to, abort: {**to.common, "Key": abort.key, "UploadId": abort.upload_id}, _aborted
    ),
    CreateBucket: RequestTranslation[CreateBucket](_create_arguments, lambda _, __, ___: Done()),
}
"""The codecs of a saver's requests; `admin_translate.py` has the others."""

DATA_PLANE: Final = frozenset(CODECS) - {CreateBucket}
"""The requests for objects. The package's own HTTP client sends them; the others are sent with the SDK."""
