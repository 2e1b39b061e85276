"""Envelope encryption by KMS, as moto and LocalStack have it: what lies in the bucket opens with it alone."""

from __future__ import annotations

import base64
import logging
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from langgraph_checkpoint_s3 import DecryptionError, InvalidConfigError, StorageUnavailableError
from langgraph_checkpoint_s3.encryption import KmsKeys
from langgraph_checkpoint_s3.format.container import object_key_ref
from tests.contract.admin.drivers import async_mostly, sync_mostly
from tests.contract.front import HangUp, Park
from tests.contract.support import MakeCalls, Place, at, build_thread
from tests.contract.test_secrets import texts_of
from tests.support import inside


@pytest.fixture
def kms(place: Place) -> Iterator[Any]:
    """A client of the store's KMS."""
    if place.server.name not in ("moto", "localstack"):
        pytest.skip("no KMS here")
    client = boto3.session.Session().client(
        "kms", endpoint_url=place.server.endpoint_url, region_name=place.server.region
    )
    yield client
    client.close()


@pytest.fixture
def keys(place: Place, kms: Any) -> Iterator[KmsKeys]:
    """Keys under a new master key."""
    arn = kms.create_key()["KeyMetadata"]["Arn"]
    made = KmsKeys(arn, endpoint_url=place.server.endpoint_url)
    yield made
    made.close()


class TestKms:
    def test_threads_are_read_by_those_who_may_use_the_key(
        self, make_calls: MakeCalls, keys: KmsKeys, place: Place, kms: Any
    ) -> None:
        build_thread(make_calls(encryption=keys))
        refs = {object_key_ref(place.read(key)) for key in place.objects()}
        [ref] = refs
        assert ref is not None
        assert ref.id == keys._keys[0]
        unwrapped = kms.decrypt(
            CiphertextBlob=ref.wrapped, EncryptionContext={"purpose": "langgraph-checkpoint-s3"}
        )
        assert unwrapped["KeyId"] == ref.id
        reader = KmsKeys(ref.id, endpoint_url=place.server.endpoint_url)
        assert len(make_calls(encryption=reader).list(at())) == 3
        reader.close()

    def test_kms_is_asked_as_seldom_as_it_can_be(
        self, make_calls: MakeCalls, keys: KmsKeys, kms: Any
    ) -> None:
        """A writer asks each `cache_seconds`, a reader once in them for each data key."""
        asked: Counter[str] = Counter()
        kms.meta.events.register("before-call.kms", lambda model, **_: asked.update([model.name]))
        counted = KmsKeys(keys._keys[0], client=kms, cache_seconds=60)
        now = 0.0
        writer, reader = make_calls(encryption=counted), make_calls(encryption=counted)
        for each in (writer, reader):
            inside.key_cache(each.saver)._clock = lambda: now
        build_thread(writer)
        now = 59
        build_thread(writer)
        assert asked == {"GenerateDataKey": 1}
        now = 60
        build_thread(writer)
        assert asked == {"GenerateDataKey": 2}
        for _ in range(2):
            assert len(reader.list(at())) == 9
        assert asked == {"GenerateDataKey": 2, "Decrypt": 2}
        now = 120
        reader.list(at())
        assert asked == {"GenerateDataKey": 2, "Decrypt": 4}

    @pytest.mark.parametrize("fault", [None, HangUp, Park], ids=["nobody", "hangs up", "never answers"])
    def test_nothing_is_written_without_an_answer(
        self,
        make_calls: MakeCalls,
        keys: KmsKeys,
        place: Place,
        fault: type[HangUp | Park] | None,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        answers = threading.Event()
        monkeypatch.setenv("AWS_SESSION_TOKEN", "canary-of-the-session-token")
        with socket.create_server(("127.0.0.1", 0)) as listening:
            nowhere = f"http://127.0.0.1:{listening.getsockname()[1]}"
        place.front.schedule = lambda _: Park(answers) if fault is Park else HangUp()
        client = boto3.session.Session().client(
            "kms",
            endpoint_url=place.front.url if fault else nowhere,
            region_name=place.server.region,
            config=Config(retries={"total_max_attempts": 1}, read_timeout=0.1),
        )
        calls = make_calls(encryption=KmsKeys(keys._keys[0], client=client))
        with pytest.raises(StorageUnavailableError, match="AWS KMS can't be reached") as caught:
            build_thread(calls)
        answers.set()
        assert place.objects() == {}
        for text in texts_of(caught.value):
            assert "canary" not in text
        client.close()

    @sync_mostly
    def test_another_master_key_takes_over(
        self, make_calls: MakeCalls, keys: KmsKeys, place: Place, kms: Any
    ) -> None:
        build_thread(make_calls(encryption=keys))
        old, new = keys._keys[0], kms.create_key()["KeyMetadata"]["Arn"]
        both = KmsKeys(new, also_read=[old], endpoint_url=place.server.endpoint_url)
        calls = make_calls(encryption=both)
        assert len(calls.list(at())) == 3
        build_thread(calls, "u")
        assert {found.id for key in place.objects() if (found := object_key_ref(place.read(key)))} == {
            old,
            new,
        }
        only = KmsKeys(new, endpoint_url=place.server.endpoint_url)
        with pytest.raises(DecryptionError, match="add its ARN to also_read") as caught:
            make_calls(encryption=only).get_tuple(at())
        assert old in str(caught.value)
        assert caught.value.key in place.objects()
        both.close()
        only.close()

    def test_a_disabled_key_is_an_error(
        self, make_calls: MakeCalls, keys: KmsKeys, place: Place, kms: Any
    ) -> None:
        if place.server.name == "moto":
            pytest.skip("moto unwraps with disabled keys too")
        calls = make_calls(encryption=keys)
        build_thread(calls)
        key_id = keys._keys[0].partition("key/")[2]
        kms.disable_key(KeyId=key_id)
        before = place.objects()
        fresh = KmsKeys(keys._keys[0], endpoint_url=place.server.endpoint_url)
        reader = make_calls(encryption=fresh)
        with pytest.raises(DecryptionError, match="kms:EnableKey"):
            reader.get_tuple(at())
        with pytest.raises(InvalidConfigError, match="kms:EnableKey"):
            build_thread(reader, "u")
        assert place.objects() == before
        assert calls.get_tuple(at())  # who has it goes on for `cache_seconds`
        kms.enable_key(KeyId=key_id)
        assert reader.get_tuple(at())
        fresh.close()

    @async_mostly
    def test_names_are_hashed_with_a_wrapped_key(
        self, make_calls: MakeCalls, keys: KmsKeys, place: Place
    ) -> None:
        wrapped = keys.new_names_key()
        made = KmsKeys(keys._keys[0], names_key=wrapped, endpoint_url=place.server.endpoint_url)
        build_thread(make_calls(encryption=made, private_keys=True), "customer-42")
        assert not any("customer" in key for key in place.objects())
        again = KmsKeys(keys._keys[0], names_key=wrapped, endpoint_url=place.server.endpoint_url)
        assert len(make_calls(encryption=again, private_keys=True).list(at("customer-42"))) == 3
        made.close()
        again.close()


def test_no_data_key_is_in_a_log_line(keys: KmsKeys, caplog: pytest.LogCaptureFixture) -> None:
    """botocore's logger at DEBUG tells answers as they came."""
    caplog.set_level(logging.DEBUG)
    made = keys.current()
    assert keys.unlock(made.ref) == made.secret
    assert "kms" in caplog.text
    assert base64.b64encode(made.secret).decode() not in caplog.text
    assert repr(made.secret)[2:-1] not in caplog.text
