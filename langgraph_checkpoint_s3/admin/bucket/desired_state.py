"""What a bucket's settings should be, and from what they are, how each has to change. Pure.

Stores write documents down in their own way. So what is compared is what matters, and a document that says
what it should is left as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from langgraph_checkpoint_s3.admin.bucket.arns import Arns
from langgraph_checkpoint_s3.admin.bucket.tls_policy import TLS_ONLY, merge, tls_statement, without
from langgraph_checkpoint_s3.errors import InvalidConfigError
from langgraph_checkpoint_s3.format.key_encoding import encode_component
from langgraph_checkpoint_s3.s3.bucket_settings import (
    ACCELERATION,
    ENCRYPTION,
    LIFECYCLE,
    METRICS,
    POLICY,
    PUBLIC_ACCESS,
    TIERING,
    Setting,
)

Encryption: TypeAlias = Literal["auto", "AES256", "aws:kms", "aws:kms:dsse"]

_FLAGS: Final = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
_OWNER: Final = "langgraph-checkpoint-s3."
_LONGEST: Final = 64
_ENCRYPTIONS: Final = ("auto", "AES256", "aws:kms", "aws:kms:dsse")
_DEFAULT_KEY: Final = "alias/aws/s3"
_MOST_DAYS: Final = 730
_TIERS: Final = (
    ("archive_after_days", "ARCHIVE_ACCESS", 90),
    ("deep_archive_after_days", "DEEP_ARCHIVE_ACCESS", 180),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class IntelligentTieringArchive:
    """When Intelligent-Tiering moves what nobody reads into its archive tiers.

    It acts on objects of the storage class `INTELLIGENT_TIERING` alone (`S3Config.storage_class`, or a
    lifecycle rule that moves them there), and never on those below 128 kB. The class's own tiers, which
    can be read at once, need no setting. See
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/intelligent-tiering-overview.html

    Attributes:
        archive_after_days: Days without a read until Archive Access, from 90 to 730; `None` is never.
        deep_archive_after_days: The same until Deep Archive Access, from 180 to 730.
        allow_offline_archive: Has to be `True`: what lies in these tiers can't be read until it was
            restored, which takes hours, and a thread whose checkpoint or lender is there can't go on.
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
            if days is not None:
                _check_days(name, days, least, _MOST_DAYS)
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
        """It as S3 has it."""
        days = [(tier, getattr(self, name)) for name, tier, _ in _TIERS]
        return [{"Days": after, "AccessTier": tier} for tier, after in days if after is not None]


@dataclass(frozen=True, slots=True)
class BucketSettings:
    """What to set up in a bucket. `None` leaves a part as it is. See `BucketSetup.configure_bucket`."""

    encryption: Encryption | None
    kms_key_id: str | None
    bucket_key: bool
    block_public_access: bool | Literal["auto"] | None
    tls_only: bool | Literal["auto"] | None
    abort_incomplete_uploads_days: int | None
    request_metrics: bool | None
    accelerate: bool | None
    intelligent_tiering: IntelligentTieringArchive | Literal[False] | None

    def check(self, bucket: str) -> None:
        """Refuse what can't be, before anything is asked.

        Raises:
            InvalidConfigError: The message says what to pass instead.
        """
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
        if self.abort_incomplete_uploads_days is not None:
            _check_days("abort_incomplete_uploads_days", self.abort_incomplete_uploads_days, 1, None)
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

    def parts(self, prefix: str, arns: Arns, *, tls: bool, aws: bool) -> list[SettingChange]:
        """The settings that this is about, in the order in which they are to be written.

        Acceleration comes first: a store that doesn't know it shows that only when it is set. The policy
        comes before the public access block, which would refuse one that is public.

        Args:
            prefix: The saver's.
            arns: The bucket's.
            tls: Whether the client reaches the store over TLS.
            aws: Whether the store is Amazon's.
        """
        name = name_of(prefix)
        found: list[SettingChange] = []
        if self.accelerate is not None:
            found.append(SettingChange(ACCELERATION, "accelerate", _acceleration(self.accelerate)))
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
            found.append(SettingChange(LIFECYCLE, "abort_incomplete_uploads_days", _unchanged))
        if self.request_metrics is not None:
            metrics = _for_prefix(prefix, {"Id": name}) if self.request_metrics else None
            found.append(SettingChange(METRICS, "request_metrics", _like(metrics), name))
        if self.intelligent_tiering is not None:
            tiering: dict[str, Any] | None = None
            if isinstance(self.intelligent_tiering, IntelligentTieringArchive):
                tiering = _for_prefix(prefix, {"Id": name, "Status": "Enabled"})
                tiering["Tierings"] = self.intelligent_tiering.tierings
            found.append(SettingChange(TIERING, "intelligent_tiering", _like(tiering), name))
        return found

    def _encrypted(self, before: Any) -> Any:
        rules = (before or {}).get("Rules") or [{}]
        rule = rules[0]
        now = rule.get("ApplyServerSideEncryptionByDefault") or {}
        if self.encryption == "auto" and now.get("SSEAlgorithm"):
            return before
        wanted = "AES256" if self.encryption == "auto" else self.encryption
        key = self.bucket_key and wanted == "aws:kms"
        if (
            now.get("SSEAlgorithm") == wanted
            and _same_key(now.get("KMSMasterKeyID"), self.kms_key_id)
            and (wanted != "aws:kms" or bool(rule.get("BucketKeyEnabled")) == key)
        ):
            return before
        default = {"SSEAlgorithm": wanted} | ({"KMSMasterKeyID": self.kms_key_id} if self.kms_key_id else {})
        # What else the rule says, such as which encryption is blocked, isn't ours to drop.
        new = {**rule, "ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": key}
        return {"Rules": [new, *rules[1:]]}


@dataclass(frozen=True, slots=True)
class SettingChange:
    """One setting of those that are to be set up.

    Attributes:
        setting: The setting.
        argument: What `configure_bucket` calls it.
        wanted: Makes the document that should be there of the one that is there; the same if that will do.
        name: Which one, of those that a bucket may have several of.
    """

    setting: Setting
    argument: str
    wanted: Callable[[Any], Any]
    name: str | None = None


def name_of(prefix: str) -> str:
    """The Id of a prefix's own metrics and tiering, in the characters that S3 takes, and 64 at most."""
    name = _OWNER + encode_component(prefix)
    if len(name) <= _LONGEST:
        return name
    digest = hashlib.sha256(prefix.encode()).hexdigest()[:16]
    return f"{name[: _LONGEST - len(digest) - 1]}_{digest}"


def _for_prefix(prefix: str, document: dict[str, Any]) -> dict[str, Any]:
    return {**document, "Filter": {"Prefix": prefix}} if prefix else document


def _like(wanted: Mapping[str, Any] | None) -> Callable[[Any], Any]:
    """Takes what is there if it says the same, but for the order of lists and empty members."""

    def document(before: Any) -> Any:
        same = wanted is not None and before is not None and plain(before) == plain(wanted)
        return before if same else wanted

    return document


def plain(value: Any) -> Any:
    """A document to compare: without members that say nothing, and with lists in an order of their own."""
    if isinstance(value, Mapping):
        kept = ((name, plain(each)) for name, each in sorted(value.items()))
        return {name: each for name, each in kept if each not in (None, {}, [])}
    if isinstance(value, list):
        return sorted((plain(each) for each in value), key=str)
    return value


def _acceleration(wanted: bool) -> Callable[[Any], Any]:
    def document(before: Any) -> Any:
        now = (before or {}).get("Status") == "Enabled"
        return before if now == wanted else {"Status": "Enabled" if wanted else "Suspended"}

    return document


def _all_blocked(before: Any) -> Any:
    if before and all(before.get(flag) for flag in _FLAGS):
        return before
    return dict.fromkeys(_FLAGS, True)


def _unchanged(before: Any) -> Any:
    return before


def _same_key(there: str | None, wanted: str | None) -> bool:
    """Whether two names are of one key: a store may give an id back as an ARN, its own key by its alias."""
    there, wanted = there or _DEFAULT_KEY, wanted or _DEFAULT_KEY
    longer, shorter = (there, wanted) if len(there) > len(wanted) else (wanted, there)
    return longer == shorter or longer.endswith((f":{shorter}", f":key/{shorter}"))


def _check_days(name: str, days: object, least: int, most: int | None) -> None:
    if not isinstance(days, int) or isinstance(days, bool):
        raise InvalidConfigError(f"{name}={days!r} must be a whole number of days.")
    if days < least or (most is not None and days > most):
        limits = f"at least {least}" if most is None else f"from {least} to {most}"
        raise InvalidConfigError(f"{name}={days} must be {limits} days.")
