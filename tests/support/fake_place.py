"""The fake S3 as a store of the contract tests: a `Place` whose client and front act on a `FakeS3`.

Scenarios that take `place`, `front`, `make_saver` and `make_admin` run on it as they do on a server, without
HTTP. `client` knows the operations that scenarios prepare and inspect buckets with.
"""

# ruff: noqa: N803  # boto3's names

from __future__ import annotations

import contextlib
import copy
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.s3.admin_requests import Sign
from langgraph_checkpoint_s3.s3.bucket_settings import ALL, METRICS, TIERING, Setting
from langgraph_checkpoint_s3.s3.requests import CreateUpload, Request, UploadPart
from langgraph_checkpoint_s3.testing.faults import Answer
from tests.contract.support import Place
from tests.servers import Server
from tests.servers.base import Features
from tests.support.fake_s3 import BUCKET, Count, FakeS3, Moment, client_error
from tests.support.fake_store import make_saver

FEATURES = Features(credentials=False, bucket_policy=False, policy_conditions=False)
"""What the fake can do: it keeps all settings, and acts on versioning alone."""


@dataclass
class _Failing:
    operation: str
    answer: Answer
    times: int | None
    within: str


@dataclass
class FakeFront:
    """Counts the savers' requests to all buckets by S3's operation, and refuses some."""

    url: str = "https://fake"
    _count: Count = field(default_factory=Count)
    _failing: list[_Failing] = field(default_factory=list)

    def watch(self, fake: FakeS3) -> FakeS3:
        """Count a bucket's requests, too."""
        fake.count_into(self._count)
        fake.hook = self._hook
        return fake

    def reset(self) -> None:
        self._failing.clear()
        self._count.batches.clear()

    @property
    def log(self) -> list[Request[Any]]:
        return [request for request in self._count.requests if not isinstance(request, Sign)]

    def counts(self) -> dict[str, int]:
        return dict(Counter(request.operation for request in self.log))

    @contextlib.contextmanager
    def counted(self) -> Iterator[dict[str, int]]:
        """Fill the mapping with the requests of the body."""
        found: dict[str, int] = {}
        before = len(self.log)
        yield found
        found.update(Counter(request.operation for request in self.log[before:]))

    def most_at_once(self, operation: str) -> int:
        """Return the most requests of an operation in one batch."""
        return max(sum(each.operation == operation for each in batch) for batch in self._count.batches)

    def fail(self, operation: str, fault: Answer, *, times: int | None = 1, within: str = "") -> None:
        assert isinstance(fault, Answer), "other faults need a connection"
        self._failing.append(_Failing(operation, fault, times, within))

    def _hook(self, moment: Moment, request: Request[Any]) -> None:
        for each in self._failing:
            meant = each.operation in ("*", request.operation) and each.within in getattr(request, "key", "")
            if meant and moment == ("after" if each.answer.applied else "before") and each.times != 0:
                each.times = None if each.times is None else each.times - 1
                raise client_error(each.answer.code, each.answer.status, request)


class FakeClient:
    """The methods of a boto3 client that scenarios use, on the fake's buckets; nothing of it is counted."""

    class exceptions:  # noqa: N801  # boto3's name
        ClientError = ClientError
        NoSuchUpload = ClientError

    def __init__(self, fakes: dict[str, FakeS3], front: FakeFront) -> None:
        self._fakes = fakes
        self._front = front
        self._settings = {
            xform_name(operation): (setting, change)
            for setting in ALL
            for change, operation in (("get", setting.get), ("put", setting.put), ("delete", setting.delete))
            if operation is not None
        }

    def __getattr__(self, name: str) -> Any:
        if name not in self._settings:
            raise AttributeError(f"the fake's client doesn't know {name}")
        setting, change = self._settings[name]
        return lambda **arguments: getattr(self, f"_{change}")(setting, **arguments)

    def _get(self, setting: Setting, Bucket: str, Id: str | None = None) -> dict[str, Any]:
        document = copy.deepcopy(self._fakes[Bucket].settings.get((setting.name, Id)))
        if document is None and setting.absent:
            raise ClientError({"Error": {"Code": min(setting.absent)}}, setting.get)
        return (document or {}) if setting.member is None else {setting.member: document}

    def _put(self, setting: Setting, Bucket: str, Id: str | None = None, **arguments: Any) -> None:
        self._fakes[Bucket].settings[setting.name, Id] = copy.deepcopy(arguments[setting.argument])

    def _delete(self, setting: Setting, Bucket: str, Id: str | None = None) -> None:
        self._fakes[Bucket].settings.pop((setting.name, Id), None)

    def _listed(self, setting: Setting, bucket: str) -> dict[str, Any]:
        settings = self._fakes[bucket].settings
        found = [document for (name, _), document in settings.items() if name == setting.name]
        return {f"{setting.argument}List": copy.deepcopy(found)}

    def list_bucket_metrics_configurations(self, Bucket: str) -> dict[str, Any]:
        return self._listed(METRICS, Bucket)

    def list_bucket_intelligent_tiering_configurations(self, Bucket: str) -> dict[str, Any]:
        return self._listed(TIERING, Bucket)

    def create_bucket(self, Bucket: str) -> None:
        self._fakes[Bucket] = self._front.watch(FakeS3())

    def delete_bucket(self, Bucket: str) -> None:
        assert not self._fakes.pop(Bucket).objects, "BucketNotEmpty"

    def head_bucket(self, Bucket: str) -> dict[str, Any]:
        return {"exists": self._fakes[Bucket].exists}

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        return {"Body": io.BytesIO(self._fakes[Bucket].objects[Key].data)}

    def put_object(self, Bucket: str, Key: str, Body: bytes, StorageClass: str = "STANDARD") -> None:
        fake = self._fakes[Bucket]
        fake.put(Key, Body)
        fake.objects[Key] = replace(fake.objects[Key], storage_class=StorageClass)

    def delete_object(self, Bucket: str, Key: str) -> None:
        self._fakes[Bucket].delete(Key)

    def list_objects_v2(self, Bucket: str, Prefix: str = "") -> dict[str, Any]:
        return {
            "Contents": [
                {"Key": key, "ETag": found.etag, "Size": len(found.data), "LastModified": found.modified}
                for key, found in sorted(self._fakes[Bucket].objects.items())
                if key.startswith(Prefix)
            ]
        }

    def list_object_versions(self, Bucket: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, versions in self._fakes[Bucket].versions.items():
            for version_id, stored, _ in versions:
                kind = "DeleteMarkers" if stored is None else "Versions"
                size = len(stored.data) if stored else 0
                found.setdefault(kind, []).append({"Key": key, "VersionId": version_id, "Size": size})
        return found

    def get_paginator(self, name: str) -> Any:
        """Return a paginator that has one page."""

        class Paginator:
            paginate = staticmethod(lambda **arguments: [getattr(self, name)(**arguments)])

        return Paginator

    def create_multipart_upload(self, Bucket: str, Key: str) -> dict[str, Any]:
        return {"UploadId": self._uncounted(Bucket, CreateUpload(Key))}

    def upload_part(self, Bucket: str, Key: str, UploadId: str, PartNumber: int, Body: bytes) -> None:
        self._uncounted(Bucket, UploadPart(Key, UploadId, PartNumber, Body))

    def list_multipart_uploads(self, Bucket: str) -> dict[str, Any]:
        uploads = self._fakes[Bucket].uploads.items()
        return {"Uploads": [{"Key": each.key, "UploadId": name} for name, each in uploads]}

    def abort_multipart_upload(self, Bucket: str, Key: str, UploadId: str) -> None:
        assert self._fakes[Bucket].uploads.pop(UploadId).key == Key

    def _uncounted(self, bucket: str, request: Request[Any]) -> Any:
        fake = self._fakes[bucket]
        hook, fake.hook = fake.hook, None
        try:
            return fake.execute(request)
        finally:
            fake.hook = hook


@dataclass(frozen=True)
class FakePlace(Place):
    """The fake's bucket as a `Place`.

    Attributes:
        fakes: The buckets, by name. Each is a `FakeS3` of its own.
    """

    fakes: dict[str, FakeS3] = field(default_factory=dict)

    def saver(self, *, bucket: str = BUCKET, **settings: Any) -> S3Saver:
        """Return a saver on one of the buckets, or on one that doesn't exist."""
        if bucket not in self.fakes:
            self.client.create_bucket(Bucket=bucket)
            self.fakes[bucket].exists = False
        return make_saver(self.fakes[bucket], bucket=bucket, **settings)

    def now(self) -> datetime:
        return self.fakes[self.bucket].now

    def wait_for_next_second(self) -> None:
        self.fakes[self.bucket].later += timedelta(seconds=1)

    def finish_restores(self, days: int) -> None:
        fake = self.fakes[self.bucket]
        until = format_datetime(fake.now + timedelta(days=days), usegmt=True)
        for key, found in fake.objects.items():
            if found.restore is not None:
                restored = f'ongoing-request="false", expiry-date="{until}"'
                fake.objects[key] = replace(found, restore=restored)


def fake_place(fake: FakeS3) -> FakePlace:
    """Return a place on this bucket."""
    front: Any = FakeFront()
    fakes = fake.beside = {BUCKET: front.watch(fake)}
    client: Any = FakeClient(fakes, front)
    server = Server("fake", front.url, "key", "secret", FEATURES)
    return FakePlace(server, front, BUCKET, client, fakes)
