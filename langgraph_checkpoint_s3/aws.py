"""Region and credentials for S3's and KMS's clients, and errors about those.

A client's credentials are found when it is made. Those that were refused since, or weren't there then, are
looked for again (`credentials.py`), so that nothing needs a new process: not a metadata service that was
late, nor a file that was renewed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from langgraph_checkpoint_s3.errors import AccessDeniedError, S3CheckpointError, StorageUnavailableError

_NEW: Final = "A renewed file, profile or role is read again by itself; variables need a new process"
_SKEW: Final = "This machine's clock is wrong by more than is allowed: set it right"
_UNKNOWN: Final = (
    "The access key id isn't known: it was deleted or deactivated, or is another store's or account's. Check "
    f"AWS_ACCESS_KEY_ID, the profile and the endpoint. {_NEW}"
)
_WRONG: Final = (
    "The secret access key doesn't belong to the access key id. Check AWS_SECRET_ACCESS_KEY or the profile "
    "for a character too many or too few; if it is right, a proxy changes the requests"
)
_EXPIRED: Final = f"The session token has expired: get a new one (`aws sso login`, the role again). {_NEW}"
_TOKEN: Final = (
    "The session token isn't valid: it must be of the same credentials as the access key. Set "
    f"AWS_SESSION_TOKEN anew, or unset it for credentials that last. {_NEW}"
)
_UNSIGNED: Final = "The request came unsigned or half signed: check the credentials, and proxies on the way"

CREDENTIALS: Final[Mapping[str, str]] = {
    "InvalidAccessKeyId": _UNKNOWN,
    "InvalidClientTokenId": _UNKNOWN,
    "UnrecognizedClientException": _UNKNOWN,
    "SignatureDoesNotMatch": _WRONG,
    "InvalidSignatureException": _WRONG,
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "TokenRefreshRequired": _EXPIRED,
    "InvalidToken": _TOKEN,
    "IncompleteSignature": _UNSIGNED,
    "MissingAuthenticationToken": _UNSIGNED,
    "MissingAuthenticationTokenException": _UNSIGNED,
    "RequestExpired": _SKEW,
    "RequestTimeTooSkewed": _SKEW,
}
"""What a store or KMS has against the credentials, by its code, and what to do."""

_SIGN_IN: Final = "Sign in again (`aws sso login`), with the profile that is used here"
FETCHING: Final[Mapping[str, str]] = {
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
"""The requests by which credentials are fetched, and what to do when one is refused."""

_BUSY: Final = frozenset(
    {"Throttling", "ThrottlingException", "RequestLimitExceeded", "IDPCommunicationError"}
)


class Seldom:
    """Lets something happen at once, and then again after a second: what fails always isn't tried always.

    Args:
        clock: Tells the time in seconds.
    """

    SECONDS: Final = 1.0

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: float | None = None

    def may(self) -> bool:
        """Return whether it may happen now; if so, it counts as having happened.

        Without a lock: that two threads do it at once does no harm.
        """
        now = self._clock()
        if self._last is not None and now - self._last < self.SECONDS:
            return False
        self._last = now
        return True


def region_of(asked: str | None, session: Any, default: str | None = None) -> str | None:
    """Return the region for a client: the one asked for, the session's own, or what AWS's chain says.

    boto3 reads `AWS_DEFAULT_REGION` alone. AWS's other tools read `AWS_REGION`, and before that one.

    Args:
        asked: What a setting says.
        session: The session that makes the client: botocore's, aiobotocore's, boto3's or aioboto3's. One of
            another kind decides for itself.
        default: The region where nobody says one.
    """
    core = core_of(session)
    if asked is not None or core is None:
        return asked
    config = core.get_default_client_config()
    own = core.instance_variables().get("region") or (config.region_name if config else None)
    found: str | None = own or os.environ.get("AWS_REGION") or core.get_config_variable("region")
    return found or default


def core_of(session: Any) -> Any:
    """Return the botocore session that a session is or holds; `None` if there is none."""
    core = getattr(session, "_session", session)
    return core if hasattr(core, "get_default_client_config") else None


def credentials_of(client: Any) -> Any:
    """Return a client's credentials, where they can be seen; `None` if it has none."""
    signer = getattr(client, "_request_signer", None)  # botocore shows them nowhere else
    return getattr(signer, "_credentials", None)


def lacks_credentials(client: Any) -> bool:
    """Return whether a client was made without credentials that it needs."""
    from botocore import UNSIGNED

    return credentials_of(client) is None and client.meta.config.signature_version is not UNSIGNED


def look_again(client: Any) -> None:
    """Have a client look for credentials anew before its next request, if they are of our own finding."""
    forget = getattr(credentials_of(client), "forget", None)
    if forget is not None:
        forget()


def of_credentials(error: Exception, **where: Any) -> S3CheckpointError | None:
    """Return what an error says of the credentials, or of their being fetched.

    `None` if it is about something else.

    Args:
        error: What a client raised.
        **where: The bucket and the key, for the error.
    """
    from botocore import exceptions as boto

    if isinstance(error, boto.ClientError):
        return _of_answer(error, where)
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
    told = (
        _SIGN_IN
        if isinstance(error, (boto.SSOError, boto.TokenRetrievalError))
        else (
            "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role. They are looked for "
            "again with the next request"
        )
    )
    return AccessDeniedError(
        f"There are no usable AWS credentials ({error}). {told}", unauthenticated=True, **where
    )


def _of_answer(error: Any, where: Mapping[str, Any]) -> S3CheckpointError | None:
    """Tell an error about credentials from an answer of S3, of KMS or of the source of the credentials."""
    details = error.response.get("Error", {})
    code, message = str(details.get("Code", "")), str(details.get("Message", ""))
    metadata = error.response.get("ResponseMetadata", {})
    ids = tuple(metadata[name] for name in ("RequestId", "HostId") if metadata.get(name))
    operation = str(error.operation_name)
    if operation in FETCHING:
        status = int(metadata.get("HTTPStatusCode", 0))
        if status >= 500 or status == 429 or code in _BUSY:
            return StorageUnavailableError(
                f"AWS credentials can't be fetched now: {operation} failed with {status} {code} "
                f"({message}). It is tried again with the next request",
                status=status,
                request_ids=ids,
                **where,
            )
        return AccessDeniedError(
            f"AWS credentials can't be fetched: {operation} was refused ({code}: {message}). "
            f"{FETCHING[operation]}",
            unauthenticated=True,
            request_ids=ids,
            **where,
        )
    if code in CREDENTIALS:
        return AccessDeniedError(
            f"The credentials aren't accepted ({code}). {CREDENTIALS[code]}",
            unauthenticated=True,
            request_ids=ids,
            **where,
        )
    return None
