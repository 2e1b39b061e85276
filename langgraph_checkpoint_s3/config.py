"""`S3Config`: every setting of a saver, checked, from keywords, a URI or the environment."""

from __future__ import annotations

import difflib
import functools
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, TypeVar, get_args
from urllib.parse import parse_qsl, unquote, urlsplit

from langgraph_checkpoint_s3.errors import InvalidConfigError
from langgraph_checkpoint_s3.format.borrowing import MAX_HORIZON
from langgraph_checkpoint_s3.format.codecs import CODECS, Compression
from langgraph_checkpoint_s3.validation import (
    check_bucket,
    check_endpoint,
    check_region,
    check_storage_class,
    check_tags,
    check_type,
    in_range,
    is_arn,
    is_aws,
    normalize_prefix,
)

T = TypeVar("T")

ServerSideEncryption = Literal["auto", "AES256", "aws:kms", "aws:kms:dsse", "off"]

MIB: Final = 1024 * 1024
MIN_PART: Final = 5 * MIB
"""S3's least size of a part, but for an upload's last."""
MAX_PUT: Final = 5 * 1024 * MIB
"""S3's largest single PUT, and largest part."""

DEFAULT_PREFIX: Final = "checkpoints/"

_PLACES: Final = {"S3_ENDPOINT_URL": "endpoint_url", "S3_FORCE_PATH_STYLE": "force_path_style"}
"""The variables that hold however a saver is made: where the store is, rather than what to keep in it."""
_ENVIRONMENT: Final = {
    "S3_BUCKET_NAME": "bucket",
    "S3_KEY_PREFIX": "prefix",
    "AWS_REGION": "region",
    **_PLACES,
}
_ENDPOINTS: Final = ("S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
"""The variables that may lead to another store than AWS."""
_KMS_KEY: Final = re.compile(r"[!-~]{1,2048}")
_PLACE: Final = re.compile(r"s3://[A-Za-z0-9:._-]+/(?:[A-Za-z0-9_.=-]+/)*")
_ACCOUNT: Final = re.compile(r"[0-9]{12}")
_TAG: Final = "tag."
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})


def unknown_setting(name: str, known: Iterable[str]) -> InvalidConfigError:
    """The error for a setting that there isn't, with the known one that looks most like it."""
    names = sorted(known)
    if "access_key" in name or "session_token" in name or name in ("credentials", "profile_name"):
        hint = " No setting takes credentials: pass session=boto3.Session(…), or see AWS's own chain."
    else:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
    return InvalidConfigError(f"There is no setting {name!r}.{hint} There are: {', '.join(names)}.")


def _by_name(kind: type[T]) -> type[T]:
    """Have a dataclass say what is wrong with its keywords in an `InvalidConfigError`, not a `TypeError`."""
    make: Any = kind.__init__
    known = [setting.name for setting in fields(kind)]  # type: ignore[arg-type]  # it is a dataclass

    @functools.wraps(make)
    def made(self: Any, *positional: Any, **settings: Any) -> None:
        if positional:
            raise InvalidConfigError("Settings are given by name, as in S3Config(bucket='my-bucket').")
        for name in settings:
            if name not in known:
                raise unknown_setting(name, known)
        if "bucket" not in settings:
            raise InvalidConfigError("The bucket is missing.")
        make(self, **settings)

    kind.__init__ = made  # type: ignore[method-assign]  # it wraps the dataclass's own
    return kind


@_by_name
@dataclass(frozen=True, kw_only=True)
class S3Config:
    """Every setting of a saver. Frozen, and checked when it is made.

    Attributes:
        bucket: The bucket's name, or the ARN or alias of an access point.
        prefix: What all keys begin with; `/` is added at its end. Letters, digits and `_ . = - /`.
            No segment of it may end in `.thread`. Savers with different prefixes never see each
            other's threads, even where one prefix lies below the other.
        region: The bucket's region. Default: AWS's own chain (`AWS_REGION`, `AWS_DEFAULT_REGION`,
            profile), then `us-east-1`.
        endpoint_url: The address of an S3-compatible store. Default: `S3_ENDPOINT_URL`, then AWS's own
            chain (`AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, profile), then AWS.
        force_path_style: Whether the bucket goes into the URL's path rather than its host name.
            Default: `S3_FORCE_PATH_STYLE`, then exactly if there is an address.
        compression: `zstd` (level 3), `gzip` or `none`, for what is written. Reading knows all.
        server_side_encryption: `AES256`, `aws:kms` or `aws:kms:dsse`, each of which overrides the
            bucket's default. `auto`, and `off`, send no header: the bucket's default holds, and S3
            encrypts everything anyway.
        kms_key_id: The KMS key for `aws:kms` and `aws:kms:dsse`: an id, ARN or alias. Default:
            the account's `aws/s3` key.
        bucket_key_enabled: Whether an S3 Bucket Key saves KMS requests, with `aws:kms`. Default:
            the bucket's setting.
        versioning: Whether `setup()` turns the bucket's versioning on.
        multipart_threshold: Bytes from which an object is moved in parts. At least 5 MiB.
        multipart_part_size: Bytes of a part, 5 MiB to 5 GiB.
        storage_class: Of new objects, such as `INTELLIGENT_TIERING`; none that must be restored before
            it can be read. Default: the bucket's.
        object_tags: Tags of new objects, at most 10. They need `s3:PutObjectTagging`.
        max_concurrency: How many requests one operation has under way at once, whatever others do.
        connect_timeout: Seconds to wait for a connection.
        read_timeout: Seconds to wait for each piece of an answer. A request and its whole answer have this
            and `connect_timeout` together, a second more for each 16 KiB, and 300 s more for what the
            store copies or puts together by itself.
        max_attempts: How often a request is sent before it is given up.
        operation_timeout: Seconds that an operation waits for a round trip to get on: no request or
            retry begins when nothing was answered for so long. Each answer gives it the whole time
            again, so large states aren't cut. `None` is without end.
        circuit_breaker: After how many requests given up in a row nothing is sent for a while, and
            operations fail at once instead. 0 is never.
        circuit_breaker_cooldown: Seconds for which nothing is sent then, before one request tries.
        hedged_reads: The share of small reads and of listings, 0 to 0.1, that may be sent a second time:
            those that wait longer than all but this share of the latest ones did. 0 is never, 0.05 usual.
        cache_bytes: Bytes of memory for objects, what holds them included, and as many again for
            serialized states to borrow from; 0 keeps none, and then nothing is borrowed.
        borrow: Whether a checkpoint borrows what it shares with its parent from earlier
            checkpoints' objects, rather than holding it again. Reading knows both kinds.
        borrow_horizon: Seconds by which an object may be older than one that borrows from it, at
            most 7 days. Deletion by age must wait that much longer.
        expected_bucket_owner: The account id (12 digits) that the bucket must belong to.
        use_accelerate: Whether to use S3 Transfer Acceleration.
        requester_pays: Whether the requester pays, rather than the bucket's owner.
        require_encryption: Whether objects that aren't encrypted on the client's side are refused. Needs
            `S3Saver(…, encryption=…)`.
        private_keys: Whether threads, namespaces, runs, tasks, sources and steps are in the bucket's keys as
            keyed hashes rather than by their names. Needs `encryption` with a `names_key`, and
            implies `require_encryption`. Use a prefix in which nothing else lies.
        encrypted_for: The bucket and prefix that objects encrypted with `encryption` are bound to, as
            `s3://bucket/prefix/`. Default: the saver's own. Name it where the same objects are reached by
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
    multipart_threshold: int = 5 * MIB
    multipart_part_size: int = 8 * MIB
    storage_class: str | None = None
    object_tags: Mapping[str, str] = field(default_factory=dict, hash=False)
    max_concurrency: int = 16
    connect_timeout: float = 5.0
    read_timeout: float = 20.0
    max_attempts: int = 5
    operation_timeout: float | None = 60.0
    circuit_breaker: int = 0
    circuit_breaker_cooldown: float = 10.0
    hedged_reads: float = 0.0
    cache_bytes: int = 64 * MIB
    borrow: bool = True
    borrow_horizon: float = 24 * 3600.0
    expected_bucket_owner: str | None = None
    use_accelerate: bool = False
    requester_pays: bool = False
    require_encryption: bool = False
    private_keys: bool = False
    encrypted_for: str | None = None

    def __post_init__(self) -> None:
        for setting in fields(self):
            check_type(setting.name, str(setting.type), getattr(self, setting.name))
        object.__setattr__(self, "prefix", normalize_prefix(self.prefix))
        object.__setattr__(self, "object_tags", dict(self.object_tags))
        self._check_names()
        self._check_encryption()
        in_range("multipart_threshold", self.multipart_threshold, MIN_PART, MAX_PUT)
        in_range("multipart_part_size", self.multipart_part_size, MIN_PART, MAX_PUT)
        in_range("max_concurrency", self.max_concurrency, 1, 1000)
        in_range("connect_timeout", self.connect_timeout, 0.001, 3600)
        in_range("read_timeout", self.read_timeout, 0.001, 3600)
        in_range("max_attempts", self.max_attempts, 1, 100)
        if self.operation_timeout is not None:
            in_range("operation_timeout", self.operation_timeout, 0.001, 86_400)
        in_range("circuit_breaker", self.circuit_breaker, 0, 1000)
        in_range("circuit_breaker_cooldown", self.circuit_breaker_cooldown, 0.001, 3600)
        in_range("hedged_reads", self.hedged_reads, 0, 0.1)
        in_range("cache_bytes", self.cache_bytes, 0, None)
        in_range("borrow_horizon", self.borrow_horizon, 0, MAX_HORIZON)

    @property
    def place(self) -> str:
        """The bucket and prefix that encrypted objects are bound to."""
        return self.encrypted_for or f"s3://{self.bucket}/{self.prefix}"

    def replace(self, **settings: Any) -> S3Config:
        """This configuration with some settings changed.

        Raises:
            InvalidConfigError: A setting is unknown, of the wrong type or out of range.
        """
        return type(self)(**{**{each.name: getattr(self, each.name) for each in fields(self)}, **settings})

    def placed(self) -> S3Config:
        """Add what `S3_ENDPOINT_URL` and `S3_FORCE_PATH_STYLE` say, where this configuration says nothing.

        Raises:
            InvalidConfigError: What they say can't be, or doesn't go with the rest.
        """
        found = {
            setting: parse_setting(setting, os.environ[variable], shown=variable)
            for variable, setting in _PLACES.items()
            if getattr(self, setting) is None and os.environ.get(variable)
        }
        return self.replace(**found) if found else self

    @classmethod
    def from_conn_string(cls, conn_string: str, **settings: Any) -> S3Config:
        """Read `s3://bucket/prefix?setting=value&…`.

        Args:
            conn_string: The bucket, the prefix (`checkpoints/` if there is none) and any other
                settings by their names; tags as `tag.NAME=VALUE`. No credentials: those come from
                AWS's own chain.
            **settings: Settings that win over the URI's.

        Raises:
            InvalidConfigError: It isn't such a URI, or a setting in it is unknown or out of range.
        """
        if not str(conn_string).startswith("s3://"):
            raise InvalidConfigError("A connection string looks like s3://bucket/prefix?region=eu-west-1.")
        try:
            parts = urlsplit(conn_string)
            pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        except ValueError:  # whose text would repeat what may be a password
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
        tags: dict[str, str] = {}
        for name, value in pairs:
            is_tag = name.startswith(_TAG)
            if name in found or (is_tag and name[len(_TAG) :] in tags):
                raise InvalidConfigError(f"The connection string says {name} twice.")
            if is_tag:
                tags[name[len(_TAG) :]] = value
            else:
                found[name] = parse_setting(name, value)
        if tags:
            found["object_tags"] = tags
        return cls(**{**found, **settings})

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **settings: Any) -> S3Config:
        """Read `S3_BUCKET_NAME`, `S3_KEY_PREFIX`, `AWS_REGION`, `S3_ENDPOINT_URL`, `S3_FORCE_PATH_STYLE`.

        Credentials come from AWS's own variables, profiles and roles.

        Args:
            environ: Where to read; the process's environment by default. An empty value is none.
            **settings: Settings that win over the environment's.

        Raises:
            InvalidConfigError: `S3_BUCKET_NAME` is missing, or a value is out of range.
        """
        environ = os.environ if environ is None else environ
        found = {
            setting: parse_setting(setting, environ[variable], shown=variable)
            for variable, setting in _ENVIRONMENT.items()
            if environ.get(variable)
        }
        merged = {**found, **settings}
        if "bucket" not in merged:
            raise InvalidConfigError("The environment variable S3_BUCKET_NAME is not set.")
        return cls(**merged)

    def _check_names(self) -> None:
        if self.endpoint_url is not None:
            check_endpoint(self.endpoint_url)
        if self.region is not None:
            check_region(self.region)
        endpoint = self.endpoint_url or next(filter(None, map(os.environ.get, _ENDPOINTS)), None)
        self.check_names(on_aws=endpoint is None or is_aws(endpoint))
        if self.expected_bucket_owner is not None and not _ACCOUNT.fullmatch(self.expected_bucket_owner):
            raise InvalidConfigError("expected_bucket_owner must be an account id of 12 digits.")
        check_tags(self.object_tags)
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
        """Check the bucket's name and the storage class by the rules of the store that is really used.

        Raises:
            InvalidConfigError: It doesn't take them.
        """
        check_bucket(self.bucket, on_aws=on_aws)
        if self.storage_class is not None:
            check_storage_class(self.storage_class, on_aws=on_aws)

    def _check_encryption(self) -> None:
        if self.encrypted_for is not None:
            place = self.encrypted_for.rstrip("/") + "/"
            if not _PLACE.fullmatch(place):
                raise InvalidConfigError(
                    f"encrypted_for={self.encrypted_for!r} must be like s3://bucket/prefix/."
                )
            object.__setattr__(self, "encrypted_for", place)
        if self.compression not in CODECS:
            raise InvalidConfigError(f"compression={self.compression!r} is none of {', '.join(CODECS)}.")
        modes = get_args(ServerSideEncryption)
        if self.server_side_encryption not in modes:
            raise InvalidConfigError(
                f"server_side_encryption={self.server_side_encryption!r} is none of {', '.join(modes)}."
            )
        if self.kms_key_id is not None and not self.server_side_encryption.startswith("aws:kms"):
            raise InvalidConfigError(
                "kms_key_id goes with server_side_encryption='aws:kms' or 'aws:kms:dsse' only."
            )
        if self.kms_key_id is not None and not _KMS_KEY.fullmatch(self.kms_key_id):
            raise InvalidConfigError("kms_key_id must be a KMS key's id or ARN, or an alias.")
        if self.bucket_key_enabled is not None and self.server_side_encryption != "aws:kms":
            raise InvalidConfigError("bucket_key_enabled goes with server_side_encryption='aws:kms' only.")


def parse_setting(name: str, text: str, shown: str | None = None) -> Any:
    """Read a setting that came as text.

    Args:
        name: The setting.
        text: Its value: numbers in digits, booleans as true, false, 1, 0, yes, no, on or off.
        shown: What to call it in an error, if not by its name.

    Raises:
        InvalidConfigError: There is no such setting, or the text isn't a value of it.
    """
    kinds = {setting.name: str(setting.type) for setting in fields(S3Config)}
    kind = kinds.get(name)
    shown = shown or name
    if name == "object_tags":
        raise InvalidConfigError("object_tags are given one by one here, as tag.NAME=VALUE.")
    if kind is None:
        raise unknown_setting(shown, kinds)
    if kind.startswith("bool"):
        if text.lower() not in _TRUE | _FALSE:
            raise InvalidConfigError(f"{shown}={text!r} is neither true nor false.")
        return text.lower() in _TRUE
    try:
        if kind.startswith("int"):
            return int(text)
        if kind.startswith("float"):
            return float(text)
    except ValueError:
        raise InvalidConfigError(f"{shown}={text!r} is not a number.") from None
    return text
