"""A store that shows an object in a listing, and for a moment has none at its key: that isn't a deletion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from langgraph_checkpoint_s3 import ConflictError
from langgraph_checkpoint_s3.s3.requests import GetObject, HeadObject, NotFound, Request
from tests.plans.borrowers import cold, noise, step
from tests.plans.helpers import get, ids, once
from tests.support.checkpoints import place, put_chain
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver

pytestmark = pytest.mark.modes("plain", "private")


class StaleS3(FakeS3):
    """A fake that answers so many reads of some kinds with a 404."""

    def __init__(self) -> None:
        super().__init__()
        self.stale: dict[type[Request[Any]], int] = {}

    def execute(self, request: Request[Any], *, conditional: bool = True) -> Any:
        answer = super().execute(request, conditional=conditional)
        if self.stale.get(type(request), 0) > 0:
            self.stale[type(request)] -= 1
            return NotFound()
        return answer


@pytest.fixture
def fake() -> StaleS3:
    return StaleS3()


LISTS: list[Callable[[Any], list[str]]] = [
    lambda saver: ids(saver, place("t")),
    lambda saver: ids(saver, None),
    lambda saver: ids(saver, place("t"), filter={"even": True}),
    lambda saver: ids(saver, place("t"), limit=2),
]


@pytest.mark.parametrize("lists", LISTS, ids=["a thread", "all threads", "filtered", "limited"])
@pytest.mark.parametrize("stale", [1, 2, 3])
def test_a_list_lacks_nothing(fake: StaleS3, stale: int, lists: Callable[[Any], list[str]]) -> None:
    put_chain(make_saver(fake), "t", 4)
    expected = lists(make_saver(fake))
    fake.stale[GetObject] = stale
    assert lists(make_saver(fake)) == expected
    assert fake.stale[GetObject] == 0


def test_a_read_tries_again(fake: StaleS3) -> None:
    put_chain(make_saver(fake), "t", 2)
    expected = get(make_saver(fake), place("t"))
    fake.stale[GetObject] = 3
    assert get(make_saver(fake), place("t")) == expected


def test_what_stays_gone_while_it_is_listed_is_an_error(fake: StaleS3) -> None:
    put_chain(make_saver(fake), "t", 2)
    fake.stale[GetObject] = 1000
    for read in (lambda saver: get(saver, place("t")), lambda saver: ids(saver, place("t"))):
        with pytest.raises(ConflictError, match="try again"):
            read(make_saver(fake))


def test_what_is_deleted_meanwhile_is_left_out(fake: StaleS3) -> None:
    put_chain(make_saver(fake), "t", 3, writes=0)
    reader = make_saver(fake)
    listing = reader.list(place("t"))
    newest = fake.keys()[0]
    fake.hook = once(GetObject, lambda request: fake.delete(newest))
    assert [each.checkpoint["id"] for each in listing] == ["00000001", "00000000"]


def test_a_lender_that_seems_gone_costs_a_whole_object(fake: StaleS3) -> None:
    saver = make_saver(fake)
    first = step(saver, "1", documents=noise(50_000))
    fake.stale[HeadObject] = 1
    second = step(saver, "2", first, n=2)
    assert cold(fake) == second["channel_values"]
    assert sum(len(each.data) for each in fake.objects.values()) > 100_000
