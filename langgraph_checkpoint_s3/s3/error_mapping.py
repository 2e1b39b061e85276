"""Judges what went wrong with a request: an outcome, worth another try, or an error of ours.

One table for both clients: aiobotocore raises botocore's errors, and what escapes it is an
`OSError` or one of the HTTP library's own.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from botocore import exceptions as boto

from langgraph_checkpoint_s3.aws import credentials_error
from langgraph_checkpoint_s3.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    CheckpointArchivedError,
    InvalidConfigError,
    InvalidKeyError,
    NotSupportedError,
    S3CheckpointError,
    StorageUnavailableError,
)
from langgraph_checkpoint_s3.request_timeout import TooSlowError
from langgraph_checkpoint_s3.s3.admin_requests import InspectObject, ListUploads, RestoreObject, UploadPage
from langgraph_checkpoint_s3.s3.answer_checks import (
    NotAnAnswer,
    Received,
    Unfinished,
    Unlike,
    redirected,
    told,
)
from langgraph_checkpoint_s3.s3.bucket_settings import DeleteSetting, GetSetting, PutSetting
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
    GetObject,
    GetWithAge,
    HeadObject,
    ListObjects,
    NotFound,
    PreconditionFailed,
    PutObject,
    Request,
    UploadPart,
)

IAM_ACTIONS: Final[Mapping[type[Request[Any]], str]] = {
    PutObject: "s3:PutObject",
    CompareAndSwap: "s3:GetObject and s3:PutObject",
    GetWithAge: "s3:GetObject",
    GetObject: "s3:GetObject",
    HeadObject: "s3:GetObject",
    ListObjects: "s3:ListBucket",
    DeleteObjects: "s3:DeleteObject",
    CopyObject: "s3:GetObject and s3:PutObject",
    CreateUpload: "s3:PutObject",
    UploadPart: "s3:PutObject",
    CompleteUpload: "s3:PutObject",
    AbortUpload: "s3:AbortMultipartUpload",
    CreateBucket: "s3:CreateBucket",
}
"""What each of a saver's requests needs (https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html)."""

_REGION: Final = frozenset(
    {
        "PermanentRedirect",
        "TemporaryRedirect",
        "Redirect",
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
        "InvalidLocationConstraint",
    }
)
_SETTINGS: Final = frozenset(
    {
        "InvalidBucketName",
        "InvalidStorageClass",
        "InvalidTag",
    }
)
_KEYS: Final[Mapping[str, str]] = {
    "NotFoundException": "KMS knows no such key: check kms_key_id, its account, and that its region is "
    "the bucket's",
    "InvalidArnException": "It is no key's ARN, or one of another region than the bucket's: check kms_key_id",
    "InvalidKeyId": "It is no key's id: check kms_key_id",
    "DisabledException": "The key is disabled: enable it (kms:EnableKey)",
    "KMSInvalidStateException": "The key's state doesn't allow that: if its deletion is pending, cancel it "
    "(kms:CancelKeyDeletion), then enable the key (kms:EnableKey)",
    "InvalidKeyUsageException": "The key isn't a symmetric one for encryption: take another one",
    "ValidationException": "KMS takes the request for invalid: check kms_key_id",
}
"""What is wrong with a key in KMS, by the code behind `KMS.`, and what to do."""
_KMS_AGAIN: Final = ("Throttling", "KMSInternal", "DependencyTimeout", "LimitExceeded", "KeyUnavailable")
"""How the codes of KMS begin that may be another one the next time."""
_CONFLICTS: Final = frozenset({"ConditionalRequestConflict", "OperationAborted"})
_TOLD: Final = frozenset(
    {
        *("Code", "Message", "Key", "Bucket", "BucketName", "Region", "Endpoint", "Resource", "Condition"),
        *("StorageClass", "AccessTier", "UploadId", "Method", "ResourceType", "Header", "ArgumentName"),
    }
)
"""What stays of the details in an error of botocore's."""
_PERFORM: Final = re.compile(r"not authorized to perform: ([A-Za-z0-9]+:[A-Za-z0-9*]+)")
_UNMAKEABLE: Final = (
    *(boto.ParamValidationError, boto.InvalidRegionError, boto.NoRegionError),
    *(boto.ProfileNotFound, boto.ConfigNotFound, boto.ConfigParseError, boto.InvalidConfigError),
    *(boto.UnsupportedS3ArnError, boto.UnsupportedS3ConfigurationError, boto.EndpointProviderError),
    boto.UnsupportedS3AccesspointConfigurationError,
)
_FOREIGN: Final = ("aiohttp", "urllib3", "aiobotocore", "httpx")


@dataclass(frozen=True, slots=True)
class Retry:
    """The request is worth sending again, since the client library itself doesn't.

    Attributes:
        why: What was wrong, for the log, and for the error where it stays so.
        status: The status of what came, if something did.
    """

    why: str
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Unconditional:
    """The store seems not to know conditional writes: the request is to be sent without the condition.

    Attributes:
        otherwise: What to raise if it was sent without one.
    """

    otherwise: S3CheckpointError


@dataclass(frozen=True, slots=True)
class Outcome:
    """The error is an answer."""

    answer: Any


def client_error(error: Exception, bucket: str) -> S3CheckpointError | None:
    """The error for a client that couldn't be made; `None` if it isn't about its settings."""
    told = credentials_error(error, bucket=bucket)
    if told is not None:
        return told
    if isinstance(error, (boto.BotoCoreError, ValueError)):
        return InvalidConfigError(
            f"The S3 client can't be made with these settings (region, endpoint, profile): {error}",
            bucket=bucket,
        )
    return None


def classify(
    error: Exception,
    request: Request[Any],
    bucket: str,
    *,
    reading: bool = False,
    received: Received | None = None,
) -> Outcome | Retry | Unconditional | S3CheckpointError | None:
    """What to make of an error.

    Args:
        error: What was raised.
        request: What for.
        bucket: The bucket, for errors.
        reading: Whether the answer's body was being read. The client library retries what goes
            wrong before that, and nothing after.
        received: What came last.

    Returns:
        What to do, or the error to raise; `None` if it isn't one of S3 or the way there, but of
        somebody's code.
    """
    _redact(error)
    refused = credentials_error(error, bucket=bucket, key=_key(request))
    if refused is not None:
        return refused
    if isinstance(error, TooSlowError):  # by `LimitTimer`: the client library didn't see it
        return Retry(str(error))
    if isinstance(error, NotAnAnswer):
        return Retry(told(request, str(error), received), received.status if received else None)
    if isinstance(error, Unfinished):
        return Retry(str(error))
    if isinstance(error, Unlike):
        return NotSupportedError(
            f"The store doesn't list as S3 does, and by that a saver finds the latest checkpoint: {error}. "
            "Use a store, or a kind of bucket, that lists keys in ascending order, by their bytes",
            bucket=bucket,
            key=_key(request),
        )
    if isinstance(error, S3CheckpointError):
        return error
    if isinstance(error, boto.ClientError):
        return _of_response(error, request, bucket, received)
    if reading and (isinstance(error, boto.BotoCoreError) or _is_foreign(error)):
        return Retry(f"the body broke off ({type(error).__name__})")
    if isinstance(error, _UNMAKEABLE):
        return InvalidConfigError(f"The request can't be made: {error}", bucket=bucket)
    if isinstance(error, boto.BotoCoreError) or _is_foreign(error):
        reason = f"{type(error).__name__}: {error}"
        reason = f"The store can't be reached ({reason}). Check endpoint_url, region and network"
        return StorageUnavailableError(reason, bucket=bucket, key=_key(request))
    return None


def _redact(error: Exception) -> None:
    """Take out of botocore's error, which is the cause of ours, what it holds of the request.

    Of a request that it refuses, S3 sends back the session token, or all that was signed. Of one that
    gets no answer, botocore keeps the headers.
    """
    if isinstance(error, boto.ClientError):
        response: Any = error.response
        details: Mapping[str, Any] = response.get("Error", {})
        response["Error"] = {name: value for name, value in details.items() if name in _TOLD}
    elif isinstance(error, boto.HTTPClientError):
        for held in (vars(error), error.kwargs):
            for name in ("request", "response"):
                held.pop(name, None)  # type: ignore[misc]  # more than its types know


def _of_response(
    error: boto.ClientError, request: Request[Any], bucket: str, received: Received | None
) -> Outcome | Retry | Unconditional | S3CheckpointError:
    response: Mapping[str, Any] = error.response
    details = response.get("Error", {})
    code, message = str(details.get("Code", "")), str(details.get("Message", ""))
    metadata = response.get("ResponseMetadata", {})
    status = int(metadata.get("HTTPStatusCode", 0))
    outcome = _outcome(code, status, request)
    if outcome is not None:
        return outcome
    ids = tuple(metadata[name] for name in ("RequestId", "HostId") if metadata.get(name))
    where: dict[str, Any] = {"bucket": bucket, "key": _key(request), "request_ids": ids}
    if code == "NoSuchBucket":
        return BucketNotFoundError("The bucket doesn't exist. Make it, or call setup()", **where)
    if isinstance(request, PutSetting) and code in ("BucketAlreadyExists", "BucketAlreadyOwnedByYou"):
        return NotSupportedError(
            f"This store doesn't support {_named(request)}: it takes it for CreateBucket", **where
        )
    if code in ("BucketAlreadyExists", "BucketNameUnavailable"):
        return BucketNotFoundError(
            "The bucket's name is taken by another account: choose another one", **where
        )
    if code == "InvalidObjectState":
        return CheckpointArchivedError(
            "The object lies in an offline archive class (Glacier): restore it with S3Admin.restore_archived "
            "(s3:RestoreObject), then try again",
            **where,
        )
    headers = metadata.get("HTTPHeaders") or {}
    if 300 <= status < 400 and code not in _REGION and "x-amz-bucket-region" not in headers:
        return Retry(redirected(request, status, headers.get("location")), status)
    if code in _REGION or 300 <= status < 400:
        return InvalidConfigError(
            f"The region doesn't fit the bucket ({code}: {message}): set region", **where
        )
    if code == "KeyTooLongError":
        return InvalidKeyError(f"The store takes no key as long as this ({message})", **where)
    if (wrong := _wrong_key(code)) is not None:
        return InvalidConfigError(f"The KMS key can't be used. {wrong} ({code}: {message})", **where)
    if code in _SETTINGS:
        return InvalidConfigError(f"The store refuses a setting ({code}: {message})", **where)
    if code == "AccessDenied" or status in (401, 403):
        return _denied(code, message, request, where)
    if status in (405, 501) and type(request) not in IAM_ACTIONS:
        return NotSupportedError(
            f"This store doesn't support {_named(request)} (it answers {status} {code} {message})", **where
        )
    if isinstance(request, CompareAndSwap) and status == 501:
        return NotSupportedError(
            f"This store has no conditional writes, so it can't keep a lease (501 {code} {message})",
            **where,
        )
    attempts = int(metadata.get("RetryAttempts", 0)) + 1
    hint = ": the store doesn't offer this" if status == 501 else ""
    page = received is not None and received.beginning and received.root != "Error"
    if page:  # a 200 whose document isn't XML counts as a 500 with botocore
        message = told(request, "it is no document of S3's", received)
    refused = StorageUnavailableError(
        f"The store refused {_named(request)} with {status} {code}{hint} ({message}), after "
        f"{attempts} attempt{'s' if attempts > 1 else ''}",
        attempts=attempts,
        status=status,
        **where,
    )
    return Unconditional(refused) if status == 501 and _is_conditional(request) else refused


def _outcome(code: str, status: int, request: Request[Any]) -> Outcome | Retry | None:
    match request:
        case GetWithAge() if code == "NoSuchKey":
            return Outcome(NotFound())
        case GetObject() | CopyObject() | RestoreObject() if code in ("NoSuchKey", "NoSuchVersion"):
            return Outcome(NotFound())
        case HeadObject() | InspectObject() if status == 404:
            return Outcome(NotFound())
        case CompareAndSwap() if status == 412 or code == "NoSuchKey":  # nothing matches what isn't there
            return Outcome(PreconditionFailed())
        case PutObject() | CompleteUpload() if request.expected is not None and code == "NoSuchKey":
            return Outcome(PreconditionFailed())
        case GetWithAge() if status == 416:
            return Outcome(AgedBody(b"", "", None))
        case GetSetting(setting) if code in setting.absent:
            return Outcome(None)
        case RestoreObject() if code == "RestoreAlreadyInProgress":
            return Outcome(False)
        case GetObject() if status == 416:
            return Outcome(Body(b"", "", 0))  # it is shorter than it was listed
        case CreateBucket() if code == "BucketAlreadyOwnedByYou":
            return Outcome(Done())
        case AbortUpload() if code == "NoSuchUpload":
            return Outcome(Done())
        case CompleteUpload() if code == "NoSuchUpload":
            return Outcome(NotFound())  # completed by an attempt whose reply was lost, perhaps
        case ListUploads() if code == "NoSuchUpload":
            return Outcome(UploadPage((), None))  # rclone's way of saying that there are none
    if status == 412 and _is_conditional(request):
        return Outcome(PreconditionFailed())
    if status == 409 and code in _CONFLICTS:
        return Retry(f"a conflicting request was in flight ({code})")
    return None


def _wrong_key(code: str) -> str | None:
    """Return the fault of a KMS key; `None` if the code isn't about that, or may be gone the next time."""
    if code.startswith("InvalidKeyId"):
        return _KEYS["InvalidKeyId"]
    of_kms, _, rest = code.rpartition("KMS.")
    if of_kms or rest == code or rest.startswith(_KMS_AGAIN):
        return None
    return _KEYS.get(rest, "Check kms_key_id, its policy and its state")


def _is_conditional(request: Request[Any]) -> bool:
    if not isinstance(request, (PutObject, CompleteUpload)):
        return False
    return request.only_new or request.expected is not None


def _denied(code: str, message: str, request: Request[Any], where: Mapping[str, Any]) -> AccessDeniedError:
    named = _PERFORM.search(message)
    action = named[1] if named else action_of(request)
    hint = ""
    if isinstance(request, (GetObject, GetWithAge, HeadObject)):
        hint = " (an absent object is refused in the same way where s3:ListBucket is missing)"
    return AccessDeniedError(
        f"Access denied: these credentials need {action}{hint}. The store says: {code} {message}",
        action=action,
        **where,
    )


def action_of(request: Request[Any]) -> str:
    """The IAM action that a request needs."""
    known = IAM_ACTIONS.get(type(request))
    if known is not None:
        return known
    from langgraph_checkpoint_s3.s3 import admin_translate  # for those who use it alone

    return admin_translate.action(request)


def _named(request: Request[Any]) -> str:
    """A request as messages call it."""
    match request:
        case GetSetting(setting) | PutSetting(setting) | DeleteSetting(setting):
            return f"a bucket's {setting.name} ({type(request).__name__})"
    return type(request).__name__


def _is_foreign(error: Exception) -> bool:
    # Before Python 3.11, asyncio's TimeoutError is no OSError.
    return isinstance(error, (OSError, asyncio.TimeoutError)) or type(error).__module__.startswith(_FOREIGN)


def _key(request: Request[Any]) -> str | None:
    key = getattr(request, "key", None) or getattr(request, "prefix", None)
    return str(key) if key else None
