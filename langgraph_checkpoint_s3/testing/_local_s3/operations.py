"""S3's operations: what each does to the storage, and its answer.

A request names its operation by the method, by what it is about (a bucket, an object), and by a parameter
such as `?uploads`. One that isn't in `_OPERATIONS` is answered with 501, never taken for another. Settings of
buckets can be stored and read back. Only versioning has an effect: nothing expires, no policy is enforced.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
import zlib
from collections.abc import Callable, Mapping
from email.utils import formatdate
from typing import TypeAlias
from urllib.parse import parse_qsl, unquote, urlencode

from .listings import list_buckets, list_objects, list_uploads, list_versions, time
from .messages import Answer, Refused, Request, parse_xml, xml
from .storage import NULL, Storage, Version

REGION = "us-east-1"
MAX_BODY = 900_000_000
"""Maximum bytes of a body. SQLite has room for 1,000,000,000 in a row."""
_MIN_PART = 5 * 1024 * 1024
_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_EMPTY = {"accelerate": "AccelerateConfiguration", "versioning": "VersioningConfiguration"}
"""The documents of settings that are never absent."""
_ABSENT = {
    "cors": "NoSuchCORSConfiguration",
    "encryption": "ServerSideEncryptionConfigurationNotFoundError",
    "intelligent-tiering": "NoSuchConfiguration",
    "lifecycle": "NoSuchLifecycleConfiguration",
    "metrics": "NoSuchConfiguration",
    "ownershipControls": "OwnershipControlsNotFoundError",
    "policy": "NoSuchBucketPolicy",
    "publicAccessBlock": "NoSuchPublicAccessBlockConfiguration",
    "replication": "ReplicationConfigurationNotFoundError",
    "tagging": "NoSuchTagSet",
}
"""The error codes of settings that are absent."""
_LISTS = ("metrics", "intelligent-tiering")
"""Settings that a bucket can have several of, by their ids. Without an id, they are listed."""
_DIGESTS: Mapping[str, Callable[[bytes], bytes]] = {
    "content-md5": lambda body: hashlib.md5(body, usedforsecurity=False).digest(),
    "x-amz-checksum-crc32": lambda body: zlib.crc32(body).to_bytes(4, "big"),
    "x-amz-checksum-sha256": lambda body: hashlib.sha256(body).digest(),
}
"""The checksums that are verified."""
_CHECKSUM = re.compile(r"x-amz-checksum-(?:crc32c?|crc64nvme|sha1|sha256)")
_ENCRYPTION = "x-amz-server-side-encryption"
_KEPT = re.compile(
    r"content-(?:type|encoding|language|disposition)|cache-control|expires|x-amz-(?:meta-.+|storage-class)"
    rf"|{_ENCRYPTION}.*|{_CHECKSUM.pattern}"
)
"""The headers of a write that come back with reads."""
_PARAMETER = re.compile(
    r"[Xx]-[Aa]mz-.*|x-id|response-.*|versionId|id|list-type|encoding-type|prefix|delimiter|start-after|continuation-token"
    r"|(?:key-|version-id-|upload-id-)?marker|max-(?:keys|uploads|buckets)|fetch-owner"
)
"""The parameters that don't name an operation."""


def answer(storage: Storage, request: Request) -> Answer:
    """Execute a request in a transaction of its own.

    Raises:
        Refused: S3 would refuse it, too, or it is an operation that this server doesn't have.
    """
    about = "object" if request.key else "bucket" if request.bucket else "service"
    named = sorted(name for name in request.query if not _PARAMETER.fullmatch(name))
    operation = _OPERATIONS.get((request.method, about, *named))
    if operation is None:
        raise Refused(501, "NotImplemented", "The local server doesn't have this operation")
    if len(request.key.encode()) > 1024:
        raise Refused(400, "KeyTooLongError", "A key has 1,024 bytes at most")
    with storage.transaction():
        if request.bucket and operation is not _create_bucket:
            _need_bucket(storage, request.bucket)
        return operation(storage, request)


def _need_bucket(storage: Storage, name: str) -> None:
    if not storage.has_bucket(name):
        raise Refused(404, "NoSuchBucket", "The specified bucket does not exist")


def _create_bucket(storage: Storage, request: Request) -> Answer:
    if not _BUCKET_NAME.fullmatch(request.bucket):
        raise Refused(400, "InvalidBucketName", "The specified bucket is not valid")
    if not storage.create_bucket(request.bucket):
        raise Refused(409, "BucketAlreadyOwnedByYou", "There is a bucket of this name already")
    return Answer(headers={"Location": f"/{request.bucket}"})


def _delete_bucket(storage: Storage, request: Request) -> Answer:
    if storage.versions(request.bucket, "", 1 << 62, kind="version", limit=1):
        raise Refused(409, "BucketNotEmpty", "The bucket still has objects or versions")
    storage.delete_bucket(request.bucket)
    return Answer(204)


def _head_bucket(_: Storage, __: Request) -> Answer:
    return Answer(headers={"x-amz-bucket-region": REGION})


def _get_location(_: Storage, __: Request) -> Answer:
    return xml("LocationConstraint", ())


def _get_setting(storage: Storage, request: Request) -> Answer:
    name, setting_id = _setting(request)
    documents = storage.settings(request.bucket, name)
    if name in _LISTS and not setting_id:
        return Answer(body=[b"<List>", *map(_without_declaration, documents.values()), b"</List>"])
    if setting_id in documents:
        return Answer(body=[documents[setting_id]])
    if name in _EMPTY:
        return xml(_EMPTY[name], ())
    raise Refused(404, _ABSENT[name], f"The bucket has no {name}")


def _put_setting(storage: Storage, request: Request) -> Answer:
    name, setting_id = _setting(request)
    if name != "policy":
        parse_xml(request.body)
    storage.set_setting(request.bucket, name, setting_id, request.body)
    return Answer(204 if name == "policy" else 200)


def _without_declaration(document: bytes) -> bytes:
    return re.sub(rb"^\s*<\?xml[^>]*>", b"", document)


def _delete_setting(storage: Storage, request: Request) -> Answer:
    storage.set_setting(request.bucket, *_setting(request), None)
    return Answer(204)


def _setting(request: Request) -> tuple[str, str]:
    """Return a setting's name, and its id if a bucket can have several of it."""
    [name] = (_EMPTY.keys() | _ABSENT.keys()) & request.query.keys()
    return name, request.query.get("id", "")


def _put(storage: Storage, request: Request) -> Answer:
    if "x-amz-copy-source" in request.headers:
        return _copy(storage, request)
    _check_conditions(request, storage.find(request.bucket, request.key))
    etag = _check_body(request)
    data = _new_data()
    storage.add_part(data, 1, request.body, etag)
    return _written(_write(storage, request, data, len(request.body), etag, _kept(request), _tags(request)))


def _copy(storage: Storage, request: Request) -> Answer:
    path, _, version_id = request.headers["x-amz-copy-source"].partition("?versionId=")
    bucket, _, key = unquote(path).removeprefix("/").partition("/")
    _need_bucket(storage, bucket)
    source = _existing(storage, bucket, key, version_id or None)
    _check_conditions(request, storage.find(request.bucket, request.key))
    if request.headers.get("x-amz-copy-source-if-match", source.etag).strip('"') != source.etag:
        raise Refused(412, "PreconditionFailed", "The source has another ETag")
    headers, tags = source.headers, source.tags
    if request.headers.get("x-amz-metadata-directive") == "REPLACE":
        headers = _kept(request)
    if request.headers.get("x-amz-tagging-directive") == "REPLACE":
        tags = _tags(request)
    data = _new_data()
    storage.copy_parts(source.data, data)
    copy = _write(storage, request, data, source.size, source.etag, headers, tags)
    about = [("ETag", f'"{copy.etag}"'), ("LastModified", time(copy.modified))]
    return xml("CopyObjectResult", about, _written(copy).headers)


def _write(
    storage: Storage, request: Request, data: int, size: int, etag: str, headers: str, tags: str
) -> Version:
    return storage.write(
        request.bucket,
        request.key,
        "object",
        data=data,
        versioned=_versioning(storage, request.bucket) == "Enabled",
        size=size,
        etag=etag,
        headers=headers,
        tags=tags,
    )


def _written(version: Version) -> Answer:
    kept = json.loads(version.headers)
    echoed = {name: kept[name] for name in kept if name.startswith(_ENCRYPTION) or _CHECKSUM.fullmatch(name)}
    return Answer(headers={**echoed, **_identity(version)})


def _identity(version: Version) -> dict[str, str]:
    return {"ETag": f'"{version.etag}"', **_version_id(version)}


def _version_id(version: Version) -> dict[str, str]:
    return {} if version.id == NULL else {"x-amz-version-id": version.id}


def _get(storage: Storage, request: Request) -> Answer:
    query, given = request.query, request.headers
    found = _existing(storage, request.bucket, request.key, query.get("versionId"))
    headers = {**json.loads(found.headers), **_identity(found)}
    headers |= {"Last-Modified": formatdate(found.modified, usegmt=True), "Accept-Ranges": "bytes"}
    headers |= {name[9:]: query[name] for name in query if name.startswith("response-")}
    if found.tags:
        headers["x-amz-tagging-count"] = str(len(parse_qsl(found.tags)))
    if not _matches(given.get("if-match", "*"), found):
        raise Refused(412, "PreconditionFailed", "It has another ETag")
    if "if-none-match" in given and _matches(given["if-none-match"], found):
        return Answer(304, _identity(found))
    wanted = _range(given.get("range", ""), found.size)
    first, end = wanted or (0, found.size)
    if wanted or given.get("x-amz-checksum-mode", "").upper() != "ENABLED":
        headers = {name: value for name, value in headers.items() if not _CHECKSUM.fullmatch(name)}
    if wanted:
        headers["Content-Range"] = f"bytes {first}-{end - 1}/{found.size}"
    headers["Content-Length"] = str(end - first)
    body = storage.read(found.data, first, end) if request.method == "GET" else ()
    return Answer(206 if wanted else 200, headers, body)


def _range(text: str, size: int) -> tuple[int, int] | None:
    """Return the first byte of a range and the one behind it; `None` for the whole object."""
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", text)
    if found is None or found[0] == "bytes=-":
        return None
    first = int(found[1]) if found[1] else max(size - int(found[2]), 0)
    end = min(int(found[2]) + 1, size) if found[1] and found[2] else size
    if first >= end:
        raise Refused(
            416,
            "InvalidRange",
            "The requested range is not satisfiable",
            {"Content-Range": f"bytes */{size}"},
        )
    return first, end


def _delete(storage: Storage, request: Request) -> Answer:
    removed = _remove(
        storage, request.bucket, request.key, request.query.get("versionId"), request.headers.get("if-match")
    )
    return Answer(204, {} if removed is None else _removal(removed))


def _removal(version: Version) -> dict[str, str]:
    marker = {"x-amz-delete-marker": "true"} if version.kind == "marker" else {}
    return {**marker, **_version_id(version)}


def _remove(storage: Storage, bucket: str, key: str, id: str | None, etag: str | None) -> Version | None:
    """Delete an object or a version. Return the version that was removed, or the marker that was written."""
    found = storage.find(bucket, key, id)
    if etag is not None and found is not None and found.kind == "object" and not _matches(etag, found):
        raise Refused(412, "PreconditionFailed", "It has another ETag")
    versioning = _versioning(storage, bucket)
    if id is None and versioning is not None:
        versioned = versioning == "Enabled"
        return storage.write(bucket, key, "marker", data=_new_data(), versioned=versioned)
    if found is not None:
        storage.remove(found)
    return found if id is not None else None


def _delete_many(storage: Storage, request: Request) -> Answer:
    document = parse_xml(request.body)
    objects = document.findall("Object")
    if not 0 < len(objects) <= 1000:
        raise Refused(400, "MalformedXML", "1 to 1,000 objects can be deleted at once")
    results: list[tuple[str, list[tuple[str, str]]]] = []
    for each in objects:
        key, version_id, etag = (each.findtext(name) for name in ("Key", "VersionId", "ETag"))
        try:
            removed = _remove(storage, request.bucket, key or "", version_id, etag)
        except Refused as refused:
            about = [("Key", key or ""), ("Code", refused.code), ("Message", str(refused))]
            results.append(("Error", about))
            continue
        about = [("Key", key or ""), *([("VersionId", version_id)] if version_id else [])]
        if removed is not None and removed.kind == "marker":
            about += [("DeleteMarker", "true"), ("DeleteMarkerVersionId", removed.id)]
        if document.findtext("Quiet") != "true":
            results.append(("Deleted", about))
    return xml("DeleteResult", results)


def _get_tags(storage: Storage, request: Request) -> Answer:
    found = _existing(storage, request.bucket, request.key, request.query.get("versionId"))
    tags = parse_qsl(found.tags, keep_blank_values=True)
    return xml("Tagging", [("TagSet", [("Tag", [("Key", name), ("Value", value)]) for name, value in tags])])


def _set_tags(storage: Storage, request: Request) -> Answer:
    found = _existing(storage, request.bucket, request.key, request.query.get("versionId"))
    removing = request.method == "DELETE"
    tags = [] if removing else [*parse_xml(request.body).iter("Tag")]
    storage.set_tags(
        found, urlencode([(tag.findtext("Key") or "", tag.findtext("Value") or "") for tag in tags])
    )
    return Answer(204 if removing else 200)


def _create_upload(storage: Storage, request: Request) -> Answer:
    upload = storage.write(
        request.bucket,
        request.key,
        "upload",
        data=_new_data(),
        headers=_kept(request),
        tags=_tags(request),
    )
    about = [("Bucket", request.bucket), ("Key", request.key), ("UploadId", upload.id)]
    return xml("InitiateMultipartUploadResult", about)


def _upload_part(storage: Storage, request: Request) -> Answer:
    if "x-amz-copy-source" in request.headers:
        raise Refused(501, "NotImplemented", "The local server doesn't copy parts")
    upload = _upload(storage, request)
    number = request.query["partNumber"]
    if not number.isdecimal() or not 1 <= int(number) <= 10_000:
        raise Refused(400, "InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive")
    etag = _check_body(request)
    storage.add_part(upload.data, int(number), request.body, etag)
    return Answer(headers={"ETag": f'"{etag}"'})


def _complete_upload(storage: Storage, request: Request) -> Answer:
    upload = _upload(storage, request)
    there = storage.parts(upload.data)
    wanted = {
        int(part.findtext("PartNumber") or 0): (part.findtext("ETag") or "").strip('"')
        for part in parse_xml(request.body).iter("Part")
    }
    if not wanted or any(there.get(number, (0, ""))[1] != etag for number, etag in wanted.items()):
        raise Refused(400, "InvalidPart", "A part wasn't uploaded, or has another ETag")
    if [*wanted] != sorted(wanted):
        raise Refused(400, "InvalidPartOrder", "The parts aren't in ascending order")
    sizes = [there[number][0] for number in wanted]
    if any(size < _MIN_PART for size in sizes[:-1]):
        raise Refused(400, "EntityTooSmall", "Each part but the last has 5,242,880 bytes or more")
    _check_conditions(request, storage.find(request.bucket, request.key))
    for number in there.keys() - wanted.keys():
        storage.remove_part(upload.data, number)
    storage.remove(upload, and_parts=False)
    whole = hashlib.md5(b"".join(map(bytes.fromhex, wanted.values())), usedforsecurity=False).hexdigest()
    etag = f"{whole}-{len(wanted)}"
    written = _write(storage, request, upload.data, sum(sizes), etag, upload.headers, upload.tags)
    location = f"http://{request.headers.get('host')}/{request.bucket}/{request.key}"
    about = [("Location", location), ("Bucket", request.bucket), ("Key", request.key), ("ETag", f'"{etag}"')]
    return xml("CompleteMultipartUploadResult", about, _written(written).headers)


def _abort_upload(storage: Storage, request: Request) -> Answer:
    storage.remove(_upload(storage, request))
    return Answer(204)


def _upload(storage: Storage, request: Request) -> Version:
    upload = storage.upload(request.bucket, request.key, request.query["uploadId"])
    if upload is None:
        raise Refused(404, "NoSuchUpload", "The upload doesn't exist: it was completed or aborted")
    return upload


def _existing(storage: Storage, bucket: str, key: str, id: str | None) -> Version:
    found = storage.find(bucket, key, id)
    if found is not None and found.kind == "object":
        return found
    headers = {} if found is None else _removal(found)
    if found is not None and id is not None:
        raise Refused(405, "MethodNotAllowed", "The version is a delete marker", headers)
    code = "NoSuchKey" if id is None else "NoSuchVersion"
    raise Refused(404, code, "The specified key or version does not exist", headers)


def _versioning(storage: Storage, bucket: str) -> str | None:
    """Return `Enabled`, `Suspended`, or `None` for a bucket that never had versions."""
    document = storage.settings(bucket, "versioning").get("")
    return parse_xml(document).findtext("Status") if document else None


def _check_conditions(request: Request, found: Version | None) -> None:
    """Check a write's If-Match and If-None-Match against the present object."""
    present = found is not None and found.kind == "object"
    expected = request.headers.get("if-match")
    if expected is not None and not present:
        raise Refused(404, "NoSuchKey", "The specified key does not exist")
    if expected is not None and found is not None and not _matches(expected, found):
        raise Refused(412, "PreconditionFailed", "The object has another ETag")
    unexpected = request.headers.get("if-none-match")
    if unexpected not in (None, "*"):
        raise Refused(501, "NotImplemented", "A write's If-None-Match can only be *")
    if unexpected and present:
        raise Refused(412, "PreconditionFailed", "The object is there already")


def _matches(etags: str, found: Version) -> bool:
    """Return whether a condition's ETags (quoted or not, or `*`) are met."""
    return etags == "*" or found.etag in (each.strip().strip('"') for each in etags.split(","))


def _check_body(request: Request) -> str:
    """Check a body's checksums, and return its ETag."""
    for name, digest in _DIGESTS.items():
        sent = request.headers.get(name)
        if sent is not None and sent != base64.b64encode(digest(request.body)).decode():
            raise Refused(400, "BadDigest", f"The body has another {name}")
    return hashlib.md5(request.body, usedforsecurity=False).hexdigest()


def _kept(request: Request) -> str:
    return json.dumps({name: value for name, value in request.headers.items() if _KEPT.fullmatch(name)})


def _tags(request: Request) -> str:
    return urlencode(parse_qsl(request.headers.get("x-amz-tagging", ""), keep_blank_values=True))


def _new_data() -> int:
    return secrets.randbits(62)


Operation: TypeAlias = "Callable[[Storage, Request], Answer]"

_OPERATIONS: Mapping[tuple[str, ...], Operation] = {
    ("GET", "service"): list_buckets,
    ("PUT", "bucket"): _create_bucket,
    ("DELETE", "bucket"): _delete_bucket,
    ("HEAD", "bucket"): _head_bucket,
    ("GET", "bucket"): list_objects,
    ("GET", "bucket", "location"): _get_location,
    ("GET", "bucket", "versions"): list_versions,
    ("GET", "bucket", "uploads"): list_uploads,
    ("POST", "bucket", "delete"): _delete_many,
    **{("GET", "bucket", name): _get_setting for name in (*_EMPTY, *_ABSENT)},
    **{("PUT", "bucket", name): _put_setting for name in (*_EMPTY, *_ABSENT)},
    **{("DELETE", "bucket", name): _delete_setting for name in _ABSENT},
    ("GET", "object"): _get,
    ("HEAD", "object"): _get,
    ("PUT", "object"): _put,
    ("DELETE", "object"): _delete,
    ("GET", "object", "tagging"): _get_tags,
    ("PUT", "object", "tagging"): _set_tags,
    ("DELETE", "object", "tagging"): _set_tags,
    ("POST", "object", "uploads"): _create_upload,
    ("PUT", "object", "partNumber", "uploadId"): _upload_part,
    ("POST", "object", "uploadId"): _complete_upload,
    ("DELETE", "object", "uploadId"): _abort_upload,
}
