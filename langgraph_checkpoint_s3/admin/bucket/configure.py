"""Set-up of a bucket: the desired settings, and the plans that write those that differ.

Stores write documents in different ways. A document that says what it should is therefore left as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, TypedDict
from urllib.parse import parse_qs, urlsplit

from langgraph_checkpoint_s3.admin.bucket.policies import (
    TLS_ONLY,
    Arns,
    merge,
    named_bucket,
    partition_of,
    tls_statement,
    without,
)
from langgraph_checkpoint_s3.admin.lifecycle.policy import set_abort_uploads
from langgraph_checkpoint_s3.admin.setting_changes import (
    Change,
    check_days,
    check_number,
    normalized,
    replace_setting,
)
from langgraph_checkpoint_s3.config import S3Config
from langgraph_checkpoint_s3.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    InvalidConfigError,
    NotSupportedError,
    S3CheckpointError,
    StorageUnavailableError,
)
from langgraph_checkpoint_s3.format.key_encoding import encode_component
from langgraph_checkpoint_s3.plans.plan import Plan, ask, ask_all
from langgraph_checkpoint_s3.plans.setup import missing_permissions
from langgraph_checkpoint_s3.s3.admin_requests import Sign
from langgraph_checkpoint_s3.s3.bucket_settings import (
    ACCELERATION,
    ENCRYPTION,
    LIFECYCLE,
    METRICS,
    POLICY,
    PUBLIC_ACCESS,
    TIERING,
    GetSetting,
    Setting,
)
from langgraph_checkpoint_s3.s3.requests import Attempted, CreateBucket, Failure, ListObjects

Encryption: TypeAlias = Literal["auto", "AES256", "aws:kms", "aws:kms:dsse"]

PUBLIC_ACCESS_FLAGS: Final = (
    "BlockPublicAcls",
    "IgnorePublicAcls",
    "BlockPublicPolicy",
    "RestrictPublicBuckets",
)
_OWNER: Final = "langgraph-checkpoint-s3."
_MAX_ID: Final = 64
_ENCRYPTIONS: Final = ("auto", "AES256", "aws:kms", "aws:kms:dsse")
_DEFAULT_KEY: Final = "alias/aws/s3"
_MAX_TIERING_DAYS: Final = 730
_TIERS: Final = (
    ("archive_after_days", "ARCHIVE_ACCESS", 90),
    ("deep_archive_after_days", "DEEP_ARCHIVE_ACCESS", 180),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class IntelligentTieringArchive:
    """Ages at which Intelligent-Tiering moves unread objects into its archive tiers.

    It applies to objects of the storage class `INTELLIGENT_TIERING` only (`S3Config.storage_class`, or a
    lifecycle rule that moves them there), and never to those below 128 kB. The class's own tiers, which
    can be read at once, need no setting. See
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/intelligent-tiering-overview.html

    Attributes:
        archive_after_days: Days without a read until Archive Access, from 90 to 730; `None` is never.
        deep_archive_after_days: The same until Deep Archive Access, from 180 to 730.
        allow_offline_archive: Has to be `True`: objects in these tiers can't be read until they are
            restored, which takes hours. A thread whose checkpoint or lender is there can't go on.
    """

    archive_after_days: int | None = None
    deep_archive_after_days: int | None = None
    allow_offline_archive: bool = False

    def __post_init__(self) -> None:
        given = [(name, getattr(self, name), least) for name, _, least in _TIERS]
        if all(days is None for _, days, _ in given):
            raise InvalidConfigError(
                "An IntelligentTieringArchive needs archive_after_days or deep_archive_after_days."
            )
        for name, days, least in given:
            check_number(name, days, least, _MAX_TIERING_DAYS, "days")
        first, second = (days for _, days, _ in given)
        if first is not None and second is not None and second <= first:
            raise InvalidConfigError("deep_archive_after_days must be more than archive_after_days.")
        if self.allow_offline_archive is not True:
            raise InvalidConfigError(
                "Intelligent-Tiering's archive tiers are offline: a checkpoint there can't be read until "
                "S3Admin.restore_archived brought it back, which takes hours, and its thread can't go on "
                "until then. Pass allow_offline_archive=True if that is what you want."
            )

    @property
    def tierings(self) -> list[dict[str, Any]]:
        """The tiers as S3 has them."""
        days = [(tier, getattr(self, name)) for name, tier, _ in _TIERS]
        return [{"Days": after, "AccessTier": tier} for tier, after in days if after is not None]


class BucketOptions(TypedDict, total=False):
    """Keywords of `S3Admin.configure_bucket` and `S3Admin.create_bucket`, described there."""

    encryption: Encryption | None
    kms_key_id: str | None
    bucket_key: bool
    block_public_access: bool | Literal["auto"] | None
    tls_only: bool | Literal["auto"] | None
    abort_incomplete_uploads_days: int | Literal[False] | None
    request_metrics: bool | None
    accelerate: bool | None
    intelligent_tiering: IntelligentTieringArchive | Literal[False] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketSettings:
    """Desired settings, made of `BucketOptions`. `None` leaves a setting as it is."""

    encryption: Encryption | None = "auto"
    kms_key_id: str | None = None
    bucket_key: bool = True
    block_public_access: bool | Literal["auto"] | None = "auto"
    tls_only: bool | Literal["auto"] | None = "auto"
    abort_incomplete_uploads_days: int | Literal[False] | None = 7
    request_metrics: bool | None = None
    accelerate: bool | None = None
    intelligent_tiering: IntelligentTieringArchive | Literal[False] | None = None

    def check(self, bucket: str) -> None:
        """Raise `InvalidConfigError` if a value is invalid."""
        if self.encryption is not None and self.encryption not in _ENCRYPTIONS:
            raise InvalidConfigError(f"encryption={self.encryption!r} is none of {', '.join(_ENCRYPTIONS)}.")
        if self.kms_key_id is not None and self.encryption not in ("aws:kms", "aws:kms:dsse"):
            raise InvalidConfigError("kms_key_id goes with encryption='aws:kms' or 'aws:kms:dsse' only.")
        for name, auto in (
            ("block_public_access", True),
            ("tls_only", True),
            ("request_metrics", False),
            ("accelerate", False),
        ):
            value = getattr(self, name)
            if value is not None and not isinstance(value, bool) and not (auto and value == "auto"):
                known = "'auto', True, False" if auto else "True, False"
                raise InvalidConfigError(f"{name}={value!r} is neither {known} nor None.")
        if self.block_public_access is False:
            raise InvalidConfigError(
                "block_public_access=False: a bucket of checkpoints isn't opened from here. Pass None to "
                "leave its public access as it is."
            )
        if self.abort_incomplete_uploads_days is not False:
            check_days("abort_incomplete_uploads_days", self.abort_incomplete_uploads_days)
        if self.accelerate and "." in bucket:
            raise InvalidConfigError(
                f"accelerate=True: Transfer Acceleration needs a bucket without dots in its name, and this "
                f"is {bucket!r}."
            )
        tiering = self.intelligent_tiering
        if tiering not in (None, False) and not isinstance(tiering, IntelligentTieringArchive):
            raise InvalidConfigError(
                "intelligent_tiering takes an IntelligentTieringArchive(…), False or None."
            )

    def changes(self, prefix: str, arns: Arns, *, tls: bool, aws: bool) -> list[SettingChange]:
        """Return the settings to change, in the order of writing.

        Acceleration comes first: a store that doesn't know it shows that only when it is set. The policy
        comes before the public access block, which would refuse one that is public. `tls` and `aws` are
        whether the client uses TLS, and whether the store is Amazon's.
        """
        name = name_of(prefix)
        found: list[SettingChange] = []
        if self.accelerate is not None:
            found.append(SettingChange(ACCELERATION, "accelerate", self._accelerated))
        if self.tls_only is True or (self.tls_only == "auto" and tls):
            statement = tls_statement(arns)
            found.append(SettingChange(POLICY, "tls_only", lambda before: merge(before, statement)))
        elif self.tls_only is False:
            found.append(SettingChange(POLICY, "tls_only", lambda before: without(before, TLS_ONLY)))
        if self.block_public_access is True or (self.block_public_access == "auto" and aws):
            found.append(SettingChange(PUBLIC_ACCESS, "block_public_access", _all_blocked))
        if self.encryption is not None:
            found.append(SettingChange(ENCRYPTION, "encryption", self._encrypted))
        if self.abort_incomplete_uploads_days is not None:
            # The rules are merged where they are written (`lifecycle/configuration.py`).
            found.append(SettingChange(LIFECYCLE, "abort_incomplete_uploads_days", lambda before: before))
        if self.request_metrics is not None:
            metrics = _for_prefix(prefix, {"Id": name}) if self.request_metrics else None
            found.append(SettingChange(METRICS, "request_metrics", _unless_same(metrics), name))
        if self.intelligent_tiering is not None:
            tiering: dict[str, Any] | None = None
            if self.intelligent_tiering:
                tiering = _for_prefix(prefix, {"Id": name, "Status": "Enabled"})
                tiering["Tierings"] = self.intelligent_tiering.tierings
            found.append(SettingChange(TIERING, "intelligent_tiering", _unless_same(tiering), name))
        return found

    def _accelerated(self, before: Any) -> Any:
        now, after = (before or {}).get("Status"), "Enabled" if self.accelerate else "Suspended"
        return before if (now == "Enabled") is self.accelerate else {"Status": after}

    def _encrypted(self, before: Any) -> Any:
        rule, now = default_encryption(before)
        if self.encryption == "auto" and now.get("SSEAlgorithm"):
            return before
        algorithm = "AES256" if self.encryption == "auto" else self.encryption
        bucket_key = self.bucket_key and algorithm == "aws:kms"
        if (
            now.get("SSEAlgorithm") == algorithm
            and _same_key(now.get("KMSMasterKeyID"), self.kms_key_id)
            and (algorithm != "aws:kms" or bool(rule.get("BucketKeyEnabled")) == bucket_key)
        ):
            return before
        default: dict[str, str | None] = {"SSEAlgorithm": algorithm}
        if self.kms_key_id:
            default["KMSMasterKeyID"] = self.kms_key_id
        # The rule's other members, such as blocked encryption types, belong to others.
        new = {**rule, "ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": bucket_key}
        return {"Rules": [new, *((before or {}).get("Rules") or ())[1:]]}


@dataclass(frozen=True, slots=True)
class SettingChange:
    """One setting to change.

    Attributes:
        argument: Its keyword in `configure_bucket`.
        document: Returns the new document, given the current one; the same one if nothing is to change.
        name: The configuration's ID, for settings of which a bucket may have several.
    """

    setting: Setting
    argument: str
    document: Callable[[Any], Any]
    name: str | None = None


def default_encryption(document: Any) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return the first rule of a default encryption, and its algorithm and key; both are empty if unset."""
    rule = ((document or {}).get("Rules") or [{}])[0]
    return rule, rule.get("ApplyServerSideEncryptionByDefault") or {}


def name_of(prefix: str) -> str:
    """Return the ID of a prefix's own metrics and tiering: at most 64 characters, of those that S3 takes."""
    name = _OWNER + encode_component(prefix)
    if len(name) <= _MAX_ID:
        return name
    digest = hashlib.sha256(prefix.encode()).hexdigest()[:16]
    return f"{name[: _MAX_ID - len(digest) - 1]}_{digest}"


def _for_prefix(prefix: str, document: dict[str, Any]) -> dict[str, Any]:
    return {**document, "Filter": {"Prefix": prefix}} if prefix else document


def _unless_same(new: Mapping[str, Any] | None) -> Callable[[Any], Any]:
    def document(before: Any) -> Any:
        both = new is not None and before is not None
        return before if both and normalized(before) == normalized(new) else new

    return document


def _all_blocked(before: Any) -> Any:
    blocked = before and all(before.get(flag) for flag in PUBLIC_ACCESS_FLAGS)
    return before if blocked else dict.fromkeys(PUBLIC_ACCESS_FLAGS, True)


def _same_key(one: str | None, other: str | None) -> bool:
    """Return whether two names are of one key. A store may answer an ID with an ARN, or an alias."""
    shorter, longer = sorted((one or _DEFAULT_KEY, other or _DEFAULT_KEY), key=len)
    return longer == shorter or longer.endswith((f":{shorter}", f":key/{shorter}"))


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
    config: S3Config, desired: BucketSettings, is_aws: Callable[[str], bool], before: Sequence[Change] = ()
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
