"""Downloads and uploads by signed URLs with a plain HTTP client."""

from __future__ import annotations

import logging
import urllib.request
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from langgraph.checkpoint.serde.base import CipherProtocol
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer

from langgraph_checkpoint_s3 import DecryptionError, InvalidConfigError, InvalidKeyError
from langgraph_checkpoint_s3.admin.signed_urls.api import SignedUrlWarning
from langgraph_checkpoint_s3.admin.signed_urls.download import load_signed_url
from langgraph_checkpoint_s3.admin.transfer.dumps import dumps, loads
from tests.contract.admin.drivers import async_mostly, async_only, sync_mostly, sync_only
from tests.contract.support import MakeCalls, MakeSaver, Place, at, build_thread, checkpoint, metadata, noise
from tests.support.checkpoints import shown
from tests.support.hanging import HANG


class Xor(CipherProtocol):
    """A cipher without security, whose output is no plain text."""

    def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
        return "xor", bytes(byte ^ 7 for byte in plaintext)

    def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
        return bytes(byte ^ 7 for byte in ciphertext)


def id_of(config: Any) -> str:
    found: str = config["configurable"]["checkpoint_id"]
    return found


def fetch(url: str) -> bytes:
    """Download with a plain client."""
    with urllib.request.urlopen(url, timeout=HANG) as answer:
        data: bytes = answer.read()
    return data


def hand_in(url: str, data: bytes) -> None:
    """Upload as `curl --upload-file` does."""
    request = urllib.request.Request(url, data, {"Content-Type": "application/zip"}, method="PUT")
    with urllib.request.urlopen(request, timeout=HANG) as answer:
        assert answer.status == 200


def borrower(saver: Any, thread: str = "borrows") -> Any:
    """Put a chain of checkpoints that borrow from their ancestors. Return the config of the last."""
    config, values = at(thread), dict[str, Any]()
    for step in range(4):
        values[f"c{step}"] = noise(20_000, step)
        config = saver.put(config, checkpoint(values), metadata(step), {f"c{step}": "1"})
    return config


class TestSignedUrls:
    def test_of_a_checkpoint_by_itself(
        self, make_admin: MakeCalls, make_saver: MakeSaver, place: Place
    ) -> None:
        saver = make_saver()
        [config] = build_thread(saver, "user/1", checkpoints=1, tasks=0)
        before = place.listing()
        url = make_admin().signed_url("user/1", id_of(config))
        assert shown(load_signed_url(url)) == shown(saver.get_tuple(config))
        assert shown(loads(fetch(url), thread_id="user/1")) == shown(saver.get_tuple(config))
        assert place.listing() == before

    def test_of_one_that_borrows_and_has_writes(
        self, make_admin: MakeCalls, make_saver: MakeSaver, place: Place
    ) -> None:
        saver = make_saver()
        config = borrower(saver)
        saver.put_writes(config, [("c", 1), ("d", noise(5_000))], "task", "path")
        expected = shown(make_saver().get_tuple(config))
        url = make_admin().signed_url("borrows", id_of(config), timedelta(minutes=5))
        key = urlsplit(url).path.partition("/")[2].partition("/")[2]
        assert key in place.listing("checkpoints/.exports/borrows/")
        saver.delete_thread("borrows")  # what is exported stays
        assert shown(load_signed_url(url)) == expected
        assert shown(loads(fetch(url))) == expected

    @sync_only
    def test_of_a_subgraphs_checkpoint(self, make_admin: MakeCalls, make_saver: MakeSaver) -> None:
        saver = make_saver()
        *_, config = build_thread(saver, "t", ns="node:1|deep", checkpoints=2)
        url = make_admin().signed_url("t", id_of(config), checkpoint_ns="node:1|deep")
        assert shown(load_signed_url(url)) == shown(saver.get_tuple(config))

    @async_only
    def test_of_a_checkpoint_encrypted_by_the_serializer(
        self, make_admin: MakeCalls, make_saver: MakeSaver
    ) -> None:
        serde = EncryptedSerializer(Xor())
        saver = make_saver(serde=serde)
        config = borrower(saver)
        saver.put_writes(config, [("c", "secret text")], "task")
        url = make_admin(serde=serde).signed_url("borrows", id_of(config))
        assert b"secret text" not in fetch(url)
        assert shown(load_signed_url(url, serde=serde)) == shown(saver.get_tuple(config))
        with pytest.raises(DecryptionError, match="serde"):
            load_signed_url(url)

    @async_only
    def test_of_a_checkpoint_encrypted_by_the_store(
        self, make_admin: MakeCalls, make_saver: MakeSaver, place: Place
    ) -> None:
        if not place.server.features.encryption:
            pytest.skip("it doesn't encrypt, or doesn't say so")
        encrypted = {"server_side_encryption": "AES256"}
        saver = make_saver(**encrypted)
        config = borrower(saver)
        url = make_admin(**encrypted).signed_url("borrows", id_of(config))
        assert shown(load_signed_url(url)) == shown(saver.get_tuple(config))
        [key] = place.listing("checkpoints/.exports/")
        head = place.client.head_object(Bucket=place.bucket, Key=key)
        assert head["ServerSideEncryption"] == "AES256"

    @sync_only
    def test_a_missing_checkpoint_has_no_url(self, make_admin: MakeCalls, place: Place) -> None:
        with pytest.raises(InvalidKeyError, match="no checkpoint"):
            make_admin().signed_url("t", "1")
        assert place.listing() == []

    @async_only
    def test_a_url_to_a_deleted_checkpoint(self, make_admin: MakeCalls, make_saver: MakeSaver) -> None:
        saver = make_saver()
        [config] = build_thread(saver, "t", checkpoints=1, tasks=0)
        url = make_admin().signed_url("t", id_of(config))
        saver.delete_thread("t")
        with pytest.raises(InvalidKeyError, match="nothing where"):
            load_signed_url(url)

    @sync_mostly
    def test_the_url_is_in_no_log(
        self, make_admin: MakeCalls, make_saver: MakeSaver, caplog: pytest.LogCaptureFixture
    ) -> None:
        [config] = build_thread(make_saver(), "t", checkpoints=1, tasks=1)
        with caplog.at_level(logging.DEBUG, "langgraph_checkpoint_s3"):
            admin = make_admin()
            url = admin.signed_url("t", id_of(config))
            load_signed_url(url)
            upload = admin.signed_upload_url("t")
        signature = url.rpartition("X-Amz-Signature=")[2]
        assert len(signature) == 64
        ours = [record for record in caplog.records if record.name.startswith("langgraph_checkpoint_s3")]
        assert not any("X-Amz-Signature" in record.getMessage() for record in ours)
        assert "Signature" not in repr(upload)

    @async_mostly
    def test_of_credentials_that_are_temporary(
        self, make_admin: MakeCalls, make_saver: MakeSaver, monkeypatch: pytest.MonkeyPatch, place: Place
    ) -> None:
        [config] = build_thread(make_saver(), "t", checkpoints=1, tasks=0)
        if place.server.features.credentials:
            pytest.skip("it knows no session token")
        monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
        with pytest.warns(SignedUrlWarning, match="temporary"):
            make_admin().signed_url("t", id_of(config))

    def test_a_client_of_version_2_is_refused(
        self, make_admin: MakeCalls, make_saver: MakeSaver, place: Place, front: Any
    ) -> None:
        [config] = build_thread(make_saver(), "t", checkpoints=1, tasks=1)
        client = boto3.session.Session().client("s3", endpoint_url=front.url, region_name="us-east-1")
        with pytest.raises(InvalidConfigError, match="s3v4"):
            make_admin(client=client).signed_url("t", id_of(config))
        client.close()
        assert place.listing("checkpoints/.exports/") == []


class TestHandingIn:
    def test_by_a_plain_put(self, make_admin: MakeCalls, make_saver: MakeSaver, place: Place) -> None:
        saver, admin = make_saver(), make_admin()
        config = borrower(saver)
        saver.put_writes(config, [("c", 1)], "task")
        found = saver.get_tuple(config)
        assert found is not None
        upload = admin.signed_upload_url("support/1", timedelta(minutes=5))
        with pytest.raises(InvalidKeyError, match="no upload under this key"):
            admin.accept_upload(upload)
        hand_in(upload.url, dumps(found))
        imported = admin.accept_upload(upload)
        assert (imported.thread_id, imported.written) == ("support/1", 2)
        accepted = saver.get_tuple(at("support/1"))
        assert accepted is not None
        assert (accepted.checkpoint, accepted.metadata) == (found.checkpoint, found.metadata)
        assert accepted.pending_writes == found.pending_writes
        assert place.listing("checkpoints/.exports/") == []

    @async_only
    def test_a_download_can_be_uploaded_unchanged(self, make_admin: MakeCalls, make_saver: MakeSaver) -> None:
        saver, admin = make_saver(), make_admin()
        *_, config = build_thread(saver, "t", checkpoints=2)
        upload = admin.signed_upload_url("u")
        hand_in(upload.url, fetch(admin.signed_url("t", id_of(config))))
        assert admin.accept_upload(upload.key).written == 3
        (_, parent, *found), (_, old, *expected) = (
            shown(saver.get_tuple(at("u"))),
            shown(saver.get_tuple(config)),
        )
        assert found == expected
        assert parent[1:] == old[1:]
