"""Errors about credentials and KMS keys: each code has its type and says what to do."""

from __future__ import annotations

from typing import Any

import pytest
from botocore import exceptions as boto

from langgraph_checkpoint_s3.aws import CREDENTIAL_ADVICE, FETCH_ADVICE
from langgraph_checkpoint_s3.crypto.provider import KeyRef
from langgraph_checkpoint_s3.encryption import KmsKeys
from langgraph_checkpoint_s3.errors import (
    AccessDeniedError,
    DecryptionError,
    InvalidConfigError,
    S3CheckpointError,
    StorageUnavailableError,
)
from langgraph_checkpoint_s3.s3.error_mapping import classify, client_error
from langgraph_checkpoint_s3.s3.requests import GetObject, ListObjects, PutObject

KEY = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"


def refused(code: str, status: int = 400, operation: str = "PutObject") -> boto.ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": "the reason", "AWSAccessKeyId": "AKIAIOSFODNN7"},
        "ResponseMetadata": {
            "HTTPStatusCode": status,
            "RequestId": "ID1",
            "HostId": "ID2",
            "RetryAttempts": 0,
        },
    }
    return boto.ClientError(response, operation)


def judged(error: Exception, request: Any) -> Any:
    return classify(error, request, "bucket")


OF_CREDENTIALS = {
    "InvalidAccessKeyId": "AWS_ACCESS_KEY_ID",
    "InvalidClientTokenId": "AWS_ACCESS_KEY_ID",
    "UnrecognizedClientException": "AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "AWS_SECRET_ACCESS_KEY",
    "InvalidSignatureException": "AWS_SECRET_ACCESS_KEY",
    "ExpiredToken": "aws sso login",
    "ExpiredTokenException": "aws sso login",
    "TokenRefreshRequired": "aws sso login",
    "InvalidToken": "AWS_SESSION_TOKEN",
    "IncompleteSignature": "check the credentials",
    "MissingAuthenticationToken": "check the credentials",
    "MissingAuthenticationTokenException": "check the credentials",
    "RequestExpired": "clock",
    "RequestTimeTooSkewed": "clock",
}


def test_each_code_of_credentials_is_tested() -> None:
    assert OF_CREDENTIALS.keys() == CREDENTIAL_ADVICE.keys()


@pytest.mark.parametrize("status", [400, 401, 403])
@pytest.mark.parametrize("request_", [PutObject("k", b""), GetObject("k"), ListObjects("k")], ids=repr)
@pytest.mark.parametrize(("code", "remedy"), OF_CREDENTIALS.items())
def test_credentials_that_a_store_refuses(code: str, remedy: str, request_: Any, status: int) -> None:
    error = judged(refused(code, status), request_)
    assert type(error) is AccessDeniedError
    assert error.unauthenticated
    assert error.action is None
    assert code in error.reason
    assert remedy in error.reason
    assert "s3:" not in error.reason  # no permission would help
    assert (error.bucket, error.key, error.request_ids) == ("bucket", "k", ("ID1", "ID2"))


def test_a_missing_permission_is_something_else() -> None:
    error = judged(refused("AccessDenied", 403), PutObject("k", b""))
    assert (error.action, error.unauthenticated) == ("s3:PutObject", False)


@pytest.mark.parametrize(("code", "remedy"), OF_CREDENTIALS.items())
def test_credentials_that_kms_refuses(code: str, remedy: str) -> None:
    error = of_kms(refused(code, operation="GenerateDataKey"))
    assert type(error) is AccessDeniedError
    assert error.unauthenticated
    assert remedy in str(error)
    assert f"kms:GenerateDataKey with {KEY}" in str(error)
    assert "ID1" in str(error)


REMEDIES = {
    "AssumeRole": "sts:AssumeRole",
    "AssumeRoleWithWebIdentity": "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AssumeRoleWithSAML": "trust policy",
    "GetSessionToken": "MFA",
    "GetFederationToken": "sts:GetFederationToken",
    "GetCallerIdentity": "credentials",
    "GetRoleCredentials": "aws sso login",
    "CreateToken": "aws sso login",
    "CreateOAuth2Token": "aws login",
}


@pytest.mark.parametrize(
    "code", ["AccessDenied", "ExpiredToken", "UnauthorizedException", "ForbiddenException"]
)
@pytest.mark.parametrize("operation", FETCH_ADVICE)
def test_who_could_not_be_asked_for_credentials(operation: str, code: str) -> None:
    error = refused(code, 403, operation)
    for verdict in (judged(error, ListObjects("p/")), client_error(error, "bucket"), of_kms(error)):
        assert type(verdict) is AccessDeniedError
        assert verdict.unauthenticated
        assert f"{operation} was refused ({code}: the reason)" in verdict.reason
        assert REMEDIES[operation] in verdict.reason
        assert "s3:ListBucket" not in verdict.reason


@pytest.mark.parametrize(
    ("status", "code"), [(500, "InternalFailure"), (503, "SlowDown"), (429, "X"), (400, "Throttling")]
)
@pytest.mark.parametrize("operation", FETCH_ADVICE)
def test_who_was_asked_for_credentials_and_is_down(operation: str, status: int, code: str) -> None:
    error = refused(code, status, operation)
    for verdict in (judged(error, ListObjects("p/")), client_error(error, "bucket"), of_kms(error)):
        assert type(verdict) is StorageUnavailableError
        assert f"{operation} failed with {status} {code}" in verdict.reason
        assert "tried again with the next request" in verdict.reason


# Keys


@pytest.mark.parametrize("request_", [PutObject("k", b""), GetObject("k")], ids=repr)
@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        ("KMS.NotFoundException", "check kms_key_id, its account"),
        ("KMS.InvalidArnException", "check kms_key_id"),
        ("KMS.DisabledException", "kms:EnableKey"),
        ("KMS.KMSInvalidStateException", "kms:CancelKeyDeletion"),
        ("KMS.InvalidKeyUsageException", "symmetric"),
        ("KMS.ValidationException", "check kms_key_id"),
        ("KMS.SomethingNewException", "Check kms_key_id, its policy and its state"),
        ("InvalidKeyId", "check kms_key_id"),
        ("InvalidKeyId.NotFound", "check kms_key_id"),
    ],
)
def test_a_key_that_s3_cannot_use(code: str, remedy: str, request_: Any) -> None:
    error = judged(refused(code), request_)
    assert type(error) is InvalidConfigError
    assert remedy in error.reason
    assert f"{code}: the reason" in error.reason
    assert error.request_ids == ("ID1", "ID2")


@pytest.mark.parametrize(
    "code",
    [
        *("KMS.ThrottlingException", "KMS.KMSInternalException", "KMS.DependencyTimeoutException"),
        *("KMS.LimitExceededException", "KMS.KeyUnavailableException"),
    ],
)
def test_a_key_service_that_is_busy_is_no_setting(code: str) -> None:
    assert type(judged(refused(code), PutObject("k", b""))) is StorageUnavailableError
    assert (
        type(of_kms(refused(code.removeprefix("KMS."), operation="GenerateDataKey")))
        is StorageUnavailableError
    )


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        ("NotFoundException", "check the account"),
        ("InvalidArnException", "not the ARN of a key"),
        ("DisabledException", "kms:EnableKey"),
        ("KMSInvalidStateException", "kms:CancelKeyDeletion"),
        ("InvalidKeyUsageException", "symmetric"),
        ("ValidationException", "check the key's name"),
        ("InvalidKeyIdException", "not the id, ARN or alias of a key"),
        ("InvalidKeyId.NotFound", "not the id, ARN or alias of a key"),
        ("SomethingNewException", "Check the key, its policy and state"),
    ],
)
def test_a_key_that_kms_cannot_use(code: str, remedy: str) -> None:
    error = refused(code, operation="GenerateDataKey")
    assert type(of_kms(error)) is InvalidConfigError
    assert remedy in of_kms(error).reason
    reading = of_kms(error, reading=True)
    assert type(reading) is DecryptionError
    assert remedy in reading.reason
    assert KEY in reading.reason


def of_kms(error: Exception, *, reading: bool = False) -> S3CheckpointError:
    """Return the error that `KmsKeys` makes of its client's."""

    class Client:
        def generate_data_key(self, **_: Any) -> Any:
            raise error

        decrypt = generate_data_key

    keys = KmsKeys(KEY, client=Client())
    with pytest.raises(S3CheckpointError) as caught:
        keys.unlock(KeyRef(KEY, b"wrapped")) if reading else keys.current()
    return caught.value
