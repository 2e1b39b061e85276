"""What the doctor finds of the way to the bucket: connection, credentials, bucket, region, clock. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from langgraph_checkpoint_s3.admin.check.observations import Case, code_of, headers_of
from langgraph_checkpoint_s3.admin.check.report import Finding, unseen, untried
from langgraph_checkpoint_s3.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    InvalidConfigError,
    StorageUnavailableError,
)
from langgraph_checkpoint_s3.s3.admin_requests import BucketHead
from langgraph_checkpoint_s3.s3.requests import Failure

_SKEW: Final = timedelta(minutes=1)
_TOLD: Final = timedelta(seconds=1)
"""What an HTTP date leaves out."""
_CLOCK: Final = "Set this machine's clock right, with NTP"
_SETTING: Final = "Correct that setting of the saver"
_BEFORE: Final[Mapping[str, tuple[str, ...]]] = {
    "connection": (),
    "credentials": ("connection",),
    "clock": ("connection",),
    "region": ("connection",),
    "bucket": ("connection", "credentials"),
}
"""What works although one of these doesn't."""


def obstacle(case: Case) -> Finding | None:
    """What is in the way of everything, after the first round; `None` if nothing is."""
    errors = [error for error in case.outcomes if error]
    for error in errors:
        if isinstance(error, BucketNotFoundError):
            remedy = "Make it with saver.setup() or admin.create_bucket(), or correct its name"
            return Finding("bucket", "missing", "The bucket doesn't exist", remedy)
        if isinstance(error, AccessDeniedError) and error.action is None:
            if code_of(error) == "RequestTimeTooSkewed":
                told = clock(case)
                return Finding("clock", "missing", told.detail if told.remedy else error.reason, _CLOCK)
            remedy = "Give the right credentials, by AWS's environment variables, a profile or a role"
            return Finding("credentials", "missing", error.reason, remedy)
    if not all(case.outcomes):
        return None
    if all(isinstance(error, InvalidConfigError) for error in errors):
        name = "region" if code_of(errors[0]) not in ("", "InvalidBucketName") else "connection"
        return Finding(name, "missing", errors[0].reason, _SETTING)
    if all(isinstance(error, StorageUnavailableError) for error in errors):
        remedy = "Check endpoint_url and region, then network, proxy and firewall, then the store itself"
        return Finding("connection", "missing", errors[0].reason, remedy)
    return None


def finding_behind(name: str, obstacle: Finding, case: Case) -> Finding:
    """A finding where something is in the way of everything."""
    if name == obstacle.name:
        return obstacle
    told = {"region": region, "clock": clock}.get(name)
    if told and (found := told(case)).status != "unknown":
        return found
    if name in _BEFORE[obstacle.name]:
        return Finding(name, "ok", "The store answers" if name == "connection" else "The store knows them")
    return untried(name, obstacle.name)


def connection(case: Case) -> Finding:
    """Whether the store answers; what is examined has been answered."""
    return Finding("connection", "ok", f"The store answers at {case.address or 'its address'}")


def credentials(case: Case) -> Finding:
    """Whether the store knows the credentials; likewise."""
    return Finding("credentials", "ok", "The store knows them")


def bucket(case: Case) -> Finding:
    """Whether the bucket is there."""
    if not all(isinstance(error, AccessDeniedError) for error in case.outcomes):
        return Finding("bucket", "ok", "It is there")
    owner = case.config.expected_bucket_owner
    return Finding(
        "bucket",
        "unknown",
        f"All is denied, as for a bucket that isn't {f'account {owner}’s' if owner else 'this account’s'}",
        "Check the bucket's name and expected_bucket_owner, and whose these credentials are",
    )


def region(case: Case) -> Finding:
    """Whether the bucket is in the client's region."""
    head, client = case.answers["head"], case.config.region
    if isinstance(head, BucketHead):
        told, client = head.region, head.client_region or client
    else:  # S3 says it whatever the permissions: with a refusal too
        told = headers_of(head).get("x-amz-bucket-region")
    if told is None and isinstance(head, Failure):
        return unseen("region", head.error, f"{case.config.bucket}, without a condition on the prefix,")
    if told is None:
        return Finding("region", "ok", f"The store names none, and takes {client or 'any'}")
    if client in (None, told):
        return Finding("region", "ok", f"The bucket is in {told}")
    return Finding(
        "region",
        "warning",
        f"The bucket is in {told}, and the client asks in {client}: AWS redirects each client's first "
        "request, and other stores may refuse it",
        f"Set region={told!r}",
    )


def clock(case: Case) -> Finding:
    """Whether this machine's clock and the store's agree."""
    date = _date(case)
    if date is None:
        return Finding("clock", "unknown", "The store doesn't say what time it has")
    ahead, behind = case.begun - date - _TOLD, date - case.ended
    skew = max(ahead, behind)
    if skew < _SKEW:
        apart = f" within {skew.total_seconds():.0f} s" if skew > timedelta(0) else ""
        return Finding("clock", "ok", f"This machine's and the store's agree{apart}")
    return Finding(
        "clock",
        "warning",
        f"This machine's is {skew.total_seconds():.0f} s {'ahead of' if ahead > behind else 'behind'} the "
        "store's; S3 refuses all requests from 15 minutes on",
        _CLOCK,
    )


def _date(case: Case) -> datetime | None:
    """The store's time in the first round."""
    head = case.answers["head"]
    if isinstance(head, BucketHead):
        return head.date
    for answer in (head, case.answers["write"]):
        try:
            return parsedate_to_datetime(headers_of(answer)["date"])
        except (KeyError, ValueError, TypeError):
            continue
    return None
