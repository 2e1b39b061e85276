"""The example of KMS where keys can really be disabled: on LocalStack."""

from __future__ import annotations

from typing import Any

import pytest

from examples import kms as example
from langgraph_checkpoint_s3.encryption import KmsKeys
from tests.contract.support import Place
from tests.contract.test_kms import kms

__all__ = ["kms"]


def test_a_key_that_is_disabled(
    place: Place, kms: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", place.server.endpoint_url)
    monkeypatch.setenv("AWS_REGION", place.server.region)
    monkeypatch.setenv("AWS_DEFAULT_REGION", place.server.region)
    monkeypatch.setenv("S3_BUCKET_NAME", place.bucket)
    old, new = (kms.create_key()["KeyMetadata"]["Arn"] for _ in range(2))
    thread = example.main(old, new)
    assert f"at rest: aws:kms, {old} by a bucket key" in capsys.readouterr().out.splitlines()
    keys = KmsKeys(new)
    kms.disable_key(KeyId=new.rpartition("/")[2])
    assert "enable it (kms:EnableKey)" in example.read(thread, keys)
    before = place.objects()
    assert example.write("another", keys) == "InvalidConfigError, and nothing is written"
    assert place.objects() == before
    kms.enable_key(KeyId=new.rpartition("/")[2])
    assert example.read(thread, keys) == "4 messages"
