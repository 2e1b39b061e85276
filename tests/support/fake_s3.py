"""An S3 in memory that executes the requests of `s3/requests.py`, counts them, and fails on demand.

    fake = FakeS3()
    saver = make_saver(fake)                  # a real S3Saver; only its clients are replaced
    with fake.counted() as count:
        saver.get_tuple(config)
    assert count.kinds == {"ListObjects": 1, "GetObject": 1} and count.round_trips == 2

Any number of savers may share one fake: each has its own cache, as processes do.
"""

from __future__ import annotations

import hashlib
import random
import threading
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any, Literal, TypeAlias, TypeVar

from botocore.exceptions import ClientError

from langgraph_checkpoint_s3.admin.lifecycle.policy import Reach
from langgraph_checkpoint_s3.format.pieces import joined
from langgraph_checkpoint_s3.format.retention import TAG
from langgraph_checkpoint_s3.s3.admin_requests import (
    BucketHead,
    DeleteVersions,
    GetTags,
    InspectBucket,
    InspectObject,
    ListUploads,
    ListVersions,
    ObjectInfo,
    PutTags,
    RestoreObject,
    Sign,
    Signed,
    UploadPage,
    Version,
    VersionPage,
)
from langgraph_checkpoint_s3.s3.admin_requests import Upload as Begun
from langgraph_checkpoint_s3.s3.bucket_settings import (
    LIFECYCLE,
    VERSIONING,
    DeleteSetting,
    GetSetting,
    PutSetting,
)
from langgraph_checkpoint_s3.s3.requests import (
    AbortUpload,
    AgedBody,
    Body,
    CompareAndSwap,
    CompleteUpload,
    CopyObject,
    CreateBucket,
    CreateUpload,
    DeleteObjects,
    Deletion,
    Done,
    Entry,
    GetObject,
    GetWithAge,
    HeadObject,
    ListObjects,
    NotFound,
    Page,
    PreconditionFailed,
    PutObject,
    Request,
    Stored,
    UploadPart,
)

T = TypeVar("T")

_EPOCH = datetime(2026, 1, 1, tzinfo=timezone.utc)

Moment: TypeAlias = Literal["before", "after"]
Tags: TypeAlias = "tuple[tuple[str, str], ...]"
Hook: TypeAlias = Callable[[Moment, "Request[Any]"], None]
"""Called before and after each request's effect. It may change the fake, or raise."""

BUCKET = "fake-bucket"
_MAX_KEYS = 1000
_MAX_LISTED = 1000
_OFFLINE = ("GLACIER", "DEEP_ARCHIVE")


@dataclass(frozen=True)
class StoredObject:
    """An object as it lies in the fake."""

    data: bytes
    etag: str
    modified: datetime
    storage_class: str = "STANDARD"
    restore: str | None = None
    archive_status: str | None = None
    tags: Tags = ()

    @property
    def tag(self) -> str | None:
        """Value of the retention tag."""
        return dict(self.tags).get(TAG)


@dataclass
class Upload:
    """A multipart upload that was neither completed nor aborted."""

    key: str
    begun: datetime = _EPOCH
    parts: dict[int, tuple[str, bytes]] = field(default_factory=dict)
    tags: Tags = ()


@dataclass
class Count:
    """The requests made while it was open.

    Attributes:
        requests: Those that reached S3, in order; what the cache answered isn't among them.
        batches: The same, grouped by round trip.
    """

    batches: list[list[Request[Any]]] = field(default_factory=list)

    @property
    def requests(self) -> list[Request[Any]]:
        return [request for batch in self.batches for request in batch]

    @property
    def round_trips(self) -> int:
        return len(self.batches)

    @property
    def kinds(self) -> dict[str, int]:
        """The number of requests of each kind, by class name."""
        return dict(Counter(type(request).__name__ for request in self.requests))


class FakeS3:
    """One bucket.

    Attributes:
        objects: What is stored, by key.
        uploads: The unfinished multipart uploads, by id.
        hook: See `Hook`.
        plain: Whether conditions are ignored without a word, as some stores do.
        undeletable: Keys that DeleteObjects reports an error for, with S3's code and message.
        shuffle: Executes the requests of a batch in an order of its own.
        least_part: The least size of a part but the last, in bytes; S3's is 5 MiB.
        exists: Whether there is a bucket.
        versions: Of each key the versions, oldest first; `None` is a delete marker. Without versioning, at
            most one.
        settings: The bucket's settings, by their names and ids.
        unsupported: The names of settings that the store doesn't know.
        later: By how much its time has gone on besides.
        beside: Other buckets of the same account, by name.
    """

    def __init__(self) -> None:
        self.objects: dict[str, StoredObject] = {}
        self.uploads: dict[str, Upload] = {}
        self.hook: Hook | None = None
        self.plain = False
        self.undeletable: dict[str, tuple[str, str]] = {}
        self.shuffle: random.Random | None = None
        self.least_part = 0
        self.exists = True
        self.seconds = 0.0  # of everybody's clock: what sleeps lets it pass
        self.versions: dict[str, list[tuple[str, StoredObject | None, datetime]]] = {}
        self.settings: dict[tuple[str, str | None], Any] = {}
        self.unsupported: set[str] = set()
        self.later = timedelta(0)
        self.beside: dict[str, FakeS3] = {}
        self._keys: list[str] = []
        self._ticks = 0
        self._lock = threading.RLock()
        self._counts: list[Count] = []

    @property
    def versioning(self) -> bool:
        """True if the bucket keeps versions."""
        return bool(self._versioning() == "Enabled")

    @property
    def now(self) -> datetime:
        """The bucket's time, which goes on by a second with each write, and tells itself in each answer."""
        return _EPOCH + timedelta(seconds=self._ticks) + self.later

    @contextmanager
    def counted(self) -> Iterator[Count]:
        """Count all requests meanwhile."""
        count = Count()
        self._counts.append(count)
        try:
            yield count
        finally:
            self._counts = [each for each in self._counts if each is not count]

    def count_into(self, count: Count) -> None:
        """Count all requests from now on."""
        self._counts.append(count)

    def snapshot(self) -> FakeS3:
        """A bucket of the same content, with nothing of its settings."""
        copy = FakeS3()
        copy.objects = dict(self.objects)
        copy.uploads = {
            name: Upload(each.key, each.begun, dict(each.parts), each.tags)
            for name, each in self.uploads.items()
        }
        copy.exists, copy.settings = self.exists, dict(self.settings)
        copy.versions = {key: list(versions) for key, versions in self.versions.items()}
        copy._keys, copy._ticks, copy.later = list(self._keys), self._ticks, self.later
        return copy

    def set_versioning(self, status: str) -> None:
        """Turn versioning on (`Enabled`), or suspend it (`Suspended`)."""
        self.settings[VERSIONING.name, None] = {"Status": status}

    def keys(self, part: str = "") -> list[str]:
        """The keys that hold this text, in order."""
        return [key for key in self._keys if part in key]

    def put(self, key: str, data: bytes, tag: str | None = None) -> Stored:
        """Store an object, uncounted and without the hook."""
        etag = hashlib.md5(data, usedforsecurity=False).hexdigest()
        return self._write(key, data, etag, _tags(tag))

    def expire(self) -> None:
        """Delete what the bucket's lifecycle rules say, as S3 does once a day."""
        rules = self.settings.get((LIFECYCLE.name, None), {}).get("Rules", ())
        for rule in rules:
            reach, days = Reach.of(rule), rule.get("Expiration", {}).get("Days")
            for key in self.keys() if days is not None and rule["Status"] == "Enabled" else ():
                found = self.objects[key]
                reached = key.startswith(reach.prefix) and reach.tags <= set(found.tags)
                if reached and self.now - found.modified >= timedelta(days=days):
                    self.delete(key)

    def delete(self, key: str) -> None:
        """Delete an object, uncounted and without the hook."""
        with self._lock:
            if self._versioning() is None:
                self.versions.pop(key, None)
            else:
                version_id = self._version_id(self._tick())
                self.versions[key] = [*self._kept(key), (version_id, None, self.now)]
            self._settle(key)

    def age(self, by: timedelta, part: str = "") -> None:
        """Make everything whose key holds this text older."""
        for key in self.keys(part):
            self.objects[key] = replace(self.objects[key], modified=self.objects[key].modified - by)
            version_id, _, modified = self.versions[key][-1]
            self.versions[key][-1] = (version_id, self.objects[key], modified - by)
        for upload in self.uploads.values():
            upload.begun -= by

    def _settle(self, key: str) -> None:
        """Show the newest version of a key, or nothing."""
        now = self.versions.get(key, [("", None, _EPOCH)])[-1][1] if self.versions.get(key) else None
        if now is not None:
            if key not in self.objects:
                insort(self._keys, key)
            self.objects[key] = now
        elif self.objects.pop(key, None) is not None:
            self._keys.pop(bisect_left(self._keys, key))

    def count(self, batch: Sequence[Request[Any]]) -> None:
        """Note a round trip."""
        for count in self._counts:
            count.batches.append(list(batch))

    def execute(self, request: Request[Any], *, conditional: bool = True) -> Any:
        """Answer a request."""
        if self.hook is not None:
            self.hook("before", request)
        try:
            with self._lock:
                return self._effect(request, conditional and not self.plain)
        finally:
            if self.hook is not None:
                self.hook("after", request)

    def _effect(self, request: Request[Any], conditional: bool) -> Any:  # noqa: PLR0912  # one case a request
        if not self.exists and not isinstance(request, CreateBucket):
            raise client_error("NoSuchBucket", 404, request)
        match request:
            case PutObject(key, body):
                if not self._may(request, conditional):
                    return PreconditionFailed()
                return self.put(key, joined(body), request.tag)
            case CompareAndSwap(key, body, expected):
                found = self.objects.get(key)
                if not self.plain and (found.etag if found else None) != expected:
                    return PreconditionFailed()
                return self.put(key, body)
            case GetWithAge(key):
                found = self.objects.get(key)
                if found is None:
                    return NotFound()
                return AgedBody(found.data, found.etag, (self.now - found.modified).total_seconds())
            case GetObject(key, _, first, length, _, version):
                found = self._version(key, version)
                if found and found.storage_class in _OFFLINE and "false" not in (found.restore or ""):
                    raise client_error("InvalidObjectState", 403, request)
                return self._read(found, first, length)
            case HeadObject(key):
                found = self.objects.get(key)
                return Stored(found.etag) if found else NotFound()
            case ListObjects():
                return self._list(request)
            case DeleteObjects(keys, etags):
                assert 0 < len(keys) <= _MAX_KEYS, "DeleteObjects takes 1 to 1,000 keys"
                changed = {
                    key: ("PreconditionFailed", "it has another ETag")
                    for key, etag in zip(keys, etags, strict=False)
                    if key in self.objects and self.objects[key].etag != etag
                }
                stuck = {**changed, **self.undeletable}
                for key in keys:
                    if key not in stuck:
                        self.delete(key)
                return Deletion(tuple((key, *stuck[key]) for key in keys if key in stuck))
            case CopyObject(source, target, version, tag):
                found = self._version(source, version)
                if found is None:
                    return NotFound()
                return self._write(target, found.data, found.etag, _tags(tag) or found.tags)
            case CreateUpload(key, tag):
                name = f"upload-{self._tick()}"
                self.uploads[name] = Upload(key, begun=self.now, tags=_tags(tag))
                return name
            case UploadPart(key, upload_id, number, body):
                upload = self._upload(key, upload_id)
                part = joined(body)
                etag = hashlib.md5(part, usedforsecurity=False).hexdigest()
                upload.parts[number] = (etag, part)
                return f'"{etag}"'
            case CompleteUpload():
                return self._complete(request, conditional)
            case AbortUpload(key, upload_id):
                if upload_id in self.uploads:
                    self._upload(key, upload_id)
                    del self.uploads[upload_id]
                return Done()
            case CreateBucket():
                self.exists = True
                return Done()
        return self._administer(request)

    def _administer(self, request: Request[Any]) -> Any:  # noqa: PLR0912  # one case a request
        match request:
            case GetSetting(setting) | PutSetting(setting) | DeleteSetting(setting) if (
                setting.name in self.unsupported
            ):
                raise client_error("NotImplemented", 501, request)
            case GetSetting(setting, name):
                return self.settings.get((setting.name, name))
            case PutSetting(setting, document, name):
                self.settings[setting.name, name] = document
                return Done()
            case DeleteSetting(setting, name):
                assert (setting.name, name) in self.settings, "some stores would delete the bucket"
                del self.settings[setting.name, name]
                return Done()
            case ListVersions():
                return self._list_versions(request)
            case DeleteVersions(versions):
                assert 0 < len(versions) <= _MAX_KEYS, "DeleteObjects takes 1 to 1,000 versions"
                for key, version_id in versions:
                    if key not in self.undeletable:
                        left = [each for each in self.versions.get(key, []) if each[0] != version_id]
                        self.versions[key] = left
                        self._settle(key)
                stuck = (key for key, _ in versions if key in self.undeletable)
                return Deletion(tuple((key, *self.undeletable[key]) for key in stuck))
            case ListUploads(prefix):
                begun = (Begun(each.key, name, each.begun) for name, each in self.uploads.items())
                return UploadPage(tuple(each for each in begun if each.key.startswith(prefix)), None)
            case InspectObject(key):
                found = self.objects.get(key)
                if found is None:
                    return NotFound()
                return ObjectInfo(
                    len(found.data),
                    found.etag,
                    found.storage_class,
                    found.restore,
                    found.archive_status,
                )
            case GetTags(key):
                found = self.objects.get(key)
                return NotFound() if found is None else dict(found.tags)
            case PutTags(key, tags):
                found = self.objects.get(key)
                if found is None:
                    return NotFound()
                self.objects[key] = replace(found, tags=tags)
                version_id, _, modified = self.versions[key][-1]
                self.versions[key][-1] = (version_id, self.objects[key], modified)
                return Done()
            case RestoreObject(key, days):
                found = self.objects.get(key)
                if found is None:
                    return NotFound()
                assert (days is None) == (found.archive_status is not None), (
                    "Intelligent-Tiering knows no days"
                )
                restore = 'ongoing-request="true"'
                if found.restore == restore:
                    return False
                if found.restore is not None and days is not None:  # a new date
                    until = format_datetime(self.now + timedelta(days=days), usegmt=True)
                    restore = f'ongoing-request="false", expiry-date="{until}"'
                self.objects[key] = replace(found, restore=restore)
                return True
            case InspectBucket():
                return BucketHead("us-east-1", self.now)
            case Sign(method, key, seconds):
                return Signed(f"https://fake/{key}?X-Amz-Expires={seconds}&X-Amz-Signature={method}")
        raise AssertionError(f"the fake doesn't know {request!r}")

    def _write(self, key: str, data: bytes, etag: str, tags: Tags = ()) -> Stored:
        assert 0 < len(key.encode()) <= 1024, f"a key of {len(key.encode())} bytes"
        with self._lock:
            tick = self._tick()
            new = (self._version_id(tick), StoredObject(data, etag, self.now, tags=tags), self.now)
            self.versions[key] = [*self._kept(key), new]
            self._settle(key)
        return Stored(etag, self.now)

    def _versioning(self) -> Any:
        return self.settings.get((VERSIONING.name, None), {}).get("Status")

    def _version_id(self, tick: int) -> str:
        return f"v{tick}" if self.versioning else "null"

    def _kept(self, key: str) -> list[tuple[str, StoredObject | None, datetime]]:
        """The versions that a new one leaves: there is but one `null`, and without versioning that alone."""
        if self._versioning() is None:
            return []
        return [each for each in self.versions.get(key, []) if self.versioning or each[0] != "null"]

    def _version(self, key: str, version_id: str | None) -> StoredObject | None:
        if version_id is None:
            return self.objects.get(key)
        return next((each[1] for each in self.versions.get(key, []) if each[0] == version_id), None)

    def _list_versions(self, request: ListVersions) -> VersionPage:
        found = [
            Version(
                key,
                version_id,
                len(stored.data) if stored else 0,
                stored.etag if stored else "",
                modified,
                number == 0,
                stored is None,
            )
            for key in sorted(self.versions)
            if key.startswith(request.prefix)
            for number, (version_id, stored, modified) in enumerate(reversed(self.versions[key]))
        ]
        start = 0
        if request.marker is not None:
            places = [(each.key, each.version_id) for each in found]
            start = places.index(request.marker) + 1
        page = found[start : start + request.max_keys]
        more = len(found) > start + request.max_keys
        return VersionPage(tuple(page), (page[-1].key, page[-1].version_id) if more else None)

    def _read(self, found: StoredObject | None, first: int, length: int | None) -> Body | NotFound:
        if found is None:
            return NotFound()
        assert length is None or length > 0, "a range of no bytes"
        if first >= len(found.data) and (first or length is not None):
            return Body(b"", "", 0)  # 416, as `error_mapping` reads it
        end = None if length is None else first + length
        return Body(found.data[first:end], found.etag, len(found.data))

    def _list(self, request: ListObjects) -> Page:
        """A page, as ListObjectsV2 makes it: keys and folded prefixes count alike."""
        entries: list[Entry] = []
        prefixes: list[str] = []
        after = request.start_after if request.token is None else request.token
        place = bisect_left(self._keys, request.prefix)
        if after is not None:
            place = max(place, bisect_right(self._keys, after))
            # A folded prefix is longer than the request's. One that is as long is a key.
            token, delimiter = request.token, request.delimiter
            if token and delimiter and token.endswith(delimiter) and token != request.prefix:
                place = self._behind(token, place)
        limit = min(request.max_keys, _MAX_LISTED)
        last: str | None = None
        while place < len(self._keys) and self._keys[place].startswith(request.prefix):
            if len(entries) + len(prefixes) == limit:
                return Page(tuple(entries), tuple(prefixes), last)
            key = self._keys[place]
            folded, found, _ = key[len(request.prefix) :].partition(request.delimiter or "\0")
            if request.delimiter and found:
                last = request.prefix + folded + found
                prefixes.append(last)
                place = self._behind(last, place)
            else:
                stored = self.objects[key]
                entries.append(
                    Entry(key, len(stored.data), stored.etag, stored.modified, stored.storage_class)
                )
                last = key
                place += 1
        return Page(tuple(entries), tuple(prefixes), None)

    def _behind(self, prefix: str, place: int) -> int:
        """The first place whose key doesn't begin so."""
        while place < len(self._keys) and self._keys[place].startswith(prefix):
            place += 1
        return place

    def _complete(self, request: CompleteUpload, conditional: bool) -> Stored | PreconditionFailed:
        if request.upload_id not in self.uploads:
            raise client_error("NoSuchUpload", 404, request)
        upload = self._upload(request.key, request.upload_id)
        if not self._may(request, conditional):
            return PreconditionFailed()
        numbers = range(1, len(request.etags) + 1)
        assert numbers, "an upload without parts"
        parts = [upload.parts[number] for number in numbers]
        assert [etag for etag, _ in parts] == [etag.strip('"') for etag in request.etags], "other parts"
        assert all(len(body) >= self.least_part for _, body in parts[:-1]), "EntityTooSmall"
        digest = hashlib.md5(b"".join(bytes.fromhex(etag) for etag, _ in parts), usedforsecurity=False)
        del self.uploads[request.upload_id]
        body = b"".join(body for _, body in parts)
        assert body == joined(request.body), "the cache would hold something else"
        return self._write(request.key, body, f"{digest.hexdigest()}-{len(parts)}", upload.tags)

    def _may(self, request: PutObject | CompleteUpload, conditional: bool) -> bool:
        """Return whether a write's condition is met or isn't checked."""
        if not conditional or not (request.only_new or request.expected is not None):
            return True
        found = self.objects.get(request.key)
        return (found.etag if found else None) == request.expected

    def _upload(self, key: str, upload_id: str) -> Upload:
        upload = self.uploads[upload_id]
        assert upload.key == key, "an upload of another key"
        return upload

    def _tick(self) -> int:
        self._ticks += 1
        return self._ticks


def _tags(tag: str | None) -> Tags:
    return () if tag is None else ((TAG, tag),)


def client_error(code: str, status: int, request: Request[Any] | None = None) -> ClientError:
    """S3's error, as botocore raises it; a hook that raises it is judged as the store's answer would be."""
    response: Any = {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, type(request).__name__)
