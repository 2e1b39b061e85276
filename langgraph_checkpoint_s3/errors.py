"""The package's exceptions.

    S3CheckpointError
    ├── InvalidConfigError        also ValueError           a setting is wrong
    ├── InvalidKeyError           also ValueError           an id can't become part of a key
    ├── BucketNotFoundError       also LookupError          the bucket doesn't exist
    ├── AccessDeniedError         also PermissionError      names the missing IAM action
    ├── CheckpointArchivedError                             in Glacier: must be restored first
    ├── CorruptObjectError                                  an object is damaged or foreign
    ├── DecryptionError                                     a key is missing or wrong
    ├── ConflictError                                       another process changed or holds it
    ├── NotSupportedError         also NotImplementedError  the store lacks a feature
    └── StorageUnavailableError   also ConnectionError      retries exhausted, or the store refused

Several are also built-in exceptions, which can be caught without an import from here. The `__cause__` of an
error that came from S3 is botocore's own exception.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, TypeAlias

ErrorKind: TypeAlias = Literal[
    "error",
    "invalid_config",
    "invalid_key",
    "bucket_not_found",
    "access_denied",
    "archived",
    "corrupt_object",
    "decryption",
    "conflict",
    "not_supported",
    "unavailable",
    "migration",
]
"""Values of `S3CheckpointError.kind`: one for each class. `migration` is that of `admin.MigrationError`."""


class S3CheckpointError(Exception):
    """Base class of all exceptions that this package raises.

    Attributes:
        kind: A stable name of the class of error, for logs, metrics and `match`.
        reason: The message without the bucket, key and request ids.
        bucket: The bucket, if the error is about one.
        key: The object's key, if the error is about one.
        request_ids: S3's `x-amz-request-id` and `x-amz-id-2`, which AWS support asks for.
    """

    kind: ClassVar[ErrorKind] = "error"

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
    """A thread, namespace, checkpoint or task id is missing or can't be part of a key. Nothing was sent."""

    kind = "invalid_key"


class BucketNotFoundError(S3CheckpointError, LookupError):
    """The bucket doesn't exist, or is in another account or region. `setup()` can create it."""

    kind = "bucket_not_found"


class AccessDeniedError(S3CheckpointError, PermissionError):
    """The credentials are missing, wrong, expired, or lack a permission.

    Attributes:
        action: The IAM action that the refused request needs, such as `s3:PutObject`.
        unauthenticated: Whether the credentials themselves are missing, wrong or expired. Then no
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
    """The object is in an archive class (Glacier) and must be restored before it can be read."""

    kind = "archived"


class CorruptObjectError(S3CheckpointError):
    """An object is damaged, of an unknown format version, or wasn't written by this package.

    Such objects aren't skipped: if a checkpoint silently read as absent or empty, the agent would start
    again.
    """

    kind = "corrupt_object"


class DecryptionError(S3CheckpointError):
    """An object can't be decrypted with the available keys."""

    kind = "decryption"


class ConflictError(S3CheckpointError):
    """A condition isn't met because another process holds or changed the object."""

    kind = "conflict"


class NotSupportedError(S3CheckpointError, NotImplementedError):
    """The store doesn't support the operation. Nothing was changed."""

    kind = "not_supported"


class StorageUnavailableError(S3CheckpointError, ConnectionError):
    """S3 couldn't be reached, kept failing, or refused a request for another reason.

    Attributes:
        attempts: How often the request was sent, if known.
        seconds: How long it was tried, if it was.
        status: The last HTTP status, if there was a response.
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
