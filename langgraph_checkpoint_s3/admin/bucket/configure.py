"""Sets a bucket up: reads every setting that was asked for at once, then writes those that differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from langgraph_checkpoint_s3.admin.bucket.arns import Arns, named_bucket, partition_of
from langgraph_checkpoint_s3.admin.bucket.desired_state import BucketSettings, SettingChange
from langgraph_checkpoint_s3.admin.lifecycle.configuration import is_rule_of, merge_rules, rule_id
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
from langgraph_checkpoint_s3.s3.admin_requests import Sign
from langgraph_checkpoint_s3.s3.bucket_settings import ACCELERATION, LIFECYCLE, GetSetting
from langgraph_checkpoint_s3.s3.requests import Attempted, CreateBucket, Failure, ListObjects

_ABORT: Final = "abort-uploads"


def create(config: S3Config, wanted: BucketSettings, is_aws: Callable[[str], bool]) -> Plan[list[Change]]:
    """`configure`, of a bucket that is made first if there is none."""
    wanted.check(named_bucket(config.bucket))
    made: list[Change] = []
    # Not by CreateBucket itself: in us-east-1 that resets the ACL of a bucket that is there.
    found = yield from ask(Attempted(ListObjects(config.prefix, max_keys=1)))
    if isinstance(found, Failure) and isinstance(found.error, BucketNotFoundError):
        yield from ask(CreateBucket())
        made.append(Change("bucket", None, config.bucket))
    return (yield from configure(config, wanted, is_aws, made))


def configure(
    config: S3Config,
    wanted: BucketSettings,
    is_aws: Callable[[str], bool],
    changes: list[Change] | None = None,
) -> Plan[list[Change]]:
    """Make a bucket's settings what is wanted; nothing is written where they are.

    Args:
        config: The saver's.
        wanted: The settings.
        is_aws: Tells whether an address is one of Amazon's.
        changes: What has been changed before.

    Returns:
        What was changed.

    Raises:
        InvalidConfigError: The settings can't be. Nothing was written.
        NotSupportedError: The store doesn't know some of them; the message names all. Nothing was written.
        AccessDeniedError: Some may not be read; the message names all actions that are missing.
    """
    wanted.check(named_bucket(config.bucket))
    done = [] if changes is None else changes
    try:
        parts = yield from _parts(config, wanted, is_aws)
        yield from _configure(config.prefix, wanted, parts, done)
    except S3CheckpointError as error:
        if done:
            names = ", ".join(change.setting for change in done)
            error.reason += f". Before that, this was changed: {names}. The call may be made again"
        raise
    return done


def _configure(
    prefix: str, wanted: BucketSettings, parts: Sequence[SettingChange], done: list[Change]
) -> Plan[None]:
    documents = yield from _read(parts)
    after = [part.wanted(before) for part, before in zip(parts, documents, strict=True)]
    for part, before, document in zip(parts, documents, after, strict=True):
        if part.setting is LIFECYCLE:
            done += yield from _abort_uploads(prefix, wanted.abort_incomplete_uploads_days)
        elif part.setting is ACCELERATION and before is None:
            done += yield from _first_time(part, document)
        else:
            done += yield from replace_setting(part.setting, document, part.name, before=before)


def _parts(
    config: S3Config, wanted: BucketSettings, is_aws: Callable[[str], bool]
) -> Plan[list[SettingChange]]:
    tls, aws, region = True, False, config.region
    if wanted.tls_only in (True, "auto") or wanted.block_public_access == "auto":
        # A signed URL tells where the client really goes, however that was set. Nothing is sent for it.
        signed = yield from ask(Sign("GET", f"{config.prefix}.probe/", 60))
        url = urlsplit(signed.url)
        tls, aws = url.scheme == "https", is_aws(signed.url)
        scope = parse_qs(url.query).get("X-Amz-Credential", [""])[0].split("/")
        region = region or (scope[2] if len(scope) > 2 else None)
    if wanted.tls_only is True and not tls:
        raise InvalidConfigError(
            "tls_only=True: this client reaches the store over plain http, and a policy that refuses that "
            "would lock it out of its own bucket. Use an https:// endpoint_url, or pass tls_only=None."
        )
    arns = Arns.of(config.bucket, partition_of(region))
    return wanted.parts(config.prefix, arns, tls=tls, aws=aws)


def _read(parts: Sequence[SettingChange]) -> Plan[list[Any]]:
    """The documents that are there, of all parts at once."""
    answers = yield from ask_all(Attempted(GetSetting(part.setting, part.name)) for part in parts)
    failed = [
        (part, answer.error)
        for part, answer in zip(parts, answers, strict=True)
        if isinstance(answer, Failure)
    ]
    unknown = [(part, error) for part, error in failed if isinstance(error, NotSupportedError)]
    if unknown:
        unclear = (
            part.setting is ACCELERATION and answer is None
            for part, answer in zip(parts, answers, strict=True)
        )
        raise _unknown(unknown, unclear=any(unclear))
    denied = [
        error for _, error in failed if isinstance(error, AccessDeniedError) and error.action is not None
    ]
    if len(denied) > 1:
        actions = ", ".join(dict.fromkeys(str(error.action) for error in denied))
        raise AccessDeniedError(
            f"These credentials lack {actions}: {denied[0].reason}",
            action=denied[0].action,
            bucket=denied[0].bucket,
            request_ids=denied[0].request_ids,
        ) from denied[0]
    for _, error in failed:
        raise error
    return answers


def _first_time(part: SettingChange, document: Any) -> Plan[list[Change]]:
    """Write a setting of which a store can't be asked whether it knows it."""
    try:
        return (yield from replace_setting(part.setting, document))
    except (NotSupportedError, StorageUnavailableError) as error:
        refused = isinstance(error, StorageUnavailableError) and error.status in (400, 404, 405, 501)
        if refused or isinstance(error, NotSupportedError):
            raise _unknown([(part, error)]) from error
        raise


def _unknown(
    unknown: Sequence[tuple[SettingChange, S3CheckpointError]], *, unclear: bool = False
) -> NotSupportedError:
    """The error that names settings.

    Args:
        unknown: Those that the store doesn't know, and what it said.
        unclear: Whether acceleration may be among them: who takes the question for another one answers as if
            it had never been set.
    """
    names = ", ".join(part.setting.name for part, _ in unknown)
    without = ", ".join(f"{part.argument}=None" for part, _ in unknown)
    first = unknown[0][1]
    doubt = ". Transfer acceleration may be unknown to it, too: then pass accelerate=None as well"
    return NotSupportedError(
        f"This store doesn't support these settings: {names}. To set the rest up without, pass {without} "
        f"({first.reason}){doubt if unclear else ''}",
        bucket=first.bucket,
        request_ids=first.request_ids,
    )


def _abort_uploads(prefix: str, days: int | None) -> Plan[list[Change]]:
    rule = {
        "ID": rule_id(prefix, _ABORT),
        "Status": "Enabled",
        "Filter": {"Prefix": prefix},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": days},
    }
    return (yield from merge_rules(is_rule_of(prefix, _ABORT), [rule]))
