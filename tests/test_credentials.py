"""Credentials that are missing or refused are looked for again, by the same saver; and who failed is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import NoCredentialsError

from langgraph_checkpoint_s3 import AccessDeniedError, S3Saver, StorageUnavailableError
from langgraph_checkpoint_s3.aws import Throttle
from langgraph_checkpoint_s3.credentials import RenewableCredentials
from langgraph_checkpoint_s3.encryption import KmsKeys
from langgraph_checkpoint_s3.plans.plan import ask
from langgraph_checkpoint_s3.s3.requests import PutObject
from tests.support import inside
from tests.support.fake_aws import GOOD, KEY, FakeAws, serving
from tests.support.sampling import combined
from tests.support.surroundings import DRIVERS, WORLDS, sessions, surroundings

__all__ = ["surroundings"]


@pytest.fixture
def aws(surroundings: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAws]:
    """The fake, with nothing but its addresses in the environment."""
    with serving() as fake:
        for name in (
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "AWS_EC2_METADATA_DISABLED",
        ):
            monkeypatch.delenv(name, raising=False)
        for name in ("S3", "KMS", "STS"):
            monkeypatch.setenv(f"AWS_ENDPOINT_URL_{name}", fake.url)
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", fake.url)
        monkeypatch.setenv("AWS_REGION", "us-east-1")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")  # of STS's
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        yield fake


class Place:
    """Source of credentials: bad at first, and then mended."""

    def __init__(self, aws: FakeAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.aws, self.tmp_path, self.monkeypatch = aws, tmp_path, monkeypatch

    def metadata(self, good: bool) -> None:
        self.aws.metadata = good

    def file(self, good: bool) -> None:
        self.aws.metadata = False
        keys = {
            "aws_access_key_id": GOOD if good else "OLD",
            "aws_secret_access_key": "s",
            "aws_session_token": "t",
        }
        lines = [f"{name} = {value}" for name, value in keys.items()]
        (self.tmp_path / "credentials").write_text("\n".join(["[default]", *lines, ""]))

    def no_file(self, good: bool) -> None:
        self.file(good)
        if not good:
            (self.tmp_path / "credentials").unlink()

    def process(self, good: bool) -> None:
        self.aws.metadata = False
        said = {
            "Version": 1,
            "AccessKeyId": GOOD if good else "OLD",
            "SecretAccessKey": "s",
            "SessionToken": "t",
        }
        (self.tmp_path / "said.json").write_text(json.dumps(said))
        self._run(f"cat {self.tmp_path / 'said.json'}")

    def failing_process(self, good: bool) -> None:
        self.process(good)
        if not good:
            (self.tmp_path / "said.json").unlink()

    def web_identity(self, good: bool) -> None:
        (self.tmp_path / "token").write_text("a token")
        self.monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/agents")
        self.monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(self.tmp_path / "token"))
        self.aws.sts = (200, "") if good else (403, "AccessDenied")

    def _run(self, command: str) -> None:
        (self.tmp_path / "config").write_text(f"[default]\ncredential_process = {command}\n")


PLACES: dict[str, Callable[[Place, bool], None]] = {
    "a metadata service that fails": Place.metadata,
    "a file with a token that has expired": Place.file,
    "a file that isn't there": Place.no_file,
    "a process with a token that has expired": Place.process,
    "a process that fails": Place.failing_process,
    "a role that isn't trusted": Place.web_identity,
}
EVERYWHERE = pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)


@pytest.fixture
def mend(
    place: Callable[[Place, bool], None], aws: FakeAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], None]:
    """Breaks the credentials at once, and mends them when it is called."""
    where = Place(aws, tmp_path, monkeypatch)
    place(where, False)
    return lambda: place(where, True)


def put(saver: S3Saver, times: int = 1) -> None:
    for _ in range(times):
        inside.store(saver).run(ask(PutObject("k", b"")), "test")


def outcomes(saver: S3Saver, asynchronous: bool, steps: list[Callable[[], None]]) -> list[Exception | None]:
    """Do what each step says, and write; what came of the writing. Async: on one loop, with one client."""
    found: list[Exception | None] = []

    async def aput() -> None:
        for step in steps:
            await asyncio.to_thread(step)
            try:
                await inside.store(saver).arun(ask(PutObject("k", b"")), "test")
            except Exception as error:  # noqa: BLE001  # looked at
                found.append(error)
            else:
                found.append(None)
        await saver.aclose()

    if asynchronous:
        asyncio.run(aput())
        return found
    for step in steps:
        step()
        try:
            put(saver)
        except Exception as error:  # noqa: BLE001  # looked at
            found.append(error)
        else:
            found.append(None)
    return found


def nothing() -> None:
    """Change nothing."""


@WORLDS
@EVERYWHERE
def test_the_same_saver_works_when_they_are_mended(asynchronous: bool, mend: Callable[[], None]) -> None:
    with S3Saver("bucket") as saver:
        refused, *others = outcomes(saver, asynchronous, [nothing, mend, nothing])
    assert isinstance(refused, AccessDeniedError)
    assert refused.unauthenticated
    assert others == [None, None]


@WORLDS
@EVERYWHERE
def test_a_session_of_the_users_finds_what_it_did_not_find(
    asynchronous: bool, mend: Callable[[], None], place: Any
) -> None:
    """The session is the user's: the credentials that it found stay."""
    with S3Saver("bucket", **sessions()) as saver:
        refused, *others = outcomes(saver, asynchronous, [nothing, mend, nothing])
    assert isinstance(refused, AccessDeniedError)
    if place in (Place.file, Place.process):
        assert all(isinstance(each, AccessDeniedError) for each in others)
    else:
        assert others == [None, None]


def test_a_client_of_the_users_is_left_alone(aws: FakeAws) -> None:
    aws.metadata = False
    client = boto3.client("s3")
    aws.metadata = True
    with S3Saver("bucket", client=client) as saver:
        for _ in range(2):
            with pytest.raises(AccessDeniedError):
                put(saver)
        assert inside.store(saver)._boto.get().client is client
    client.close()


@EVERYWHERE
def test_kms_too(mend: Callable[[], None]) -> None:
    keys = KmsKeys(KEY)
    with pytest.raises(AccessDeniedError) as caught:
        keys.current()
    assert caught.value.unauthenticated
    mend()
    assert keys.current().ref.id == KEY
    keys.close()


def test_kms_by_a_session_of_the_users(aws: FakeAws) -> None:
    aws.metadata = False
    keys = KmsKeys(KEY, session=boto3.Session())
    with pytest.raises(AccessDeniedError):
        keys.current()
    aws.metadata = True
    assert keys.current().ref.id == KEY
    keys.close()


@WORLDS
@pytest.mark.parametrize("how", ["ours", "a session"])
def test_a_loop_of_failures_does_not_look_each_time(
    asynchronous: bool, how: str, aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Throttle, "SECONDS", 3600)
    aws.metadata = False
    with S3Saver("bucket", **(sessions() if how == "a session" else {})) as saver:
        failed = outcomes(saver, asynchronous, [nothing])
        once = aws.seen.count("metadata")
        failed += outcomes(saver, asynchronous, [nothing] * 19)
    assert all(isinstance(each, AccessDeniedError) for each in failed)
    loops = 2 if asynchronous else 1
    assert 0 < once <= aws.seen.count("metadata") <= (1 + loops) * once
    assert "s3" not in aws.seen


@WORLDS
def test_a_client_that_cannot_be_made_is_not_tried_each_time(
    asynchronous: bool, aws: FakeAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a session of the user's own, whose process fails."""
    monkeypatch.setattr(Throttle, "SECONDS", 3600)
    aws.metadata = False
    runs = tmp_path / "runs"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\necho run >> {runs}\nexit 1\n")
    program.chmod(0o700)
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {program}\n")
    with S3Saver("bucket", **sessions()) as saver:
        failed = outcomes(saver, asynchronous, [nothing])
        once = runs.read_text().count("run")
        failed += outcomes(saver, asynchronous, [nothing] * 9)
    assert all(isinstance(each, AccessDeniedError) for each in failed)
    assert runs.read_text().count("run") == 2 * once


def test_kms_does_not_look_each_time(aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Throttle, "SECONDS", 3600)
    aws.metadata = False
    keys = KmsKeys(KEY)
    counts = []
    for _ in range(20):
        with pytest.raises(AccessDeniedError):
            keys.current()
        counts.append(aws.seen.count("metadata"))
    assert counts[-1] == 2 * counts[0]


def test_they_are_looked_for_at_once_and_then_once_a_second() -> None:
    now, looked = [100.0], []

    def find() -> None:
        looked.append(now[0])

    found = RenewableCredentials(find, lambda: now[0])
    for now[0] in (100.0, 100.5, 100.99, 101.0, 101.5, 103.0):
        found.invalidate()
        with pytest.raises(NoCredentialsError):
            found.get_frozen_credentials()
    assert looked == [100.0, 100.0, 101.0, 103.0]  # the first of them when it was made


def test_what_was_refused_stays_until_something_else_is_found() -> None:
    now, finds = [0.0], [boto3.Session("old", "s").get_credentials(), RuntimeError("x"), None]

    def find() -> Any:
        each = finds.pop(0)
        if isinstance(each, Exception):
            raise each
        return each

    found = RenewableCredentials(find, lambda: now[0])
    assert found.get_frozen_credentials().access_key == "old"
    found.invalidate()
    with pytest.raises(RuntimeError):
        found.get_frozen_credentials()
    with pytest.raises(RuntimeError):  # it isn't asked again so soon
        found.get_frozen_credentials()
    now[0] = 2
    found.invalidate()
    with pytest.raises(NoCredentialsError):
        found.get_frozen_credentials()
    finds.append(boto3.Session("new", "s").get_credentials())
    now[0] = 4
    found.invalidate()
    assert found.get_frozen_credentials().access_key == "new"
    assert not found.may_block


# Who failed is told


def assume(aws: FakeAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config").write_text(
        "[default]\nrole_arn = arn:aws:iam::123456789012:role/agents\nsource_profile = base\n"
        f"[profile base]\naws_access_key_id = {GOOD}\naws_secret_access_key = s\n"
    )


def web_identity(aws: FakeAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Place(aws, tmp_path, monkeypatch).web_identity(good=True)


REFUSALS = {
    "AssumeRole-AccessDenied": (assume, "sts:AssumeRole"),
    "AssumeRole-ExpiredToken": (assume, "trust policy"),
    "AssumeRoleWithWebIdentity-AccessDenied": (web_identity, "AWS_WEB_IDENTITY_TOKEN_FILE"),
    "AssumeRoleWithWebIdentity-InvalidIdentityToken": (web_identity, "identity provider"),
}
"""An operation of STS and the error that it answers with: what asks for it, and the remedy."""


@combined(refusal=list(REFUSALS), how=["ours", "a session"], asynchronous=DRIVERS)
def test_the_request_that_failed_is_named(
    asynchronous: bool,
    how: str,
    refusal: str,
    aws: FakeAws,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    operation, code = refusal.split("-")
    fetched_by, remedy = REFUSALS[refusal]
    fetched_by(aws, tmp_path, monkeypatch)
    aws.sts = (403, code)
    with S3Saver("bucket", **(sessions() if how == "a session" else {})) as saver:
        [error] = outcomes(saver, asynchronous, [nothing])
    assert isinstance(error, AccessDeniedError)
    assert error.unauthenticated
    assert error.action is None
    assert f"{operation} was refused ({code}" in error.reason
    assert remedy in error.reason
    assert "s3:" not in error.reason
    assert error.bucket == "bucket"
    with pytest.raises(AccessDeniedError, match=f"{operation} was refused"):
        KmsKeys(KEY).current()


@WORLDS
def test_a_service_that_fails_is_no_refusal(
    asynchronous: bool, aws: FakeAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assume(aws, tmp_path, monkeypatch)
    aws.sts = (503, "ServiceUnavailable")

    def better() -> None:
        aws.sts = (200, "")

    with S3Saver("bucket") as saver:
        error, then = outcomes(saver, asynchronous, [nothing, better])
    assert isinstance(error, StorageUnavailableError)
    assert "AssumeRole failed with 503" in error.reason
    assert then is None
