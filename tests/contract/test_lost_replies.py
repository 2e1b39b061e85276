"""Writes that were done and not answered: sent again, they are told that they are there already."""

from __future__ import annotations

import pytest

from langgraph_checkpoint_s3 import StorageUnavailableError
from tests.contract.front import Answer, Fault, HangUp
from tests.contract.support import MIB, Calls, MakeCalls, MakeSaver, Place, at, checkpoint, metadata, noise
from tests.support.pauses import shorten_pauses

LOST = {"reset": HangUp(applied=True), "500": Answer(500, "InternalError", applied=True)}
LARGE = noise(6 * MIB)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_pauses(monkeypatch, 0.01)


def lose_completion(place: Place, fault: Fault) -> None:
    """The upload is gone when it is completed again; moto would answer as it did the first time."""
    place.front.fail("CompleteMultipartUpload", fault)
    place.front.fail("CompleteMultipartUpload", Answer(404, "NoSuchUpload"))


@pytest.mark.parametrize("fault", LOST.values(), ids=LOST)
class TestALostReply:
    def test_of_put(self, calls: Calls, make_saver: MakeSaver, place: Place, fault: Fault) -> None:
        place.front.fail("PutObject", fault)
        mine = checkpoint()
        config = calls.put(at(), mine, metadata(), {})
        assert len(place.listing()) == 1
        [shown] = make_saver().list(at())
        assert (shown.config, shown.checkpoint) == (config, mine)

    def test_of_put_in_parts(self, calls: Calls, make_saver: MakeSaver, place: Place, fault: Fault) -> None:
        lose_completion(place, fault)
        mine = checkpoint({"raw": LARGE})
        calls.put(at(), mine, metadata(), {})
        assert (len(place.listing()), place.uploads()) == (1, [])
        [shown] = make_saver().list(at())
        assert shown.checkpoint == mine

    def test_of_writes_in_parts(
        self, calls: Calls, make_saver: MakeSaver, place: Place, fault: Fault
    ) -> None:
        config = calls.put(at(), checkpoint(), metadata(), {})
        lose_completion(place, fault)
        calls.put_writes(config, [("a", LARGE)], "task")
        assert (len(place.listing()), place.uploads()) == (2, [])
        found = make_saver().get_tuple(at())
        assert found is not None
        assert found.pending_writes == [("task", "a", LARGE)]

    def test_of_special_writes_in_parts(
        self, calls: Calls, make_saver: MakeSaver, place: Place, fault: Fault
    ) -> None:
        """They are unconditional, so nothing but the upload itself says that it was completed."""
        config = calls.put(at(), checkpoint(), metadata(), {})
        lose_completion(place, fault)
        calls.put_writes(config, [("__error__", LARGE)], "task")
        assert (len(place.listing()), place.uploads()) == (2, [])
        found = make_saver().get_tuple(at())
        assert found is not None
        assert found.pending_writes == [("task", "__error__", LARGE)]

    @pytest.mark.parametrize("mixed", [False, True], ids=["regular", "with a special one"])
    def test_of_writes(
        self, calls: Calls, make_saver: MakeSaver, place: Place, fault: Fault, mixed: bool
    ) -> None:
        """A refused write is stored already. A special write is sent again, and shows once."""
        config = calls.put(at(), checkpoint(), metadata(), {})
        place.front.fail("PutObject", fault)
        special = [("__error__", "mine")] * mixed
        calls.put_writes(config, [("a", "mine"), *special], "task")
        found = make_saver().get_tuple(at())
        assert found is not None
        assert sorted(found.pending_writes or ()) == [
            *(("task", channel, value) for channel, value in special),
            ("task", "a", "mine"),
        ]

    def test_is_never_taken_for_somebody_elses(
        self, calls: Calls, make_saver: MakeSaver, place: Place, fault: Fault
    ) -> None:
        """The other's is there first; the caller's regular write is refused, its special one counts."""
        if not place.server.features.conditional_put:
            pytest.skip("no conditions here")
        config = calls.put(at(), checkpoint(), metadata(), {})
        make_saver().put_writes(config, [("a", "first"), ("__error__", "first")], "task")
        place.front.fail("PutObject", fault)
        calls.put_writes(config, [("a", "mine"), ("__error__", "mine")], "task")
        found = make_saver().get_tuple(at())
        assert found is not None
        assert sorted(found.pending_writes or ()) == [("task", "__error__", "mine"), ("task", "a", "first")]


def test_an_upload_that_was_aborted_is_an_error(make_calls: MakeCalls, place: Place) -> None:
    place.front.fail("CompleteMultipartUpload", Answer(404, "NoSuchUpload"), times=100)
    with pytest.raises(StorageUnavailableError, match="Try again") as caught:
        make_calls().put(at(), checkpoint({"raw": LARGE}), metadata(), {})
    assert caught.value.key
    assert (place.listing(), place.uploads()) == ([], [])
