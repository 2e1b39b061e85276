"""Savers made from keywords, a config, a URI or the environment."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langgraph_checkpoint_s3 import InvalidConfigError, S3Config, S3Saver


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("S3_BUCKET_NAME", "S3_KEY_PREFIX", "AWS_REGION", "S3_ENDPOINT_URL", "S3_FORCE_PATH_STYLE"):
        monkeypatch.delenv(name, raising=False)


def test_a_saver_is_made_from_keywords() -> None:
    saver = S3Saver("bucket", prefix="a", max_attempts=2)
    assert saver.config == S3Config(bucket="bucket", prefix="a/", max_attempts=2)
    assert S3Saver(bucket="bucket").config == S3Config(bucket="bucket")


def test_a_saver_is_made_from_a_config() -> None:
    config = S3Config(bucket="bucket", prefix="a", region="x")
    assert S3Saver(config=config).config == config
    changed = S3Saver("another", config=config, prefix="b")
    assert changed.config == S3Config(bucket="another", prefix="b/", region="x")
    assert config.bucket == "bucket"


def test_a_saver_is_made_from_a_uri() -> None:
    saver = S3Saver.from_conn_string("s3://bucket/a?region=x", region="y", max_attempts=2)
    assert saver.config == S3Config(bucket="bucket", prefix="a/", region="y", max_attempts=2)


def test_a_saver_is_made_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidConfigError, match="S3_BUCKET_NAME is not set"):
        S3Saver.from_env()
    monkeypatch.setenv("S3_BUCKET_NAME", "bucket")
    assert S3Saver.from_env(prefix="a").config == S3Config(bucket="bucket", prefix="a/")


def test_the_savers_own_keywords_are_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_BUCKET_NAME", "bucket")
    serde, mine = JsonPlusSerializer(), object()
    for saver in (
        S3Saver("bucket", serde=serde, client=mine, prefix="a"),
        S3Saver.from_conn_string("s3://bucket/a", serde=serde, client=mine),
        S3Saver.from_env(serde=serde, client=mine, prefix="a"),
    ):
        assert saver.serde is serde
        assert saver.config == S3Config(bucket="bucket", prefix="a/")


@pytest.mark.parametrize("keyword", ["session", "aio_session"])
def test_a_session_of_ones_own_is_taken(keyword: str) -> None:
    own: dict[str, Any] = {keyword: object()}
    assert S3Saver("bucket", **own).config == S3Saver.from_conn_string("s3://bucket", **own).config.replace(
        prefix="checkpoints/"
    )


def test_a_config_beside_a_uri_or_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_BUCKET_NAME", "bucket")
    config = S3Config(bucket="bucket")
    with pytest.raises(InvalidConfigError, match="config"):
        S3Saver.from_conn_string("s3://bucket", config=config)  # type: ignore[call-arg]  # wrong on purpose
    with pytest.raises(InvalidConfigError, match="config"):
        S3Saver.from_env(config=config)  # type: ignore[call-arg]  # wrong on purpose


@pytest.mark.parametrize(
    "make",
    [
        lambda: S3Saver("bucket", prefx="a"),  # type: ignore[call-arg]  # wrong on purpose
        lambda: S3Saver(config=S3Config(bucket="bucket"), prefx="a"),  # type: ignore[call-arg]  # wrong on purpose
        lambda: S3Saver.from_conn_string("s3://bucket", prefx="a"),  # type: ignore[call-arg]  # wrong on purpose
        lambda: S3Saver.from_env(bucket="bucket", prefx="a"),  # type: ignore[call-arg]  # wrong on purpose
    ],
)
def test_an_unknown_keyword_is_refused_by_name(make: Any) -> None:
    with pytest.raises(InvalidConfigError, match="no setting 'prefx'"):
        make()


def test_a_saver_shows_where_it_keeps_things() -> None:
    assert repr(S3Saver("bucket", prefix="a")) == "S3Saver('bucket', prefix='a/')"


def test_making_entering_and_closing_a_saver_sends_nothing() -> None:
    with S3Saver("bucket", endpoint_url="http://localhost:1") as saver:
        assert saver.stats().requests == {}
    saver.close()
    saver.close()
    with S3Saver.from_conn_string("s3://bucket") as other:
        assert isinstance(other, S3Saver)
