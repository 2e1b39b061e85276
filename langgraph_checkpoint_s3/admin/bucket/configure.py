"""Set-up of a bucket: reads all desired settings at once, then writes those that differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

from langgraph_checkpoint_s3.admin.bucket.arns import Arns, named_bucket, partition_of
from langgraph_checkpoint_s3.admin.bucket.desired_state import BucketSettings, SettingChange
from langgraph_checkpoint_s3.admin.lifecycle.configuration import set_abort_uploads
from langgraph_checkpoint_s3.admin.setting_changes import Change, replace_setting
from langgraph_checkpoint_s3.config import S3Config
from langgraph_checkpoint_s3.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    InvalidConfigError,
    NotSupportedError,
    S3CheckpointError,
    StorageUnavailableError,
)
from langgraph_checkpoint_s3.plans.plan import Plan, ask, ask_all
from langgraph_checkpoint_s3.plans.setup import missing_permissions
from langgraph_checkpoint_s3.s3.admin_requests import Sign
from langgraph_checkpoint_s3.s3.bucket_settings import ACCELERATION, LIFECYCLE, GetSetting
from langgraph_checkpoint_s3.s3.requests import Attempted, CreateBucket, Failure, ListObjects


def create(config: S3Config, desired: BucketSettings, is_aws: Callable[[str], bool]) -> Plan[list[Change]]:
    """Create the bucket if there is none, then `configure` it."""
    desired.check(named_bucket(config.bucket))
    created: list[Change] = []
    # Not by CreateBucket itself: in us-east-1 that resets the ACL of a bucket that is there.
    found = yield from ask(Attempted(ListObjects(config.prefix, max_keys=1)))
    if isinstance(found, Failure) and isinstance(found.error, BucketNotFoundError):
        yield from ask(CreateBucket())
        created.append(Change("bucket", None, config.bucket))
    return (yield from configure(config, desired, is_aws, created))


def configure(
    config: S3Config,
    desired: BucketSettings,
    is_aws: Callable[[str], bool],
    before: Sequence[Change] = (),
) -> Plan[list[Change]]:
    """Change a bucket's settings to the desired ones. Return all changes, with those made before.

    `is_aws` returns whether a URL is one of Amazon's.
    """
    desired.check(named_bucket(config.bucket))
    done = list(before)
    try:
        changes = yield from _changes(config, desired, is_aws)
        current = yield from _read(changes)
        documents = [change.document(now) for change, now in zip(changes, current, strict=True)]
        for change, now, document in zip(changes, current, documents, strict=True):
            if change.setting is LIFECYCLE:
                days = desired.abort_incomplete_uploads_days
                done += yield from set_abort_uploads(config.prefix, days or None)
            elif change.setting is ACCELERATION and now is None:
                done += yield from _accelerate_first(change, document)
            else:
                done += yield from replace_setting(change.setting, document, change.name, before=now)
    except S3CheckpointError as error:
        if done:
            names = ", ".join(change.setting for change in done)
            error.reason += f". Before that, this was changed: {names}. The call may be made again"
        raise
    return done


def _changes(
    config: S3Config, desired: BucketSettings, is_aws: Callable[[str], bool]
) -> Plan[list[SettingChange]]:
    tls, aws, region = True, False, config.region
    if desired.tls_only in (True, "auto") or desired.block_public_access == "auto":
        # A signed URL shows the address that the client uses, however it was configured. Nothing is sent.
        signed = yield from ask(Sign("GET", f"{config.prefix}.probe/", 60))
        url = urlsplit(signed.url)
        tls, aws = url.scheme == "https", is_aws(signed.url)
        scope = parse_qs(url.query).get("X-Amz-Credential", [""])[0].split("/")
        region = region or (scope[2] if len(scope) > 2 else None)
    if desired.tls_only is True and not tls:
        raise InvalidConfigError(
            "tls_only=True: this client reaches the store over plain http, and a policy that refuses that "
            "would lock it out of its own bucket. Use an https:// endpoint_url, or pass tls_only=None."
        )
    arns = Arns.of(config.bucket, partition_of(region))
    return desired.changes(config.prefix, arns, tls=tls, aws=aws)


def _read(changes: Sequence[SettingChange]) -> Plan[list[Any]]:
    """Read the current documents, all at once."""
    answers = yield from ask_all(Attempted(GetSetting(each.setting, each.name)) for each in changes)
    failed = [
        (change, answer.error)
        for change, answer in zip(changes, answers, strict=True)
        if isinstance(answer, Failure)
    ]
    unsupported = [(change, error) for change, error in failed if isinstance(error, NotSupportedError)]
    if unsupported:
        # A store that ignores the query parameter answers as if acceleration had never been set.
        unclear = any(
            change.setting is ACCELERATION and answer is None
            for change, answer in zip(changes, answers, strict=True)
        )
        raise _not_supported(unsupported, unclear=unclear)
    denied = [error for _, error in failed if isinstance(error, AccessDeniedError) and error.action]
    if len(denied) > 1:
        raise missing_permissions(denied) from denied[0]
    for _, error in failed:
        raise error
    return answers


def _accelerate_first(change: SettingChange, document: Any) -> Plan[list[Change]]:
    """Set acceleration for the first time: only the PUT shows whether the store knows it."""
    try:
        return (yield from replace_setting(change.setting, document))
    except (NotSupportedError, StorageUnavailableError) as error:
        if isinstance(error, NotSupportedError) or error.status in (400, 404, 405, 501):
            raise _not_supported([(change, error)]) from error
        raise


def _not_supported(
    unsupported: Sequence[tuple[SettingChange, S3CheckpointError]], *, unclear: bool = False
) -> NotSupportedError:
    names = ", ".join(change.setting.name for change, _ in unsupported)
    without = ", ".join(f"{change.argument}=None" for change, _ in unsupported)
    first = unsupported[0][1]
    doubt = ". Transfer acceleration may be unknown to it, too: then pass accelerate=None as well"
    return NotSupportedError(
        f"This store doesn't support these settings: {names}. To set the rest up without, pass {without} "
        f"({first.reason}){doubt if unclear else ''}",
        bucket=first.bucket,
        request_ids=first.request_ids,
    )
