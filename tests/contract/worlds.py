"""Requests by themselves, sent in each world: blocking, asyncio, and with a client of the user's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from langgraph_checkpoint_s3.s3 import bucket_settings
from langgraph_checkpoint_s3.s3.admin_requests import (
    DeleteVersions,
    InspectObject,
    ListUploads,
    ListVersions,
)
from langgraph_checkpoint_s3.s3.bucket_settings import GetSetting
from langgraph_checkpoint_s3.s3.requests import (
    AbortUpload,
    CompareAndSwap,
    CompleteUpload,
    CopyObject,
    CreateUpload,
    DeleteObjects,
    GetObject,
    GetWithAge,
    HeadObject,
    ListObjects,
    PutObject,
    Request,
    UploadPart,
)
from langgraph_checkpoint_s3.testing.faults import Reply
from tests.contract.support import Calls, Place
from tests.support import inside

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


Run = Callable[[Request[Any]], Any]

WAYS = ("sync", "async", "a client of the user's own")
NAMED = (bucket_settings.METRICS, bucket_settings.TIERING)
REQUESTS: dict[str, Request[Any]] = {
    "put": PutObject("k", b"data"),
    "swap": CompareAndSwap("k", b"data", None),
    "get": GetObject("k", keep=False),
    "get a piece": GetObject("k", first=10, length=10, keep=False),
    "get dated": GetWithAge("k"),
    "head": HeadObject("k"),
    "list": ListObjects("p/"),
    "delete": DeleteObjects(("k",)),
    "copy": CopyObject("k", "l"),
    "begin an upload": CreateUpload("k"),
    "send a part": UploadPart("k", "u", 1, b"data"),
    "complete an upload": CompleteUpload("k", "u", ("e",), b"data"),
    "abort an upload": AbortUpload("k", "u"),
    "list versions": ListVersions("p/"),
    "delete versions": DeleteVersions((("k", "v"),)),
    "list uploads": ListUploads("p/"),
    "inspect": InspectObject("k"),
    **{
        f"read {each.name}": GetSetting(
            each, "id" if each in (bucket_settings.METRICS, bucket_settings.TIERING) else None
        )
        for each in bucket_settings.ALL
    },
}


def own_client(place: Place) -> S3Client:
    """A client as users make them."""
    session = boto3.session.Session(place.server.access_key, place.server.secret_key)
    settings_ = Config(
        s3={"addressing_style": "path"},
        response_checksum_validation="when_required",
        retries={"mode": "standard", "total_max_attempts": 2},
    )
    return session.client(
        "s3", endpoint_url=place.front.url, region_name=place.server.region, config=settings_
    )


def listing(
    *keys: str, folders: tuple[str, ...] = (), token: str | None = None, truncated: bool | None = None
) -> Reply:
    """A page of a list."""
    truncated = token is not None if truncated is None else truncated
    contents = "".join(
        f"<Contents><Key>{key}</Key><Size>1</Size><ETag>&quot;e&quot;</ETag>"
        "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
        for key in keys
    )
    folded = "".join(f"<CommonPrefixes><Prefix>{each}</Prefix></CommonPrefixes>" for each in folders)
    on = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    return Reply(
        f"<ListBucketResult><Name>b</Name><IsTruncated>{str(truncated).lower()}</IsTruncated>"
        f"{on}{contents}{folded}</ListBucketResult>".encode()
    )


def run_plan(calls: Calls, plan: Any) -> Any:
    store = inside.store(calls.saver)
    return calls.run(store.arun(plan, "test")) if calls.asynchronous else store.run(plan, "test")


def threads(calls: Calls) -> list[str]:
    if not calls.asynchronous:
        return list(calls.saver.threads())

    async def collect() -> list[str]:
        return [each async for each in calls.saver.athreads()]

    return calls.run(collect())


ADMIN: dict[str, Callable[[Calls], Any]] = {
    "threads": threads,
    "usage": lambda calls: calls.usage(),
    "find_orphans": lambda calls: calls.find_orphans(),
    "remove_orphans": lambda calls: calls.remove_orphans(),
    "purge_thread": lambda calls: calls.purge_thread("thread"),
}
