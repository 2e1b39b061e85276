"""Settings that S3 can't take are refused before anything is sent: names, classes, tags, keywords."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.session import Session

from langgraph_checkpoint_s3 import InvalidConfigError, S3Config, S3Saver
from langgraph_checkpoint_s3.plans.plan import ask
from langgraph_checkpoint_s3.s3.requests import PutObject
from langgraph_checkpoint_s3.validation import ARCHIVE_CLASSES, OTHER_CLASSES, STORAGE_CLASSES
from tests.support import inside
from tests.support.surroundings import MAKES, surroundings, write_profile

__all__ = ["surroundings"]
pytestmark = pytest.mark.usefixtures("surroundings")

AWS, ELSEWHERE = "https://s3.eu-west-1.amazonaws.com", "https://s3.example.org"
POINT = "arn:aws:s3:eu-west-1:123456789012:accesspoint/mine"


# Buckets


GOOD = [
    *(
        "abc",
        "my-bucket",
        "my.bucket",
        "1bucket1",
        "a" * 63,
        "a--b",
        "192.168.1.1.x",
        "192.168.1",
        "1.2.3.4-x",
    ),
    "mine-abcdefghijklmnopqrstuvwxyz123-s3alias",  # an access point's alias
    "mine-abcdefghijklmnopqrstuvwxyz--ol-s3",  # that of one with a function
    POINT,
    POINT.replace("accesspoint/", "accesspoint:"),
    POINT.replace("arn:aws", "arn:aws-cn").replace("eu-west-1", "cn-north-1"),
    "arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap",  # of several regions
    "arn:aws:s3-object-lambda:eu-west-1:123456789012:accesspoint/mine",
    "arn:aws:s3-outposts:eu-west-1:123456789012:outpost/op-01234567890123456/accesspoint/mine",
]
NOWHERE = [
    "192.168.1.1",
    "10.0.0.255",
    "ab",
    "a" * 64,
    "my/bucket",
    "-bucket",
    ".bucket",
    "_bucket",
    "é-bucket",
]
NOWHERE += [
    "arn:aws:s3:::my-bucket",
    "arn:aws:s3:eu-west-1:123456789012:accesspoint/",
    "arn:aws:s3:eu-west-1:12345:accesspoint/mine",
    "arn:aws:kms:eu-west-1:123456789012:key/x",
    "arn:x",
]
NOT_ON_AWS = ["My_Bucket", "MyBucket", "my_bucket", "my-bucket-", "my.bucket.", "my..bucket"]
NOT_ON_AWS += ["xn--bucket", "sthree-bucket", "amzn-s3-demo-bucket", "mine.mrap", "mine--table-s3"]
OURS = {"no address": {}, "AWS's": {"endpoint_url": AWS}}


@pytest.mark.parametrize("place", [{}, {"endpoint_url": AWS}, {"endpoint_url": ELSEWHERE}], ids=str)
@pytest.mark.parametrize("bucket", GOOD)
def test_a_buckets_name(bucket: str, place: dict[str, str]) -> None:
    assert S3Config(bucket=bucket, **place).bucket == bucket  # type: ignore[arg-type]  # settings of any type


@pytest.mark.parametrize("place", [{}, {"endpoint_url": AWS}, {"endpoint_url": ELSEWHERE}], ids=str)
@pytest.mark.parametrize("bucket", NOWHERE)
def test_no_buckets_name(bucket: str, place: Any) -> None:
    for make in (S3Config, S3Saver):
        with pytest.raises(InvalidConfigError, match="bucket="):
            make(bucket=bucket, **place)


@pytest.mark.parametrize("bucket", NOT_ON_AWS)
def test_no_buckets_name_on_aws(bucket: str) -> None:
    for place in ({}, {"endpoint_url": AWS}):
        for make in (S3Config, S3Saver):
            with pytest.raises(InvalidConfigError, match="If the store isn't AWS, set endpoint_url"):
                make(bucket=bucket, **place)  # type: ignore[arg-type]  # settings of any type
    assert S3Config(bucket=bucket, endpoint_url=ELSEWHERE).bucket == bucket


def test_an_arn_of_a_bucket_is_answered_with_its_name() -> None:
    with pytest.raises(InvalidConfigError, match="give its name alone, 'my-bucket'"):
        S3Config(bucket="arn:aws:s3:::my-bucket")


@pytest.mark.parametrize("variable", ["S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"])
def test_another_store_is_known_by_the_variables_too(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, ELSEWHERE)
    assert S3Saver("My_Bucket", storage_class="FAST").config.bucket == "My_Bucket"
    monkeypatch.setenv(variable, AWS)
    with pytest.raises(InvalidConfigError, match="bucket='My_Bucket'"):
        S3Saver("My_Bucket")


def test_what_the_client_resolved_has_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS gets nothing that it can't take, even if the settings name another store."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", ELSEWHERE)
    monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
    for saver in (
        S3Saver("My_Bucket"),
        S3Saver("bucket", storage_class="FAST"),
        S3Saver("My_Bucket", client=boto3.client("s3", region_name="eu-west-1")),
    ):
        with pytest.raises(InvalidConfigError, match=r"If the store isn't AWS, set endpoint_url"):
            inside.store(saver).run(ask(PutObject("k", b"")), "test")
        saver.close()


def test_an_endpoint_of_a_profile_is_another_store(tmp_path: Any) -> None:
    write_profile(tmp_path, endpoint_url=ELSEWHERE)
    with S3Saver("bucket") as saver:
        inside.store(saver)._boto.get()


# Storage classes


@pytest.mark.parametrize("place", [{}, {"endpoint_url": AWS}, {"endpoint_url": ELSEWHERE}], ids=str)
@pytest.mark.parametrize("name", STORAGE_CLASSES)
def test_a_storage_class(name: str, place: Any) -> None:
    assert S3Config(bucket="bucket", storage_class=name, **place).storage_class == name


@pytest.mark.parametrize("name", ARCHIVE_CLASSES)
def test_no_archive(name: str) -> None:
    for place in ({}, {"endpoint_url": AWS}, {"endpoint_url": ELSEWHERE}):
        with pytest.raises(
            InvalidConfigError, match=r"GLACIER_IR or INTELLIGENT_TIERING.*set_lifecycle_policy"
        ):
            S3Config(bucket="bucket", storage_class=name, **place)  # type: ignore[arg-type]  # any text


@pytest.mark.parametrize("name", ["FOO", "standard", "Standard_IA", "STANDARD ", *OTHER_CLASSES])
def test_no_storage_class_of_aws(name: str) -> None:
    with pytest.raises(InvalidConfigError, match=r"storage_class=.*STANDARD_IA, ONEZONE_IA"):
        S3Config(bucket="bucket", storage_class=name)
    if name.isprintable() and " " not in name:
        assert S3Config(bucket="bucket", storage_class=name, endpoint_url=ELSEWHERE).storage_class == name


@pytest.mark.parametrize("name", ["", "a b", "x\ny", "é", "x" * 129])
def test_no_storage_class_anywhere(name: str) -> None:
    with pytest.raises(InvalidConfigError, match="storage_class"):
        S3Config(bucket="bucket", storage_class=name, endpoint_url=ELSEWHERE)


def test_every_class_that_s3_has_is_known() -> None:
    known = Session().get_service_model("s3").shape_for("StorageClass").enum  # type: ignore[attr-defined]  # of shapes with an enum
    assert set(known) == {*STORAGE_CLASSES, *ARCHIVE_CLASSES, *OTHER_CLASSES}


# Tags


@pytest.mark.parametrize(
    "tags",
    [
        {"a": ""},
        {"k" * 128: "v" * 256},
        {"cost centre": "a+b-c=d.e_f:g/h@i 1", "é中文": "ñ٣"},
        {f"tag{number}": "" for number in range(10)},
        {"myaws:x": "aws:x"},
    ],
)
def test_tags(tags: dict[str, str]) -> None:
    assert S3Config(bucket="bucket", object_tags=tags).object_tags == tags


@pytest.mark.parametrize(
    ("tags", "why"),
    [
        ({f"tag{number}": "" for number in range(11)}, "has 11 tags, and S3 takes 10"),
        ({"": "x"}, "without a name"),
        ({"k" * 129: "v"}, "has 129 characters, and S3 takes 128"),
        ({"k": "v" * 257}, "has 257 characters, and S3 takes 256"),
        ({"k" * 200: "v"}, "has 200 characters"),
        ({"aws:team": "x"}, "begins with aws:"),
        ({"AWS:team": "x"}, "begins with aws:"),
        ({"a&b": "x"}, "holds '&'"),
        ({"a": "x,y"}, "holds ','"),
        ({"a": "x\ny"}, "holds '.n'"),
        ({"a": "🙂"}, "holds '🙂'"),
    ],
)
def test_no_tags(tags: dict[str, str], why: str) -> None:
    for make in (S3Config, S3Saver):
        with pytest.raises(InvalidConfigError, match=f"object_tags.*{why}"):
            make(bucket="bucket", object_tags=tags)


# What doesn't go together


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"bucket": "my.bucket", "use_accelerate": True}, "use_accelerate"),
        ({"bucket": POINT, "use_accelerate": True}, "use_accelerate"),
        ({"use_accelerate": True, "force_path_style": True}, "force_path_style"),
        ({"use_accelerate": True, "endpoint_url": ELSEWHERE}, "use_accelerate"),
        ({"kms_key_id": "k"}, "kms_key_id"),
        ({"kms_key_id": "k", "server_side_encryption": "off"}, "kms_key_id"),
        ({"kms_key_id": "", "server_side_encryption": "aws:kms"}, "kms_key_id"),
        ({"kms_key_id": "a b", "server_side_encryption": "aws:kms"}, "kms_key_id"),
        ({"bucket_key_enabled": True}, "bucket_key_enabled"),
        ({"expected_bucket_owner": "12345"}, "expected_bucket_owner"),
        ({"region": ""}, "region"),
        ({"region": "eu_west_1"}, "region"),
    ],
)
def test_settings_that_can_never_work(settings: dict[str, Any], named: str) -> None:
    for make in (S3Config, S3Saver):
        with pytest.raises(InvalidConfigError, match=named):
            make(**{"bucket": "bucket", **settings})


def test_an_exported_endpoint_does_not_go_with_acceleration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_ENDPOINT_URL", ELSEWHERE)
    with (
        S3Saver("bucket", use_accelerate=True) as saver,
        pytest.raises(InvalidConfigError, match="use_accelerate"),
    ):
        inside.store(saver).run(ask(PutObject("k", b"")), "test")


# Keywords


NAMES: list[tuple[str, str]] = [
    ("bucket_name", "bucket"),
    ("region_name", "region"),
    ("endpoint", "endpoint_url"),
    ("max_atempts", "max_attempts"),
    ("serverside_encryption", "server_side_encryption"),
    ("regoin", "region"),
]


@pytest.mark.parametrize(("name", "meant"), NAMES)
def test_an_unknown_keyword_is_answered_with_what_was_meant(name: str, meant: str) -> None:
    saver: Any = S3Saver
    config: Any = S3Config
    makes: list[Callable[[], Any]] = [
        lambda: S3Config(**{"bucket": "bucket", name: "x"}),  # type: ignore[arg-type]  # invalid on purpose
        lambda: S3Config(**{name: "x"}),  # type: ignore[arg-type]  # invalid on purpose
        lambda: S3Config.from_conn_string(f"s3://bucket?{name}=x"),
        lambda: config.from_conn_string("s3://bucket", **{name: "x"}),
        lambda: config.from_env(**{name: "x"}),
        lambda: config(bucket="bucket").replace(**{name: "x"}),
        lambda: saver("bucket", **{name: "x"}),
    ]
    for make in makes:
        with pytest.raises(InvalidConfigError, match=f"no setting '{name}'. Did you mean '{meant}'"):
            make()


@pytest.mark.parametrize("how", ["keywords", "a URI and keywords", "the environment", "a session"])
def test_an_unknown_keyword_of_a_saver(how: str) -> None:
    with pytest.raises(InvalidConfigError, match=r"no setting 'sesion'. Did you mean 'session'\?"):
        MAKES[how](sesion="x")


def test_credentials_are_no_setting() -> None:
    saver: Any = S3Saver
    for name in ("aws_access_key_id", "aws_secret_access_key", "aws_session_token", "profile_name"):
        with pytest.raises(
            InvalidConfigError, match=r"No setting takes credentials: pass session="
        ) as caught:
            saver("bucket", **{name: "wJalrXUtnFEMI"})
        assert "wJalrXUtnFEMI" not in str(caught.value)


def test_a_missing_bucket_and_a_positional_one() -> None:
    config: Any = S3Config
    with pytest.raises(InvalidConfigError, match="No bucket is named"):
        config()
    with pytest.raises(InvalidConfigError, match=r"S3Config\(bucket='my-bucket'\)"):
        config("my-bucket")
