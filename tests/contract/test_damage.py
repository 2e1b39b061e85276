"""Damaged objects, deletions that fail and bad input: told, with nothing written and nothing lost."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from langgraph_checkpoint_s3 import (
    AccessDeniedError,
    CheckpointArchivedError,
    CorruptObjectError,
    InvalidConfigError,
    InvalidKeyError,
    S3CheckpointError,
    StorageUnavailableError,
)
from tests.contract.admin.drivers import async_mostly
from tests.contract.front import Answer, Flip, Front, Reply
from tests.contract.operations import ALL, READS, Call
from tests.contract.support import (
    Calls,
    MakeCalls,
    MakeSaver,
    Place,
    at,
    build_thread,
    checkpoint,
    metadata,
    noise,
)
from tests.support.sampling import combined, sample


def flipped(body: bytes, at_byte: int) -> bytes:
    at_byte %= len(body)
    return body[:at_byte] + bytes([body[at_byte] ^ 1]) + body[at_byte + 1 :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda body: b"",
    "only a few bytes": lambda body: body[:10],
    "cut in the header": lambda body: body[:100],
    "cut at the end": lambda body: body[:-1],
    "too long": lambda body: body + b"x",
    "foreign": lambda body: b'{"not": "ours"}' * 100,
    "another version": lambda body: body[:4] + bytes([2]) + body[5:],
    "a bit of the length": lambda body: flipped(body, 9),
    "a bit of the header": lambda body: flipped(body, 60),
    "a bit of the last frame": lambda body: flipped(body, -1),
}


class TestDamage:
    """An object that can't be trusted is an error with its key, never an absent or empty checkpoint."""

    @combined(read=["get_tuple", "list"], what=["checkpoint", "writes"], driver=["sync", "async"])
    def test_a_damaged_object(
        self, make_calls: MakeCalls, make_saver: MakeSaver, place: Place, read: str, what: str
    ) -> None:
        build_thread(make_saver(), checkpoints=1, tasks=2)
        key = next(key for key in place.listing() if f"/{what}." in key)
        sound = place.read(key)
        calls = make_calls()
        for name, damage in DAMAGES.items():
            place.write(key, damage(sound))
            before = place.objects()
            with pytest.raises(CorruptObjectError) as caught:
                READS[read](calls)
            assert (caught.value.bucket, caught.value.key) == (place.bucket, key), name
            assert key in str(caught.value)
            assert place.objects() == before
        place.write(key, sound)
        assert READS[read](calls)

    @pytest.mark.parametrize("read", ["list filtered", "history"])
    def test_a_damaged_head(
        self, make_calls: MakeCalls, make_saver: MakeSaver, place: Place, read: str
    ) -> None:
        build_thread(make_saver(), checkpoints=3, tasks=0)
        key = place.listing()[1]
        sound = place.read(key)
        calls = make_calls()
        for damage in ("empty", "foreign", "another version", "a bit of the header"):
            place.write(key, DAMAGES[damage](sound))
            with pytest.raises(CorruptObjectError) as caught:
                READS[read](calls)
            assert (caught.value.bucket, caught.value.key) == (place.bucket, key), damage

    def test_a_checkpoint_under_another_ones_key(
        self, make_calls: MakeCalls, make_saver: MakeSaver, place: Place
    ) -> None:
        build_thread(make_saver(), checkpoints=2, tasks=0)
        newest, oldest = place.listing()
        place.write(newest, place.read(oldest))
        with pytest.raises(CorruptObjectError, match="another one's key") as caught:
            READS["get_tuple"](make_calls())
        assert caught.value.key == newest

    def test_a_foreign_key_in_a_threads_folder(
        self, make_calls: MakeCalls, make_saver: MakeSaver, place: Place
    ) -> None:
        build_thread(make_saver(), checkpoints=1)
        folder = place.listing()[0].rpartition("/")[0]
        place.write(f"{folder}/a-note.txt", b"note")
        for name in ("get_tuple", "list", "delete_thread"):
            with pytest.raises(CorruptObjectError) as caught:
                ALL[name](make_calls())
            assert (caught.value.bucket, caught.value.key) == (place.bucket, f"{folder}/a-note.txt")
        place.client.delete_object(Bucket=place.bucket, Key=f"{folder}/a-note.txt")
        assert make_calls().get_tuple(at())

    def test_what_lies_beside_the_threads_is_passed_over(
        self, make_calls: MakeCalls, make_saver: MakeSaver, place: Place
    ) -> None:
        build_thread(make_saver(), checkpoints=1)
        place.write("checkpoints/readme.txt", b"note")
        place.write("checkpoints/thread/readme.txt", b"note")
        calls = make_calls()
        assert len(calls.list(None)) == 1
        calls.delete_thread("thread")
        assert place.listing() == ["checkpoints/readme.txt", "checkpoints/thread/readme.txt"]

    def test_a_byte_that_turned_on_the_way_is_read_anew(
        self, make_calls: MakeCalls, make_saver: MakeSaver, front: Front
    ) -> None:
        """The store has the right bytes; what came over the wire once must not stay."""
        build_thread(make_saver(), checkpoints=1, tasks=0)
        reader = make_calls()
        front.fail("GetObject", Flip(-1))
        with pytest.raises(CorruptObjectError):
            reader.get_tuple(at())
        assert reader.get_tuple(at()).checkpoint["channel_values"]["text"] == "step 0"

    def test_an_archived_object(self, make_calls: MakeCalls, make_saver: MakeSaver, place: Place) -> None:
        build_thread(make_saver(), checkpoints=1, tasks=0)
        place.front.fail("GetObject", Answer(403, "InvalidObjectState"), times=100)
        for name in ("get_tuple", "list", "list filtered"):
            with pytest.raises(CheckpointArchivedError, match="restore") as caught:
                READS[name](make_calls())
            assert (caught.value.bucket, caught.value.key) == (place.bucket, place.listing()[0])


class TestDeletion:
    @async_mostly
    def test_errors_of_single_keys_are_raised(
        self, make_calls: MakeCalls, make_saver: MakeSaver, place: Place
    ) -> None:
        build_thread(make_saver(), checkpoints=2, tasks=0)
        [one, other] = place.listing()
        for code, kind in (("AccessDenied", AccessDeniedError), ("InternalError", StorageUnavailableError)):
            error = f"<Error><Key>{one}</Key><Code>{code}</Code><Message>m</Message></Error>"
            done = f"<Deleted><Key>{other}</Key></Deleted>"
            reply = Reply(f"<DeleteResult>{error}{done}</DeleteResult>".encode())
            place.front.fail("DeleteObjects", reply, times=5)
            with pytest.raises(kind, match="1 of 2 objects could not be deleted") as caught:
                make_calls().delete_thread("thread")
            assert isinstance(caught.value, S3CheckpointError)
            assert (caught.value.bucket, caught.value.key) == (place.bucket, one)
            place.front.reset()
        make_calls().delete_thread("thread")
        assert place.listing() == []

    def test_an_unknown_strategy_deletes_nothing(self, calls: Calls, place: Place) -> None:
        build_thread(calls)
        before = place.objects()
        with pytest.raises(InvalidConfigError, match="keep_latest"):
            calls.prune(["thread"], strategy="everything")
        assert place.objects() == before


class Unserializable:
    def __reduce__(self) -> Any:
        raise TypeError("no")


IMPOSSIBLE: list[Call] = [
    lambda calls: calls.get_tuple({"configurable": {}}),
    lambda calls: calls.get_tuple({}),
    lambda calls: calls.list({"configurable": {"checkpoint_ns": ""}}),
    lambda calls: calls.put({"configurable": {"checkpoint_ns": ""}}, checkpoint(), metadata(), {}),
    lambda calls: calls.put(at("a\ud800"), checkpoint(), metadata(), {}),
    lambda calls: calls.put(at(), checkpoint(checkpoint_id="i" * 128), metadata(), {}),
    lambda calls: calls.put(at(), checkpoint(checkpoint_id="ü" * 64), metadata(), {}),
    lambda calls: calls.put(at(checkpoint_id="p" * 250), checkpoint(), metadata(), {}),
    lambda calls: calls.put_writes(at(), [("a", 1)], "task"),
    lambda calls: calls.put_writes(at(checkpoint_id="i" * 128), [("a", 1)], "task"),
    lambda calls: calls.delete_thread(""),
    lambda calls: calls.copy_thread("thread", ""),
    lambda calls: calls.prune(["thread", ""]),
]


class TestBadInput:
    """Values that can't be stored are refused before a request is sent."""

    def test_ids_that_cannot_be_keys(self, calls: Calls, place: Place) -> None:
        build_thread(calls, checkpoints=1)
        before = place.objects()
        place.front.reset()
        for call in IMPOSSIBLE:
            with pytest.raises(InvalidKeyError) as caught:
                call(calls)
            assert isinstance(caught.value, ValueError)
        assert set(place.front.counts()) <= {"ListObjectsV2"}
        assert place.objects() == before

    def test_values_that_cannot_be_serialized(self, calls: Calls, front: Front) -> None:
        with pytest.raises(TypeError):
            calls.put(at(), checkpoint({"good": 1, "bad": Unserializable()}), metadata(), {})
        with pytest.raises(TypeError):
            calls.put_writes(at(checkpoint_id="1"), [("good", 1), ("bad", Unserializable())], "task")
        assert front.log == []


DAMAGED_TOMBSTONES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda body: b"",
    "cut": lambda body: body[:-1],
    "too long": lambda body: body + b"x",
    "foreign": lambda body: b'{"not": "ours"}' * 100,
    **{f"a bit of byte {number}": partial(flipped, at_byte=number) for number in sample(range(0, 120, 5), 8)},
}


class TestDamagedTombstones:
    """A name that can't be read may be a lender's: then nothing borrows, and nothing is deleted."""

    def line(self, calls: Calls) -> Any:
        """A line of checkpoints that borrow, the first of which is gone; the last one's config."""
        config: Any = at()
        for step in range(3):
            made = checkpoint({"documents": noise(20_000), "step": step})
            config = calls.put(config, made, metadata(step, run_id=f"run-{step}"), {"step": "1"})
        calls.delete_for_runs(["run-0"])
        return config

    def put(self, calls: Calls, config: Any) -> Any:
        return calls.put(config, checkpoint({"documents": noise(20_000)}), metadata(9), {})

    @pytest.mark.parametrize("operation", ["put", "delete_for_runs"])
    def test_on_their_way_they_are_read_once_more(self, calls: Calls, front: Front, operation: str) -> None:
        config = self.line(calls)
        calls.get_tuple(config)  # so that the next one borrows
        front.reset()
        front.fail("GetObject", Flip(3))
        front.fail("GetObject", Flip(200))
        if operation == "put":
            config = self.put(calls, config)
        else:
            calls.delete_for_runs(["run-1"])
        assert front.counts()["GetObject"] >= 3
        found = calls.get_tuple(config)
        assert found.checkpoint["channel_values"]["documents"] == noise(20_000)

    def test_at_rest_they_are_an_error_that_names_them(
        self, calls: Calls, place: Place, front: Front
    ) -> None:
        config = self.line(calls)
        [key] = place.listing("checkpoints/.deleted/")
        sound = place.read(key)
        for name, damage in DAMAGED_TOMBSTONES.items():
            calls.get_tuple(config)
            place.write(key, damage(sound))
            before = place.listing("checkpoints/thread.thread/")
            front.reset()
            with pytest.raises(CorruptObjectError, match="tombstones can't be read") as caught:
                self.put(calls, config)
            assert caught.value.key == key, name
            with pytest.raises(CorruptObjectError, match="tombstones can't be read") as caught:
                calls.delete_for_runs(["run-1"])
            assert caught.value.key == key, name
            assert "DeleteObjects" not in front.counts(), name
            assert set(before) <= set(place.listing("checkpoints/thread.thread/")), name
