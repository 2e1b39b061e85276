"""The admin module's requests in botocore's words, and its answers. `translate.py` hands them on to here."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from langgraph_checkpoint_s3.errors import NotSupportedError
from langgraph_checkpoint_s3.s3.admin_requests import (
    BucketHead,
    DeleteVersions,
    InspectBucket,
    InspectObject,
    ListUploads,
    ListVersions,
    ObjectInfo,
    RestoreObject,
    Sign,
    Upload,
    UploadPage,
    Version,
    VersionPage,
)
from langgraph_checkpoint_s3.s3.answer_checks import (
    NotAnAnswer,
    Received,
    need,
    need_below,
    need_no_page,
    need_progress,
)
from langgraph_checkpoint_s3.s3.botocore_fields import deletion, etag, of_version
from langgraph_checkpoint_s3.s3.bucket_settings import DeleteSetting, GetSetting, PutSetting
from langgraph_checkpoint_s3.s3.requests import Done, Request

_OPERATIONS: Final[Mapping[type[Request[Any]], str]] = {
    ListVersions: "ListObjectVersions",
    DeleteVersions: "DeleteObjects",
    ListUploads: "ListMultipartUploads",
    InspectObject: "HeadObject",
    RestoreObject: "RestoreObject",
    InspectBucket: "HeadBucket",
    Sign: "GeneratePresignedUrl",
}
IAM_ACTIONS: Final[Mapping[type[Request[Any]], str]] = {
    ListVersions: "s3:ListBucketVersions",
    DeleteVersions: "s3:DeleteObjectVersion",
    ListUploads: "s3:ListBucketMultipartUploads",
    InspectObject: "s3:GetObject",
    RestoreObject: "s3:RestoreObject",
    InspectBucket: "s3:ListBucket",
    Sign: "s3:GetObject",
}
"""What each request needs, but for settings, which know theirs."""

_SIGNED: Final = {"GET": "get_object", "PUT": "put_object"}
_OF_THE_BUCKET: Final = (InspectBucket, GetSetting, PutSetting, DeleteSetting)


def operation(request: Request[Any]) -> str:
    """S3's name of the operation."""
    match request:
        case GetSetting(setting):
            return setting.get
        case PutSetting(setting):
            return setting.put
        case DeleteSetting(setting):
            return setting.delete or ""
    return _OPERATIONS[type(request)]


def action(request: Request[Any]) -> str:
    """The IAM action that a request needs."""
    match request:
        case GetSetting(setting):
            return setting.read_action
        case PutSetting(setting) | DeleteSetting(setting):
            return setting.write_action
    return IAM_ACTIONS[type(request)]


def arguments(request: Request[Any], bucket: Mapping[str, Any], payer: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of the client's method.

    Args:
        request: The request.
        bucket: Those that name the bucket.
        payer: Those that say who pays.
    """
    made: dict[str, Any] = dict(bucket)
    if not isinstance(request, _OF_THE_BUCKET):
        made |= payer
    match request:
        case ListVersions(prefix, max_keys, marker):
            made |= {"Prefix": prefix, "MaxKeys": max_keys}
            if marker:
                made |= {"KeyMarker": marker[0], "VersionIdMarker": marker[1]}
        case DeleteVersions(versions):
            objects = [{"Key": key, "VersionId": version} for key, version in versions]
            made |= {"Delete": {"Objects": objects}}
        case ListUploads(prefix, marker):
            made |= {"Prefix": prefix}
            if marker:
                made |= {"KeyMarker": marker[0], "UploadIdMarker": marker[1]}
        case InspectObject(key, version):
            made |= {"Key": key} | of_version(version)
        case RestoreObject(key, days, tier, version):
            made |= {"Key": key} | of_version(version)
            made["RestoreRequest"] = {"GlacierJobParameters": {"Tier": tier}}
            if days is not None:
                made["RestoreRequest"]["Days"] = days
        case Sign(method, key, seconds):
            # Who follows a URL needn't know who the bucket belongs to.
            signed = {"Bucket": bucket["Bucket"], "Key": key, **payer}
            return {"ClientMethod": _SIGNED[method], "Params": signed, "ExpiresIn": seconds}
        case GetSetting(_, name) | DeleteSetting(_, name):
            made |= _named(name)
        case PutSetting(setting, document, name, more):
            made |= {setting.argument: document, **_named(name), **more}
    return made


def answer(request: Request[Any], response: Mapping[str, Any], received: Received | None = None) -> Any:
    """What a response means.

    Args:
        request: The request.
        response: The response, as botocore parsed it.
        received: What was seen of it before it was parsed.

    Raises:
        NotAnAnswer: It isn't S3's.
        NotSupportedError: It is an answer to something else: the store doesn't know the request.
    """
    match request:
        case ListVersions(prefix, _, marker):
            need(response, "IsTruncated", "Name")
            need_below(prefix, [*response.get("Versions", ()), *response.get("DeleteMarkers", ())])
            need_progress(marker, response, "NextVersionIdMarker")
            return _versions(response)
        case DeleteVersions(versions):
            return deletion(response, versions)
        case ListUploads(prefix, marker):
            need(response, "IsTruncated", "Bucket")
            need_below(prefix, response.get("Uploads", ()))
            need_progress(marker, response, "NextUploadIdMarker")
            return _uploads(response)
        case InspectObject():
            need(response, "ETag")
            return _info(response)
        case InspectBucket():
            return _bucket(response)
        case GetSetting():
            return _document(request, response, received)
    need_no_page(received)
    return True if isinstance(request, RestoreObject) else Done()


def _named(name: str | None) -> dict[str, str]:
    return {} if name is None else {"Id": name}


def _document(request: GetSetting, response: Mapping[str, Any], received: Received | None) -> Any:
    setting = request.setting
    if received is not None and not (received.root or received.beginning.lstrip().startswith(b"{")):
        raise NotAnAnswer("it has no document")
    if setting.member is not None:
        document = response.get(setting.member)
    else:
        document = {name: value for name, value in response.items() if name != "ResponseMetadata"}
    # Where "none" is an error, an empty answer isn't this setting's; and a policy is JSON, not a listing.
    listing = isinstance(document, str) and not document.lstrip().startswith("{")
    need_no_page(received)
    # What doesn't know the question takes it for the one for a listing: a `ListBucketResult`.
    other = received is not None and received.root.endswith("Result")
    if (not document and (setting.absent or other)) or listing:
        raise NotSupportedError(
            f"The store doesn't know a bucket's {setting.name}: it answers {setting.get} with something else"
        )
    return document or None


def _versions(response: Mapping[str, Any]) -> VersionPage:
    found = [
        Version(
            item["Key"],
            str(item.get("VersionId") or "null"),
            item.get("Size", 0),
            etag(item),
            item["LastModified"],
            bool(item.get("IsLatest")),
            marker,
            item.get("StorageClass") or "STANDARD",
        )
        for name, marker in (("Versions", False), ("DeleteMarkers", True))
        for item in response.get(name, ())
    ]
    # S3 answers with versions and markers in two lists. Within a key, the newest is the latest one.
    found.sort(key=lambda each: (each.key, not each.latest, -each.modified.timestamp()))
    return VersionPage(tuple(found), _marker(response, "NextVersionIdMarker"))


def _uploads(response: Mapping[str, Any]) -> UploadPage:
    uploads = tuple(
        Upload(item["Key"], item["UploadId"], item["Initiated"]) for item in response.get("Uploads", ())
    )
    return UploadPage(uploads, _marker(response, "NextUploadIdMarker"))


def _marker(response: Mapping[str, Any], second: str) -> tuple[str, str] | None:
    if not response.get("IsTruncated"):
        return None
    return str(response.get("NextKeyMarker") or ""), str(response.get(second) or "")


def _info(response: Mapping[str, Any]) -> ObjectInfo:
    return ObjectInfo(
        response.get("ContentLength", 0),
        etag(response),
        response["LastModified"],
        response.get("StorageClass") or "STANDARD",
        response.get("ServerSideEncryption"),
        response.get("Restore"),
        response.get("ArchiveStatus"),
    )


def _bucket(response: Mapping[str, Any]) -> BucketHead:
    headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    date: datetime | None = None
    try:
        date = parsedate_to_datetime(headers["date"])
    except (KeyError, ValueError, TypeError):
        date = None
    return BucketHead(response.get("BucketRegion") or headers.get("x-amz-bucket-region"), date)
