"""The errors of this package, and what each of them tells its reader.

    S3CheckpointError
    ├── InvalidConfigError        also ValueError           a setting that can't be
    ├── InvalidKeyError           also ValueError           a thread, namespace or id that can't be a key
    ├── BucketNotFoundError       also LookupError          the bucket isn't there
    ├── AccessDeniedError         also PermissionError      names the missing IAM action
    ├── CheckpointArchivedError                             in Glacier: says how to restore
    ├── CorruptObjectError                                  an object that can't be trusted
    ├── DecryptionError                                     a key is missing or wrong
    ├── ConflictError                                       a condition or lease held by another
    ├── NotSupportedError         also NotImplementedError  the store doesn't offer this
    └── StorageUnavailableError   also ConnectionError      attempts exhausted, or the store refused

Whoever catches the built-in class that an error also is needs no import from here. Where an
error came from S3, botocore's own is its `__cause__`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class S3CheckpointError(Exception):
    """Base class of every error that this package raises on purpose.

    Attributes:
        kind: A stable word for the class of error, for logs, metrics and `match`.
        reason: What happened and what to do, without the place.
        bucket: The bucket, where there is one.
        key: The object's key, where there is one.
        request_ids: S3's `x-amz-request-id` and `x-amz-id-2`, which AWS support asks for.
    """

    kind: ClassVar[str] = "error"

    def __init__(
        self,
        reason: str,
        *,
        bucket: str | None = None,
        key: str | None = None,
        request_ids: Sequence[str] = (),
    ) -> None:
        self.reason = reason
        self.bucket = bucket
        self.key = key
        self.request_ids = tuple(request_ids)
        super().__init__(reason)

    def __str__(self) -> str:
        place = f"s3://{self.bucket}/{self.key or ''}" if self.bucket else self.key
        details = [f"at {place}"] if place else []
        if self.request_ids:
            details.append(f"request {' '.join(self.request_ids)}")
        return f"{self.reason} ({'; '.join(details)})" if details else self.reason


class InvalidConfigError(S3CheckpointError, ValueError):
    """A setting is unknown, of the wrong type or out of range. Nothing was sent."""

    kind = "invalid_config"


class InvalidKeyError(S3CheckpointError, ValueError):
    """A thread, namespace, checkpoint or task id is missing or can't become a key. Nothing was sent."""

    kind = "invalid_key"


class BucketNotFoundError(S3CheckpointError, LookupError):
    """The bucket doesn't exist, or not in this account or region. `setup()` can create it."""

    kind = "bucket_not_found"


class AccessDeniedError(S3CheckpointError, PermissionError):
    """The credentials are missing, wrong, expired, or lack a permission.

    Attributes:
        action: The IAM action that the refused request needs, such as `s3:PutObject`.
        unauthenticated: Whether the credentials themselves are missing, wrong or expired, so that no
            permission would help.
    """

    kind = "access_denied"

    def __init__(
        self,
        reason: str,
        *,
        action: str | None = None,
        unauthenticated: bool = False,
        bucket: str | None = None,
        key: str | None = None,
        request_ids: Sequence[str] = (),
    ) -> None:
        super().__init__(reason, bucket=bucket, key=key, request_ids=request_ids)
        self.action = action
        self.unauthenticated = unauthenticated


class CheckpointArchivedError(S3CheckpointError):
    """The object lies in an offline archive class (Glacier) and must be restored before it can be read."""

    kind = "archived"


class CorruptObjectError(S3CheckpointError):
    """An object under one of our keys isn't ours, is damaged, or is of an unknown version.

    It is raised rather than skipped: a checkpoint that silently reads as absent or empty
    makes an agent start again.
    """

    kind = "corrupt_object"


class DecryptionError(S3CheckpointError):
    """An object can't be decrypted with the keys at hand."""

    kind = "decryption"


class ConflictError(S3CheckpointError):
    """A condition isn't met because somebody else holds or changed the object."""

    kind = "conflict"


class NotSupportedError(S3CheckpointError, NotImplementedError):
    """The store doesn't offer what was asked for. Nothing was changed."""

    kind = "not_supported"


class StorageUnavailableError(S3CheckpointError, ConnectionError):
    """S3 couldn't be reached, kept failing, or refused a request for a reason of its own.

    Attributes:
        attempts: How often the request was sent, where that is known.
        seconds: How long it was tried, where it was.
        status: The last HTTP status, where there was an answer.
    """

    kind = "unavailable"

    def __init__(
        self,
        reason: str,
        *,
        attempts: int | None = None,
        seconds: float | None = None,
        status: int | None = None,
        bucket: str | None = None,
        key: str | None = None,
        request_ids: Sequence[str] = (),
    ) -> None:
        super().__init__(reason, bucket=bucket, key=key, request_ids=request_ids)
        self.attempts = attempts
        self.seconds = seconds
        self.status = status
