"""Client of AWS KMS: one per process, with concurrent equal requests sent once, and errors mapped to ours."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future
from typing import Any, Final, TypeVar

from langgraph_checkpoint_s3.aws_client import AwsClient
from langgraph_checkpoint_s3.errors import DecryptionError, InvalidConfigError, S3CheckpointError

T = TypeVar("T")

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


class KmsClient(AwsClient):
    """Client of AWS KMS, made on first use, and again in a forked process."""

    service = "kms"
    title = "AWS KMS"
    settings = "the key, region and endpoint_url"
    actions = ACTIONS

    def call(self, operation: str, target: str, **arguments: Any) -> Mapping[str, Any]:
        """Send one request, whose answer isn't logged."""
        with _no_logging:
            return super().call(operation, target, **arguments)

    def refusal(self, operation: str, target: str, code: str, status: int) -> S3CheckpointError | None:
        """Return the error of a key that can't be used."""
        if code in _UNWRAP_ERRORS:
            return DecryptionError(f"KMS can't unwrap the data key with {target}: {_UNWRAP_ERRORS[code]}")
        why = _KEY_ERRORS.get(code)
        if why is None and 400 <= status < 500 and status != 429 and not code.startswith(_TRANSIENT):
            other = "Check the key, its policy and state"
            why = _KEY_ERRORS["InvalidKeyId"] if code.startswith("InvalidKeyId") else other
        if why is None:
            return None
        kind = DecryptionError if operation == "decrypt" else InvalidConfigError
        return kind(f"The KMS key {target} can't be used. {why}")

    def once(self, key: object, function: Callable[[], T]) -> T:
        """Call a function. A thread that calls with the same key meanwhile waits, and shares the outcome."""
        process = self.process()
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
