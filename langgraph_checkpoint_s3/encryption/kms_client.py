"""Client of AWS KMS: one per process, with concurrent equal requests sent once, and errors mapped to ours."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future
from typing import Any, Final, TypeVar

from langgraph_checkpoint_s3.aws import (
    Throttle,
    credentials_error,
    lacks_credentials,
    refresh_credentials,
    region_of,
)
from langgraph_checkpoint_s3.errors import (
    AccessDeniedError,
    DecryptionError,
    InvalidConfigError,
    S3CheckpointError,
    StorageUnavailableError,
)
from langgraph_checkpoint_s3.fork_safety import delay_forks
from langgraph_checkpoint_s3.request_timeout import TimeLimit, limit_connections, limit_requests

T = TypeVar("T")

_CONNECT_TIMEOUT: Final = 5.0
_READ_TIMEOUT: Final = 10.0

ACTIONS: Final = {
    "generate_data_key": "kms:GenerateDataKey",
    "generate_data_key_without_plaintext": "kms:GenerateDataKeyWithoutPlaintext",
    "decrypt": "kms:Decrypt",
}
"""The IAM action that each operation needs."""

_KEY_ERRORS: Final = {
    "NotFoundException": "KMS knows no such key: check the account, and that the region is the key's",
    "InvalidArnException": "It is not the ARN of a key, or one of another region",
    "DisabledException": "It is disabled: enable it (kms:EnableKey)",
    "KMSInvalidStateException": "Its state doesn't allow that: if its deletion is pending, cancel it "
    "(kms:CancelKeyDeletion), then enable the key (kms:EnableKey)",
    "InvalidKeyUsageException": "It isn't a symmetric key for encryption",
    "ValidationException": "KMS takes the request for invalid: check the key's name",
    "InvalidKeyId": "It is not the id, ARN or alias of a key",
}
_TRANSIENT: Final = (
    *("Throttling", "LimitExceeded", "KMSInternal", "DependencyTimeout", "KeyUnavailable", "RequestTimeout"),
    *("CloudHsmCluster", "XksProxy", "ServiceUnavailable", "Internal"),
)
"""Prefixes of error codes that may not recur."""
_UNWRAP_ERRORS: Final = {
    "InvalidCiphertextException": "it is damaged, or was wrapped with another encryption_context",
    "IncorrectKeyException": "another master key wrapped it. If an alias pointed to that "
    "one before, add its ARN to also_read",
}


class KmsClient:
    """Client of AWS KMS, made on first use, and again in a forked process.

    Args:
        region: The keys' region; `None` leaves it to AWS's own chain.
        endpoint_url: Another address.
        client: The user's own client, used as it is.
        session: The user's own `boto3.Session`, to make the client from.
    """

    def __init__(self, region: str | None, endpoint_url: str | None, client: Any, session: Any) -> None:
        self._region = region
        self._endpoint_url = endpoint_url
        self._given = client
        self._session = session
        self._processes: dict[int, _Process] = {}

    def call(self, operation: str, key: str, **arguments: Any) -> Mapping[str, Any]:
        """Send one request.

        Args:
            operation: The client's method.
            key: The master key's name in error messages.
            **arguments: The method's arguments.
        """
        client: Any = None
        try:
            process = self._process()
            with process.lock, delay_forks():
                client = process.client = process.client or self._given or self._make()
            with _no_logging, limit_requests(TimeLimit(_CONNECT_TIMEOUT + _READ_TIMEOUT)):
                answer: Mapping[str, Any] = getattr(client, operation)(**arguments)
        except Exception as error:
            mapped = _map_error(error, operation, key)
            if mapped is None:
                raise
            if client is not None and isinstance(mapped, AccessDeniedError) and mapped.unauthenticated:
                self._renew_credentials(client)
            raise mapped from error
        return answer

    def _renew_credentials(self, client: Any) -> None:
        """Look for other credentials before the next request: the client has none, or they were rejected."""
        if client is self._given:
            return
        refresh_credentials(client)
        if self._session is not None and lacks_credentials(client):  # the session had found none
            process = self._process()
            with process.lock:
                if process.client is client and process.throttle.allow():
                    process.client = None

    def once(self, key: object, function: Callable[[], T]) -> T:
        """Call a function. A thread that calls with the same key meanwhile waits, and shares the outcome."""
        process = self._process()
        mine: Future[T] = Future()
        with process.lock:
            running: Future[T] = process.running.setdefault(key, mine)
        if running is mine:
            try:
                running.set_result(function())
            except Exception as error:  # noqa: BLE001  # raised below, and in the threads that wait
                running.set_exception(error)
            finally:
                with process.lock:
                    del process.running[key]
                # Only a future that isn't done is cancelled: after a KeyboardInterrupt here, which isn't for
                # the threads that wait. One of them takes over.
                running.cancel()
        try:
            return running.result()
        except CancelledError:
            return self.once(key, function)

    def close(self) -> None:
        """Close the connections, unless the client is the user's own. The next use makes a new one."""
        process = self._processes.pop(os.getpid(), None)
        if process is not None and process.client is not None and self._given is None:
            process.client.close()

    def _process(self) -> _Process:
        return self._processes.get(os.getpid()) or self._processes.setdefault(os.getpid(), _Process())

    def _make(self) -> Any:
        from botocore.config import Config

        from langgraph_checkpoint_s3.credentials import new_session

        session: Any = self._session or new_session(self._region)
        arguments: dict[str, Any] = {
            "region_name": region_of(self._region, session),
            "endpoint_url": self._endpoint_url,
            "config": Config(
                connect_timeout=_CONNECT_TIMEOUT,
                read_timeout=_READ_TIMEOUT,
                retries={"mode": "standard", "total_max_attempts": 5},
            ),
        }
        create = session.create_client if self._session is None else session.client
        client = create("kms", **arguments)
        limit_connections(client)
        return client


class _Process:
    """State of one process. A forked one mustn't share its parent's sockets, nor locks that are held."""

    def __init__(self) -> None:
        self.client: Any = None
        self.throttle = Throttle()
        self.lock = threading.Lock()
        self.running: dict[object, Future[Any]] = {}


class _NoLogging(threading.local):
    """Suppresses botocore's DEBUG logs of KMS's answers, which have data keys in plaintext.

    The filter is installed with the first request, and lets everything through outside of one.
    """

    active = False

    def __enter__(self) -> None:
        logging.getLogger("botocore.parsers").addFilter(_suppress)  # does nothing if it is there
        self.active = True

    def __exit__(self, *_: object) -> None:
        self.active = False


_no_logging: Final = _NoLogging()


def _suppress(_record: logging.LogRecord) -> bool:
    return not _no_logging.active


def _map_error(error: Exception, operation: str, key: str) -> S3CheckpointError | None:
    """Return our error for one of botocore's; `None` for any other."""
    from botocore import exceptions as boto

    action = ACTIONS[operation]
    without_credentials = credentials_error(error)
    if without_credentials is not None:
        without_credentials.reason = f"{without_credentials.reason}. It was for {action} with {key}"
        return without_credentials
    if isinstance(error, boto.ClientError):
        return _of_response(error.response, operation, key)
    settings = (
        *(boto.ParamValidationError, boto.InvalidRegionError, boto.NoRegionError, ValueError),
        *(boto.ProfileNotFound, boto.ConfigNotFound, boto.ConfigParseError, boto.InvalidConfigError),
    )
    if isinstance(error, settings):
        return InvalidConfigError(
            f"KMS can't be asked with these settings ({error}): check the key, region and endpoint_url"
        )
    if isinstance(error, boto.HTTPClientError):  # botocore keeps the request in it, session token included
        for attributes in (vars(error), error.kwargs):
            for name in ("request", "response"):
                attributes.pop(name, None)  # type: ignore[misc]  # more than its types know
    if isinstance(error, (boto.BotoCoreError, OSError)):
        return StorageUnavailableError(
            f"AWS KMS can't be reached ({type(error).__name__}: {error}) for {action} with {key}. Check "
            "region, endpoint_url and network; from a VPC without internet, the VPC endpoint for KMS"
        )
    return None


def _of_response(response: Any, operation: str, key: str) -> S3CheckpointError:
    details = response.get("Error", {})
    code, message = str(details.get("Code", "")), str(details.get("Message", ""))
    metadata = response.get("ResponseMetadata", {})
    status = int(metadata.get("HTTPStatusCode", 0))
    ids = [metadata["RequestId"]] if metadata.get("RequestId") else []
    said = f"KMS says: {code} {message}".rstrip()
    action = ACTIONS[operation]
    if code in ("AccessDeniedException", "AccessDenied") or status == 403:
        return AccessDeniedError(
            f"Access denied: these credentials need {action} on {key}, by their policy or the key's own. "
            f"{said}",
            action=action,
            request_ids=ids,
        )
    if code in _UNWRAP_ERRORS:
        return DecryptionError(
            f"KMS can't unwrap the data key with {key}: {_UNWRAP_ERRORS[code]}. {said}", request_ids=ids
        )
    why = _KEY_ERRORS.get(code)
    if why is None and 400 <= status < 500 and status != 429 and not code.startswith(_TRANSIENT):
        other = "Check the key, its policy and state"
        why = _KEY_ERRORS["InvalidKeyId"] if code.startswith("InvalidKeyId") else other
    if why is not None:
        kind = DecryptionError if operation == "decrypt" else InvalidConfigError
        return kind(f"The KMS key {key} can't be used. {why}. {said}", request_ids=ids)
    attempts = int(metadata.get("RetryAttempts", 0)) + 1
    return StorageUnavailableError(
        f"AWS KMS failed at {action} with {key}, after {attempts} attempt{'s' if attempts > 1 else ''}. "
        f"{said}",
        attempts=attempts,
        status=status,
        request_ids=ids,
    )
