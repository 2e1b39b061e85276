"""Check of a bucket: tries all that a saver needs, on objects of its own, and makes the findings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from langgraph_checkpoint_s3.admin.check import findings
from langgraph_checkpoint_s3.admin.check.findings import FIRST, LENGTH, Observations
from langgraph_checkpoint_s3.admin.check.report import CheckReport
from langgraph_checkpoint_s3.admin.lifecycle.memory_rules import first_item
from langgraph_checkpoint_s3.config import S3Config
from langgraph_checkpoint_s3.errors import AccessDeniedError, NotSupportedError
from langgraph_checkpoint_s3.plans.plan import Plan, gather
from langgraph_checkpoint_s3.plans.setup import PROBE, probe_key
from langgraph_checkpoint_s3.s3.admin_requests import (
    DeleteVersions,
    InspectBucket,
    ListUploads,
    ListVersions,
    Sign,
    UploadPage,
    VersionPage,
)
from langgraph_checkpoint_s3.s3.bucket_settings import VERSIONING, GetSetting
from langgraph_checkpoint_s3.s3.requests import (
    AbortUpload,
    CompleteUpload,
    CopyObject,
    CreateUpload,
    DeleteObjects,
    GetObject,
    HeadObject,
    ListObjects,
    Request,
    UploadPart,
)


def check(config: S3Config, nonce: str, clock: Callable[[], datetime]) -> Plan[CheckReport]:
    """Try everything, in seven round trips (nine if the bucket keeps versions), and remove the probe.

    `nonce` is a unique text for the probe's keys. `clock` returns this machine's time, with its timezone.
    """
    now = clock()
    folder, tagged = probe_key(config.prefix, f"{nonce}/"), bool(config.retention)
    seen = Observations(folder=folder, tagged=tagged, config=config, begun=now, ended=now)
    asked = {name: each for name, each in findings.FINDINGS.items() if tagged or name != findings.RETENTION}
    try:
        yield from seen.ask(_first(seen))
        seen.ended = clock()
        obstacle = findings.obstacle(seen)
        if obstacle is None:
            yield from seen.ask(_second(seen))
            yield from gather([seen.ask(_lists(seen)), seen.list()])
            # Not beside the lists: on some stores, such as rclone, a list misses objects being replaced.
            yield from seen.ask(_replacements(seen))
    except GeneratorExit:
        raise
    except BaseException:
        yield from _clean_up(seen)
        raise
    if obstacle is None:
        yield from _clean_up(seen)
        found = {name: examine(seen) for name, examine in asked.items()}
    else:
        found = {name: findings.behind_obstacle(name, obstacle, seen) for name in asked}
    named = tuple(replace(finding, name=name) for name, finding in found.items())
    return CheckReport(f"s3://{config.bucket}/{config.prefix}", named)


def _first(seen: Observations) -> dict[str, Request[Any]]:
    return {
        "head": InspectBucket(),
        **seen.put(),
        "upload": CreateUpload(seen.copied),
        "signed": Sign("GET", seen.written, 60),  # nothing is sent: it shows the client's address
        **{setting.name: GetSetting(setting) for setting in findings.SETTINGS},
    }


def _second(seen: Observations) -> dict[str, Request[Any]]:
    requests: dict[str, Request[Any]] = {
        "absent": HeadObject(f"{seen.folder}absent"),
        "memories": first_item(seen.config),
    }
    if seen.stored("write"):
        requests["range"] = GetObject(seen.written, first=FIRST, length=LENGTH, keep=False)
        requests["copy"] = CopyObject(seen.written, seen.copied)
        requests |= seen.fill()
    if seen.upload_id:
        requests["part"] = UploadPart(seen.copied, seen.upload_id, 1, PROBE)
    return requests


def _lists(seen: Observations) -> dict[str, Request[Any]]:
    requests: dict[str, Request[Any]] = {
        "after": ListObjects(seen.folder, start_after=seen.copied),
        "folders": ListObjects(seen.folder, delimiter="/"),
    }
    if seen.answers[VERSIONING.name] is None:
        # Some stores answer "off" although they have no versions. They refuse this.
        requests["versioned"] = ListVersions(seen.folder)
    return requests


def _replacements(seen: Observations) -> dict[str, Request[Any]]:
    requests = seen.put() if seen.stored("write") else {}
    part = seen.answers.get("part")
    if seen.upload_id and isinstance(part, str):
        # Onto the copy, so that the condition has an object to protect.
        requests["complete"] = CompleteUpload(seen.copied, seen.upload_id, (part,), PROBE, only_new=True)
    return requests


def _clean_up(seen: Observations) -> Plan[None]:
    """Remove the probe, with its versions if the bucket keeps some."""
    upload_id = seen.upload_id
    if upload_id is None and not isinstance(seen.error("upload"), AccessDeniedError):
        yield from seen.ask({"uploads": ListUploads(seen.folder)})  # it may have been created all the same
        page = seen.answers["uploads"]
        if isinstance(page, UploadPage) and page.uploads:
            upload_id = page.uploads[0].upload_id
    requests: dict[str, Request[Any]] = {"delete": DeleteObjects(seen.keys)}
    if upload_id is not None:
        requests["abort"] = AbortUpload(seen.copied, upload_id)  # does nothing if it was completed
    yield from seen.ask(requests)
    unsupported = isinstance(seen.error(VERSIONING.name), NotSupportedError)
    if not unsupported and seen.answers.get(VERSIONING.name, "unknown") is not None:
        yield from seen.ask({"versions": ListVersions(seen.folder)})
        page = seen.answers["versions"]
        if isinstance(page, VersionPage) and page.versions:
            ids = tuple((version.key, version.version_id) for version in page.versions)
            yield from seen.ask({"purge": DeleteVersions(ids)})
