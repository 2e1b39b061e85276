"""How AWS KMS is asked: one client a process, one request for all who ask the same, and its errors."""

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

_OF_THE_KEY: Final = {
    "NotFoundException": "KMS knows no such key: check the account, and that the region is the key's",
    "InvalidArnException": "KMS takes it for no key's ARN, or for one of another region",
    "DisabledException": "It is disabled: enable it (kms:EnableKey)",
    "KMSInvalidStateException": "Its state doesn't allow that: if its deletion is pending, cancel it "
    "(kms:CancelKeyDeletion), then enable the key (kms:EnableKey)",
    "InvalidKeyUsageException": "It isn't a symmetric key for encryption",
    "ValidationException": "KMS takes the request for invalid: check the key's name",
    "InvalidKeyId": "It is no key's id, ARN or alias",
}
_AGAIN: Final = (
    *("Throttling", "LimitExceeded", "KMSInternal", "DependencyTimeout", "KeyUnavailable", "RequestTimeout"),
    *("CloudHsmCluster", "XksProxy", "ServiceUnavailable", "Internal"),
)
"""How the codes begin of what may be another one the next time."""
_WRAPPED: Final = {
    "InvalidCiphertextException": "it is damaged, or was wrapped with another encryption_context",
    "IncorrectKeyException": "another master key wrapped it. If an alias pointed to that "
    "one before, add its ARN to also_read",
}


class KmsClient:
    """A client of AWS KMS, made on first use, and anew in a forked process.

    Args:
        region: The keys' region; `None` leaves it to AWS's own chain.
        endpoint_url: Another address.
        client: A client of the user's own, to use as it is.
        session: A `boto3.Session` of the user's own, to make the client from.
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
            key: What errors call the master key.
            **arguments: The method's.
        """
        client: Any = None
        try:
            process = self._process()
            with process.lock, delay_forks():
                client = process.client = process.client or self._given or self._make()
            with _quiet, limit_requests(TimeLimit(_CONNECT_TIMEOUT + _READ_TIMEOUT)):
                answer: Mapping[str, Any] = getattr(client, operation)(**arguments)
        except Exception as error:
            meant = _judge(error, operation, key)
            if meant is None:
                raise
            if client is not None and isinstance(meant, AccessDeniedError) and meant.unauthenticated:
                self._refused(client)
            raise meant from error
        return answer

    def _refused(self, client: Any) -> None:
        """Look for other credentials before the next request: this client's were refused, or it has none."""
        if client is self._given:
            return
        refresh_credentials(client)
        if self._session is not None and lacks_credentials(client):  # the session found none then
            process = self._process()
            with process.lock:
                if process.client is client and process.throttle.allow():
                    process.client = None

    def once(self, what: object, do: Callable[[], T]) -> T:
        """Do it, or wait for the thread that is at it already, and share its result or error."""
        process = self._process()
        mine: Future[T] = Future()
        with process.lock:
            flight: Future[T] = process.flights.setdefault(what, mine)
        if flight is mine:
            try:
                flight.set_result(do())
            except Exception as error:  # noqa: BLE001  # raised below, and wherever it is waited for
                flight.set_exception(error)
            finally:
                with process.lock:
                    del process.flights[what]
                flight.cancel()  # if it isn't done: Ctrl-C is for the thread that got it
        try:
            return flight.result()
        except CancelledError:
            return self.once(what, do)

    def close(self) -> None:
        """Close the connections, if the client is of our own making. The next use makes a new one."""
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
    """What a forked process must not share: sockets, and what a thread of its parent's may have held."""

    def __init__(self) -> None:
        self.client: Any = None
        self.throttle = Throttle()
        self.lock = threading.Lock()
        self.flights: dict[object, Future[Any]] = {}


class _Quiet(threading.local):
    """Keeps botocore from logging KMS's answers at level DEBUG: data keys stand in them in plaintext."""

    active = False

    def __enter__(self) -> None:
        self.active = True

    def __exit__(self, *_: object) -> None:
        self.active = False

    def filter(self, record: logging.LogRecord) -> bool:
        return not self.active


_quiet: Final = _Quiet()
logging.getLogger("botocore.parsers").addFilter(_quiet.filter)


def _judge(error: Exception, operation: str, key: str) -> S3CheckpointError | None:
    """What an error of botocore's means; `None` if it is none."""
    from botocore import exceptions as boto

    action = ACTIONS[operation]
    told = credentials_error(error)
    if told is not None:
        told.reason = f"{told.reason}. It was for {action} with {key}"
        return told
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
        for held in (vars(error), error.kwargs):
            for name in ("request", "response"):
                held.pop(name, None)  # type: ignore[misc]  # more than its types know
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
    if code in _WRAPPED:
        return DecryptionError(
            f"KMS can't unwrap the data key with {key}: {_WRAPPED[code]}. {said}", request_ids=ids
        )
    if code in _OF_THE_KEY:
        kind = DecryptionError if operation == "decrypt" else InvalidConfigError
        return kind(f"The KMS key {key} can't be used. {_OF_THE_KEY[code]}. {said}", request_ids=ids)
    if 400 <= status < 500 and status != 429 and not code.startswith(_AGAIN):
        why = (
            _OF_THE_KEY["InvalidKeyId"]
            if code.startswith("InvalidKeyId")
            else "Check the key, its policy and state"
        )
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
