"""A few of botocore's words, which the saver's requests and the admin module's have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langgraph_checkpoint_s3.s3.requests import Deletion


def of_version(version: str | None) -> dict[str, str]:
    """The argument that names a version."""
    return {} if version is None else {"VersionId": version}


def deletion(response: Mapping[str, Any]) -> Deletion:
    """What DeleteObjects tells of those that it didn't delete."""
    return Deletion(
        tuple(
            (str(error.get("Key")), str(error.get("Code")), str(error.get("Message")))
            for error in response.get("Errors", ())
        )
    )


def etag(response: Mapping[str, Any]) -> str:
    """The ETag without its quotes: stores differ in where they write them."""
    return str(response.get("ETag", "")).strip('"')
