"""Observations of one check: the store's answers, from which the findings are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import urlsplit

from langgraph_checkpoint_s3.config import S3Config
from langgraph_checkpoint_s3.errors import S3CheckpointError
from langgraph_checkpoint_s3.plans.setup import Probe
from langgraph_checkpoint_s3.s3.admin_requests import Signed
from langgraph_checkpoint_s3.s3.requests import Failure

FIRST, LENGTH = 20, 9
"""Offset and length of the range read of the probe."""


@dataclass(slots=True, kw_only=True)
class Observations(Probe):
    """A probe of one bucket, with more requests than `setup` sends.

        head      HEAD of the bucket                 after     LIST of the keys after that of the copy
        upload    CreateMultipartUpload              folders   LIST with a delimiter
        signed    a signed URL, which isn't sent     versioned LIST of versions, where there should be none
        settings  GET, each by the setting's name    complete  CompleteMultipartUpload onto the copy
        range     GET of a range of `written`        delete    DeleteObjects of all objects
        copy      COPY of it                         abort     AbortMultipartUpload
        part      UploadPart                         versions  LIST of the versions that are left, and
        absent    HEAD of an object that isn't there purge     their deletion

    Attributes:
        config: The saver's configuration.
        begun: This machine's time before the first round trip.
        ended: This machine's time after the first round trip.
    """

    OBJECTS: ClassVar[Mapping[str, str]] = {**Probe.OBJECTS, "copied": "copy"}

    config: S3Config
    begun: datetime
    ended: datetime

    @property
    def copied(self) -> str:
        """The key of the copy. It is written after `written`, and comes before it in a list."""
        return f"{self.folder}copied"

    @property
    def resource(self) -> str:
        """The objects that permissions are needed for."""
        return f"{self.config.bucket}/{self.config.prefix}*"

    @property
    def upload_id(self) -> str | None:
        """The ID of the multipart upload."""
        answer = self.answers.get("upload")
        return answer if isinstance(answer, str) else None

    @property
    def address(self) -> str:
        """The address that the client uses, however it was configured; empty if unknown."""
        signed = self.answers.get("signed")
        if not isinstance(signed, Signed):
            return self.config.endpoint_url or ""
        url = urlsplit(signed.url)
        return f"{url.scheme}://{url.netloc}"

    @property
    def bucket_errors(self) -> list[S3CheckpointError | None]:
        """The error, or `None`, of each request whose answer depends on the bucket and the credentials.

        The answer to a HEAD has no body, so that a wrong secret looks like a missing permission. Aborting
        and signing need no bucket.
        """
        excluded = ("head", "absent", "abort", "signed")
        return [self.error(name) for name in self.answers if name not in excluded]


def response_of(error: S3CheckpointError) -> Mapping[str, Any]:
    """Return S3's own answer from botocore's error; empty if there was none."""
    return getattr(error.__cause__, "response", None) or {}


def code_of(error: S3CheckpointError) -> str:
    """Return S3's error code; empty if there was no answer."""
    return str(response_of(error).get("Error", {}).get("Code", ""))


def headers_of(answer: object) -> Mapping[str, str]:
    """Return the headers of an error's answer, by their names in lower case."""
    metadata = response_of(answer.error).get("ResponseMetadata", {}) if isinstance(answer, Failure) else {}
    headers: Mapping[str, str] = metadata.get("HTTPHeaders") or {}
    return headers
