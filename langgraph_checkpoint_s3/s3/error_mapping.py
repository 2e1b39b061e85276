"""Classify a request's error: an outcome, worth another try, or one of this package's errors.

One classification serves both clients: aiobotocore raises botocore's errors, except for an `OSError` or an
error of its HTTP library that it doesn't catch. Imported when something fails.
"""

from __future__ import annotations

import asyncio
import re
import ssl
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
from langgraph_checkpoint_s3.format.container import MAGIC
from langgraph_checkpoint_s3.request_timeout import TooSlowError
from langgraph_checkpoint_s3.s3.admin_requests import (
    GetTags,
    InspectObject,
    ListUploads,
    PutTags,
    RestoreObject,
    UploadPage,
)
from langgraph_checkpoint_s3.s3.admin_translate import no_tags
from langgraph_checkpoint_s3.s3.answer_checks import (
    InvalidResponse,
    PartlyDone,
    Received,
    UnsupportedListing,
    describe_invalid,
    describe_redirect,
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
    Done,
    GetObject,
    GetWithAge,
    HeadObject,
    NotFound,
    PreconditionFailed,
    PutObject,
    Request,
)
from langgraph_checkpoint_s3.s3.translate import CODECS, is_transient

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
_KMS_FAULTS: Final[Mapping[str, str]] = {
    "NotFoundException": "KMS knows no such key: check kms_key_id, its account, and that its region is "
    "the bucket's",
    "InvalidArnException": "This is not the ARN of a key, or one of another region than the bucket's: check "
    "kms_key_id",
    "InvalidKeyId": "This is not the id of a key: check kms_key_id",
    "DisabledException": "The key is disabled: enable it (kms:EnableKey)",
    "KMSInvalidStateException": "The key's state doesn't allow that: if its deletion is pending, cancel it "
    "(kms:CancelKeyDeletion), then enable the key (kms:EnableKey)",
    "InvalidKeyUsageException": "The key isn't a symmetric one for encryption: take another one",
    "ValidationException": "KMS rejects the request as invalid: check kms_key_id",
}
"""Faults of a KMS key, by the error code behind `KMS.`, with their remedy."""
_KMS_TRANSIENT: Final = ("Throttling", "KMSInternal", "DependencyTimeout", "LimitExceeded", "KeyUnavailable")
"""Prefixes of KMS's codes of transient errors."""
_TRANSIENT_STATUSES: Final = frozenset({429, 500, 502, 503, 504})
_THROTTLED: Final = frozenset(
    {
        *("SlowDown", "Throttling", "ThrottlingException", "RequestThrottled", "RequestThrottledException"),
        *("RequestLimitExceeded", "BandwidthLimitExceeded", "TooManyRequests", "TooManyRequestsException"),
    }
)
_LONGEST_WAIT: Final = 20.0
"""The most seconds that a store's `Retry-After` is followed."""
_CONFLICTS: Final = frozenset({"ConditionalRequestConflict", "OperationAborted"})
_SAFE_DETAILS: Final = frozenset(
    {
        *("Code", "Message", "Key", "Bucket", "BucketName", "Region", "Endpoint", "Resource", "Condition"),
        *("StorageClass", "AccessTier", "UploadId", "Method", "ResourceType", "Header", "ArgumentName"),
    }
)
"""Details of a botocore error that are kept. Others may hold what was signed."""
_PERFORM: Final = re.compile(r"not authorized to perform: ([A-Za-z0-9]+:[A-Za-z0-9*]+)")
_INVALID_SETTINGS: Final = (
    *(boto.ParamValidationError, boto.InvalidRegionError, boto.NoRegionError),
    *(boto.ProfileNotFound, boto.ConfigNotFound, boto.ConfigParseError, boto.InvalidConfigError),
    *(boto.UnsupportedS3ArnError, boto.UnsupportedS3ConfigurationError, boto.EndpointProviderError),
    boto.UnsupportedS3AccesspointConfigurationError,
)
_LOOPBACK: Final = r"https?://(localhost|127\.[0-9.]+|\[::1\])(:|/|$)"
_NETWORK_MODULES: Final = ("aiohttp", "urllib3", "aiobotocore", "httpx")


@dataclass(frozen=True, slots=True)
class Retry:
    """The request is worth sending again.

    Attributes:
        why: The fault, for the log, and for the error once tries run out.
        status: The status of the response, if there was one.
        throttled: Whether the store asks for fewer requests, so that the next one waits longer.
        after: Seconds to wait at least, as the store says.
        unavailable: Whether the store can't be reached or fails, which the circuit breaker counts. A client
            that a user passed in has tried these again by itself.
        request_ids: S3's ids of the request.
    """

    why: str
    status: int | None = None
    throttled: bool = False
    after: float = 0.0
    unavailable: bool = False
    request_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unconditional:
    """The store seems not to know conditional writes: send the request without the condition.

    Attributes:
        otherwise: The error to raise if it was sent without one.
    """

    otherwise: S3CheckpointError


@dataclass(frozen=True, slots=True)
class Outcome:
    """The error is an answer, such as absence."""

    answer: Any


def client_error(error: Exception, bucket: str) -> S3CheckpointError | None:
    """Return the error for a client that couldn't be made; `None` if it isn't about settings."""
    missing = credentials_error(error, bucket=bucket)
    if missing is not None:
        return missing
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
    received: Received | None = None,
    endpoint: str = "",
) -> Outcome | Retry | Unconditional | S3CheckpointError | None:
    """Decide what an error means.

    Args:
        error: The error that was raised.
        request: The request.
        bucket: The bucket, for errors.
        received: Facts about the last response.
        endpoint: The URL of the store, for errors; empty if it isn't known.

    Returns:
        What to do, or the error to raise; `None` if it comes neither from S3 nor from the network, but from
        somebody's code.
    """
    _redact(error)  # before anything else: the error becomes the cause of ours
    refused = credentials_error(error, bucket=bucket, key=_key(request))
    if refused is not None:
        return refused
    if isinstance(error, (TooSlowError, PartlyDone)):
        return Retry(str(error))
    if isinstance(request, GetTags) and received is not None and _is_object(received):
        return no_tags()
    if isinstance(error, InvalidResponse):
        reason = describe_invalid(request, str(error), received)
        return Retry(reason, received.status if received else None)
    if isinstance(error, UnsupportedListing):
        return NotSupportedError(
            f"The store doesn't list as S3 does, and by that a saver finds the latest checkpoint: {error}. "
            "Use a store, or a kind of bucket, that lists keys in ascending order, by their bytes",
            bucket=bucket,
            key=_key(request),
        )
    if isinstance(error, S3CheckpointError):
        return error
    if isinstance(error, boto.ClientError):
        return _of_response(error, request, bucket, received, endpoint)
    if isinstance(error, _INVALID_SETTINGS):
        return InvalidConfigError(f"The request can't be made: {error}", bucket=bucket)
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = f"The store's certificate isn't trusted ({error}): set AWS_CA_BUNDLE to its authority's"
        return StorageUnavailableError(reason, bucket=bucket, key=_key(request))
    if isinstance(error, boto.BotoCoreError) or _is_network_error(error):
        reason = f"{type(error).__name__}: {error}"
        return Retry(_describe_unreachable(reason, endpoint), unavailable=True)
    return None


def _redact(error: Exception) -> None:
    """Remove from botocore's error, which is the cause of ours, what may be secret.

    In an error, S3 sends back the session token or all that was signed. botocore's errors of requests without
    a response keep the request's headers.
    """
    if isinstance(error, boto.ClientError):
        response: Any = error.response
        details: Mapping[str, Any] = response.get("Error", {})
        response["Error"] = {name: value for name, value in details.items() if name in _SAFE_DETAILS}
    elif isinstance(error, boto.HTTPClientError):
        for held in (vars(error), error.kwargs):
            for name in ("request", "response"):
                held.pop(name, None)  # type: ignore[misc]  # more than its types know


def _describe_unreachable(reason: str, endpoint: str) -> str:
    hint = ""
    if re.match(_LOOPBACK, endpoint):
        hint = " Is `langgraph-s3 serve` running?"
    return (
        f"The store{_at(endpoint)} can't be reached ({reason}).{hint} Check endpoint_url (S3_ENDPOINT_URL), "
        "region and network"
    )


def _at(endpoint: str) -> str:
    """Return where a store is, for errors. The URL of a user's own client may hold credentials."""
    return f" at {re.sub('//[^/]*@', '//', endpoint)}" if endpoint else ""


def _of_response(
    error: boto.ClientError, request: Request[Any], bucket: str, received: Received | None, endpoint: str
) -> Outcome | Retry | Unconditional | S3CheckpointError:
    response: Mapping[str, Any] = error.response
    details = response.get("Error", {})
    code, message = str(details.get("Code", "")), str(details.get("Message", ""))
    metadata = response.get("ResponseMetadata", {})
    status = int(metadata.get("HTTPStatusCode", 0))
    outcome = _outcome(code, status, request)
    if outcome is not None:
        return outcome
    # The order matters: specific codes come before the statuses that they share with others.
    ids = tuple(metadata[name] for name in ("RequestId", "HostId") if metadata.get(name))
    where: dict[str, Any] = {"bucket": bucket, "key": _key(request), "request_ids": ids}
    if code == "NoSuchBucket":
        return BucketNotFoundError(
            f"There is no bucket {bucket!r}{_at(endpoint)}. Check the bucket's name (S3_BUCKET_NAME), the "
            "region and the endpoint. Only for a new bucket: call setup()",
            **where,
        )
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
    # A redirect of S3's names a region. Any other is a proxy's or a portal's, and may be gone soon.
    headers = metadata.get("HTTPHeaders") or {}
    if 300 <= status < 400 and code not in _REGION and "x-amz-bucket-region" not in headers:
        return Retry(describe_redirect(request, status, headers.get("location")), status)
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
    # Every store has the operations that a saver needs. If it refuses one of them, it refuses a header.
    if status in (405, 501) and type(request) not in CODECS:
        return NotSupportedError(
            f"This store doesn't support {_named(request)} (it answers {status} {code} {message})", **where
        )
    if isinstance(request, CompareAndSwap) and status == 501:
        return NotSupportedError(
            f"This store has no conditional writes, so it can't keep a lease (501 {code} {message})",
            **where,
        )
    hint = ": the store doesn't offer this" if status == 501 else ""
    page = received is not None and received.beginning and received.root != "Error"
    if page:  # botocore reports a 200 whose document isn't XML as a 500
        message = describe_invalid(request, "it is no document of S3's", received)
    why = f"The store refused {_named(request)} with {status} {code}{hint} ({message})"
    if status in _TRANSIENT_STATUSES or is_transient(code):
        throttled = status in (429, 503) or code in _THROTTLED
        after = _retry_after(headers.get("retry-after"))
        return Retry(why, status, throttled, after, unavailable=True, request_ids=ids)
    refused = StorageUnavailableError(why, attempts=1, status=status, **where)
    # 501 for a conditional write is how a store says that it doesn't know the header.
    return Unconditional(refused) if status == 501 and _is_conditional(request) else refused


def _is_object(received: Received) -> bool:
    """Return whether a response is one of this package's objects, or its probe, rather than a document.

    botocore reports a 200 whose document isn't XML as a 500. The content type is a guess of some stores.
    """
    return received.beginning.startswith((MAGIC, b"langgraph-checkpoint-s3 "))


def _outcome(code: str, status: int, request: Request[Any]) -> Outcome | Retry | None:
    """Return the answer that an error is for this request; `None` if it is an error."""
    match request:
        case GetWithAge() if code == "NoSuchKey":
            return Outcome(NotFound())
        case GetObject() | CopyObject() | RestoreObject() | GetTags() | PutTags() if code in (
            "NoSuchKey",
            "NoSuchVersion",
        ):
            return Outcome(NotFound())
        case HeadObject() | InspectObject() if status == 404:
            return Outcome(NotFound())
        case CompareAndSwap() if status == 412 or code == "NoSuchKey":  # an absent object matches no ETag
            return Outcome(PreconditionFailed())
        case PutObject() | CompleteUpload() if request.expected is not None and code == "NoSuchKey":
            return Outcome(PreconditionFailed())
        case GetWithAge() if status == 416:
            return Outcome(AgedBody(b"", "", None))  # the object is empty
        case GetSetting(setting) if code in setting.absent:
            return Outcome(None)
        case RestoreObject() if code == "RestoreAlreadyInProgress":
            return Outcome(False)
        case GetObject() if status == 416:
            return Outcome(Body(b"", "", 0))  # the object is shorter now than it was listed
        case CreateBucket() if code == "BucketAlreadyOwnedByYou":
            return Outcome(Done())
        case AbortUpload() if code == "NoSuchUpload":
            return Outcome(Done())
        case CompleteUpload() if code == "NoSuchUpload":
            return Outcome(NotFound())  # completed by an attempt whose reply was lost, perhaps
        case ListUploads() if code == "NoSuchUpload":
            return Outcome(UploadPage((), None))  # rclone's answer if there are none
    if status == 412 and _is_conditional(request):
        return Outcome(PreconditionFailed())
    if status == 409 and code in _CONFLICTS:
        return Retry(f"a conflicting request was in flight ({code})")
    return None


def _retry_after(header: object) -> float:
    """Return the seconds that a `Retry-After` header asks for; a date is ignored."""
    return min(float(header), _LONGEST_WAIT) if isinstance(header, str) and header.isdecimal() else 0.0


def _wrong_key(code: str) -> str | None:
    """Return the fault of a KMS key; `None` if the code isn't about a key, or is transient."""
    if code.startswith("InvalidKeyId"):
        return _KMS_FAULTS["InvalidKeyId"]
    of_kms, _, rest = code.rpartition("KMS.")
    if of_kms or rest == code or rest.startswith(_KMS_TRANSIENT):
        return None
    return _KMS_FAULTS.get(rest, "Check kms_key_id, its policy and its state")


def _is_conditional(request: Request[Any]) -> bool:
    if not isinstance(request, (PutObject, CompleteUpload)):
        return False
    return request.only_new or request.expected is not None


def _denied(code: str, message: str, request: Request[Any], where: Mapping[str, Any]) -> AccessDeniedError:
    named = _PERFORM.search(message)  # it may be another service's, such as kms:Decrypt
    action = named[1] if named else request.action
    hint = ""
    if isinstance(request, (GetObject, GetWithAge, HeadObject)):
        hint = " (an absent object is refused in the same way where s3:ListBucket is missing)"
    return AccessDeniedError(
        f"Access denied: these credentials need {action}{hint}. The store says: {code} {message}",
        action=action,
        **where,
    )


def _named(request: Request[Any]) -> str:
    """Return a request's name in messages."""
    match request:
        case GetSetting(setting) | PutSetting(setting) | DeleteSetting(setting):
            return f"a bucket's {setting.name} ({type(request).__name__})"
    return type(request).__name__


def _is_network_error(error: Exception) -> bool:
    # Before Python 3.11, asyncio's TimeoutError is no OSError.
    return isinstance(error, (OSError, asyncio.TimeoutError)) or type(error).__module__.startswith(
        _NETWORK_MODULES
    )


def _key(request: Request[Any]) -> str | None:
    key = getattr(request, "key", None) or getattr(request, "prefix", None)
    return str(key) if key else None
