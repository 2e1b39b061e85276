"""What the doctor knows when it makes its findings: whose bucket it is, and what was answered. Pure.

Answers come by the names of what was asked, each an answer or a `Failure`. What isn't among them
wasn't asked: what it needs didn't work.

    head      HEAD of the bucket                list      LIST of all objects, a few at a time
    write     PUT of an object, only if new     after     LIST of what comes after the first of them
    upload    the begin of an upload            versioned LIST of versions, where there should be none
    signed    a URL, which isn't sent           again     `write` once more, now that it is there
    settings  by their own names                complete  the upload's end, where the copy lies, only if new
    read      GET of the object                 folders   LIST of them with a delimiter
    range     GET of a piece of it              delete    of all objects
    copy      a COPY of it                      abort     of the upload
    part      the upload's part                 versions  those that stay, and
    absent    HEAD of an object that isn't      purge     their deletion
    names     PUT of more objects, each by its own name
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from langgraph_checkpoint_s3.config import S3Config
from langgraph_checkpoint_s3.errors import S3CheckpointError
from langgraph_checkpoint_s3.plans.setup import NAMES, probe_key
from langgraph_checkpoint_s3.s3.admin_requests import Signed
from langgraph_checkpoint_s3.s3.requests import Failure, PreconditionFailed, Stored

FIRST, LENGTH = 20, 9
"""The piece of the probe that is read by itself."""


@dataclass(slots=True)
class Case:
    """One check of one bucket.

    Attributes:
        config: The saver's.
        folder: Where the probe's objects lie.
        answers: What was answered.
        begun: This machine's time before the first round.
        ended: And after it.
    """

    config: S3Config
    folder: str
    begun: datetime
    ended: datetime
    answers: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, config: S3Config, nonce: str, now: datetime) -> Case:
        """A check that begins now, with something unique for the probe's keys."""
        return cls(config, probe_key(config.prefix, f"{nonce}/"), now, now)

    @property
    def written(self) -> str:
        """The key of the object that is written."""
        return f"{self.folder}written"

    @property
    def copied(self) -> str:
        """The key of its copy, which is made after it and comes before it in a listing."""
        return f"{self.folder}copied"

    @property
    def keys(self) -> tuple[str, ...]:
        """Return all keys that may lie in the probe's folder, in S3's order."""
        return tuple(sorted((self.written, self.copied, *(self.folder + name for name in NAMES))))

    @property
    def listed(self) -> list[str]:
        """Return those of them that are there, in that order."""
        names = {self.written: "write", self.copied: "copy"}
        return [key for key in self.keys if self.there(names.get(key, key[len(self.folder) :]))]

    @property
    def objects(self) -> str:
        """What permissions for objects are given on."""
        return f"{self.config.bucket}/{self.config.prefix}*"

    @property
    def upload_id(self) -> str | None:
        """The upload that was begun."""
        answer = self.answers.get("upload")
        return answer if isinstance(answer, str) else None

    @property
    def address(self) -> str:
        """Where the client goes, however that was set; empty where it isn't known."""
        signed = self.answers.get("signed")
        if not isinstance(signed, Signed):
            return self.config.endpoint_url or ""
        url = urlsplit(signed.url)
        return f"{url.scheme}://{url.netloc}"

    @property
    def outcomes(self) -> list[S3CheckpointError | None]:
        """What went wrong with each request that tells of the bucket.

        The answer to a HEAD has no body, so a wrong secret looks there like a missing permission. What is
        aborted or signed needs no bucket.
        """
        silent = ("head", "absent", "abort", "signed")
        return [self.error(name) for name in self.answers if name not in silent]

    def there(self, name: str) -> bool:
        """Whether a request that writes an object has left one."""
        return isinstance(self.answers.get(name), (Stored, PreconditionFailed))

    def error(self, name: str) -> S3CheckpointError | None:
        """What went wrong with a request."""
        answer = self.answers.get(name)
        return answer.error if isinstance(answer, Failure) else None


def response_of(error: S3CheckpointError) -> Mapping[str, Any]:
    """S3's own answer, which botocore's error has; empty if there was none."""
    return getattr(error.__cause__, "response", None) or {}


def code_of(error: S3CheckpointError) -> str:
    """S3's code for an error; empty if there was no answer."""
    return str(response_of(error).get("Error", {}).get("Code", ""))


def headers_of(answer: object) -> Mapping[str, str]:
    """The headers of an answer that was an error, by their names in lower case."""
    metadata = response_of(answer.error).get("ResponseMetadata", {}) if isinstance(answer, Failure) else {}
    headers: Mapping[str, str] = metadata.get("HTTPHeaders") or {}
    return headers
