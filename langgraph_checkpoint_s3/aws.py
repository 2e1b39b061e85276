"""Region and credentials of S3 and KMS clients, and errors about credentials.

A client resolves its credentials when it is made. Credentials that were rejected later, or were missing then,
are resolved again (`credentials.py`). So no process needs a restart after a metadata service was late, or a
credentials file was renewed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from langgraph_checkpoint_s3.errors import AccessDeniedError, S3CheckpointError, StorageUnavailableError

DEFAULT_REGION: Final = "us-east-1"
"""The region if none is set anywhere."""

_RENEWAL: Final = "A renewed file, profile or role is read again by itself; variables need a new process"
_CLOCK_SKEW: Final = "This machine's clock is wrong by more than is allowed: set it right"
_UNKNOWN_KEY: Final = (
    "The access key id isn't known: it was deleted or deactivated, or is another store's or account's. Check "
    f"AWS_ACCESS_KEY_ID, the profile and the endpoint. {_RENEWAL}"
)
_MISMATCH: Final = (
    "The secret access key doesn't belong to the access key id. Check AWS_SECRET_ACCESS_KEY or the profile "
    "for a character too many or too few; if it is right, a proxy changes the requests"
)
_EXPIRED: Final = (
    f"The session token has expired: get a new one (`aws sso login`, the role again). {_RENEWAL}"
)
_BAD_TOKEN: Final = (
    "The session token isn't valid: it must be of the same credentials as the access key. Set "
    f"AWS_SESSION_TOKEN anew, or unset it for credentials that last. {_RENEWAL}"
)
_UNSIGNED: Final = "The request came unsigned or half signed: check the credentials, and proxies on the way"

CREDENTIAL_ADVICE: Final[Mapping[str, str]] = {
    "InvalidAccessKeyId": _UNKNOWN_KEY,
    "InvalidClientTokenId": _UNKNOWN_KEY,
    "UnrecognizedClientException": _UNKNOWN_KEY,
    "SignatureDoesNotMatch": _MISMATCH,
    "InvalidSignatureException": _MISMATCH,
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "TokenRefreshRequired": _EXPIRED,
    "InvalidToken": _BAD_TOKEN,
    "IncompleteSignature": _UNSIGNED,
    "MissingAuthenticationToken": _UNSIGNED,
    "MissingAuthenticationTokenException": _UNSIGNED,
    "RequestExpired": _CLOCK_SKEW,
    "RequestTimeTooSkewed": _CLOCK_SKEW,
}
"""Error codes of S3 stores and KMS about credentials, with advice for each."""

_SIGN_IN: Final = "Sign in again (`aws sso login`), with the profile that is used here"
FETCH_ADVICE: Final[Mapping[str, str]] = {
    "AssumeRole": (
        "Check role_arn (and external_id) in the profile, that the role's trust policy names who asks, "
        "and that they may sts:AssumeRole"
    ),
    "AssumeRoleWithWebIdentity": (
        "Check AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE (on EKS: the service account's role), and that "
        "the role's trust policy has the identity provider, the service account's name and the audience"
    ),
    "AssumeRoleWithSAML": "Check the role's trust policy, and sign in again",
    "GetSessionToken": "Check the long-lived credentials, and the MFA device and code",
    "GetFederationToken": "Check the long-lived credentials, and that they may sts:GetFederationToken",
    "GetCallerIdentity": "Check the credentials",
    "GetRoleCredentials": f"{_SIGN_IN}, and check sso_account_id and sso_role_name",
    "CreateToken": _SIGN_IN,
    "CreateOAuth2Token": "Sign in again (`aws login`), with the profile that is used here",
}
"""Operations that fetch credentials, with advice for when one is denied."""

_THROTTLED: Final = frozenset(
    {"Throttling", "ThrottlingException", "RequestLimitExceeded", "IDPCommunicationError"}
)


class Throttle:
    """Allows an action at most once a second, so that one that keeps failing isn't tried all the time.

    Args:
        clock: Returns the time in seconds.
    """

    SECONDS: Final = 1.0

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: float | None = None

    def allow(self) -> bool:
        """Return whether the action may happen now; if so, count it.

        There is no lock: if two threads act at the same time, no harm is done.
        """
        now = self._clock()
        if self._last is not None and now - self._last < self.SECONDS:
            return False
        self._last = now
        return True


def region_of(setting: str | None, session: Any, default: str | None = None) -> str | None:
    """Return the region of a client: the setting's, the session's own, or that of AWS's chain.

    boto3 only reads `AWS_DEFAULT_REGION`. AWS's other tools also read `AWS_REGION`, which takes precedence.

    Args:
        setting: The region that the user set, if any.
        session: The session that makes the client: botocore's, aiobotocore's, boto3's or aioboto3's. A
            session of another kind resolves the region by itself.
        default: The region if none is set anywhere.
    """
    core = botocore_session(session)
    if setting is not None or core is None:
        return setting
    config = core.get_default_client_config()
    own = core.instance_variables().get("region") or (config.region_name if config else None)
    found: str | None = own or os.environ.get("AWS_REGION") or core.get_config_variable("region")
    return found or default


def botocore_session(session: Any) -> Any:
    """Return the botocore session that a session is or wraps; `None` if there is none."""
    core = getattr(session, "_session", session)
    return core if hasattr(core, "get_default_client_config") else None


def credentials_of(client: Any) -> Any:
    """Return a client's credentials, if they are accessible; `None` if it has none."""
    signer = getattr(client, "_request_signer", None)  # botocore exposes them nowhere else
    return getattr(signer, "_credentials", None)


def lacks_credentials(client: Any) -> bool:
    """Return whether a client needs credentials and was made without any."""
    from botocore import UNSIGNED

    return credentials_of(client) is None and client.meta.config.signature_version is not UNSIGNED


def refresh_credentials(client: Any) -> None:
    """Make a client with `RenewableCredentials` resolve them again before its next request."""
    invalidate = getattr(credentials_of(client), "invalidate", None)
    if invalidate is not None:
        invalidate()


def credentials_error(error: Exception, **where: Any) -> S3CheckpointError | None:
    """Map an error about credentials, or about fetching them; return `None` for any other error.

    Args:
        error: The client's error.
        **where: Bucket and key of the new error.
    """
    from botocore import exceptions as boto

    if isinstance(error, boto.ClientError):
        return _response_error(error, where)
    missing = (
        boto.NoCredentialsError,
        boto.PartialCredentialsError,
        boto.CredentialRetrievalError,
        boto.MetadataRetrievalError,
        boto.TokenRetrievalError,
        boto.NoAuthTokenError,
        boto.SSOError,
        boto.RefreshWithMFAUnsupportedError,
        boto.UnknownCredentialError,
        boto.InfiniteLoopConfigError,
    )
    if not isinstance(error, missing):
        return None
    advice = (
        _SIGN_IN
        if isinstance(error, (boto.SSOError, boto.TokenRetrievalError))
        else (
            "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role. They are looked for "
            "again with the next request"
        )
    )
    return AccessDeniedError(
        f"There are no usable AWS credentials ({error}). {advice}", unauthenticated=True, **where
    )


def _response_error(error: Any, where: Mapping[str, Any]) -> S3CheckpointError | None:
    """Map an error response of S3, of KMS or of the credentials' source."""
    details = error.response.get("Error", {})
    code, message = str(details.get("Code", "")), str(details.get("Message", ""))
    metadata = error.response.get("ResponseMetadata", {})
    ids = tuple(metadata[name] for name in ("RequestId", "HostId") if metadata.get(name))
    operation = str(error.operation_name)
    if operation in FETCH_ADVICE:
        status = int(metadata.get("HTTPStatusCode", 0))
        if status >= 500 or status == 429 or code in _THROTTLED:
            return StorageUnavailableError(
                f"AWS credentials can't be fetched now: {operation} failed with {status} {code} "
                f"({message}). It is tried again with the next request",
                status=status,
                request_ids=ids,
                **where,
            )
        return AccessDeniedError(
            f"AWS credentials can't be fetched: {operation} was refused ({code}: {message}). "
            f"{FETCH_ADVICE[operation]}",
            unauthenticated=True,
            request_ids=ids,
            **where,
        )
    if code in CREDENTIAL_ADVICE:
        return AccessDeniedError(
            f"The credentials aren't accepted ({code}). {CREDENTIAL_ADVICE[code]}",
            unauthenticated=True,
            request_ids=ids,
            **where,
        )
    return None
