"""Settings that can't be are refused before anything is sent, by an error that names them and no secret."""

from __future__ import annotations

import traceback
from typing import Any

import pytest

from langgraph_checkpoint_s3 import InvalidConfigError, S3Config, S3Saver

NAN = float("nan")
BAD: list[tuple[str, Any]] = [
    *(
        ("bucket", value)
        for value in ("", "a", "ab", "a" * 64, "-ab", "a b", "a/b", "é-bucket", "a\nb", 5, None)
    ),
    ("bucket", "sessions--use1-az4--x-s3"),
    ("bucket", "reads--use1-az4--xa-s3"),
    ("bucket", "arn:aws:s3express:us-east-1:012345678901:accesspoint/reads"),
    *(("bucket", value) for value in ("s3://bucket", "bucket/", "bucket\n", "arn:aws:s3:::a b")),
    *(("prefix", value) for value in (None, 5, b"a")),
    *(("region", value) for value in (5, b"x", ["x"])),
    *(("endpoint_url", value) for value in ("", "localhost:9000", "ftp://x", "http://", "//x", "http:x", 5)),
    *(("endpoint_url", value) for value in ("http://[x", "http://x:port", "http://x:99999", "http://x y")),
    *(("force_path_style", value) for value in ("true", 1, 0)),
    *(("compression", value) for value in ("lz4", "", "ZSTD", None, True)),
    *(("server_side_encryption", value) for value in ("on", "", "aes256", None, False)),
    *(("versioning", value) for value in ("true", 1, None)),
    *(
        ("multipart_threshold", value)
        for value in (0, 5 * 1024**2 - 1, 5 * 1024**3 + 1, 6e6, "6000000", True, None)
    ),
    *(("multipart_part_size", value) for value in (0, 5 * 1024**2 - 1, 5 * 1024**3 + 1, -1, 8e6)),
    *(("storage_class", value) for value in (5, True)),
    *(("object_tags", value) for value in (None, "a=b", ["a"], {"a": 1}, {1: "a"}, {"a": None})),
    *(("indexed_metadata", value) for value in (None, "user_id", ["user_id"], (1,), ("",), ("a", "a"))),
    *(("indexed_metadata", value) for value in (("a", "b", "c", "d"), ("source",), ("thread_id",))),
    ("object_tags", {str(number): "" for number in range(11)}),
    *(("max_concurrency", value) for value in (0, -1, 1001, 4.0, True, "4", None)),
    *(("connect_timeout", value) for value in (0, -1, 3601, NAN, float("inf"), "5", True, None)),
    *(("read_timeout", value) for value in (0, -0.5, NAN, float("inf"), "5")),
    *(("max_attempts", value) for value in (0, 101, -1, 2.0, "2")),
    *(("operation_timeout", value) for value in (0, -1, 86_401, NAN, float("inf"), "5", True)),
    *(("circuit_breaker", value) for value in (-1, 1001, 2.0, True, "2", None)),
    *(("circuit_breaker_cooldown", value) for value in (0, 3601, NAN, "5", None)),
    *(("hedged_reads", value) for value in (-0.01, 0.11, 5, NAN, "0.05", True, None)),
    *(("cache_bytes", value) for value in (-1, 0.5, "0", None)),
    *(("borrow", value) for value in ("true", 1, None)),
    *(("keep_last", value) for value in (0, -1, 1.5, "1", True)),
    *(("borrow_horizon", value) for value in (-1, 604_801, NAN, float("inf"), "5", True, None)),
    *(
        ("expected_bucket_owner", value)
        for value in ("", "12345678901", "1234567890123", "12345678901a", 123456789012)
    ),
    *(("expected_bucket_owner", value) for value in ("١٢٣٤٥٦٧٨٩٠١٢", "123456789012\n")),
    *(("use_accelerate", value) for value in (None, 1)),
    *(("requester_pays", value) for value in ("requester", 1)),
    *(("kms_key_id", value) for value in ("alias/x", 5)),
    *(("bucket_key_enabled", value) for value in (True, False, "true")),
    *(("bukcet", value) for value in ("x",)),
]


@pytest.mark.parametrize(("name", "value"), BAD, ids=repr)
def test_a_setting_that_cannot_be_is_refused_by_name(name: str, value: Any) -> None:
    for make in (S3Config, S3Config(bucket="bucket").replace, S3Saver):
        with pytest.raises(InvalidConfigError) as caught:
            make(**{"bucket": "bucket", name: value})
        assert name in caught.value.reason
        assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("value", [True, False, "lz4"])
def test_a_compression_that_there_is_not_is_answered_with_the_choices(value: Any) -> None:
    with pytest.raises(InvalidConfigError) as caught:
        S3Config(bucket="bucket", compression=value)
    hint = "" if value == "lz4" else " It is a choice, not a switch."
    assert str(caught.value) == f"compression={value!r} must be 'zstd', 'gzip' or 'none'.{hint}"


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"use_accelerate": True, "endpoint_url": "http://x"}, "use_accelerate"),
        ({"kms_key_id": "k", "server_side_encryption": "AES256"}, "kms_key_id"),
        ({"bucket_key_enabled": True, "server_side_encryption": "aws:kms:dsse"}, "bucket_key_enabled"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidConfigError, match=named):
        S3Config(bucket="bucket", **settings)


def test_the_bucket_cannot_be_left_out() -> None:
    makes: tuple[Any, ...] = (S3Config, S3Saver)
    for make in makes:
        with pytest.raises(InvalidConfigError, match=r"No bucket is named.*from_env\(\)"):
            make()


def test_a_uri_in_place_of_a_bucket_names_the_method_for_it() -> None:
    with pytest.raises(InvalidConfigError, match=r"S3Saver\.from_conn_string\('s3://bucket/agents'\)"):
        S3Saver("s3://bucket/agents")


def test_an_unknown_keyword_is_answered_with_the_known_ones() -> None:
    settings: Any = {"bucket": "bucket", "prefx": "a"}
    with pytest.raises(
        InvalidConfigError, match=r"no setting 'prefx'. Did you mean 'prefix'\? There are: .*prefix"
    ):
        S3Config(**settings)


@pytest.mark.parametrize(
    ("uri", "named"),
    [
        ("", "looks like s3://"),
        ("bucket", "looks like s3://"),
        ("https://bucket", "looks like s3://"),
        ("S3:/bucket", "looks like s3://"),
        (None, "looks like s3://"),
        (b"s3://bucket", "looks like s3://"),
        ("s3://", "bucket"),
        ("s3:///prefix", "bucket"),
        ("s3://bucket:9000/x", "port"),
        ("s3://bucket/x#y", "fragment"),
        ("s3://[bucket", "connection string"),
        ("s3://bucket?region", "connection string"),
        ("s3://bucket?regoin=x", "'regoin'"),
        ("s3://bucket?Region=x", "'Region'"),
        ("s3://bucket?region=x&region=y", "region twice"),
        ("s3://bucket?region=x&region=x", "region twice"),
        ("s3://bucket/a?prefix=b", "prefix twice"),
        ("s3://bucket?bucket=b", "bucket twice"),
        ("s3://bucket?tag.a=1&tag.a=2", "tag.a twice"),
        ("s3://bucket?object_tags=a", "object_tags"),
        ("s3://bucket?max_attempts=x", "max_attempts='x'"),
        ("s3://bucket?max_attempts=", "max_attempts=''"),
        ("s3://bucket?max_attempts=1.5", "max_attempts='1.5'"),
        ("s3://bucket?max_attempts=0", "max_attempts=0"),
        ("s3://bucket?connect_timeout=soon", "connect_timeout='soon'"),
        ("s3://bucket?connect_timeout=nan", "connect_timeout=nan"),
        ("s3://bucket?versioning=2", "versioning='2'"),
        ("s3://bucket?compression=lz4", "compression='lz4'"),
        ("s3://bucket//a", "prefix='/a'"),
        ("s3://bucket/a//b", "prefix='a//b'"),
        ("s3://bucket/a%2F%2Fb", "prefix='a//b'"),
        ("s3://bucket/%ff", "prefix="),
        ("s3://b", "bucket='b'"),
        ("s3://buc%20ket", "bucket='buc ket'"),
        ("s3://bucket?endpoint_url=localhost", "endpoint_url"),
    ],
)
def test_a_uri_that_cannot_be_is_refused_with_the_reason(uri: Any, named: str) -> None:
    with pytest.raises(InvalidConfigError) as caught:
        S3Config.from_conn_string(uri)
    assert named in caught.value.reason
    with pytest.raises(InvalidConfigError):
        S3Saver.from_conn_string(uri)


SECRET = "wJalrXUtnFEMI"
KEY_ID = "AKIAIOSFODNN7"


@pytest.mark.parametrize(
    "uri",
    [
        f"s3://{KEY_ID}:{SECRET}@bucket/prefix",
        f"s3://{KEY_ID}:{SECRET}@bucket",
        f"s3://{SECRET}@bucket",
        f"s3://{KEY_ID}:{SECRET}/x@bucket",
        f"s3://{KEY_ID}%3A{SECRET}%40bucket",
        f"s3://{KEY_ID}:{SECRET}@buck\u2100et",
        f"s3://{KEY_ID}:{SECRET}@[bucket",
        f"s3://bucket?aws_access_key_id={KEY_ID}&aws_secret_access_key={SECRET}",
        f"s3://bucket?secret={SECRET}",
        f"s3://bucket?{SECRET}",
        f"s3://bucket?endpoint_url=http://{KEY_ID}:{SECRET}@localhost:9000",
        f"s3://bucket?endpoint_url=ftp://{KEY_ID}:{SECRET}@localhost:9000",
    ],
)
def test_credentials_in_a_uri_are_refused_and_never_shown(uri: str) -> None:
    with pytest.raises(InvalidConfigError) as caught:
        S3Config.from_conn_string(uri)
    shown = "".join(traceback.format_exception_only(caught.value)) + repr(caught.value)
    assert SECRET not in shown
    assert KEY_ID not in shown


def test_an_endpoint_with_credentials_is_refused_and_never_shown() -> None:
    with pytest.raises(InvalidConfigError, match="endpoint_url") as caught:
        S3Config(bucket="bucket", endpoint_url=f"https://{KEY_ID}:{SECRET}@localhost")
    assert SECRET not in str(caught.value)
