"""Codecs of the admin module's requests. See `translate.py`, which imports this for them only."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from langgraph_checkpoint_s3.errors import NotSupportedError
from langgraph_checkpoint_s3.s3.admin_requests import (
    BucketHead,
    DeleteVersions,
    GetTags,
    InspectBucket,
    InspectObject,
    ListUploads,
    ListVersions,
    ObjectInfo,
    PutTags,
    RestoreObject,
    Sign,
    Signed,
    Upload,
    UploadPage,
    Version,
    VersionPage,
)
from langgraph_checkpoint_s3.s3.answer_checks import (
    InvalidResponse,
    need,
    need_below,
    need_no_page,
    need_progress,
)
from langgraph_checkpoint_s3.s3.bucket_settings import DeleteSetting, GetSetting, PutSetting
from langgraph_checkpoint_s3.s3.requests import Done, Request
from langgraph_checkpoint_s3.s3.translate import (
    RequestTranslation,
    Response,
    Translator,
    deletion,
    etag,
)


def _versions_arguments(to: Translator, listing: ListVersions) -> dict[str, Any]:
    arguments = {**to.common, "Prefix": listing.prefix, "MaxKeys": listing.max_keys}
    if listing.marker:
        arguments |= {"KeyMarker": listing.marker[0], "VersionIdMarker": listing.marker[1]}
    return arguments


def _versions(_: Translator, listing: ListVersions, response: Response) -> VersionPage:
    fields = response.fields
    need(fields, "IsTruncated", "Name")
    need_below(listing.prefix, [*fields.get("Versions", ()), *fields.get("DeleteMarkers", ())])
    need_progress(listing.marker, fields, "NextVersionIdMarker")
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
        for item in fields.get(name, ())
    ]
    # S3 answers with versions and markers in two lists. Within a key, the newest is the latest one.
    found.sort(key=lambda each: (each.key, not each.latest, -each.modified.timestamp()))
    return VersionPage(tuple(found), _marker(fields, "NextVersionIdMarker"))


def _marker(fields: Mapping[str, Any], second: str) -> tuple[str, str] | None:
    if not fields.get("IsTruncated"):
        return None
    return str(fields.get("NextKeyMarker") or ""), str(fields.get(second) or "")


def _uploads_arguments(to: Translator, listing: ListUploads) -> dict[str, Any]:
    arguments = {**to.common, "Prefix": listing.prefix}
    if listing.marker:
        arguments |= {"KeyMarker": listing.marker[0], "UploadIdMarker": listing.marker[1]}
    return arguments


def _uploads(_: Translator, listing: ListUploads, response: Response) -> UploadPage:
    fields = response.fields
    need(fields, "IsTruncated", "Bucket")
    need_below(listing.prefix, fields.get("Uploads", ()))
    need_progress(listing.marker, fields, "NextUploadIdMarker")
    uploads = (Upload(item["Key"], item["UploadId"], item["Initiated"]) for item in fields.get("Uploads", ()))
    return UploadPage(tuple(uploads), _marker(fields, "NextUploadIdMarker"))


def _object_info(_: Translator, __: InspectObject, response: Response) -> ObjectInfo:
    fields = response.fields
    need(fields, "ETag")
    return ObjectInfo(
        fields.get("ContentLength", 0),
        etag(fields),
        fields.get("StorageClass") or "STANDARD",
        fields.get("Restore"),
        fields.get("ArchiveStatus"),
    )


def _tags(_: Translator, __: GetTags, response: Response) -> Mapping[str, str]:
    received = response.received
    if "TagSet" not in response.fields or (received is not None and received.root not in ("Tagging", "")):
        raise no_tags()
    return {tag["Key"]: tag.get("Value", "") for tag in response.fields["TagSet"]}


def no_tags() -> NotSupportedError:
    """Return the error for a store that takes the question for an object's tags for another one."""
    return NotSupportedError(
        "The store has no tags of objects: it answers GetObjectTagging with something else. Retention "
        "classes and pinned threads need tags"
    )


def _tags_arguments(to: Translator, put: PutTags) -> dict[str, Any]:
    tags = [{"Key": name, "Value": value} for name, value in put.tags]
    return {**to.common, "Key": put.key, "Tagging": {"TagSet": tags}}


def _restore_arguments(to: Translator, restore: RestoreObject) -> dict[str, Any]:
    wanted: dict[str, Any] = {"GlacierJobParameters": {"Tier": restore.tier}}
    if restore.days is not None:
        wanted["Days"] = restore.days
    return {**to.common, "Key": restore.key, "RestoreRequest": wanted}


def _restored(_: Translator, __: RestoreObject, response: Response) -> bool:
    need_no_page(response.received)
    return True


def _bucket_head(to: Translator, _: InspectBucket, response: Response) -> BucketHead:
    headers = response.fields.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    date: datetime | None
    try:
        date = parsedate_to_datetime(headers["date"])
    except (KeyError, ValueError, TypeError):
        date = None
    region = response.fields.get("BucketRegion") or headers.get("x-amz-bucket-region")
    return BucketHead(region, date, to.region)


def _sign_arguments(to: Translator, sign: Sign) -> dict[str, Any]:
    # Without the expected owner: clients that follow a URL needn't know it.
    signed = {"Bucket": to.bucket["Bucket"], "Key": sign.key, **to.payer}
    method = {"GET": "get_object", "PUT": "put_object"}[sign.method]
    return {"ClientMethod": method, "Params": signed, "ExpiresIn": sign.seconds}


def _signed(to: Translator, sign: Sign, response: Response) -> Signed:
    url = response.fields
    # Credentials that botocore refreshes know when they expire; other temporary ones don't.
    ends_within = getattr(to.credentials, "refresh_needed", None)
    if ends_within is not None and getattr(to.credentials, "has_known_expiry", True):
        return Signed(url, bool(ends_within(sign.seconds)))
    return Signed(url, temporary="X-Amz-Security-Token=" in url)


def _of_setting(to: Translator, id: str | None) -> dict[str, Any]:
    return dict(to.bucket) if id is None else {**to.bucket, "Id": id}


def _document(_: Translator, get: GetSetting, response: Response) -> Any:
    setting, fields, received = get.setting, response.fields, response.received
    if received is not None and not (received.root or received.beginning.lstrip().startswith(b"{")):
        raise InvalidResponse("it has no document")
    if setting.member is not None:
        document = fields.get(setting.member)
    else:
        document = {name: value for name, value in fields.items() if name != "ResponseMetadata"}
    # A policy is JSON: any other text is a listing's.
    listing = isinstance(document, str) and not document.lstrip().startswith("{")
    need_no_page(received)
    # A store that doesn't know the operation takes it for a listing, and answers with a `ListBucketResult`.
    other = received is not None and received.root.endswith("Result")
    # An empty answer can't be the setting's either if S3 tells its absence by an error code.
    if (not document and (setting.absent or other)) or listing:
        raise NotSupportedError(
            f"The store doesn't know a bucket's {setting.name}: it answers {setting.get} with something else"
        )
    return document or None


def _changed(_: Translator, __: PutSetting | DeleteSetting | PutTags, response: Response) -> Done:
    need_no_page(response.received)
    return Done()


CODECS: Final[Mapping[type[Request[Any]], RequestTranslation[Any]]] = {
    ListVersions: RequestTranslation[ListVersions](_versions_arguments, _versions),
    DeleteVersions: RequestTranslation[DeleteVersions](
        lambda to, delete: {
            **to.common,
            "Delete": {"Objects": [{"Key": key, "VersionId": version} for key, version in delete.versions]},
        },
        lambda _, delete, response: deletion(response.fields, delete.versions),
    ),
    ListUploads: RequestTranslation[ListUploads](_uploads_arguments, _uploads),
    InspectObject: RequestTranslation[InspectObject](
        lambda to, inspect: {**to.common, "Key": inspect.key}, _object_info
    ),
    GetTags: RequestTranslation[GetTags](lambda to, get: {**to.common, "Key": get.key}, _tags),
    PutTags: RequestTranslation[PutTags](_tags_arguments, _changed),
    RestoreObject: RequestTranslation[RestoreObject](_restore_arguments, _restored),
    InspectBucket: RequestTranslation[InspectBucket](lambda to, _: dict(to.bucket), _bucket_head),
    Sign: RequestTranslation[Sign](_sign_arguments, _signed),
    GetSetting: RequestTranslation[GetSetting](lambda to, get: _of_setting(to, get.id), _document),
    PutSetting: RequestTranslation[PutSetting](
        lambda to, put: {**_of_setting(to, put.id), put.setting.argument: put.document, **put.more}, _changed
    ),
    DeleteSetting: RequestTranslation[DeleteSetting](lambda to, delete: _of_setting(to, delete.id), _changed),
}
"""The codecs of the admin module's requests."""
