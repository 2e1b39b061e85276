"""Settings, from keywords, a URI or the environment: each one gets there, and none that can't be."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from langgraph_checkpoint_s3 import InvalidConfigError, S3Config, S3Saver
from langgraph_checkpoint_s3.config import (
    DEFAULT_PREFIX,
    MAX_PUT,
    MIB,
    MIN_PART,
    S3Settings,
    S3SettingsWithBucket,
    parse_setting,
)
from langgraph_checkpoint_s3.validation import normalize_prefix

SETTINGS: dict[str, tuple[str, Any]] = {
    "prefix": ("a/b", "a/b/"),
    "region": ("eu-central-2", "eu-central-2"),
    "endpoint_url": ("https://s3.example.com:9000", "https://s3.example.com:9000"),
    "force_path_style": ("true", True),
    "compression": ("gzip", "gzip"),
    "server_side_encryption": ("aws:kms", "aws:kms"),
    "versioning": ("1", True),
    "multipart_threshold": ("6000000", 6_000_000),
    "multipart_part_size": ("5242880", 5 * MIB),
    "storage_class": ("INTELLIGENT_TIERING", "INTELLIGENT_TIERING"),
    "max_concurrency": ("4", 4),
    "connect_timeout": ("1.5", 1.5),
    "read_timeout": ("60", 60.0),
    "transport": ("sdk", "sdk"),
    "max_attempts": ("2", 2),
    "operation_timeout": ("2.5", 2.5),
    "circuit_breaker": ("3", 3),
    "circuit_breaker_cooldown": ("2.5", 2.5),
    "hedged_reads": ("0.05", 0.05),
    "cache_bytes": ("0", 0),
    "borrow": ("false", False),
    "borrow_horizon": ("604800", 604_800.0),
    "keep_last": ("2", 2),
    "expected_bucket_owner": ("012345678901", "012345678901"),
    "use_accelerate": ("on", True),
    "requester_pays": ("yes", True),
    "require_encryption": ("yes", True),
    "private_keys": ("yes", True),
    "indexed_metadata": ("user_id,tenant", ("user_id", "tenant")),
    "encrypted_for": ("s3://bucket/agents", "s3://bucket/agents/"),
}
"""Each setting as text, and as a value. Those that need another one are below."""
KMS: dict[str, Any] = {"server_side_encryption": "aws:kms"}


def test_every_setting_is_tested_here() -> None:
    others = {"bucket", "object_tags", "retention", "kms_key_id", "bucket_key_enabled"}
    assert {setting.name for setting in dataclasses.fields(S3Config)} == SETTINGS.keys() | others


@pytest.mark.parametrize(("name", "text", "value"), [(name, *pair) for name, pair in SETTINGS.items()])
def test_a_setting_comes_from_keywords_a_uri_and_a_replacement(name: str, text: str, value: Any) -> None:
    default = getattr(S3Config(bucket="bucket"), name)
    assert default != value
    for config in (
        S3Config(bucket="bucket", **{name: value}),
        S3Config.from_conn_string(f"s3://bucket?{name}={text}"),
        S3Config.from_conn_string(f"s3://bucket?{name}={text}", **{name: value}),
        S3Config.from_env({"S3_BUCKET_NAME": "bucket"}, **{name: value}),
        S3Config(bucket="bucket").replace(**{name: value}),
    ):
        assert getattr(config, name) == value
        assert config == S3Config(bucket="bucket", **{name: value})
        assert config != S3Config(bucket="bucket")


def test_the_kms_settings_come_along() -> None:
    config = S3Config.from_conn_string(
        "s3://bucket?server_side_encryption=aws:kms&kms_key_id=alias/my-key&bucket_key_enabled=true"
    )
    assert (config.kms_key_id, config.bucket_key_enabled) == ("alias/my-key", True)
    assert config == S3Config(bucket="bucket", kms_key_id="alias/my-key", bucket_key_enabled=True, **KMS)
    dsse = S3Config(bucket="bucket", server_side_encryption="aws:kms:dsse", kms_key_id="k")
    assert dsse.kms_key_id == "k"


def test_tags_come_from_a_uri() -> None:
    config = S3Config.from_conn_string("s3://bucket?tag.team=agents&tag.cost%20center=a%2Bb+c&tag.empty=")
    assert config.object_tags == {"team": "agents", "cost center": "a+b c", "empty": ""}
    given = S3Config.from_conn_string("s3://bucket?tag.team=agents", object_tags={"a": "b"})
    assert given.object_tags == {"a": "b"}


def test_retention_classes_come_from_a_uri() -> None:
    config = S3Config.from_conn_string("s3://bucket?retention.default=90d&tag.a=b&retention.trial=7d")
    assert config.retention == {"default": timedelta(days=90), "trial": timedelta(days=7)}
    assert config.object_tags == {"a": "b"}
    given = S3Config.from_conn_string("s3://bucket?retention.default=90d", retention={})
    assert (given.retention, hash(given)) == ({}, hash(config.replace(retention={}, object_tags={})))
    for uri in (
        "retention.default=90d&retention.default=9d",
        "retention.default=90",
        "retention.default=1h",
        "retention=90d",
        "retention.trial=7d",
        "retention.=7d&retention.default=7d",
        "retention.default=0d",
        "retention.default=36501d",
    ):
        with pytest.raises(InvalidConfigError, match="retention"):
            S3Config.from_conn_string(f"s3://bucket?{uri}")


@pytest.mark.parametrize(
    ("retention", "said"),
    [
        ({"trial": timedelta(days=7)}, "no class 'default'"),
        ({"default": timedelta(hours=36)}, "whole days"),
        ({"default": timedelta(days=-1)}, "whole days"),
        ({"default": timedelta(days=1), "pinned": timedelta(days=1)}, "pin_thread"),
        ({"default": timedelta(days=1), "a b": timedelta(days=1)}, "'a b' is not the name"),
        ({"default": timedelta(days=1), "x" * 33: timedelta(days=1)}, "1 to 32 letters"),
        ({"default": 7}, "timedelta"),
        ([("default", timedelta(days=1))], "Mapping"),
    ],
)
def test_retention_classes_are_checked(retention: Any, said: str) -> None:
    with pytest.raises(InvalidConfigError, match=said):
        S3Config(bucket="bucket", retention=retention)


def test_a_retention_class_takes_one_of_ten_tags() -> None:
    classes = {"default": timedelta(days=1)}
    tags = {str(number): "x" for number in range(9)}
    assert S3Config(bucket="bucket", retention=classes, object_tags=tags).object_tags == tags
    for wrong in ({**tags, "9": "x"}, {"langgraph-retention": "x"}):
        with pytest.raises(InvalidConfigError, match="9 others"):
            S3Config(bucket="bucket", retention=classes, object_tags=wrong)
        assert S3Config(bucket="bucket", object_tags=wrong).object_tags == wrong


@pytest.mark.parametrize(
    ("uri", "bucket", "prefix"),
    [
        ("s3://my-bucket", "my-bucket", DEFAULT_PREFIX),
        ("s3://my-bucket/", "my-bucket", DEFAULT_PREFIX),
        ("s3://my-bucket?", "my-bucket", DEFAULT_PREFIX),
        ("s3://my-bucket/agents", "my-bucket", "agents/"),
        ("s3://my-bucket/agents/", "my-bucket", "agents/"),
        ("s3://my-bucket/a/b%2Fc?region=x", "my-bucket", "a/b/c/"),
        ("s3://my-bucket?prefix=", "my-bucket", ""),
        ("s3://My.Bucket_1/x=1?endpoint_url=https://s3.example.org", "My.Bucket_1", "x=1/"),
        (
            "s3://arn%3Aaws%3As3%3Aeu-west-1%3A123456789012%3Aaccesspoint%2Fmine/a",
            "arn:aws:s3:eu-west-1:123456789012:accesspoint/mine",
            "a/",
        ),
    ],
)
def test_bucket_and_prefix_come_from_a_uri(uri: str, bucket: str, prefix: str) -> None:
    config = S3Config.from_conn_string(uri)
    assert (config.bucket, config.prefix) == (bucket, prefix)


def test_keywords_win_over_the_uri() -> None:
    config = S3Config.from_conn_string("s3://bucket/a?region=b&max_attempts=9", prefix="c", region=None)
    assert (config.prefix, config.region, config.max_attempts) == ("c/", None, 9)
    assert S3Config.from_conn_string("s3://bucket", bucket="another").bucket == "another"


ENVIRONMENT = {
    "S3_BUCKET_NAME": "bucket",
    "S3_KEY_PREFIX": "a/b",
    "AWS_REGION": "eu-west-1",
    "S3_ENDPOINT_URL": "http://localhost:9000",
    "S3_FORCE_PATH_STYLE": "False",
    "UNRELATED": "x",
}


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = S3Config(
        bucket="bucket",
        prefix="a/b/",
        region="eu-west-1",
        endpoint_url="http://localhost:9000",
        force_path_style=False,
    )
    assert S3Config.from_env(ENVIRONMENT) == expected
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    assert S3Config.from_env() == expected
    assert S3Config.from_env(prefix="x", max_attempts=2) == expected.replace(prefix="x/", max_attempts=2)
    assert S3Config.from_env({"S3_BUCKET_NAME": "other"}) == S3Config(bucket="other")


def test_an_empty_variable_is_none() -> None:
    assert S3Config.from_env(dict.fromkeys(ENVIRONMENT, "") | {"S3_BUCKET_NAME": "bucket"}) == S3Config(
        bucket="bucket"
    )


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"S3_BUCKET_NAME": ""},
        {"S3_KEY_PREFIX": "a"},
        {"S3_ENDPOINT_URL": ""},
        {"S3_ENDPOINT_URL": "https://s3.eu-west-1.amazonaws.com"},
        {"S3_ENDPOINT_URL": "https://bucket.vpce-1-2.s3.us-east-1.vpce.amazonaws.com"},
        # AWS's own variables may be switched off (AWS_IGNORE_CONFIGURED_ENDPOINT_URLS).
        {"AWS_ENDPOINT_URL_S3": "http://localhost:9000", "AWS_ENDPOINT_URL": "http://localhost:9000"},
    ],
)
def test_on_aws_the_environment_must_name_a_bucket(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidConfigError, match=r"S3_BUCKET_NAME is not set\. On AWS .* a stranger's"):
        S3Config.from_env(environ)
    assert S3Config.from_env(environ, bucket="given").bucket == "given"
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InvalidConfigError, match="S3_BUCKET_NAME is not set"):
        S3Config.from_env()


def test_on_other_stores_the_bucket_has_a_default() -> None:
    address = "http://localhost:4566"
    assert S3Config.from_env({"S3_ENDPOINT_URL": address}).bucket == "langgraph-test"
    assert S3Config.from_env({"S3_ENDPOINT_URL": address, "S3_BUCKET_NAME": "mine"}).bucket == "mine"
    assert S3Config.from_env({}, endpoint_url=address).bucket == "langgraph-test"
    with pytest.raises(InvalidConfigError, match="S3_BUCKET_NAME is not set"):
        S3Config.from_env({"S3_ENDPOINT_URL": address}, endpoint_url="https://s3.us-east-1.amazonaws.com")
    with pytest.raises(InvalidConfigError, match="S3_BUCKET_NAME is not set"):
        S3Config.from_env({"S3_ENDPOINT_URL": address}, endpoint_url=None)


def test_an_ill_typed_variable_is_named() -> None:
    with pytest.raises(InvalidConfigError, match="S3_FORCE_PATH_STYLE='maybe' is neither true nor false"):
        S3Config.from_env({"S3_BUCKET_NAME": "bucket", "S3_FORCE_PATH_STYLE": "maybe"})


def test_the_defaults_are_the_documented_ones() -> None:
    config = S3Config(bucket="bucket")
    assert config.prefix == "checkpoints/"
    assert (config.compression, config.server_side_encryption) == ("zstd", "auto")
    assert (config.region, config.endpoint_url, config.force_path_style) == (None, None, None)
    assert (config.multipart_threshold, config.cache_bytes) == (16 * MIB, 64 * MIB)
    assert (config.borrow, config.borrow_horizon) == (True, 86_400.0)


@pytest.mark.parametrize("text", ["1", "true", "TRUE", "yes", "On"])
def test_what_is_true(text: str) -> None:
    assert parse_setting("versioning", text) is True
    assert parse_setting("force_path_style", text) is True


@pytest.mark.parametrize("text", ["0", "false", "False", "no", "OFF"])
def test_what_is_false(text: str) -> None:
    assert parse_setting("versioning", text) is False


def test_a_config_is_frozen_hashable_and_copies() -> None:
    config = S3Config(bucket="bucket", object_tags={"a": "b"})
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.bucket = "another"  # type: ignore[misc]  # wrong on purpose
    with pytest.raises(InvalidConfigError, match="by name"):
        S3Config("bucket")  # type: ignore[call-arg]  # wrong on purpose
    assert hash(config) == hash(S3Config(bucket="bucket", object_tags={"a": "b"}))
    assert pickle.loads(pickle.dumps(config)) == copy.deepcopy(config) == config


def test_a_config_does_not_change_with_the_tags_it_was_made_from() -> None:
    tags = {"a": "b"}
    config = S3Config(bucket="bucket", object_tags=tags)
    tags["c"] = "d"
    assert config.object_tags == {"a": "b"}


def test_a_replacement_leaves_the_original() -> None:
    config = S3Config(bucket="bucket", region="a", object_tags={"a": "b"})
    other = config.replace(region="b")
    assert (config.region, other.region) == ("a", "b")
    assert other.replace(region="a") == config
    with pytest.raises(InvalidConfigError, match="no setting 'regoin'"):
        config.replace(regoin="x")  # type: ignore[call-arg]  # wrong on purpose
    with pytest.raises(InvalidConfigError, match="max_attempts=0"):
        config.replace(max_attempts=0)


def test_a_config_shows_its_settings() -> None:
    text = repr(S3Config(bucket="bucket", region="eu-west-1"))
    assert text.startswith("S3Config(bucket='bucket', prefix='checkpoints/', region='eu-west-1'")
    assert eval(text, {"S3Config": S3Config}) == S3Config(bucket="bucket", region="eu-west-1")


@pytest.mark.parametrize(
    "settings",
    [
        {"prefix": "", "endpoint_url": "http://localhost:9000", "force_path_style": False},
        {"object_tags": {"it:s": "a/tag @", "é": "\u2028"}, "storage_class": "STANDARD_IA"},
        {"operation_timeout": None, "hedged_reads": 0.05, "borrow_horizon": 1e-9, "cache_bytes": 0},
        {"server_side_encryption": "aws:kms", "kms_key_id": "alias/'x'", "bucket_key_enabled": True},
    ],
)
def test_what_a_config_shows_makes_it_again(settings: dict[str, Any]) -> None:
    config = S3Config(bucket="bucket", **settings)
    assert eval(repr(config), {"S3Config": S3Config}) == config


@pytest.mark.parametrize(
    ("prefix", "normal"),
    [
        ("", ""),
        ("a", "a/"),
        ("a/", "a/"),
        ("a-b_c.d=e/F9/", "a-b_c.d=e/F9/"),
        (".hidden", ".hidden/"),
        ("a.threads", "a.threads/"),
        ("thread", "thread/"),
        ("...", ".../"),
        ("a" * 255, f"{'a' * 255}/"),
    ],
)
def test_a_prefix_ends_in_a_slash(prefix: str, normal: str) -> None:
    assert normalize_prefix(prefix) == normal == S3Config(bucket="bucket", prefix=prefix).prefix


@pytest.mark.parametrize(
    "prefix",
    [
        "/", "/a", "a//b", "a//", "//", "a b", "a\\b", "é", "a%2Fb", "a~", "a!", "a\n", "a\x00", "a+b", "a?",
        "a#",
        "a:b", ".", "..", "a/./b", "a/../b", "../a", "a/..",
        "a.thread", "a.thread/b", "x/.thread", ".thread", "a" * 256, f"a/{'b' * 256}/c",
    ],
)  # fmt: skip
def test_a_prefix_that_some_tool_mangles_is_refused(prefix: str) -> None:
    makers: list[Callable[[], object]] = [
        lambda: normalize_prefix(prefix),
        lambda: S3Config(bucket="bucket", prefix=prefix),
        lambda: S3Config.from_env({"S3_BUCKET_NAME": "bucket", "S3_KEY_PREFIX": prefix}),
    ]
    for make in makers:
        with pytest.raises(InvalidConfigError, match="prefix="):
            make()


def test_the_limits_themselves_are_in() -> None:
    S3Config(bucket="bucket", multipart_threshold=MIN_PART, multipart_part_size=MAX_PUT)
    S3Config(bucket="bucket", max_concurrency=1, max_attempts=1, connect_timeout=1, read_timeout=3600)
    S3Config(bucket="abc", object_tags={str(number): "" for number in range(10)})
    S3Config(bucket="a" * 63)


def test_a_path_is_no_connection_string() -> None:
    with pytest.raises(InvalidConfigError, match="looks like s3://"):
        S3Config.from_conn_string(Path("s3://bucket"))  # type: ignore[arg-type]  # wrong on purpose


def test_the_types_of_keywords_are_those_of_the_settings() -> None:
    settings = get_type_hints(S3Config)
    assert get_type_hints(S3SettingsWithBucket) == settings
    assert get_type_hints(S3Settings) == {name: kind for name, kind in settings.items() if name != "bucket"}
    assert not S3SettingsWithBucket.__required_keys__


def test_type_checkers_accept_settings_and_reject_misspelt_ones() -> None:
    """Mypy checks this by the comments: it reports those that aren't needed, as well as other errors."""
    settings: S3Settings = {"region": "eu-west-1", "operation_timeout": None}
    own = S3Saver("bucket", client=None, **settings)
    assert S3Saver("bucket", compression="gzip", object_tags={"a": "b"}).config.compression == "gzip"
    assert S3Saver(config=own.config.replace(bucket="other", borrow=False)).config.bucket == "other"
    assert S3Saver.from_conn_string("s3://bucket", serde=None, max_attempts=3).config.max_attempts == 3
    assert S3Saver.from_env(bucket="bucket", session=None, hedged_reads=0.05).config.hedged_reads == 0.05
    assert S3Config.from_env(bucket="bucket", cache_bytes=0).cache_bytes == 0
    wrong: list[Callable[[], object]] = [
        lambda: S3Saver("bucket", regoin="eu-west-1"),  # type: ignore[call-arg]  # wrong on purpose
        lambda: S3Saver("bucket", compression="brotli"),  # type: ignore[arg-type]  # wrong on purpose
        lambda: S3Saver("bucket", max_attempts="3"),  # type: ignore[arg-type]  # wrong on purpose
        lambda: S3Saver.from_conn_string("s3://bucket", regoin="eu-west-1"),  # type: ignore[call-arg]  # wrong on purpose
        lambda: S3Saver.from_env(bucket="bucket", cache_bytes="1"),  # type: ignore[arg-type]  # wrong on purpose
        lambda: own.config.replace(max_attemps=3),  # type: ignore[call-arg]  # wrong on purpose
        lambda: S3Config.from_conn_string("s3://bucket", borow=True),  # type: ignore[call-arg]  # wrong on purpose
        lambda: S3Config.from_env(bucket="bucket", borow=True),  # type: ignore[call-arg]  # wrong on purpose
    ]
    for make in wrong:
        with pytest.raises(InvalidConfigError):
            make()
