"""Findings about the connection, the bucket and its objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from langgraph_checkpoint_s3.admin.check.observations import FIRST, LENGTH, Observations, code_of, headers_of
from langgraph_checkpoint_s3.admin.check.report import (
    Finding,
    lacking,
    missing,
    not_supported,
    ok,
    unknown,
    unseen,
    untried,
    warning,
)
from langgraph_checkpoint_s3.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    InvalidConfigError,
    NotSupportedError,
    StorageUnavailableError,
)
from langgraph_checkpoint_s3.plans.setup import FOLDERS, NAMES, PROBE
from langgraph_checkpoint_s3.s3.admin_requests import BucketHead
from langgraph_checkpoint_s3.s3.bucket_settings import VERSIONING
from langgraph_checkpoint_s3.s3.requests import Body, Deletion, Failure, Page, PreconditionFailed, Stored

_MAX_SKEW: Final = timedelta(minutes=1)
_DATE_PRECISION: Final = timedelta(seconds=1)
"""Precision of an HTTP date."""
_CLOCK: Final = "Set this machine's clock right, with NTP"
_SETTING: Final = "Correct that setting of the saver"
_BEFORE: Final[Mapping[str, tuple[str, ...]]] = {
    "connection": (),
    "credentials": ("connection",),
    "clock": ("connection",),
    "region": ("connection",),
    "bucket": ("connection", "credentials"),
}
"""Findings that are `ok` although the key's isn't."""
_FEWER_PROCESSES: Final = "Let no two processes run one thread at once, or use a store that has this"
_OTHER_STORE: Final = "Use a store, or a kind of bucket, that lists as S3's general purpose buckets do"
_TAGGING: Final = " and s3:PutObjectTagging"


def obstacle(seen: Observations) -> Finding | None:
    """Return the finding that explains why everything fails, after the first round trip."""
    errors = [error for error in seen.bucket_errors if error]
    for error in errors:
        if isinstance(error, BucketNotFoundError):
            remedy = "Make it with saver.setup() or admin.create_bucket(), or correct its name"
            return Finding("bucket", "missing", "The bucket doesn't exist", remedy)
        if isinstance(error, AccessDeniedError) and error.action is None:
            if code_of(error) == "RequestTimeTooSkewed":
                skew = clock(seen)
                return Finding("clock", "missing", skew.detail if skew.remedy else error.reason, _CLOCK)
            remedy = "Give the right credentials, by AWS's environment variables, a profile or a role"
            return Finding("credentials", "missing", error.reason, remedy)
    if not all(seen.bucket_errors):
        return None
    if all(isinstance(error, InvalidConfigError) for error in errors):
        name = "region" if code_of(errors[0]) not in ("", "InvalidBucketName") else "connection"
        return Finding(name, "missing", errors[0].reason, _SETTING)
    if all(isinstance(error, StorageUnavailableError) for error in errors):
        remedy = "Check endpoint_url and region, then network, proxy and firewall, then the store itself"
        return Finding("connection", "missing", errors[0].reason, remedy)
    return None


def behind_obstacle(name: str, obstacle: Finding, seen: Observations) -> Finding:
    """Return a finding if everything else fails because of an obstacle."""
    if name == obstacle.name:
        return obstacle
    examine = {"region": region, "clock": clock}.get(name)
    if examine and (found := examine(seen)).status != "unknown":
        return found
    if name in _BEFORE[obstacle.name]:
        return ok("The store answers" if name == "connection" else "The store knows them")
    return untried(obstacle.name)


def connection(seen: Observations) -> Finding:
    """Return that the store answers: otherwise there is an obstacle."""
    return ok(f"The store answers at {seen.address or 'its address'}")


def credentials(seen: Observations) -> Finding:
    """Return that the credentials are valid: otherwise there is an obstacle."""
    return ok("The store knows them")


def bucket(seen: Observations) -> Finding:
    """Check that the bucket exists."""
    if not all(isinstance(error, AccessDeniedError) for error in seen.bucket_errors):
        return ok("It is there")
    owner = seen.config.expected_bucket_owner
    return unknown(
        f"All is denied, as for a bucket that isn't {f'account {owner}’s' if owner else 'this account’s'}",
        "Check the bucket's name and expected_bucket_owner, and whose these credentials are",
    )


def region(seen: Observations) -> Finding:
    """Compare the bucket's region with the client's."""
    head, client = seen.answers["head"], seen.config.region
    if isinstance(head, BucketHead):
        actual, client = head.region, head.client_region or client
    else:  # S3 sends the region even with a 403
        actual = headers_of(head).get("x-amz-bucket-region")
    if actual is None and isinstance(head, Failure):
        return unseen(head.error, f"{seen.config.bucket}, without a condition on the prefix,")
    if actual is None:
        return ok(f"The store names none, and takes {client or 'any'}")
    if client in (None, actual):
        return ok(f"The bucket is in {actual}")
    return warning(
        f"The bucket is in {actual}, and the client asks in {client}: AWS redirects each client's first "
        "request, and other stores may refuse it",
        f"Set region={actual!r}",
    )


def clock(seen: Observations) -> Finding:
    """Compare this machine's clock with the store's."""
    date = _date(seen)
    if date is None:
        return unknown("The store doesn't say what time it has")
    ahead, behind = seen.begun - date - _DATE_PRECISION, date - seen.ended
    skew = max(ahead, behind)
    if skew < _MAX_SKEW:
        apart = f" within {skew.total_seconds():.0f} s" if skew > timedelta(0) else ""
        return ok(f"This machine's and the store's agree{apart}")
    return warning(
        f"This machine's is {skew.total_seconds():.0f} s {'ahead of' if ahead > behind else 'behind'} the "
        "store's; S3 refuses all requests from 15 minutes on",
        _CLOCK,
    )


def _date(seen: Observations) -> datetime | None:
    """Return the store's time in the first round trip."""
    head = seen.answers["head"]
    if isinstance(head, BucketHead):
        return head.date
    for answer in (head, seen.answers["write"]):
        try:
            return parsedate_to_datetime(headers_of(answer)["date"])
        except (KeyError, ValueError, TypeError):
            continue
    return None


def writes(seen: Observations) -> Finding:
    """Check that objects can be written, with the saver's tags, encryption and storage class."""
    config = seen.config
    if error := next(filter(None, map(seen.error, ("write", *NAMES))), None):
        more = _TAGGING if config.object_tags else ""
        if config.server_side_encryption.startswith("aws:kms"):
            more += " (and kms:GenerateDataKey and kms:Decrypt on the key)"
        return lacking(error, seen.resource, more=more)
    options = [f"{len(config.object_tags)} tags"] if config.object_tags else []
    if config.server_side_encryption not in ("auto", "off"):
        options.append(f"encryption {config.server_side_encryption}")
    if config.storage_class:
        options.append(f"storage class {config.storage_class}")
    return ok(f"An object was written{' with ' if options else ''}{', '.join(options)}")


def reads(seen: Observations) -> Finding:
    """Check that an object reads as it was written."""
    return _compare(seen, "read", "An object", PROBE)


def range_reads(seen: Observations) -> Finding:
    """Check that a range of an object reads as it was written."""
    return _compare(seen, "range", "A piece of an object", PROBE[FIRST : FIRST + LENGTH])


def absence(seen: Observations) -> Finding:
    """Check that the store answers 404 for an absent object, not 403."""
    if "absent" not in seen.answers:
        return untried("writes")
    error = seen.error("absent")
    if error is None:
        return ok("What isn't there is said not to be there")
    if not isinstance(error, AccessDeniedError):
        return lacking(error, seen.resource)
    if isinstance(seen.error("read"), AccessDeniedError):
        return untried("reads")
    return missing(
        "An object that isn't there is refused as one that may not be read: large states, and checkpoints "
        "whose lenders were deleted, then can't be put",
        f"Allow s3:ListBucket on {seen.config.bucket}; where it is (Ceph), without a condition for the "
        "prefix: iam_policy(whole_bucket=True)",
    )


def _compare(seen: Observations, name: str, what: str, expected: bytes) -> Finding:
    if error := seen.error(name):
        return lacking(error, seen.resource)
    answer = seen.answers.get(name)
    if answer is None:
        return untried("writes")
    if isinstance(answer, Body) and answer.data == expected:
        return ok(f"{what} reads as it was written")
    got = f"{len(answer.data)} other bytes" if isinstance(answer, Body) else "that it isn't there"
    return missing(
        f"{what} was written just before, and the store answers with {got}",
        "Keep no checkpoints there before the store, or the proxy before it, answers right",
    )


def lists(seen: Observations) -> Finding:
    """Check that lists are consistent, in S3's order, and honour `StartAfter` and delimiters."""
    error = seen.error("list") or seen.error("after")
    if isinstance(error, NotSupportedError):
        return missing(error.reason, _OTHER_STORE)
    folders = seen.error("folders")
    if error := error or (None if isinstance(folders, NotSupportedError) else folders):
        return lacking(error, seen.config.bucket)
    existing, wrong = seen.existing, seen.list_problem()
    after = [entry.key for entry in seen.answers["after"].entries if entry.key in existing]
    if wrong == "missing":
        problem = "The store doesn't list what was just written"
    elif wrong == "unordered":
        problem = "The store lists keys in another order than S3 does"
    elif after != [key for key in existing if key > seen.copied]:
        problem = "The store doesn't begin a list where it is told to (StartAfter)"
    elif not existing:
        return ok("Lists are allowed; nothing could be written to be found there")
    elif not _lists_folders(seen):
        return warning(
            "The store doesn't list folders (Delimiter): threads() and the command line find no threads",
            "Name threads yourself: what is done with one of them works without",
        )
    else:
        return ok("What was written is listed at once, in order, page by page")
    return missing(f"{problem}: by that a saver finds the latest checkpoint", _OTHER_STORE)


def _lists_folders(seen: Observations) -> bool:
    page = seen.answers["folders"]
    expected = [seen.folder + name for name in FOLDERS]
    expected = [folder for folder in expected if any(key.startswith(folder) for key in seen.existing)]
    return isinstance(page, Page) and list(page.prefixes) == expected


def copies(seen: Observations) -> Finding:
    """Check that the store copies objects."""
    if error := seen.error("copy"):
        return lacking(
            error,
            seen.resource,
            otherwise="Do without copy_thread(), which needs it",
            more=_TAGGING if seen.config.object_tags else "",
        )
    answer = seen.answers.get("copy")
    if answer is None:
        return untried("writes")
    if isinstance(answer, Stored):
        return ok("The store copies an object by itself")
    return missing("The store doesn't find what was written just before", "See reads")


def deletes(seen: Observations) -> Finding:
    """Check that objects can be deleted, and that all of the probe is gone."""
    answer = seen.answers["delete"]
    if isinstance(answer, Failure):
        found = lacking(answer.error, seen.resource)
    elif answer.failed:
        _, code, message = answer.failed[0]
        allow = f"Allow s3:DeleteObject on {seen.resource}"
        remedy = allow if code == "AccessDenied" else "Check again; if it stays so, ask who runs the store"
        found = missing(f"The store doesn't delete ({code} {message})", remedy)
    else:
        return ok(f"Objects can be deleted{_versions_left(seen)}")
    left = seen.stored("write") or seen.stored("copy") or seen.stored("complete")
    return replace(found, detail=f"{found.detail}; the probe stays in {seen.folder}") if left else found


def _versions_left(seen: Observations) -> str:
    """Return a text about the probe's versions if some are left, else an empty one."""
    for name, action in (("versions", "s3:ListBucketVersions"), ("purge", "s3:DeleteObjectVersion")):
        answer = seen.answers.get(name)
        if isinstance(answer, Failure) or (isinstance(answer, Deletion) and answer.failed):
            return f"; the probe's versions stay in {seen.folder} ({action} removes them)"
    return ""


def multipart(seen: Observations) -> Finding:
    """Check multipart uploads."""
    for name in ("upload", "part", "complete"):
        if error := seen.error(name):
            size = seen.config.multipart_threshold
            otherwise = f"Set multipart_threshold (now {size:,} bytes) above the largest state, up to 5 GiB"
            return lacking(error, seen.resource, otherwise=otherwise)
    if error := seen.error("abort"):
        found = lacking(error, seen.resource)
        return replace(found, detail=f"{found.detail}. An upload of {seen.copied} may stay")
    return ok("An object can be uploaded in parts, and an upload aborted")


def conditional_writes(seen: Observations) -> Finding:
    """Check that `If-None-Match: *` is honoured for a PUT."""
    if error := seen.error("again"):
        return lacking(error, seen.resource)
    answer = seen.answers.get("again")
    if answer is None:
        return untried("writes")
    if isinstance(answer, PreconditionFailed):
        return ok("The store honours If-None-Match: the first write stays")
    versioning = seen.answers[VERSIONING.name]
    versioned = isinstance(versioning, dict) and versioning.get("Status") == "Enabled"
    only = ". Some stores, such as Ceph, have it only without versioning" if versioned else ""
    return not_supported(
        "The store doesn't honour If-None-Match: where two processes write the same task's results at once, "
        f"the last one wins, not the first{only}",
        _FEWER_PROCESSES,
    )


def conditional_uploads(seen: Observations) -> Finding:
    """Check that `If-None-Match: *` is honoured when a multipart upload is completed."""
    answer = seen.answers.get("complete")
    if answer is None or isinstance(answer, Failure):
        return untried("multipart")
    if isinstance(answer, PreconditionFailed):
        return ok("The store honours If-None-Match for uploads too")
    if not seen.stored("copy"):  # there was no object to protect
        return untried("copies")
    size = seen.config.multipart_threshold
    return not_supported(
        "The store doesn't honour If-None-Match for uploads: where two processes write the same task's "
        f"results at the same moment, {size:,} bytes or more of them, the last one wins",
        _FEWER_PROCESSES,
    )
