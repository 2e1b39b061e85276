"""Requests to S3 and their answers, as data: plans yield requests, the store sends them.

Nobody changes them. They aren't `frozen`, with which each one would take four times as long to make.
Each class is made with `eq=False, repr=False`: `Record` has these methods.

A request declares its S3 operation and the IAM action that it needs. Its arguments for botocore, and how its
answer is read, are in `translate.py`; those of the admin requests in `admin_translate.py`.

Outcomes that a plan decides on (an absent object, a condition that isn't met) are answers;
everything else that goes wrong is an exception.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar

from langgraph_checkpoint_s3.errors import S3CheckpointError
from langgraph_checkpoint_s3.format.pieces import Data, Pieces

A_co = TypeVar("A_co", covariant=True)


class Record:
    """Base of requests and answers: comparison, hash and `repr` by their fields.

    `dataclass` would write and compile these methods for each class anew, at each start of a process.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return self._compared() == other._compared() if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._compared())

    def __repr__(self) -> str:
        shown = [f"{each.name}={getattr(self, each.name)!r}" for each in fields(self) if each.repr]  # type: ignore[arg-type]  # of its subclasses, which are dataclasses
        return f"{type(self).__qualname__}({', '.join(shown)})"

    def _compared(self) -> tuple[Any, ...]:
        return tuple(getattr(self, each.name) for each in fields(self) if each.compare)  # type: ignore[arg-type]  # likewise


@dataclass(slots=True, eq=False, repr=False)
class Request(Record, Generic[A_co]):
    """A request whose answer is an `A_co`.

    Attributes:
        is_sent: Whether anything is sent for it.
        operation: S3's name of the operation; empty if it is none of S3's.
        action: The IAM action that it needs, or several joined by " and "
            (https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html).
    """

    is_sent: ClassVar[bool] = True
    operation: ClassVar[str] = ""
    action: ClassVar[str] = ""


@dataclass(slots=True, eq=False, repr=False)
class Call(Request[A_co]):
    """A call of something else that may block, such as a key provider. No request to S3.

    Attributes:
        function: The function. The async driver calls it in a thread, unless there is a coroutine.
        coroutine: Makes the coroutine that the async driver awaits instead, on the caller's event loop.
        weight: About how many bytes the plan's next step encodes.
    """

    function: Callable[[], A_co]
    coroutine: Callable[[], Coroutine[Any, Any, A_co]] | None = None
    weight: int = 0


@dataclass(slots=True, eq=False, repr=False)
class Tick(Request[float]):
    """Read a monotonic clock, in seconds. Nothing is sent."""

    is_sent: ClassVar[bool] = False


@dataclass(slots=True, eq=False, repr=False)
class Sleep(Request[None]):
    """Wait for some seconds. Nothing is sent. A batch waits once, for the longest of its sleeps."""

    is_sent: ClassVar[bool] = False

    seconds: float


@dataclass(slots=True, eq=False, repr=False)
class NotFound(Record):
    """There is no such object (404)."""


@dataclass(slots=True, eq=False, repr=False)
class Failure(Record):
    """The error of a request that was `Attempted`."""

    error: S3CheckpointError


@dataclass(slots=True, eq=False, repr=False)
class PreconditionFailed(Record):
    """A condition isn't met (412): an object is there already, or it isn't the expected one any more."""


@dataclass(slots=True, eq=False, repr=False)
class Stored(Record):
    """The object was written, or is there.

    Attributes:
        etag: Its ETag.
        at: The store's time of the answer; `None` where the store doesn't say.
    """

    etag: str
    at: datetime | None = field(default=None, compare=False)


@dataclass(slots=True, eq=False, repr=False)
class Body(Record):
    """An object, or a range of it.

    Attributes:
        data: The bytes asked for.
        etag: The object's ETag.
        size: The whole object's length in bytes.
        landed: Whether they were received into the request's `into`, and `data` is empty.
    """

    data: bytes = field(repr=False)
    etag: str
    size: int
    landed: bool = False


@dataclass(slots=True, eq=False, repr=False)
class AgedBody(Record):
    """A small object and its age.

    Attributes:
        data: Its bytes.
        etag: Its ETag.
        age: Seconds since it was written, by the store's own clock; `None` where the store doesn't say.
    """

    data: bytes
    etag: str
    age: float | None


@dataclass(slots=True, eq=False, repr=False)
class Entry(Record):
    """One object in a listing.

    Attributes:
        key: The object.
        size: Its length in bytes.
        etag: Its ETag.
        modified: When it was written.
        storage_class: Its storage class; `STANDARD` where the store names none.
        version: One of its versions; `None` is the current one.
    """

    key: str
    size: int
    etag: str
    modified: datetime
    storage_class: str = "STANDARD"
    version: str | None = None


@dataclass(slots=True, eq=False, repr=False)
class Page(Record):
    """One page of a listing. `token` leads to the next one, and is `None` on the last."""

    entries: tuple[Entry, ...]
    prefixes: tuple[str, ...]
    token: str | None


@dataclass(slots=True, eq=False, repr=False)
class Deletion(Record):
    """The result of a batch deletion: key, S3's code and message of each object that wasn't deleted."""

    failed: tuple[tuple[str, str, str], ...]


@dataclass(slots=True, eq=False, repr=False)
class Done(Record):
    """The answer of a request that returns nothing."""


@dataclass(slots=True, eq=False, repr=False)
class PutObject(Request["Stored | PreconditionFailed"]):
    """Write an object.

    Attributes:
        key: The object.
        body: Its bytes.
        only_new: Whether to write only if there is no object (`If-None-Match: *`).
        expected: The ETag of the only object that may be replaced (`If-Match`).
        raw: The serialized size of the content before compression, in bytes. Only counted.
        strict: Whether the answer is `PreconditionFailed` where the store is known to have no conditions, and
            nothing is written. Otherwise the object is then written without one.
    """

    operation: ClassVar[str] = "PutObject"
    action: ClassVar[str] = "s3:PutObject"

    key: str
    body: bytes | Pieces = field(repr=False)
    only_new: bool = False
    expected: str | None = None
    raw: int = 0
    strict: bool = False


@dataclass(slots=True, eq=False, repr=False)
class CompareAndSwap(Request["Stored | PreconditionFailed"]):
    """Replace a small object if it is the expected one. The condition is never left out.

    Attributes:
        key: The object.
        body: Its new bytes.
        expected: The present ETag (`If-Match`); `None` if there is no object (`If-None-Match: *`).
    """

    operation: ClassVar[str] = "PutObject"
    action: ClassVar[str] = "s3:GetObject and s3:PutObject"

    key: str
    body: bytes
    expected: str | None


@dataclass(slots=True, eq=False, repr=False)
class GetWithAge(Request["AgedBody | NotFound"]):
    """Read a small object and its age, never from the cache. Bytes beyond `MOST` aren't read."""

    MOST: ClassVar[int] = 4096
    operation: ClassVar[str] = "GetObject"
    action: ClassVar[str] = "s3:GetObject"

    key: str


@dataclass(slots=True, eq=False, repr=False)
class GetObject(Request["Body | NotFound"]):
    """Read an object.

    Attributes:
        key: The object.
        etag: The ETag of a listing. The answer comes from the cache if that has the object with this ETag;
            otherwise the current object is read.
        first: The first byte wanted.
        length: How many bytes are wanted; `None` is all of them.
        keep: Whether to cache the answer.
        version: The version wanted; `None` is the current one.
        listed: The whole object's length in that listing. The current object may have another.
        into: Memory for the answer's bytes. What fills it exactly may be received there, and isn't cached
            then. Another answer may leave anything in it.
    """

    operation: ClassVar[str] = "GetObject"
    action: ClassVar[str] = "s3:GetObject"

    key: str
    etag: str | None = None
    first: int = 0
    length: int | None = None
    keep: bool = True
    version: str | None = None
    listed: int | None = field(default=None, compare=False)
    into: memoryview | None = field(default=None, compare=False, repr=False)


@dataclass(slots=True, eq=False, repr=False)
class HeadObject(Request["Stored | NotFound"]):
    """Check whether an object exists."""

    operation: ClassVar[str] = "HeadObject"
    action: ClassVar[str] = "s3:GetObject"

    key: str


@dataclass(slots=True, eq=False, repr=False)
class ListObjects(Request[Page]):
    """List keys below a prefix, in ascending order.

    Attributes:
        prefix: The prefix.
        max_keys: The most keys of a page.
        start_after: A key; only greater ones are listed. It isn't sent along with a `token`, but the answer
            is checked against it all the same.
        token: `Page.token` of the page before.
        delimiter: Keys with it behind the prefix are folded into `Page.prefixes`.
    """

    operation: ClassVar[str] = "ListObjectsV2"
    action: ClassVar[str] = "s3:ListBucket"

    prefix: str
    max_keys: int = 1000
    start_after: str | None = None
    token: str | None = None
    delimiter: str | None = None


@dataclass(slots=True, eq=False, repr=False)
class DeleteObjects(Request[Deletion]):
    """Delete up to 1,000 objects. An absent object is no failure.

    Attributes:
        keys: The objects.
        etags: The ETag that each must have to be deleted; none for any. AWS refuses those that have another
            one; other stores may ignore it
            (https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-deletes.html).
    """

    operation: ClassVar[str] = "DeleteObjects"
    action: ClassVar[str] = "s3:DeleteObject"

    keys: tuple[str, ...]
    etags: tuple[str, ...] = ()

    def only(self, keys: Collection[str]) -> DeleteObjects:
        """Return the same for some of the keys."""
        kept = [number for number, key in enumerate(self.keys) if key in keys]
        etags = tuple(self.etags[number] for number in kept) if self.etags else ()
        return DeleteObjects(tuple(self.keys[number] for number in kept), etags)


@dataclass(slots=True, eq=False, repr=False)
class CopyObject(Request["Stored | NotFound"]):
    """Copy an object, or one of its versions, within the bucket, on the server."""

    operation: ClassVar[str] = "CopyObject"
    action: ClassVar[str] = "s3:GetObject and s3:PutObject"

    source: str
    target: str
    version: str | None = None


@dataclass(slots=True, eq=False, repr=False)
class CreateUpload(Request[str]):
    """Begin a multipart upload; the answer is its id."""

    operation: ClassVar[str] = "CreateMultipartUpload"
    action: ClassVar[str] = "s3:PutObject"

    key: str


@dataclass(slots=True, eq=False, repr=False)
class UploadPart(Request[str]):
    """Upload a part, numbered from 1; the answer is its ETag."""

    operation: ClassVar[str] = "UploadPart"
    action: ClassVar[str] = "s3:PutObject"

    key: str
    upload_id: str
    number: int
    body: Data = field(repr=False)


@dataclass(slots=True, eq=False, repr=False)
class CompleteUpload(Request["Stored | PreconditionFailed | NotFound"]):
    """Make the object out of its parts, given by their ETags in order. `body` and `raw` aren't sent.

    The answer `NotFound` is about the upload: it was completed already, or aborted.
    """

    operation: ClassVar[str] = "CompleteMultipartUpload"
    action: ClassVar[str] = "s3:PutObject"

    key: str
    upload_id: str
    etags: tuple[str, ...]
    body: bytes | Pieces = field(repr=False)
    only_new: bool = False
    expected: str | None = None
    raw: int = 0


@dataclass(slots=True, eq=False, repr=False)
class AbortUpload(Request[Done]):
    """Abort an upload and free its parts."""

    operation: ClassVar[str] = "AbortMultipartUpload"
    action: ClassVar[str] = "s3:AbortMultipartUpload"

    key: str
    upload_id: str


@dataclass(slots=True, eq=False, repr=False)
class CreateBucket(Request[Done]):
    """Create the bucket in the client's region. A bucket that is ours already is no failure."""

    operation: ClassVar[str] = "CreateBucket"
    action: ClassVar[str] = "s3:CreateBucket"


@dataclass(slots=True, eq=False, repr=False)
class Attempted(Request["A_co | Failure"]):
    """Send a request whose error is its answer: it doesn't end the batch."""

    request: Request[A_co]
