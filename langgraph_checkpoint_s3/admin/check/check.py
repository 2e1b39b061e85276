"""The doctor: tries all that a saver needs of its bucket, on objects of its own, and tells what it found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from langgraph_checkpoint_s3.admin.check import connection_checks, object_checks, settings_checks
from langgraph_checkpoint_s3.admin.check.observations import FIRST, LENGTH, Case
from langgraph_checkpoint_s3.admin.check.report import CheckReport, Finding
from langgraph_checkpoint_s3.config import S3Config
from langgraph_checkpoint_s3.errors import AccessDeniedError, NotSupportedError, S3CheckpointError
from langgraph_checkpoint_s3.plans.plan import Plan, ask_all, gather, return_errors
from langgraph_checkpoint_s3.plans.scan import Pages
from langgraph_checkpoint_s3.plans.setup import FEW, NAMES, PROBE
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
    Attempted,
    CompleteUpload,
    CopyObject,
    CreateUpload,
    DeleteObjects,
    Failure,
    GetObject,
    HeadObject,
    ListObjects,
    PutObject,
    Request,
    UploadPart,
)

FINDINGS: Final[Mapping[str, Callable[[Case], Finding]]] = {
    "connection": connection_checks.connection,
    "credentials": connection_checks.credentials,
    "bucket": connection_checks.bucket,
    "region": connection_checks.region,
    "clock": connection_checks.clock,
    "writes": object_checks.writes,
    "reads": object_checks.reads,
    "range reads": object_checks.range_reads,
    "absence": object_checks.absence,
    "lists": object_checks.lists,
    "copies": object_checks.copies,
    "deletes": object_checks.deletes,
    "multipart": object_checks.multipart,
    "conditional writes": object_checks.conditional_writes,
    "conditional uploads": object_checks.conditional_uploads,
    "versioning": settings_checks.versioning,
    "encryption": settings_checks.encryption,
    "public access": settings_checks.public_access,
    "TLS only": settings_checks.tls_only,
    "lifecycle": settings_checks.lifecycle,
}
"""What is found, by its name, in the order of the report."""


def check(config: S3Config, nonce: str, clock: Callable[[], datetime]) -> Plan[CheckReport]:
    """Try everything, in seven round trips (nine where the bucket keeps versions), and leave nothing behind.

    Args:
        config: The saver's.
        nonce: Something unique, for the probe's keys.
        clock: This machine's time, with its timezone.
    """
    case = Case.of(config, nonce, clock())
    try:
        yield from _ask(case, _first(case))
        case.ended = clock()
        obstacle = connection_checks.obstacle(case)
        if obstacle is None:
            yield from _ask(case, _second(case))
            yield from gather([_ask(case, _third(case)), _list(case)])
            yield from _ask(case, _fourth(case))
    except GeneratorExit:
        raise
    except BaseException:
        yield from _clean(case)
        raise
    if obstacle is None:
        yield from _clean(case)
    findings = (
        examine(case) if obstacle is None else connection_checks.finding_behind(name, obstacle, case)
        for name, examine in FINDINGS.items()
    )
    return CheckReport(f"s3://{config.bucket}/{config.prefix}", tuple(findings))


def _ask(case: Case, requests: Mapping[str, Request[Any]]) -> Plan[None]:
    """Send requests side by side, and note what each came to."""
    answers = yield from ask_all(Attempted(request) for request in requests.values())
    case.answers |= zip(requests, answers, strict=True)


def _first(case: Case) -> dict[str, Request[Any]]:
    return {
        "head": InspectBucket(),
        "write": PutObject(case.written, PROBE, only_new=True),
        "upload": CreateUpload(case.copied),
        "signed": Sign("GET", case.written, 60),  # nothing is sent: it tells where the client goes
        **{setting.name: GetSetting(setting) for setting in settings_checks.SETTINGS},
    }


def _second(case: Case) -> dict[str, Request[Any]]:
    requests: dict[str, Request[Any]] = {"absent": HeadObject(f"{case.folder}absent")}
    if case.there("write"):
        requests["read"] = GetObject(case.written, keep=False)
        requests["range"] = GetObject(case.written, first=FIRST, length=LENGTH, keep=False)
        requests["copy"] = CopyObject(case.written, case.copied)
        # Not in their order: nothing but their names shall bring them into it.
        requests |= {name: PutObject(case.folder + name, PROBE) for name in (*NAMES[1::2], *NAMES[::2])}
    if case.upload_id:
        requests["part"] = UploadPart(case.copied, case.upload_id, 1, PROBE)
    return requests


def _third(case: Case) -> dict[str, Request[Any]]:
    requests: dict[str, Request[Any]] = {
        "after": ListObjects(case.folder, start_after=case.copied),
        "folders": ListObjects(case.folder, delimiter="/"),
    }
    if case.answers[VERSIONING.name] is None:
        # Some stores say "off", and know no versions: this they refuse.
        requests["versioned"] = ListVersions(case.folder)
    return requests


def _list(case: Case) -> Plan[None]:
    """List all of the probe, a few keys at a time."""
    found = yield from return_errors(Pages(case.folder, first=FEW, page=FEW).rest())
    case.answers["list"] = Failure(found) if isinstance(found, S3CheckpointError) else found


def _fourth(case: Case) -> dict[str, Request[Any]]:
    """What replaces objects on some stores: not beside the lists, in which rclone then doesn't show them."""
    requests: dict[str, Request[Any]] = {}
    if case.there("write"):
        requests["again"] = PutObject(case.written, PROBE, only_new=True)
    part = case.answers.get("part")
    if case.upload_id and isinstance(part, str):
        # Where the copy lies, so that there is something that a condition can refuse to replace.
        requests["complete"] = CompleteUpload(case.copied, case.upload_id, (part,), PROBE, only_new=True)
    return requests


def _clean(case: Case) -> Plan[None]:
    """Remove the probe, with its versions where the bucket keeps some."""
    upload_id = case.upload_id
    if upload_id is None and not isinstance(case.error("upload"), AccessDeniedError):
        yield from _ask(case, {"uploads": ListUploads(case.folder)})  # it may have begun all the same
        page = case.answers["uploads"]
        if isinstance(page, UploadPage) and page.uploads:
            upload_id = page.uploads[0].upload_id
    requests: dict[str, Request[Any]] = {"delete": DeleteObjects(case.keys)}
    if upload_id is not None:
        requests["abort"] = AbortUpload(case.copied, upload_id)  # which does nothing where it was completed
    yield from _ask(case, requests)
    unsupported = isinstance(case.error(VERSIONING.name), NotSupportedError)
    if not unsupported and case.answers.get(VERSIONING.name, "not known") is not None:
        yield from _ask(case, {"versions": ListVersions(case.folder)})
        page = case.answers["versions"]
        if isinstance(page, VersionPage) and page.versions:
            ids = tuple((version.key, version.version_id) for version in page.versions)
            yield from _ask(case, {"purge": DeleteVersions(ids)})
