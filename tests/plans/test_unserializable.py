"""A value that the serializer refuses: the error keeps its type, and its notes say where the value is."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from langgraph_checkpoint_s3 import S3Saver
from tests.support.checkpoints import make_checkpoint, place
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver


class Mine:
    """A type that msgpack doesn't know."""


def put(saver: S3Saver) -> None:
    checkpoint = make_checkpoint("00000001", {"fine": 1, "basket": Mine()})
    saver.put(place("customer-42"), checkpoint, {}, checkpoint["channel_versions"])


def put_writes(saver: S3Saver) -> None:
    saver.put_writes(place("customer-42", "00000001"), [("fine", 1), ("basket", Mine())], "task")


@pytest.mark.parametrize("write", [put, put_writes])
def test_it_is_said_which_channel_and_thread_it_is_of(write: Any) -> None:
    fake = FakeS3()
    with pytest.raises(TypeError, match="Mine") as caught:
        write(make_saver(fake))
    notes = " ".join(getattr(caught.value, "__notes__", ()))
    named = sys.version_info >= (3, 11)
    assert ("channel 'basket'" in notes) == named
    assert ("thread 'customer-42'" in notes and "checkpoint '00000001'" in notes) == named
    assert not fake.keys()
