"""How far up the line of parents a reader goes for what lenders don't give: so far, and never in a circle."""

from __future__ import annotations

from typing import Any

import pytest

from langgraph_checkpoint_s3 import CorruptObjectError
from langgraph_checkpoint_s3.objects.format import join
from langgraph_checkpoint_s3.objects.header import pack_header, seal_header
from langgraph_checkpoint_s3.objects.values import pack_frames
from langgraph_checkpoint_s3.s3.requests import GetObject
from tests.plans.borrowers import key_of, lenders, opened
from tests.plans.test_lenders_gone import on_its_way, same, told
from tests.support.checkpoints import place
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver

pytestmark = pytest.mark.modes("plain", "private")

FIRST = "/cfcez/checkpoint"


@pytest.fixture
def bound(monkeypatch: pytest.MonkeyPatch) -> int:
    """The most ancestors to look at, few of them."""
    monkeypatch.setattr("langgraph_checkpoint_s3.plans.read._LONGEST_LINE", 3)
    return 3


def test_as_many_ancestors_as_that_are_looked_at(fake: FakeS3, bound: int) -> None:
    children = on_its_way(fake, bound)
    same(fake, *children)


def test_one_more_is_too_many(fake: FakeS3, bound: int) -> None:
    *others, child = on_its_way(fake, bound + 1)
    same(fake, *others)
    told(fake, child["id"], FIRST)
    with fake.counted() as count, pytest.raises(CorruptObjectError):
        make_saver(fake).get_tuple(place("t"))
    read = {each.key for each in count.requests if isinstance(each, GetObject)}
    assert key_of(fake, others[1]["id"]) in read
    assert key_of(fake, others[0]["id"]) not in read  # who has all of it is one further up


def forge(fake: FakeS3, checkpoint_id: str, **fields: Any) -> None:
    """Change what a checkpoint's header says."""
    object_ = opened(fake, checkpoint_id)
    own = object_.seal.ref if object_.seal else None
    flags, header = pack_header({**object_.fields, **fields, **pack_frames(object_.frames, own)})
    flags, header = seal_header(flags, header, object_.seal)
    fake.put(key_of(fake, checkpoint_id), join(flags, header, [object_.data[object_.base :]]))


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_line_in_a_circle_ends(fake: FakeS3, length: int) -> None:
    """Somebody with the key forged it: the uppermost has the last one as parent, and borrows as it does."""
    children = on_its_way(fake, length)
    top, last = children[1]["id"], children[-1]["id"]
    forge(fake, top, parent=last, parent_created=opened(fake, last).fields["created"])
    assert lenders(fake, top) == ["01"]
    with fake.counted() as count, pytest.raises(CorruptObjectError, match=FIRST):
        make_saver(fake).get_tuple(place("t"))
    assert count.kinds["ListObjects"] == 1 + length  # each is looked for once, and the last one found again
    told(fake, last, FIRST)
