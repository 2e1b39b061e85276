"""Errors of S3, botocore and the network become an answer, a retry, or an error of this package."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import aiohttp
import pytest
import urllib3
from botocore import exceptions as boto

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
from langgraph_checkpoint_s3.s3 import requests
from langgraph_checkpoint_s3.s3.admin_requests import GetTags, ListUploads, PutTags, UploadPage
from langgraph_checkpoint_s3.s3.bucket_settings import LIFECYCLE, VERSIONING, GetSetting, PutSetting
from langgraph_checkpoint_s3.s3.error_mapping import (
    Outcome,
    Retry,
    Unconditional,
    classify,
    client_error,
)
from langgraph_checkpoint_s3.s3.requests import (
    AbortUpload,
    AgedBody,
    Attempted,
    Body,
    Call,
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
    Sleep,
    Tick,
    UploadPart,
)

PUT, NEW = PutObject("k", b""), PutObject("k", b"", only_new=True)
GET, HEAD, LIST = GetObject("k"), HeadObject("k"), ListObjects("p/")
DELETE, COPY = DeleteObjects(("k",)), CopyObject("k", "l")
CREATE, PART, ABORT = CreateUpload("k"), UploadPart("k", "u", 1, b""), AbortUpload("k", "u")
COMPLETE = CompleteUpload("k", "u", (), b"")
COMPLETE_NEW = CompleteUpload("k", "u", (), b"", only_new=True)
OVER, COMPLETE_OVER = PutObject("k", b"", expected="etag"), CompleteUpload("k", "u", (), b"", expected="etag")
CREATE_BUCKET = CreateBucket()
SWAP, DATED = CompareAndSwap("k", b"x", "etag"), GetWithAge("k")
REQUESTS: list[Request[Any]] = [
    PUT, NEW, GET, HEAD, LIST, DELETE, COPY, CREATE, PART, ABORT, COMPLETE, COMPLETE_NEW, CREATE_BUCKET,
    SWAP, DATED, OVER, COMPLETE_OVER,
]  # fmt: skip


def said(status: int, code: str, message: str = "said so", **metadata: Any) -> boto.ClientError:
    """S3's answer as botocore raises it."""
    told = {"HTTPStatusCode": status, "RequestId": "ID1", "HostId": "ID2", "RetryAttempts": 0, **metadata}
    response: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": told}
    return boto.ClientError(response, "Operation")


def judged(error: Exception, request: Request[Any] = GET, endpoint: str = "") -> Any:
    return classify(error, request, "bucket", endpoint=endpoint)


MISSING, REFUSED = Outcome(NotFound()), Outcome(PreconditionFailed())


@pytest.mark.parametrize(
    ("request_", "status", "code", "outcome"),
    [
        (GET, 404, "NoSuchKey", MISSING),
        (DATED, 404, "NoSuchKey", MISSING),
        (DATED, 416, "InvalidRange", Outcome(AgedBody(b"", "", None))),
        (SWAP, 412, "PreconditionFailed", REFUSED),
        (SWAP, 404, "NoSuchKey", REFUSED),
        (GET, 404, "NoSuchVersion", MISSING),
        (COPY, 404, "NoSuchKey", MISSING),
        (GetTags("k"), 404, "NoSuchKey", MISSING),
        (PutTags("k", ()), 404, "NoSuchKey", MISSING),
        (HEAD, 404, "404", MISSING),
        (GET, 416, "InvalidRange", Outcome(Body(b"", "", 0))),
        (NEW, 412, "PreconditionFailed", REFUSED),
        (COMPLETE_NEW, 412, "PreconditionFailed", REFUSED),
        (OVER, 412, "PreconditionFailed", REFUSED),
        (OVER, 404, "NoSuchKey", REFUSED),  # nothing matches what isn't there
        (COMPLETE_OVER, 412, "PreconditionFailed", REFUSED),
        (COMPLETE_OVER, 404, "NoSuchKey", REFUSED),
        (COMPLETE_OVER, 404, "NoSuchUpload", MISSING),
        (CREATE_BUCKET, 409, "BucketAlreadyOwnedByYou", Outcome(Done())),
        (ABORT, 404, "NoSuchUpload", Outcome(Done())),
        (COMPLETE, 404, "NoSuchUpload", MISSING),
        (COMPLETE_NEW, 404, "NoSuchUpload", MISSING),
        (ListUploads("p/"), 404, "NoSuchUpload", Outcome(UploadPage((), None))),
    ],
)
def test_what_a_plan_decides_on_is_an_answer(
    request_: Request[Any], status: int, code: str, outcome: Outcome
) -> None:
    assert judged(said(status, code), request_) == outcome


def test_a_store_that_knows_no_conditions_cant_keep_a_lease() -> None:
    assert isinstance(judged(said(501, "NotImplemented"), SWAP), NotSupportedError)


@pytest.mark.parametrize("request_", [each for each in REQUESTS if each != SWAP], ids=repr)
def test_a_store_that_knows_no_conditions_is_asked_without(request_: Request[Any]) -> None:
    verdict = judged(said(501, "NotImplemented"), request_)
    if request_ in {NEW, COMPLETE_NEW, OVER, COMPLETE_OVER}:
        assert isinstance(verdict, Unconditional)
        verdict = verdict.otherwise
    assert isinstance(verdict, StorageUnavailableError)
    assert "doesn't offer this" in verdict.reason
    assert verdict.status == 501


@pytest.mark.parametrize("code", ["ConditionalRequestConflict", "OperationAborted"])
@pytest.mark.parametrize("request_", REQUESTS, ids=repr)
def test_a_conflict_in_flight_is_worth_another_try(request_: Request[Any], code: str) -> None:
    verdict = judged(said(409, code), request_)
    assert isinstance(verdict, Retry)
    assert code in verdict.why


@pytest.mark.parametrize(
    ("request_", "status", "code", "expected"),
    [
        (GET, 404, "NoSuchBucket", BucketNotFoundError),
        (PUT, 404, "NoSuchBucket", BucketNotFoundError),
        (LIST, 404, "NoSuchBucket", BucketNotFoundError),
        (CREATE_BUCKET, 409, "BucketAlreadyExists", BucketNotFoundError),
        (CREATE_BUCKET, 409, "BucketNameUnavailable", BucketNotFoundError),
        (GET, 403, "InvalidObjectState", CheckpointArchivedError),
        (COPY, 403, "InvalidObjectState", CheckpointArchivedError),
        (PUT, 400, "KeyTooLongError", InvalidKeyError),
        (GET, 301, "PermanentRedirect", InvalidConfigError),
        (GET, 400, "AuthorizationHeaderMalformed", InvalidConfigError),
        (CREATE_BUCKET, 400, "IllegalLocationConstraintException", InvalidConfigError),
        (CREATE_BUCKET, 400, "InvalidLocationConstraint", InvalidConfigError),
        (PUT, 400, "InvalidBucketName", InvalidConfigError),
        (PUT, 400, "InvalidStorageClass", InvalidConfigError),
        (PUT, 400, "InvalidTag", InvalidConfigError),
        (GET, 403, "AccessDenied", AccessDeniedError),
        (HEAD, 403, "403", AccessDeniedError),
        (HEAD, 403, "Forbidden", AccessDeniedError),
        (GET, 401, "Unauthorized", AccessDeniedError),
        (GET, 403, "AllAccessDisabled", AccessDeniedError),
        (PUT, 501, "NotImplemented", StorageUnavailableError),
        (PUT, 412, "PreconditionFailed", StorageUnavailableError),
        (GET, 409, "SomeConflict", StorageUnavailableError),
        (GET, 400, "InvalidRequest", StorageUnavailableError),
        (GET, 418, "", StorageUnavailableError),
    ],
)
def test_everything_else_is_an_error_of_ours(
    request_: Request[Any], status: int, code: str, expected: type[S3CheckpointError]
) -> None:
    error = judged(said(status, code), request_)
    assert type(error) is expected
    assert error.bucket == "bucket"
    assert error.request_ids == ("ID1", "ID2")
    assert error.key == {PUT: "k", GET: "k", HEAD: "k", LIST: "p/", COMPLETE: "k"}.get(request_)
    assert error.reason


@pytest.mark.parametrize("request_", REQUESTS, ids=repr)
def test_a_403_names_the_missing_iam_action(request_: Request[Any]) -> None:
    error = judged(said(403, "AccessDenied", "Access Denied"), request_)
    assert isinstance(error, AccessDeniedError)
    assert error.action == request_.action
    assert f"need {error.action}" in error.reason


def test_a_403_of_kms_names_the_action_that_kms_does() -> None:
    message = (
        "User: arn:aws:sts::123456789012:assumed-role/r/s is not authorized to perform: kms:GenerateDataKey "
        "on resource: arn:aws:kms:eu-west-1:123456789012:key/x because no identity-based policy allows it"
    )
    error = judged(said(403, "AccessDenied", message), PUT)
    assert (error.action, type(error)) == ("kms:GenerateDataKey", AccessDeniedError)
    assert "need kms:GenerateDataKey" in error.reason


def test_a_403_of_a_read_says_that_the_object_may_be_absent() -> None:
    for request in (GET, HEAD):
        assert "s3:ListBucket is missing" in judged(said(403, "AccessDenied"), request).reason
    assert "s3:ListBucket is missing" not in judged(said(403, "AccessDenied"), PUT).reason


def test_errors_say_what_to_do() -> None:
    assert "setup()" in judged(said(404, "NoSuchBucket")).reason
    assert "another account" in judged(said(409, "BucketAlreadyExists"), CREATE_BUCKET).reason
    assert "s3:RestoreObject" in judged(said(403, "InvalidObjectState")).reason
    assert "set region" in judged(said(301, "PermanentRedirect")).reason


@pytest.mark.parametrize(
    ("status", "code", "throttled"),
    [
        (500, "InternalError", False),
        (500, "500", False),
        (502, "BadGateway", False),
        (504, "GatewayTimeout", False),
        (400, "RequestTimeout", False),
        (503, "SlowDown", True),
        (503, "ServiceUnavailable", True),
        (400, "RequestLimitExceeded", True),
        (429, "TooManyRequests", True),
    ],
)
@pytest.mark.parametrize("request_", [GET, PUT, HEAD, LIST, COMPLETE], ids=repr)
def test_a_failing_store_is_asked_again(
    request_: Request[Any], status: int, code: str, throttled: bool
) -> None:
    verdict = judged(said(status, code, "Reduce your request rate"), request_)
    name = type(request_).__name__
    why = f"The store refused {name} with {status} {code} (Reduce your request rate)"
    assert verdict == Retry(why, status, throttled, unavailable=True, request_ids=("ID1", "ID2"))


def test_a_response_without_anything_in_it_is_an_error_of_ours() -> None:
    responses: list[Any] = [{}, {"Error": {}}, {"Error": {"Code": "X"}, "ResponseMetadata": {}}]
    for response in responses:
        error = judged(boto.ClientError(response, "Operation"))
        assert isinstance(error, StorageUnavailableError)
        assert error.request_ids == ()


@pytest.mark.parametrize(
    "error",
    [
        boto.NoCredentialsError(),
        boto.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"),
        boto.CredentialRetrievalError(provider="process", error_msg="x"),
        boto.MetadataRetrievalError(error_msg="x"),
        boto.TokenRetrievalError(provider="sso", error_msg="x"),
        boto.SSOTokenLoadError(profile_name="x", error_msg="x"),
        boto.UnauthorizedSSOTokenError(),
    ],
)
def test_missing_credentials_are_access_denied(error: Exception) -> None:
    remedy = (
        "sso login"
        if "SSO" in type(error).__name__ or "Token" in type(error).__name__
        else "AWS_ACCESS_KEY_ID"
    )
    for verdict in (judged(error), client_error(error, "bucket")):
        assert isinstance(verdict, AccessDeniedError)
        assert verdict.action is None
        assert verdict.bucket == "bucket"
        assert verdict.unauthenticated
        assert remedy in verdict.reason


@pytest.mark.parametrize(
    "error",
    [
        boto.ParamValidationError(report="x"),
        boto.InvalidRegionError(region_name="x y"),
        boto.NoRegionError(),
        boto.UnsupportedS3ArnError(arn="arn:x", msg="x"),
        boto.UnsupportedS3AccesspointConfigurationError(msg="x"),
        boto.EndpointProviderError(msg="x"),
        boto.ProfileNotFound(profile="x"),
    ],
)
def test_what_settings_make_impossible_is_a_config_error(error: Exception) -> None:
    assert isinstance(judged(error), InvalidConfigError)


@pytest.mark.parametrize(
    "error",
    [
        boto.InvalidRegionError(region_name="x y"),
        boto.ProfileNotFound(profile="x"),
        boto.ConfigParseError(path="x"),
        boto.UnknownServiceError(service_name="s3", known_service_names="x"),
        ValueError("Invalid endpoint: x"),
    ],
)
def test_a_client_that_cannot_be_made_is_a_config_error(error: Exception) -> None:
    verdict = client_error(error, "bucket")
    assert isinstance(verdict, InvalidConfigError)
    assert str(error) in verdict.reason
    assert verdict.bucket == "bucket"


@pytest.mark.parametrize("error", [RuntimeError("x"), ImportError("x"), KeyError("x"), OSError("x")])
def test_a_client_that_cannot_be_made_for_another_reason_is_left_alone(error: Exception) -> None:
    assert client_error(error, "bucket") is None


BROKEN_OFF: list[Exception] = [
    boto.IncompleteReadError(actual_bytes=1, expected_bytes=2),
    boto.ResponseStreamingError(error=ValueError("x")),
    boto.ReadTimeoutError(endpoint_url="http://x"),
    aiohttp.ClientPayloadError("Response payload is not completed"),
    aiohttp.ServerDisconnectedError(),
    urllib3.exceptions.ProtocolError("x"),
    ConnectionResetError("x"),
    asyncio.TimeoutError("x"),
]


@pytest.mark.parametrize(
    "error",
    [
        boto.EndpointConnectionError(endpoint_url="http://x"),
        boto.ConnectTimeoutError(endpoint_url="http://x"),
        boto.ConnectionClosedError(endpoint_url="http://x"),
        boto.SSLError(endpoint_url="http://x", error=OSError("x")),
        boto.ProxyConnectionError(proxy_url="http://x"),
        boto.HTTPClientError(error="x"),
        aiohttp.ClientConnectionError("x"),
        aiohttp.ServerDisconnectedError(),
        urllib3.exceptions.ProtocolError("x"),
        ConnectionResetError("x"),
        TimeoutError("x"),
        asyncio.TimeoutError("x"),
        OSError("x"),
        *BROKEN_OFF,
    ],
    ids=repr,
)
def test_a_store_that_cannot_be_reached_is_asked_again(error: Exception) -> None:
    verdict = judged(error)
    assert isinstance(verdict, Retry)
    assert verdict.unavailable
    assert "can't be reached" in verdict.why
    assert type(error).__name__ in verdict.why


@pytest.mark.parametrize(
    ("endpoint", "shown", "local"),
    [
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000", True),
        ("http://localhost", "http://localhost", True),
        ("http://[::1]:9000/", "http://[::1]:9000/", True),
        ("https://user:secret@s3.example.com/x", "https://s3.example.com/x", False),
        ("https://localhost.example.com", "https://localhost.example.com", False),
    ],
)
def test_errors_name_the_store_without_credentials(endpoint: str, shown: str, local: bool) -> None:
    unreachable = judged(ConnectionRefusedError("x"), endpoint=endpoint).why
    assert f"The store at {shown} can't be reached" in unreachable
    assert "S3_ENDPOINT_URL" in unreachable
    assert ("`langgraph-s3 serve`" in unreachable) == local
    missing = judged(said(404, "NoSuchBucket"), endpoint=endpoint).reason
    assert f"There is no bucket 'bucket' at {shown}. Check the bucket's name (S3_BUCKET_NAME)" in missing


def test_a_certificate_that_is_not_trusted_stays_so() -> None:
    verdict = judged(ssl.SSLCertVerificationError(1, "self-signed certificate"))
    assert isinstance(verdict, StorageUnavailableError)
    assert "AWS_CA_BUNDLE" in verdict.reason


@pytest.mark.parametrize(
    "error", [ValueError("x"), RuntimeError("x"), KeyError("x"), TypeError("x"), EOFError()]
)
def test_what_is_no_error_of_s3_is_left_alone(error: Exception) -> None:
    assert judged(error) is None


def test_every_request_has_an_action() -> None:
    defined = {
        value
        for value in vars(requests).values()
        if isinstance(value, type) and issubclass(value, Request) and value is not Request
    }
    assert (
        {kind for kind in defined if kind.action}
        == {type(request) for request in REQUESTS}
        == defined - {Attempted, Call, Tick, Sleep}
    )


@pytest.mark.parametrize("status", [405, 501])
def test_what_a_store_does_not_offer_to_administer_is_said_so(status: int) -> None:
    verdict = judged(said(status, "NotImplemented"), PutSetting(VERSIONING, {"Status": "Enabled"}))
    assert isinstance(verdict, NotSupportedError)
    assert "doesn't support a bucket's versioning (PutSetting)" in verdict.reason


def test_a_setting_that_is_not_there_is_an_answer() -> None:
    verdict = judged(said(404, "NoSuchLifecycleConfiguration"), GetSetting(LIFECYCLE))
    assert verdict == Outcome(None)


def test_a_403_of_a_setting_names_its_own_action() -> None:
    assert judged(said(403, "AccessDenied"), GetSetting(LIFECYCLE)).action == "s3:GetLifecycleConfiguration"
    put = PutSetting(LIFECYCLE, {"Rules": []})
    assert judged(said(403, "AccessDenied"), put).action == "s3:PutLifecycleConfiguration"
