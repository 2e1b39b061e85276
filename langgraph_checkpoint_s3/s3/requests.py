"""What can be asked of S3, and what it answers. Plain frozen data: plans yield it, drivers send it.

Outcomes that a plan decides on (an absent object, a condition that isn't met) are answers;
everything else that goes wrong is an exception.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar

from langgraph_checkpoint_s3.errors import S3CheckpointError

A_co = TypeVar("A_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Request(Generic[A_co]):
    """A request whose answer is an `A_co`.

    Attributes:
        is_sent: Whether anything is sent for it.
    """

    is_sent: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class Tick(Request[float]):
    """Read a clock that never jumps: seconds from some moment on. Nothing is sent."""

    is_sent: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Sleep(Request[None]):
    """Wait for so many seconds. Nothing is sent. Those of one batch wait together."""

    is_sent: ClassVar[bool] = False

    seconds: float


@dataclass(frozen=True, slots=True)
class NotFound:
    """There is no such object (404)."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong with a request that was `Attempted`."""

    error: S3CheckpointError


@dataclass(frozen=True, slots=True)
class PreconditionFailed:
    """A condition isn't met (412): an object is there already, or it isn't the expected one any more."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The object was written, or is there.

    Attributes:
        etag: Its ETag.
        at: The store's time when it said so; `None` where it doesn't tell.
    """

    etag: str
    at: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Body:
    """What was read of an object.

    Attributes:
        data: The bytes asked for.
        etag: The object's ETag.
        size: The whole object's length in bytes.
    """

    data: bytes = field(repr=False)
    etag: str
    size: int


@dataclass(frozen=True, slots=True)
class AgedBody:
    """What a small object holds, and how old that is.

    Attributes:
        data: Its bytes.
        etag: Its ETag.
        age: Seconds since it was written, by the store's own clock; `None` where that isn't said.
    """

    data: bytes
    etag: str
    age: float | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One object in a listing.

    Attributes:
        key: The object.
        size: Its length in bytes.
        etag: Its ETag.
        modified: When it was written.
        storage_class: Where it lies; what a store doesn't say is `STANDARD`.
        version: One of its versions; `None` is the one that is there now.
    """

    key: str
    size: int
    etag: str
    modified: datetime
    storage_class: str = "STANDARD"
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing. `token` leads to the next one, and is `None` on the last."""

    entries: tuple[Entry, ...]
    prefixes: tuple[str, ...]
    token: str | None


@dataclass(frozen=True, slots=True)
class Deletion:
    """What a batch deletion did: per key that stayed, S3's code and message."""

    failed: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Done:
    """It was done; there is nothing to tell."""


@dataclass(frozen=True, slots=True)
class PutObject(Request["Stored | PreconditionFailed"]):
    """Write an object.

    Attributes:
        key: The object.
        body: Its bytes.
        only_new: Whether to write it only where there is none (`If-None-Match: *`).
        expected: The ETag of the object in whose place alone to write it (`If-Match`).
        raw: How many bytes what is in it has, serialized: for the counts alone.
        strict: Whether the answer is `PreconditionFailed` where the store is known to have no conditions, and
            nothing is written. Otherwise it is then written without one.
    """

    key: str
    body: bytes = field(repr=False)
    only_new: bool = False
    expected: str | None = None
    raw: int = 0
    strict: bool = False


@dataclass(frozen=True, slots=True)
class CompareAndSwap(Request["Stored | PreconditionFailed"]):
    """Write a small object in the place of the expected one. The condition is never left out.

    Attributes:
        key: The object.
        body: What to write.
        expected: The ETag that is there (`If-Match`); `None` is that there is nothing (`If-None-Match: *`).
    """

    key: str
    body: bytes
    expected: str | None


@dataclass(frozen=True, slots=True)
class GetWithAge(Request["AgedBody | NotFound"]):
    """Read a small object and its age, never from the cache. What is behind `MOST` bytes isn't read."""

    MOST: ClassVar[int] = 4096

    key: str


@dataclass(frozen=True, slots=True)
class GetObject(Request["Body | NotFound"]):
    """Read an object.

    Attributes:
        key: The object.
        etag: The version a listing showed. The answer comes from the cache where it has that one;
            otherwise whatever is there now is read.
        first: The first byte wanted.
        length: How many bytes are wanted; `None` is all of them.
        keep: Whether the answer is worth remembering.
        version: The version wanted; `None` is the one that is there now.
        listed: The whole object's length in that listing. What is there now may have another.
    """

    key: str
    etag: str | None = None
    first: int = 0
    length: int | None = None
    keep: bool = True
    version: str | None = None
    listed: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class HeadObject(Request["Stored | NotFound"]):
    """Ask whether an object is there."""

    key: str


@dataclass(frozen=True, slots=True)
class ListObjects(Request[Page]):
    """List keys below a prefix, in ascending order.

    Attributes:
        prefix: What they begin with.
        max_keys: How many to list at most.
        start_after: What they are all greater than. Where there is a `token` this isn't sent, and the answer
            is held against it all the same.
        token: What the page before gave to go on with.
        delimiter: Folds the keys that hold it behind the prefix into `Page.prefixes`.
    """

    prefix: str
    max_keys: int = 1000
    start_after: str | None = None
    token: str | None = None
    delimiter: str | None = None


@dataclass(frozen=True, slots=True)
class DeleteObjects(Request[Deletion]):
    """Delete up to 1,000 objects. That one is absent already is no failure."""

    keys: tuple[str, ...]

    def only(self, keys: Collection[str]) -> DeleteObjects:
        """Return the same for some of the keys."""
        return DeleteObjects(tuple(key for key in self.keys if key in keys))


@dataclass(frozen=True, slots=True)
class CopyObject(Request["Stored | NotFound"]):
    """Copy an object, or one of its versions, within the bucket, on the server."""

    source: str
    target: str
    version: str | None = None


@dataclass(frozen=True, slots=True)
class CreateUpload(Request[str]):
    """Begin a multipart upload; the answer is its id."""

    key: str


@dataclass(frozen=True, slots=True)
class UploadPart(Request[str]):
    """Send a part, counted from 1; the answer is its ETag."""

    key: str
    upload_id: str
    number: int
    body: bytes | memoryview = field(repr=False)


@dataclass(frozen=True, slots=True)
class CompleteUpload(Request["Stored | PreconditionFailed | NotFound"]):
    """Make the object out of its parts, given by their ETags in order. `body` and `raw` are for our own use.

    `NotFound` is the upload: it was completed already, or aborted.
    """

    key: str
    upload_id: str
    etags: tuple[str, ...]
    body: bytes = field(repr=False)
    only_new: bool = False
    expected: str | None = None
    raw: int = 0


@dataclass(frozen=True, slots=True)
class AbortUpload(Request[Done]):
    """Give an upload up and free its parts."""

    key: str
    upload_id: str


@dataclass(frozen=True, slots=True)
class CreateBucket(Request[Done]):
    """Create the bucket in the client's region. That it is ours already is no failure."""


@dataclass(frozen=True, slots=True)
class Attempted(Request["A_co | Failure"]):
    """Send a request whose error is its answer: it ends nothing but itself."""

    request: Request[A_co]
