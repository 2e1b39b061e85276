"""An object is replaced where it is what was read: stores differ in what they make of `If-Match`."""

from __future__ import annotations

from typing import Any

import pytest

from langgraph_checkpoint_s3.plans.transfer import Sizes, overwrite
from tests.contract.support import MIB, Calls, Place, at, checkpoint, metadata, noise
from tests.support import inside

SIZES = Sizes(multipart_threshold=6 * MIB, part_size=5 * MIB)
BODIES = pytest.mark.parametrize("body", [b"another one", noise(7 * MIB)], ids=["one PUT", "in parts"])


def replace(calls: Calls, key: str, body: bytes, etag: str) -> bool:
    plan = overwrite(key, body, SIZES, etag)
    store: Any = inside.store(calls.saver)
    done: bool = calls.run(store.arun(plan, "test")) if calls.asynchronous else store.run(plan, "test")
    return done


def first(calls: Calls, place: Place) -> tuple[str, str]:
    """An object, and its ETag as the saver knows it."""
    calls.put(at(), checkpoint(), metadata(), {})
    [(key, etag)] = place.objects().items()
    return key, etag.strip('"')


def read(place: Place, key: str) -> bytes:
    return place.client.get_object(Bucket=place.bucket, Key=key)["Body"].read()


@BODIES
class TestRewriting:
    def test_what_is_as_it_was_read_is_replaced(self, calls: Calls, place: Place, body: bytes) -> None:
        key, etag = first(calls, place)
        assert replace(calls, key, body, etag)
        assert read(place, key) == body
        [etag] = (each.strip('"') for each in place.objects().values())
        assert replace(calls, key, body + b"!", etag)  # an upload's ETag is of another kind
        assert read(place, key) == body + b"!"
        assert place.uploads() == []

    def test_what_is_another_one_or_gone_is_left_alone(self, calls: Calls, place: Place, body: bytes) -> None:
        if len(body) < SIZES.multipart_threshold and not place.server.features.conditional_put:
            pytest.skip("no conditional writes here")
        key, etag = first(calls, place)
        place.client.put_object(Bucket=place.bucket, Key=key, Body=b"somebody else's")
        assert not replace(calls, key, body, etag)
        assert read(place, key) == b"somebody else's"
        place.client.delete_object(Bucket=place.bucket, Key=key)
        assert not replace(calls, key, body, etag)
        assert place.listing() == []
        assert place.uploads() == []
