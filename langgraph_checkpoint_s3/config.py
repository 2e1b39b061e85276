"""`S3Config`: all settings of a saver, validated, from keywords, a URI or environment variables."""

from __future__ import annotations

import dataclasses
import functools
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict, TypeVar, get_type_hints
from urllib.parse import parse_qsl, unquote, urlsplit

from langgraph_checkpoint_s3.errors import InvalidConfigError
from langgraph_checkpoint_s3.format.borrowing import MAX_HORIZON
from langgraph_checkpoint_s3.format.codecs import Compression
from langgraph_checkpoint_s3.validation import (
    check_bucket,
    check_endpoint,
    check_indexed_metadata,
    check_range,
    check_region,
    check_retention,
    check_storage_class,
    check_tags,
    check_type,
    is_arn,
    is_aws,
    non_optional,
    normalize_prefix,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack

T = TypeVar("T")

ServerSideEncryption = Literal["auto", "AES256", "aws:kms", "aws:kms:dsse", "off"]
Transport = Literal["http", "sdk"]

MIB: Final = 1024 * 1024
MIN_PART: Final = 5 * MIB
"""S3's minimum size of a part, except for the last one of an upload."""
MAX_PUT: Final = 5 * 1024 * MIB
"""S3's maximum size of a single PUT, and of a part."""

DEFAULT_PREFIX: Final = "checkpoints/"
DEFAULT_BUCKET: Final = "langgraph-test"
"""The bucket of `from_env` on other stores than AWS. There its name is taken by a stranger."""

_STORE_VARIABLES: Final = {"S3_ENDPOINT_URL": "endpoint_url", "S3_FORCE_PATH_STYLE": "force_path_style"}
"""Environment variables that say where the store is. They hold even without `from_env`."""
_ENVIRONMENT: Final = {
    "S3_BUCKET_NAME": "bucket",
    "S3_KEY_PREFIX": "prefix",
    "AWS_REGION": "region",
    **_STORE_VARIABLES,
}
_ENDPOINT_VARIABLES: Final = ("S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
"""Environment variables that may point to a store other than AWS."""
_KMS_KEY: Final = r"[!-~]{1,2048}"
_PLACE: Final = r"s3://[A-Za-z0-9:._-]+/(?:[A-Za-z0-9_.=-]+/)*"
_ACCOUNT: Final = r"[0-9]{12}"
_MEMBERS: Final = {"tag.": "object_tags", "retention.": "retention"}
"""Beginnings of a URI's parameters that set one member of a mapping, and the mapping's name."""
_DAYS: Final = r"([0-9]{1,9})d"
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})


def unknown_setting(name: str, known: Iterable[str]) -> InvalidConfigError:
    """Return the error for an unknown setting, with the known name that is most similar."""
    import difflib

    names = sorted(known)
    if "access_key" in name or "session_token" in name or name in ("credentials", "profile_name"):
        hint = " No setting takes credentials: pass session=boto3.Session(…), or see AWS's own chain."
    else:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
    return InvalidConfigError(f"There is no setting {name!r}.{hint} There are: {', '.join(names)}.")


def _checked_keywords(cls: type[T]) -> type[T]:
    """Make a dataclass raise `InvalidConfigError` instead of `TypeError` for wrong keywords."""
    init: Any = cls.__init__
    known = [setting.name for setting in fields(cls)]  # type: ignore[arg-type]  # it is a dataclass

    @functools.wraps(init)
    def checked(self: Any, *positional: Any, **settings: Any) -> None:
        if positional:
            raise InvalidConfigError("Settings are given by name, as in S3Config(bucket='my-bucket').")
        for name in settings:
            if name not in known:
                raise unknown_setting(name, known)
        if "bucket" not in settings:
            raise InvalidConfigError(
                "No bucket is named: pass bucket=…, or set S3_BUCKET_NAME and use S3Saver.from_env()."
            )
        init(self, **settings)

    cls.__init__ = checked  # type: ignore[method-assign]  # it wraps the dataclass's own
    return cls


@_checked_keywords
@dataclass(frozen=True, kw_only=True)
class S3Config:
    """Settings of a saver. Frozen, and validated when it is made.

    Attributes:
        bucket: The bucket's name, or the ARN or alias of an access point.
        prefix: The prefix of all keys; a `/` is appended. Letters, digits and `_ . = - /`.
            No segment may end in `.thread`. Savers with different prefixes never see each
            other's threads, even if one prefix lies below the other.
        region: The bucket's region. Default: AWS's own chain (`AWS_REGION`, `AWS_DEFAULT_REGION`,
            profile), then `us-east-1`.
        endpoint_url: The URL of an S3-compatible store. Default: `S3_ENDPOINT_URL`, then AWS's own
            chain (`AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, profile), then AWS.
        force_path_style: Whether the bucket goes into the URL's path rather than its host name.
            Default: `S3_FORCE_PATH_STYLE`, then true if there is an endpoint.
        compression: Compression of values and metadata: `zstd` (level 3), `gzip` or `none`. All are read. An
            object's header, some hundred bytes that say what is where, is compressed with zstd in any case.
        server_side_encryption: `AES256`, `aws:kms` or `aws:kms:dsse`, each of which overrides the
            bucket's default. `auto` and `off` send no header: the bucket's default applies, and S3
            encrypts everything anyway.
        kms_key_id: The KMS key for `aws:kms` and `aws:kms:dsse`: an id, ARN or alias. Default:
            the account's `aws/s3` key.
        bucket_key_enabled: Whether an S3 Bucket Key saves KMS requests, with `aws:kms`. Default:
            the bucket's setting.
        versioning: Whether `setup()` turns on the bucket's versioning.
        multipart_threshold: Bytes from which an object is written in parts, at least 5 * 2**20. Parts go in
            parallel, and take two round trips more than a single PUT.
        multipart_part_size: Most bytes of a part, 5 * 2**20 to 5 * 2**30. What is longer is read in parallel
            ranges.
        storage_class: Storage class of new objects, such as `INTELLIGENT_TIERING`. Classes that need a
            restore before reading are rejected. Default: the bucket's.
        object_tags: Tags of new objects, at most 10. They need `s3:PutObjectTagging`.
        retention: Retention classes of threads: names, and how long S3 keeps each checkpoint of theirs, in
            whole days. `default` is for threads that name none; a run names its own as
            `configurable={"retention": "trial"}`. `S3Admin.set_lifecycle_policy()` makes the rules by
            which S3 deletes. All savers of a prefix need the same classes. Takes one of ten tags, and
            `s3:PutObjectTagging`. In a connection string: `retention.trial=7d`.
        transport: `http` sends the requests for objects over the package's own HTTP client, which takes
            credentials and addresses from botocore. `sdk` sends them with boto3, and on event loops with
            aiobotocore (the extra `aiobotocore`). A `client` passed to the saver is always used. Requests for
            the bucket's settings are sent with the SDK in any case.
        max_concurrency: Maximum number of concurrent requests of one operation. Operations don't
            share it.
        connect_timeout: Seconds to wait for a connection.
        read_timeout: Seconds to wait for each piece of a response. A request and its whole response have
            `connect_timeout` and `read_timeout` together, plus a second for each 16 kB, plus 300 s for
            copies and completed uploads, which the store does by itself.
        max_attempts: How often a request is sent before it fails. Default: AWS's own settings
            (`AWS_MAX_ATTEMPTS`, the profile's `max_attempts`), then 5.
        operation_timeout: Seconds without a response after which an operation sends no more requests or
            retries. Each response starts the time again, so large states aren't cut off. `None`
            waits forever.
        circuit_breaker: The number of consecutive failed requests after which operations fail at once,
            without sending anything, for a while. 0 turns it off.
        circuit_breaker_cooldown: Seconds for which nothing is sent after that, before one trial request.
        hedged_reads: The share of small reads and of listings, 0 to 0.1, that may be sent a second time:
            those that are slower than all but this share of recent ones. 0 turns it off, 0.05 is usual.
        cache_bytes: Bytes of memory for cached objects, including overhead, and as many again for
            serialized states to borrow from. 0 turns off both, and borrowing.
        borrow: Whether a checkpoint borrows the bytes that it shares with its parent from earlier
            checkpoints' objects, rather than storing them again. Both kinds can always be read.
        borrow_horizon: Seconds by which an object may be older than one that borrows from it, at
            most 7 days. Deletion by age must wait that much longer.
        keep_last: The number of checkpoints of each namespace to keep: after each put, older ones of the
            thread are deleted. Checkpoints then don't borrow. Default: all of them. Needs
            `s3:DeleteObject`.
        expected_bucket_owner: The account id (12 digits) that the bucket must belong to.
        use_accelerate: Whether to use S3 Transfer Acceleration.
        requester_pays: Whether the requester pays, rather than the bucket's owner.
        require_encryption: Whether to reject objects that aren't encrypted on the client's side. Needs
            `S3Saver(…, encryption=…)`.
        private_keys: Whether the bucket's keys hold threads, namespaces, runs, tasks, sources and steps as
            keyed hashes rather than as names. Needs `encryption` with a `names_key`, and
            implies `require_encryption`. Use a prefix that holds nothing else.
        indexed_metadata: Names of metadata, at most 3, whose values new checkpoints' keys have as hashes:
            `user_id` for one, if runs have it in their config. `S3Admin.threads(metadata=…)` and
            `list(filter=…)` then find them in a listing. `source`, `step` and `run_id` are always there.
        encrypted_for: The bucket and prefix that objects encrypted with `encryption` are bound to, as
            `s3://bucket/prefix/`. Default: the saver's own. Set it to reach the same objects by
            another name: through an access point, or in a replica.

    Raises:
        InvalidConfigError: A setting is unknown, of the wrong type or out of range.
    """

    bucket: str
    prefix: str = DEFAULT_PREFIX
    region: str | None = None
    endpoint_url: str | None = None
    force_path_style: bool | None = None
    compression: Compression = "zstd"
    server_side_encryption: ServerSideEncryption = "auto"
    kms_key_id: str | None = None
    bucket_key_enabled: bool | None = None
    versioning: bool = False
    multipart_threshold: int = 16 * MIB
    multipart_part_size: int = 8 * MIB
    storage_class: str | None = None
    object_tags: Mapping[str, str] = field(default_factory=dict, hash=False)
    retention: Mapping[str, timedelta] = field(default_factory=dict, hash=False)
    transport: Transport = "http"
    max_concurrency: int = 16
    connect_timeout: float = 5.0
    read_timeout: float = 20.0
    max_attempts: int | None = None
    operation_timeout: float | None = 60.0
    circuit_breaker: int = 0
    circuit_breaker_cooldown: float = 10.0
    hedged_reads: float = 0.0
    cache_bytes: int = 64 * MIB
    borrow: bool = True
    borrow_horizon: float = 24 * 3600.0
    keep_last: int | None = None
    expected_bucket_owner: str | None = None
    use_accelerate: bool = False
    requester_pays: bool = False
    require_encryption: bool = False
    private_keys: bool = False
    indexed_metadata: tuple[str, ...] = ()
    encrypted_for: str | None = None

    def __post_init__(self) -> None:
        for name, hint in _types().items():
            check_type(name, hint, getattr(self, name))
        object.__setattr__(self, "prefix", normalize_prefix(self.prefix))
        object.__setattr__(self, "object_tags", dict(self.object_tags))
        check_indexed_metadata(self.indexed_metadata)
        object.__setattr__(self, "retention", dict(self.retention))
        self._check_names()
        self._check_encryption()
        check_range("multipart_threshold", self.multipart_threshold, MIN_PART, MAX_PUT)
        check_range("multipart_part_size", self.multipart_part_size, MIN_PART, MAX_PUT)
        check_range("max_concurrency", self.max_concurrency, 1, 1000)
        check_range("connect_timeout", self.connect_timeout, 0.001, 3600)
        check_range("read_timeout", self.read_timeout, 0.001, 3600)
        if self.max_attempts is not None:
            check_range("max_attempts", self.max_attempts, 1, 100)
        if self.operation_timeout is not None:
            check_range("operation_timeout", self.operation_timeout, 0.001, 86_400)
        check_range("circuit_breaker", self.circuit_breaker, 0, 1000)
        check_range("circuit_breaker_cooldown", self.circuit_breaker_cooldown, 0.001, 3600)
        check_range("hedged_reads", self.hedged_reads, 0, 0.1)
        check_range("cache_bytes", self.cache_bytes, 0, None)
        check_range("borrow_horizon", self.borrow_horizon, 0, MAX_HORIZON)
        if self.keep_last is not None:
            check_range("keep_last", self.keep_last, 1, None)

    @property
    def place(self) -> str:
        """The bucket and prefix that encrypted objects are bound to."""
        return self.encrypted_for or f"s3://{self.bucket}/{self.prefix}"

    def replace(self, **settings: Unpack[S3SettingsWithBucket]) -> S3Config:
        """Return a copy with some settings changed.

        Raises:
            InvalidConfigError: A setting is unknown, of the wrong type or out of range.
        """
        return dataclasses.replace(self, **settings)

    def with_store_variables(self) -> S3Config:
        """Fill in `S3_ENDPOINT_URL` and `S3_FORCE_PATH_STYLE` where their settings are unset.

        Raises:
            InvalidConfigError: A value is malformed, or doesn't go with the other settings.
        """
        found = {
            setting: parse_setting(setting, os.environ[variable], shown=variable)
            for variable, setting in _STORE_VARIABLES.items()
            if getattr(self, setting) is None and os.environ.get(variable)
        }
        return self.replace(**found) if found else self

    def _repr_html_(self) -> str:
        """Return the settings that aren't default as a table, for notebooks: without account numbers."""
        from langgraph_checkpoint_s3.notebook import setting_rows, table

        return table("S3Config", setting_rows(self))

    @classmethod
    def from_conn_string(cls, conn_string: str, **settings: Unpack[S3SettingsWithBucket]) -> S3Config:
        """Read settings from `s3://bucket/prefix?setting=value&…`.

        Args:
            conn_string: The bucket, the prefix (`checkpoints/` by default) and any other settings by
                name; tags as `tag.NAME=VALUE`, retention classes as `retention.NAME=7d`. No credentials:
                those come from AWS's own chain.
            **settings: Settings that override the URI's.

        Raises:
            InvalidConfigError: The URI is malformed, or a setting in it is unknown or out of range.
        """
        if not str(conn_string).startswith("s3://"):
            raise InvalidConfigError("A connection string looks like s3://bucket/prefix?region=eu-west-1.")
        try:
            parts = urlsplit(conn_string)
            pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        except ValueError:  # its text may contain a password
            raise InvalidConfigError(
                "The connection string isn't a URI like s3://bucket/prefix?name=value&name=value."
            ) from None
        bucket = unquote(parts.netloc)
        if "@" in bucket or (":" in bucket and not bucket.startswith("arn:")):
            raise InvalidConfigError(
                "A connection string names a bucket, without credentials or a port: credentials come from "
                "AWS's own chain (environment, profile, role), another store's address from ?endpoint_url=…"
            )
        if parts.fragment:
            raise InvalidConfigError("A connection string has no #fragment; write # as %23.")
        found: dict[str, Any] = {"bucket": bucket}
        if parts.path.strip("/"):
            found["prefix"] = unquote(parts.path).removeprefix("/")
        for name, value in pairs:
            begin, dot, member = name.partition(".")
            mapping = _MEMBERS.get(begin + dot)
            target, part = (found, name) if mapping is None else (found.setdefault(mapping, {}), member)
            if part in target:
                raise InvalidConfigError(f"The connection string says {name} twice.")
            if mapping is None:
                target[part] = parse_setting(name, value)
            else:
                target[part] = _parse_days(name, value) if mapping == "retention" else value
        return cls(**{**found, **settings})

    @classmethod
    def from_env(
        cls, environ: Mapping[str, str] | None = None, **settings: Unpack[S3SettingsWithBucket]
    ) -> S3Config:
        """Read `S3_BUCKET_NAME`, `S3_KEY_PREFIX`, `AWS_REGION`, `S3_ENDPOINT_URL`, `S3_FORCE_PATH_STYLE`.

        Credentials come from AWS's own variables, profiles and roles. Without `S3_BUCKET_NAME` the bucket is
        `langgraph-test`, if `S3_ENDPOINT_URL` (or `endpoint_url`) is another store than AWS. On AWS bucket
        names are shared by all accounts, so it has no default there.

        Args:
            environ: The variables; the process's environment by default. Empty values are ignored.
            **settings: Settings that override the environment's.

        Raises:
            InvalidConfigError: `S3_BUCKET_NAME` is missing on AWS, or a value is out of range.
        """
        environ = os.environ if environ is None else environ
        found = {
            setting: parse_setting(setting, environ[variable], shown=variable)
            for variable, setting in _ENVIRONMENT.items()
            if environ.get(variable)
        }
        merged: dict[str, Any] = {**found, **settings}
        if "bucket" not in merged:
            endpoint = merged.get("endpoint_url")
            if not isinstance(endpoint, str) or is_aws(endpoint):
                raise InvalidConfigError(
                    "The environment variable S3_BUCKET_NAME is not set. On AWS it has no default: bucket "
                    f"names are shared by all accounts, so one named {DEFAULT_BUCKET!r} is a stranger's. "
                    "Only with the S3_ENDPOINT_URL of another store that name is the default. For a store on "
                    "this machine, run `langgraph-s3 serve` and set the variables that it prints."
                )
            merged["bucket"] = DEFAULT_BUCKET
        return cls(**merged)

    def _check_names(self) -> None:
        if self.endpoint_url is not None:
            check_endpoint(self.endpoint_url)
        if self.region is not None:
            check_region(self.region)
        endpoint = self.endpoint_url or next(filter(None, map(os.environ.get, _ENDPOINT_VARIABLES)), None)
        self.check_names(on_aws=endpoint is None or is_aws(endpoint))
        if self.expected_bucket_owner is not None and not re.fullmatch(_ACCOUNT, self.expected_bucket_owner):
            raise InvalidConfigError("expected_bucket_owner must be an account id of 12 digits.")
        check_tags(self.object_tags)
        check_retention(self.retention, self.object_tags)
        if self.use_accelerate and self.endpoint_url is not None:
            raise InvalidConfigError("use_accelerate is AWS's own: it doesn't go with an endpoint_url.")
        if self.use_accelerate and ("." in self.bucket or is_arn(self.bucket)):
            raise InvalidConfigError(
                f"use_accelerate doesn't go with bucket={self.bucket!r}: it takes no name with dots, and "
                "no ARN."
            )
        if self.force_path_style and self.use_accelerate:
            raise InvalidConfigError(
                "force_path_style doesn't go with use_accelerate, whose address begins with the bucket."
            )

    def check_names(self, *, on_aws: bool) -> None:
        """Check the bucket's name and the storage class by the rules of the store that is used.

        Raises:
            InvalidConfigError: The store doesn't accept one of them.
        """
        check_bucket(self.bucket, on_aws=on_aws)
        if self.storage_class is not None:
            check_storage_class(self.storage_class, on_aws=on_aws)

    def _check_encryption(self) -> None:
        if self.encrypted_for is not None:
            place = self.encrypted_for.rstrip("/") + "/"
            if not re.fullmatch(_PLACE, place):
                raise InvalidConfigError(
                    f"encrypted_for={self.encrypted_for!r} must be like s3://bucket/prefix/."
                )
            object.__setattr__(self, "encrypted_for", place)
        if self.kms_key_id is not None and not self.server_side_encryption.startswith("aws:kms"):
            raise InvalidConfigError(
                "kms_key_id goes with server_side_encryption='aws:kms' or 'aws:kms:dsse' only."
            )
        if self.kms_key_id is not None and not re.fullmatch(_KMS_KEY, self.kms_key_id):
            raise InvalidConfigError("kms_key_id must be a KMS key's id or ARN, or an alias.")
        if self.bucket_key_enabled is not None and self.server_side_encryption != "aws:kms":
            raise InvalidConfigError("bucket_key_enabled goes with server_side_encryption='aws:kms' only.")


class S3Settings(TypedDict, total=False):
    """Types of the settings of `S3Config` except `bucket`, for editors and type checkers."""

    prefix: str
    region: str | None
    endpoint_url: str | None
    force_path_style: bool | None
    compression: Compression
    server_side_encryption: ServerSideEncryption
    kms_key_id: str | None
    bucket_key_enabled: bool | None
    versioning: bool
    multipart_threshold: int
    multipart_part_size: int
    storage_class: str | None
    object_tags: Mapping[str, str]
    retention: Mapping[str, timedelta]
    transport: Transport
    max_concurrency: int
    connect_timeout: float
    read_timeout: float
    max_attempts: int | None
    operation_timeout: float | None
    circuit_breaker: int
    circuit_breaker_cooldown: float
    hedged_reads: float
    cache_bytes: int
    borrow: bool
    borrow_horizon: float
    keep_last: int | None
    expected_bucket_owner: str | None
    use_accelerate: bool
    requester_pays: bool
    require_encryption: bool
    private_keys: bool
    indexed_metadata: tuple[str, ...]
    encrypted_for: str | None


class S3SettingsWithBucket(S3Settings, total=False):
    """Types of all settings of `S3Config`."""

    bucket: str


@functools.cache
def _types() -> dict[str, Any]:
    """Return the settings' types. Evaluating the annotations takes too long for every saver."""
    return get_type_hints(S3Config)


def parse_setting(name: str, text: str, shown: str | None = None) -> Any:
    """Parse a setting given as text.

    Args:
        name: The setting.
        text: Its value: numbers in digits, booleans as true, false, 1, 0, yes, no, on or off, several names
            with a comma between them.
        shown: The name for error messages, if it isn't the setting's.

    Raises:
        InvalidConfigError: The setting is unknown, or the text isn't a value of its type.
    """
    shown = shown or name
    if name == "object_tags":
        raise InvalidConfigError("object_tags are given one by one here, as tag.NAME=VALUE.")
    if name == "retention":
        raise InvalidConfigError("retention is given class by class here, as retention.NAME=7d.")
    if name not in _types():
        raise unknown_setting(shown, _types())
    kind = non_optional(_types()[name])
    if kind == tuple[str, ...]:
        return tuple(text.split(","))
    if kind is bool:
        if text.lower() not in _TRUE | _FALSE:
            raise InvalidConfigError(f"{shown}={text!r} is neither true nor false.")
        return text.lower() in _TRUE
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            raise InvalidConfigError(f"{shown}={text!r} is not a number.") from None
    return text


def _parse_days(name: str, text: str) -> timedelta:
    match = re.fullmatch(_DAYS, text)
    if match is None:
        raise InvalidConfigError(f"{name}={text!r} must be days, such as 7d.")
    return timedelta(days=int(match[1]))
