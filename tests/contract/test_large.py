"""Large states: up in parts, down in ranges, whole or not at all."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from langgraph_checkpoint_s3 import AccessDeniedError, StorageUnavailableError
from tests.contract.front import Answer, Front, HangUp
from tests.contract.support import (
    MIB,
    MakeCalls,
    MakeSaver,
    Place,
    at,
    checkpoint,
    metadata,
    noise,
)
from tests.support import inside
from tests.support.sampling import combined

SIZE = 20 * MIB


def digest(data: bytes) -> str:
    return hashlib.blake2b(data).hexdigest()


class TestLargeStates:
    def test_it_goes_up_in_parts_and_comes_down_in_ranges(
        self, make_calls: MakeCalls, front: Front, place: Place
    ) -> None:
        state = {"raw": noise(SIZE), "text": "small"}
        writer, reader = make_calls(), make_calls()
        writer.put(at(), checkpoint(state), metadata(), {})
        assert front.counts() == {
            "CreateMultipartUpload": 1,
            "UploadPart": 3,
            "HeadObject": 1,  # for stores that ignore conditions on uploads
            "CompleteMultipartUpload": 1,
        }
        front.reset()
        found = reader.get_tuple(at())
        assert digest(found.checkpoint["channel_values"]["raw"]) == digest(state["raw"])  # type: ignore[arg-type]  # values are untyped
        assert found.checkpoint["channel_values"]["text"] == "small"
        assert front.counts() == {"ListObjectsV2": 1, "GetObject": 3}
        ranges = sorted(seen.headers["range"] for seen in front.log if seen.operation == "GetObject")
        part = -(-sum(place.sizes().values()) // 3)
        assert ranges[0] == f"bytes=0-{part - 1}"
        with front.counted() as counts:
            reader.get_tuple(at())
        assert counts == {"ListObjectsV2": 1}  # they fit into the cache
        assert place.uploads() == []

    def test_parts_wait_for_the_stores_consent(self, make_calls: MakeCalls, front: Front) -> None:
        """`Expect: 100-continue` stays where boto3 sends it: a refusal saves sending 8 MiB."""
        calls = make_calls(transport="sdk")
        calls.put(at(), checkpoint({"raw": noise(6 * MIB)}), metadata(), {})
        [part] = [seen for seen in front.log if seen.operation == "UploadPart"]
        if not calls.asynchronous:
            assert part.headers.get("expect") == "100-continue"

    @combined(
        operation=["UploadPart", "CompleteMultipartUpload"],
        error={
            "403": (Answer(403, "AccessDenied"), AccessDeniedError),
            "500": (Answer(500, "InternalError"), StorageUnavailableError),
            "reset": (HangUp(), StorageUnavailableError),
        },
        driver=["sync", "async"],
    )
    def test_a_failure_aborts_the_upload(
        self,
        make_calls: MakeCalls,
        place: Place,
        operation: str,
        error: tuple[Answer | HangUp, type[Exception]],
    ) -> None:
        fault, kind = error
        calls = make_calls(max_attempts=1, multipart_part_size=5 * MIB)
        place.front.fail(operation, fault, times=9)  # aiohttp itself sends a PUT again that was hung up on
        with pytest.raises(kind):
            calls.put(at(), checkpoint({"raw": noise(11 * MIB)}), metadata(), {})
        assert place.front.counts()["AbortMultipartUpload"] == 1
        assert place.uploads() == []
        assert place.listing() == []
        assert calls.get_tuple(at()) is None

    def test_an_upload_that_cannot_be_aborted_is_named(self, make_calls: MakeCalls, place: Place) -> None:
        place.front.fail("UploadPart", Answer(500, "InternalError"), times=9)
        place.front.fail("AbortMultipartUpload", Answer(500, "InternalError"), times=9)
        with pytest.raises(StorageUnavailableError) as caught:
            make_calls(max_attempts=1).put(at(), checkpoint({"raw": noise(6 * MIB)}), metadata(), {})
        assert "InternalError" in str(caught.value)
        notes: list[str] = getattr(caught.value, "__notes__", [])
        if hasattr(caught.value, "add_note"):
            assert "lifecycle" in notes[0]
        [upload] = place.client.list_multipart_uploads(Bucket=place.bucket)["Uploads"]
        place.client.abort_multipart_upload(
            Bucket=place.bucket, Key=upload["Key"], UploadId=upload["UploadId"]
        )

    def test_a_part_is_tried_again(self, make_calls: MakeCalls, place: Place) -> None:
        calls = make_calls()
        state = {"raw": noise(6 * MIB)}
        place.front.fail("UploadPart", Answer(503, "SlowDown"))
        calls.put(at(), checkpoint(state), metadata(), {})
        assert place.front.counts()["UploadPart"] == 2
        inside.shared(calls.saver).cache.clear()
        assert calls.get_tuple(at()).checkpoint["channel_values"] == state

    def test_a_large_write_is_first_wins_too(
        self, make_calls: MakeCalls, make_saver: MakeSaver, place: Place
    ) -> None:
        one, other = make_calls(), make_saver()
        config = one.put(at(), checkpoint(), metadata(), {})
        first, second = noise(6 * MIB, 1), noise(6 * MIB, 2)
        one.put_writes(config, [("raw", first)], "task")
        place.front.reset()
        other.put_writes(config, [("raw", second)], "task")
        # It is there, and isn't left to a store that ignores conditions on uploads.
        assert place.front.counts() == {
            "CreateMultipartUpload": 1,
            "UploadPart": 1,
            "HeadObject": 1,
            "AbortMultipartUpload": 1,
        }
        [(_, _, found)] = make_saver().get_tuple(at()).pending_writes or []  # type: ignore[union-attr]  # it isn't `None`
        assert digest(found) == digest(first)
        assert place.uploads() == []

    def test_two_large_writes_at_once(self, make_calls: MakeCalls, place: Place) -> None:
        """The other one arrives between our look and our upload's end."""
        if not place.server.features.conditional_multipart:
            pytest.skip("no conditional uploads here")
        calls, other = make_calls(), make_calls()
        config = calls.put(at(), checkpoint(), metadata(), {})
        first, second = noise(6 * MIB, 1), noise(6 * MIB, 2)
        other.put_writes(config, [("raw", first)], "task")
        [key] = [key for key in place.listing() if "/writes." in key]
        place.front.fail("HeadObject", Answer(404, "NotFound"))
        calls.put_writes(config, [("raw", second)], "task")
        assert place.uploads() == []
        [(_, _, found)] = make_calls().get_tuple(at()).pending_writes
        assert digest(found) == digest(first)
        assert key in place.listing()

    def test_an_object_that_is_overwritten_while_it_is_read(
        self, make_calls: MakeCalls, make_saver: MakeSaver, place: Place
    ) -> None:
        """Ranges of two versions don't make an object: it is read again, and is one of the two."""
        writer = make_saver(multipart_part_size=5 * MIB)
        made = checkpoint({"raw": noise(11 * MIB, 1)})
        replacement = {**made, "channel_values": {"raw": noise(11 * MIB, 2)}}
        writer.put(at(), made, metadata(), {})
        [key] = place.listing()
        make_saver(prefix="other/").put(at(), replacement, metadata(), {})  # type: ignore[arg-type]  # a plain dict
        [other] = set(place.listing()) - {key}
        reader = make_calls(multipart_part_size=5 * MIB, max_concurrency=1)
        if reader.asynchronous:
            pytest.skip("the writer would block the reader's loop")
        heard: list[str] = []
        breaker: Any = inside.shared(reader.saver).breaker
        real = breaker.succeeded

        def succeeded() -> None:
            """Overwrite it once its first range has come: the answer before that was the listing."""
            real()
            heard.append("")
            if len(heard) == 2:
                place.client.copy_object(
                    Bucket=place.bucket, Key=key, CopySource={"Bucket": place.bucket, "Key": other}
                )

        breaker.succeeded = succeeded
        found = reader.get_tuple(at()).checkpoint["channel_values"]["raw"]
        assert len(heard) > 3
        assert digest(found) == digest(replacement["channel_values"]["raw"])  # type: ignore[index]  # a plain dict
