"""Requests that only the admin module sends, and their answers. See `requests.py`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Literal

from langgraph_checkpoint_s3.s3.requests import Deletion, NotFound, Record, Request

RestoreTier = Literal["Standard", "Bulk", "Expedited"]
SignedMethod = Literal["GET", "PUT"]


@dataclass(slots=True, eq=False, repr=False)
class Version(Record):
    """A version of an object, or a delete marker.

    Attributes:
        key: The object.
        version_id: The version's id; `null` if it was written without versioning.
        size: Its length in bytes; 0 for a delete marker.
        etag: Its ETag; empty for a delete marker.
        modified: When it was written.
        latest: Whether it is the current version.
        marker: Whether it is a delete marker.
        storage_class: Its storage class.
    """

    key: str
    version_id: str
    size: int
    etag: str
    modified: datetime
    latest: bool
    marker: bool
    storage_class: str = "STANDARD"


@dataclass(slots=True, eq=False, repr=False)
class VersionPage(Record):
    """One page of versions, by key, newest first. `marker` leads to the next; it is `None` on the last."""

    versions: tuple[Version, ...]
    marker: tuple[str, str] | None


@dataclass(slots=True, eq=False, repr=False)
class Upload(Record):
    """A multipart upload that was neither completed nor aborted."""

    key: str
    upload_id: str
    begun: datetime


@dataclass(slots=True, eq=False, repr=False)
class UploadPage(Record):
    """One page of uploads. `marker` leads to the next one, and is `None` on the last."""

    uploads: tuple[Upload, ...]
    marker: tuple[str, str] | None


@dataclass(slots=True, eq=False, repr=False)
class ObjectInfo(Record):
    """The answer to a HEAD of an object.

    Attributes:
        size: Its length in bytes.
        etag: Its ETag.
        storage_class: Its storage class.
        restore: The `x-amz-restore` header, of an object that is being restored or was.
        archive_status: The archive tier of Intelligent-Tiering that it is in.
    """

    size: int
    etag: str
    storage_class: str
    restore: str | None
    archive_status: str | None


@dataclass(slots=True, eq=False, repr=False)
class BucketHead(Record):
    """The answer to a HEAD of the bucket.

    Attributes:
        region: Its region; `None` where the store doesn't say.
        date: The store's clock, to the second; `None` where it doesn't say.
        client_region: The client's region.
    """

    region: str | None
    date: datetime | None
    client_region: str | None = None


@dataclass(slots=True, eq=False, repr=False)
class Signed(Record):
    """A signed URL.

    Attributes:
        url: The URL. It grants access by itself, so it is kept out of reprs and logs.
        outlives_credentials: Whether the credentials are known to expire before the URL does.
        temporary: Whether the credentials are temporary, with an expiry that isn't known here.
    """

    url: str = field(repr=False)
    outlives_credentials: bool = False
    temporary: bool = False


@dataclass(slots=True, eq=False, repr=False)
class ListVersions(Request[VersionPage]):
    """List all versions of the keys below a prefix."""

    operation: ClassVar[str] = "ListObjectVersions"
    action: ClassVar[str] = "s3:ListBucketVersions"

    prefix: str
    max_keys: int = 1000
    marker: tuple[str, str] | None = None


@dataclass(slots=True, eq=False, repr=False)
class DeleteVersions(Request[Deletion]):
    """Delete up to 1,000 versions or delete markers for good, each a key and a version id."""

    operation: ClassVar[str] = "DeleteObjects"
    action: ClassVar[str] = "s3:DeleteObjectVersion"

    versions: tuple[tuple[str, str], ...]

    def only(self, keys: Collection[str]) -> DeleteVersions:
        """Return the same for all versions of some of the keys. Deleting one again is no failure."""
        return DeleteVersions(tuple(each for each in self.versions if each[0] in keys))


@dataclass(slots=True, eq=False, repr=False)
class ListUploads(Request[UploadPage]):
    """List the unfinished multipart uploads below a prefix."""

    operation: ClassVar[str] = "ListMultipartUploads"
    action: ClassVar[str] = "s3:ListBucketMultipartUploads"

    prefix: str
    marker: tuple[str, str] | None = None


@dataclass(slots=True, eq=False, repr=False)
class InspectObject(Request[ObjectInfo | NotFound]):
    """Read the metadata of an object."""

    operation: ClassVar[str] = "HeadObject"
    action: ClassVar[str] = "s3:GetObject"

    key: str


@dataclass(slots=True, eq=False, repr=False)
class RestoreObject(Request[bool | NotFound]):
    """Restore an archived object for some days; the answer is whether that began with this request.

    `False`: it is under way already. `days` is `None` for objects that Intelligent-Tiering archived: those
    stay restored.
    """

    operation: ClassVar[str] = "RestoreObject"
    action: ClassVar[str] = "s3:RestoreObject"

    key: str
    days: int | None
    tier: RestoreTier = "Standard"


@dataclass(slots=True, eq=False, repr=False)
class InspectBucket(Request[BucketHead]):
    """Read the bucket's region and the store's time."""

    operation: ClassVar[str] = "HeadBucket"
    action: ClassVar[str] = "s3:ListBucket"


@dataclass(slots=True, eq=False, repr=False)
class Sign(Request[Signed]):
    """Sign a URL. Nothing is sent.

    Attributes:
        method: The method that the URL allows.
        key: The object.
        seconds: How long it is valid.
    """

    is_sent: ClassVar[bool] = False
    operation: ClassVar[str] = "GeneratePresignedUrl"
    action: ClassVar[str] = "s3:GetObject"

    method: SignedMethod
    key: str
    seconds: int
