"""Envelope encryption by KMS, as moto and LocalStack have it: what lies in the bucket opens with it alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from langgraph_checkpoint_s3 import DecryptionError, InvalidConfigError
from langgraph_checkpoint_s3.encryption import KmsKeys
from langgraph_checkpoint_s3.objects.format import sealed_with
from tests.contract.support import MakeCalls, Place, at, build_thread


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
        refs = {sealed_with(place.read(key)) for key in place.objects()}
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

    def test_another_master_key_takes_over(
        self, make_calls: MakeCalls, keys: KmsKeys, place: Place, kms: Any
    ) -> None:
        build_thread(make_calls(encryption=keys))
        old, new = keys._keys[0], kms.create_key()["KeyMetadata"]["Arn"]
        both = KmsKeys(new, also_read=[old], endpoint_url=place.server.endpoint_url)
        calls = make_calls(encryption=both)
        assert len(calls.list(at())) == 3
        build_thread(calls, "u")
        assert {found.id for key in place.objects() if (found := sealed_with(place.read(key)))} == {old, new}
        only = KmsKeys(new, endpoint_url=place.server.endpoint_url)
        with pytest.raises(DecryptionError, match="add its ARN to also_read") as caught:
            make_calls(encryption=only).get_tuple(at())
        assert old in str(caught.value)
        assert caught.value.key in place.objects()
        both.close()
        only.close()

    def test_a_disabled_key_is_told(
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
