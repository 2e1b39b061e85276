"""The options that name the target, and the completion of thread ids."""

from __future__ import annotations

import os
from typing import Any

import pytest
from typer.testing import CliRunner

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.cli import runtime
from langgraph_checkpoint_s3.cli.app import app
from tests.cli.conftest import run
from tests.support.checkpoints import put_chain
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver
from tests.support.hooks import failing


@pytest.fixture
def opened(fake: FakeS3, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str | None, dict[str, Any]]]:
    """The URI, settings and AWS variables of each saver that is opened."""
    calls: list[tuple[str | None, dict[str, Any]]] = []

    def open_saver(uri: str | None, **settings: Any) -> S3Saver:
        settings.pop("encryption", None)
        aws = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        calls.append((uri, {**settings, "aws": aws}))
        return make_saver(fake)

    monkeypatch.setattr(runtime, "open_saver", open_saver)
    for name in [*os.environ]:
        if name.startswith(("AWS_", "S3_")):
            monkeypatch.delenv(name)
    return calls


Opened = list[tuple[str | None, dict[str, Any]]]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--uri", "s3://a", "--region", "eu-west-1", "threads", "--json"],
        ["threads", "--json", "--uri", "s3://a", "--region", "eu-west-1"],
        ["--uri", "s3://a", "--json", "--region", "other", "threads", "--region", "eu-west-1"],
    ],
)
def test_they_stand_before_or_after_the_command(opened: Opened, arguments: list[str]) -> None:
    assert run(*arguments).data["threads"] == []
    assert opened == [("s3://a", {"region": "eu-west-1", "aws": {}})]


def test_another_store(opened: Opened) -> None:
    run("threads", "--endpoint-url", "http://localhost:9000")
    assert opened == [(None, {"endpoint_url": "http://localhost:9000", "aws": {}})]


@pytest.mark.parametrize(
    ("option", "value"), [("--endpoint-url", "localhost:9000"), ("--region", "no region")]
)
def test_a_wrong_one_is_wrong_usage(option: str, value: str) -> None:
    ran = run("threads", "--uri", "s3://bucket", option, value)
    assert (ran.code, ran.err.count("\n")) == (2, 1)


def test_they_override_the_uris_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION", raising=False)
    with runtime.open_saver("s3://bucket?region=us-east-1", region="eu-west-1") as saver:
        assert saver.config.region == "eu-west-1"


def test_a_profile_is_used_in_place_of_keys(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_PROFILE", "other")
    run("threads", "--profile", "mine")
    assert opened[0][1]["aws"] == {"AWS_PROFILE": "mine"}
    assert (os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_PROFILE"]) == ("key", "other")


def complete(words: str) -> list[str]:
    """Return what bash is offered for the last of these words."""
    line = f"langgraph-s3 {words}"
    given = {"COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    ran = CliRunner().invoke(
        app, env={"_LANGGRAPH_S3_COMPLETE": "complete_bash", **given}, prog_name="langgraph-s3"
    )
    assert ran.stderr == ""
    return ran.stdout.split()


class TestCompletion:
    @pytest.fixture(autouse=True)
    def _threads(self, fake: FakeS3) -> None:
        for name in ("customer-1", "customer-2", "other", "odd\x1b[2J"):
            put_chain(make_saver(fake), name, 1)

    @pytest.mark.parametrize(
        ("words", "found"),
        [
            ("history --uri s3://a cust", ["customer-1", "customer-2"]),
            ("--uri s3://a show o", ["other"]),
            ("--uri s3://a delete other customer-2 customer-1", ["customer-1"]),
            ("--uri s3://a usage --thread oth", ["other"]),
            ("history nobody", []),
        ],
    )
    def test_threads(self, fake: FakeS3, opened: Opened, words: str, found: list[str]) -> None:
        with fake.counted() as count:
            assert complete(words) == found
        assert count.kinds == ({"ListObjects": 2} if found else {})  # hashed names are listed apart
        if found:
            ((_, settings),) = opened
            assert (settings["max_attempts"], settings["operation_timeout"]) == (1, 3)

    def test_without_a_bucket_nothing_is_opened(self, opened: Opened) -> None:
        assert complete("history c") == []
        assert opened == []

    def test_the_environment_names_the_bucket(self, opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("S3_BUCKET_NAME", "bucket")
        assert complete("history customer-2") == ["customer-2"]

    def test_a_failure_is_silent(
        self, fake: FakeS3, opened: Opened, capfd: pytest.CaptureFixture[str]
    ) -> None:
        fake.hook = failing(code="AccessDenied", status=403)
        assert complete("history --uri s3://a c") == []
        assert capfd.readouterr() == ("", "")
