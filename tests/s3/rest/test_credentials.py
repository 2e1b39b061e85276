"""Credentials of requests: where they come from, and that rejected ones are looked for again."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import boto3
import botocore
import botocore.session
import pytest
from aiobotocore.session import AioSession
from blockbuster import blockbuster_ctx
from botocore.config import Config
from botocore.exceptions import CredentialRetrievalError, NoCredentialsError, PartialCredentialsError

from langgraph_checkpoint_s3.aws import Throttle
from langgraph_checkpoint_s3.config import S3Config
from langgraph_checkpoint_s3.errors import InvalidConfigError
from langgraph_checkpoint_s3.s3.rest.credentials import (
    AioSessionCredentials,
    ChainCredentials,
    CredentialSource,
    SessionCredentials,
    credential_source,
)
from langgraph_checkpoint_s3.s3.rest.settings import AwsSettings, read_settings
from langgraph_checkpoint_s3.s3.rest.sigv4 import Credentials
from tests.support.fake_aws import GOOD, FakeAws, serving
from tests.support.surroundings import surroundings

__all__ = ["surroundings"]

BUCKET = S3Config(bucket="bucket")
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")


@pytest.fixture(autouse=True)
def variables(surroundings: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but `key` and `secret` in the environment."""
    for name in (*KEYS[2:], "AWS_CREDENTIAL_EXPIRATION"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def no_keys(variables: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def aws(no_keys: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAws]:
    with serving() as fake:
        monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", fake.url)
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", fake.url)
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")  # of STS's
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        yield fake


@pytest.fixture
def at_any_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rejected credentials are looked for each time, rather than once a second."""
    monkeypatch.setattr(Throttle, "SECONDS", 0)


def source(session: Any = None) -> CredentialSource:
    return credential_source(BUCKET, read_settings(BUCKET, session), session)


def both(found: CredentialSource) -> Credentials | None:
    """What a source gives in a thread and on an event loop, which are the same."""
    there = found.get()
    assert asyncio.run(found.aget()) == there
    return there


def write_keys(tmp_path: Path, key: str, profile: str = "default", token: str = "t") -> None:
    (tmp_path / "credentials").write_text(
        f"[{profile}]\naws_access_key_id = {key}\naws_secret_access_key = s\naws_session_token = {token}\n"
    )


# Variables


@pytest.mark.parametrize(
    ("tokens", "token"),
    [
        ({}, None),
        ({"AWS_SESSION_TOKEN": "new"}, "new"),
        ({"AWS_SECURITY_TOKEN": "old"}, "old"),
        ({"AWS_SECURITY_TOKEN": "old", "AWS_SESSION_TOKEN": "new"}, "old"),
        ({"AWS_SECURITY_TOKEN": "", "AWS_SESSION_TOKEN": "new"}, "new"),
        ({"AWS_SESSION_TOKEN": ""}, None),
    ],
    ids=str,
)
def test_variables(tokens: dict[str, str], token: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in tokens.items():
        monkeypatch.setenv(name, value)
    found = source()
    assert both(found) == ("key", "secret", token)
    assert not found.may_block
    by_botocore: Any = botocore.session.Session().get_credentials()
    assert by_botocore.get_frozen_credentials()[:3] == found.get()


def test_variables_win_over_a_profile_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_keys(tmp_path, "of the profile", "other")
    monkeypatch.setenv("AWS_PROFILE", "other")
    assert both(source()) == ("key", "secret", None)
    assert both(source(boto3.Session())) == ("key", "secret", None)
    assert both(source(boto3.Session(profile_name="other"))) == ("of the profile", "s", "t")
    assert both(source(AioSession(profile="other"))) == ("of the profile", "s", "t")


@pytest.mark.usefixtures("at_any_time")
def test_variables_are_read_again_after_a_rejection(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = source()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "new")
    assert both(found) == ("key", "secret", None)
    found.invalidate()
    assert both(found) == ("new", "secret", None)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    write_keys(tmp_path, "of the file")
    found.invalidate()
    assert found.may_block
    assert both(found) == ("of the file", "s", "t")
    assert not found.may_block
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "newer")
    assert both(found) == ("of the file", "s", "t")
    found.invalidate()
    assert not found.may_block
    assert both(found) == ("newer", "secret", None)


def test_half_of_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "")
    found = source()
    for _ in range(2):
        with pytest.raises(PartialCredentialsError, match="AWS_SECRET_ACCESS_KEY"):
            found.get()
        with pytest.raises(PartialCredentialsError):
            asyncio.run(found.aget())


def test_variables_with_a_time_of_expiry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Botocore reads them again when they are about to expire."""
    now = datetime.now(timezone.utc)
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", (now + timedelta(hours=1)).isoformat())
    found = source()
    assert found.may_block
    assert both(found) == ("key", "secret", None)
    assert not found.may_block
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", (now + timedelta(minutes=1)).isoformat())
    soon = source()
    assert both(soon) == ("key", "secret", None)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "new")
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", (now + timedelta(hours=1)).isoformat())
    assert soon.may_block
    assert both(soon) == ("new", "secret", None)


# Botocore's chain


@pytest.mark.usefixtures("no_keys", "at_any_time")
def test_a_file_that_is_renewed(tmp_path: Path) -> None:
    write_keys(tmp_path, "old")
    found = source()
    assert both(found) == ("old", "s", "t")
    write_keys(tmp_path, "new", token="u")
    assert both(found) == ("old", "s", "t")
    found.invalidate()
    assert found.may_block
    assert both(found) == ("new", "s", "u")
    assert not found.may_block


@pytest.mark.usefixtures("no_keys", "at_any_time")
def test_none_yet(tmp_path: Path) -> None:
    found = source()
    for _ in range(2):
        with pytest.raises(NoCredentialsError):
            found.get()
        with pytest.raises(NoCredentialsError):
            asyncio.run(found.aget())
    write_keys(tmp_path, "late")
    found.invalidate()
    assert both(found) == ("late", "s", "t")


@pytest.mark.usefixtures("no_keys")
def test_a_process_is_asked_at_most_once_a_second(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Throttle, "SECONDS", 3600)
    (tmp_path / "program").write_text(f"#!/bin/sh\necho run >> {tmp_path / 'runs'}\nexit 1\n")
    (tmp_path / "program").chmod(0o700)
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {tmp_path / 'program'}\n")
    found = source()
    for _ in range(10):
        with pytest.raises(CredentialRetrievalError):
            found.get()
        found.invalidate()
    assert (tmp_path / "runs").read_text().count("run") == 2


def test_a_metadata_service(aws: FakeAws) -> None:
    found = source()
    assert "metadata" not in aws.seen  # the first request asks
    assert both(found) == (GOOD, "s", "t")
    asked = len(aws.seen)
    assert both(found) == (GOOD, "s", "t")
    assert len(aws.seen) == asked


@pytest.mark.parametrize(
    "make", [lambda: None, boto3.Session, AioSession], ids=["ours", "boto3", "aiobotocore"]
)
def test_a_role_without_a_region_anywhere(make: Callable[[], Any], aws: FakeAws, tmp_path: Path) -> None:
    """STS is asked in the region of the requests, as by the session's client."""
    (tmp_path / "config").write_text(
        "[default]\nrole_arn = arn:aws:iam::123456789012:role/agents\nsource_profile = base\n"
        "[profile base]\naws_access_key_id = a\naws_secret_access_key = s\n"
    )
    assert both(source(make())) == (GOOD, "s", "t")
    assert "sts" in aws.seen


# Sessions


def sessions(key: str | None) -> list[Any]:
    """A session of each kind, with this key or none."""
    keys: dict[str, Any] = {} if key is None else {"aws_access_key_id": key, "aws_secret_access_key": "s"}
    core, aio = botocore.session.Session(), AioSession()
    if key is not None:
        core.set_credentials(key, "s", "t")
        aio.set_credentials(key, "s", "t")
    return [boto3.Session(**keys, aws_session_token="t" if keys else None), core, aio]


@pytest.mark.parametrize("kind", range(3))
def test_credentials_of_a_session(kind: int, monkeypatch: pytest.MonkeyPatch) -> None:
    found = source(sessions("mine")[kind])
    assert both(found) == ("mine", "s", "t")
    assert not found.may_block
    found.invalidate()
    assert both(found) == ("mine", "s", "t")
    assert type(found) is (AioSessionCredentials if kind == 2 else SessionCredentials)


@pytest.mark.parametrize("kind", range(3))
@pytest.mark.usefixtures("no_keys", "at_any_time")
def test_a_session_without_credentials_is_asked_again(kind: int, tmp_path: Path) -> None:
    session = sessions(None)[kind]
    found = source(session)
    with pytest.raises(NoCredentialsError):
        found.get()
    with pytest.raises(NoCredentialsError):
        asyncio.run(found.aget())
    write_keys(tmp_path, "late")
    core = getattr(session, "_session", session)
    core._profile_map = core._config = None  # botocore reads files once a session
    found.invalidate()
    assert both(found) == ("late", "s", "t")


@pytest.mark.usefixtures("no_keys")
def test_a_session_that_fails_is_asked_at_most_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Throttle, "SECONDS", 3600)
    asked = []
    session = botocore.session.Session()

    def get_credentials() -> None:
        asked.append(1)

    monkeypatch.setattr(session, "get_credentials", get_credentials)
    found = source(session)
    for _ in range(10):
        with pytest.raises(NoCredentialsError):
            found.get()
        found.invalidate()
    assert len(asked) == 2


@pytest.mark.parametrize("kind", range(3))
def test_a_session_without_signatures(kind: int) -> None:
    session = sessions("mine")[kind]
    config = Config(signature_version=botocore.UNSIGNED)
    getattr(session, "_session", session).set_default_client_config(config)
    found = source(session)
    assert both(found) is None
    assert not found.may_block
    found.invalidate()
    assert both(found) is None


def test_a_session_of_another_kind() -> None:
    with pytest.raises(InvalidConfigError, match="session of type object"):
        credential_source(BUCKET, AwsSettings(), object())


def test_an_aio_session_whose_coroutine_needs_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    session = AioSession()
    session.set_credentials("mine", "s")
    get_credentials = session.get_credentials

    async def slow() -> Any:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return await get_credentials()

    monkeypatch.setattr(session, "get_credentials", slow)
    assert both(source(session)) == ("mine", "s", None)


# Event loops, threads and forks


@pytest.mark.usefixtures("no_keys", "at_any_time")
def test_an_event_loop_is_not_blocked(tmp_path: Path) -> None:
    write_keys(tmp_path, "a")

    async def use() -> None:
        for session in (None, *sessions(None)):
            with blockbuster_ctx():
                found = await asyncio.to_thread(source, session)
                for _ in range(2):
                    assert await found.aget() == ("a", "s", "t")
                    found.invalidate()

    asyncio.run(use())


def test_one_source_serves_several_loops(aws: FakeAws) -> None:
    for found in (source(), source(AioSession())):
        for _ in range(3):
            assert asyncio.run(found.aget()) == (GOOD, "s", "t")


@pytest.mark.usefixtures("no_keys")
def test_many_threads_look_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "said").write_text(json.dumps({"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "s"}))
    (tmp_path / "program").write_text(
        f"#!/bin/sh\necho run >> {tmp_path / 'runs'}\ncat {tmp_path / 'said'}\n"
    )
    (tmp_path / "program").chmod(0o700)
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {tmp_path / 'program'}\n")
    found, got = source(), []
    threads = [threading.Thread(target=lambda: got.append(found.get())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [("a", "s", None)] * 8
    assert (tmp_path / "runs").read_text().count("run") == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.usefixtures("no_keys")
def test_a_forked_process_does_not_wait_for_a_thread_of_its_parents(tmp_path: Path) -> None:
    write_keys(tmp_path, "a")
    found = ChainCredentials("us-east-1")
    with found._lock:
        child = os.fork()
        if child == 0:
            signal.alarm(30)  # rather than to wait forever
            os._exit(0 if found.get() == ("a", "s", "t") else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
