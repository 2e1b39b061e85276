"""A few of botocore's words, which the saver's requests and the admin module's have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from langgraph_checkpoint_s3.s3.answer_checks import NotAnAnswer
from langgraph_checkpoint_s3.s3.requests import Deletion

UNNAMED: Final = "Unnamed"
"""In place of S3's code, for what an answer doesn't mention."""


_PASSES: Final = frozenset(
    {
        *("InternalError", "InternalServerError", "InternalFailure", "ServiceUnavailable", "Unavailable"),
        *("SlowDown", "Throttling", "ThrottlingException", "RequestThrottled", "RequestThrottledException"),
        *("RequestLimitExceeded", "BandwidthLimitExceeded", "TooManyRequests", "TooManyRequestsException"),
        *("RequestTimeout", "RequestTimeoutException", "OperationTimedOut", "OperationAborted"),
        *("ConditionalRequestConflict", "500", "502", "503", "504", UNNAMED),
    }
)


def passes(code: str) -> bool:
    """Return whether what is said of one key of a deletion passes, as such an answer to a request does."""
    return code in _PASSES


def of_version(version: str | None) -> dict[str, str]:
    """The argument that names a version."""
    return {} if version is None else {"VersionId": version}


def deletion(response: Mapping[str, Any], targets: Iterable[tuple[str, str | None]]) -> Deletion:
    """Return what DeleteObjects tells of those that it didn't delete.

    It is asked to name those that it deleted too: an answer without a name is no evidence.

    Args:
        response: The answer.
        targets: What was to be deleted: keys, each with its version or `None`.

    Raises:
        NotAnAnswer: It names none of them.
    """
    failed = [
        (str(error.get("Key")), str(error.get("Code")), str(error.get("Message")))
        for error in response.get("Errors", ())
    ]
    named = {(item.get("Key"), item.get("VersionId")) for item in response.get("Deleted", ())}
    if not failed and not named:
        raise NotAnAnswer("it names nothing that was deleted, or that failed to be")
    refused = {key for key, _, _ in failed}
    failed += [
        (key, UNNAMED, "the store doesn't say whether it was")
        for key, version in targets
        if not (key in refused or (key, version) in named or (key, None) in named)
    ]
    return Deletion(tuple(failed))


def etag(response: Mapping[str, Any]) -> str:
    """The ETag without its quotes: stores differ in where they write them."""
    return str(response.get("ETag", "")).strip('"')
