"""The example of KMS, on moto's, and where KMS answers as it does for keys that are withdrawn."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Iterator

import boto3
import pytest
from botocore.config import Config

from examples import kms
from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.encryption import KmsKeys
from langgraph_checkpoint_s3.testing import FaultServer
from langgraph_checkpoint_s3.testing.faults import Reply
from tests.servers import running


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultServer]:
    """moto, with a fault server before it."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with (
        running("moto", tmp_path_factory.mktemp("moto")) as server,
        FaultServer(server.endpoint_url) as front,
    ):
        yield front


@pytest.fixture(autouse=True)
def bucket(moto: FaultServer, clean_environment: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """AWS, as far as the environment tells: S3 and KMS."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto.url)
    monkeypatch.setenv("S3_BUCKET_NAME", f"kms-{uuid.uuid4().hex}")
    with S3Saver.from_env() as saver:
        saver.setup()
    yield
    moto.reset()


def new_key() -> str:
    client = boto3.client("kms")
    arn: str = client.create_key()["KeyMetadata"]["Arn"]
    client.close()
    return arn


def test_both_ways_and_a_new_key(capsys: pytest.CaptureFixture[str]) -> None:
    old, new = new_key(), new_key()
    thread = kms.main(old, new)
    *lines, with_the_old, with_the_new = capsys.readouterr().out.splitlines()
    assert lines == [
        "You have told me 1 things, first: My name is Ada.",
        f"at rest: aws:kms, {old} by a bucket key",
        "You have told me 1 things, first: My name is Grace.",
        "without the key: nothing to read",
        "You have told me 2 things, first: My name is Grace.",
    ]
    assert with_the_old.startswith("with the old key alone, the key is of no use")
    assert "add its ARN to also_read" in with_the_old
    assert with_the_new == "with the new key alone, 4 messages"  # the newest is all written with it
    assert kms.read(thread, KmsKeys(new, also_read=[old])) == "4 messages"


@pytest.mark.parametrize(
    ("answer", "read", "written"),
    [
        ("DisabledException", "the key is of no use", "InvalidConfigError"),
        ("AccessDeniedException", "may not use the key: kms:Decrypt is missing", "AccessDeniedError"),
        ("KMSInternalException", "KMS doesn't answer", "StorageUnavailableError"),
    ],
)
def test_a_key_that_is_withdrawn(moto: FaultServer, answer: str, read: str, written: str) -> None:
    key = new_key()
    with kms.sealed(KmsKeys(key)) as saver:
        kms.say(saver, "thread", "Hello.")
        before = S3Admin(saver).usage()
    refusal = Reply(
        json.dumps({"__type": answer, "message": "no"}).encode(), 500 if "Internal" in answer else 400
    )
    moto.schedule = lambda seen: refusal if "x-amz-target" in seen.headers else None
    client = boto3.client("kms", config=Config(retries={"total_max_attempts": 1}))
    withdrawn = KmsKeys(key, client=client)
    assert kms.read("thread", withdrawn).startswith(read)
    assert kms.write("another", withdrawn) == f"{written}, and nothing is written"
    client.close()
    with S3Saver.from_env() as saver:
        assert S3Admin(saver).usage() == before
