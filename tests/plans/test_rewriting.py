"""Rewriting a borrower replaces exactly the object that was read: nothing comes back, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from langgraph_checkpoint_s3 import ConflictError, S3Saver
from langgraph_checkpoint_s3.plans.transfer import Sizes, overwrite
from langgraph_checkpoint_s3.s3.requests import (
    CompleteUpload,
    DeleteObjects,
    PutObject,
    Request,
    UploadPart,
)
from tests.plans.borrowers import cold, key_of, lenders, noise, step
from tests.plans.helpers import once, put
from tests.support import inside
from tests.support.fake_s3 import FakeS3, Moment, client_error
from tests.support.fake_store import make_saver

pytestmark = pytest.mark.modes("plain", "private")

IN_PARTS = Sizes(multipart_threshold=2_000, part_size=900)
SIZES = pytest.mark.parametrize("sizes", [None, IN_PARTS], ids=["one PUT", "in parts"])
REMOVALS: dict[str, Callable[[S3Saver], None]] = {
    "prune": lambda saver: saver.prune(["t"]),
    "delete_for_runs": lambda saver: saver.delete_for_runs(["run-1"]),
}
REMOVAL = pytest.mark.parametrize("remove", REMOVALS.values(), ids=REMOVALS)


def pair(saver: S3Saver) -> dict[str, Any]:
    """Two checkpoints, of which the second borrows from the first; the second one's values."""
    first = step(saver, "1", run="run-1", documents=noise(40_000))
    return step(saver, "2", first, run="run-2", n=2)["channel_values"]


def conditional(request: Request[Any]) -> bool:
    if not isinstance(request, (PutObject, CompleteUpload)) or "/.deleted/" in request.key:
        return False
    return request.expected is not None


def at_the_rewriting(action: Callable[[Any], None], moment: Moment = "before", times: int = 1) -> Any:
    """A hook that acts at the request that replaces the borrower, so many times."""
    left = iter(range(times))

    def hook(now: Moment, request: Request[Any]) -> None:
        if now == moment and conditional(request) and next(left, None) is not None:
            action(request)

    return hook


@SIZES
@REMOVAL
@pytest.mark.parametrize("at", ["the PUT", "a part"])
def test_a_thread_deleted_meanwhile_stays_deleted(
    fake: FakeS3, remove: Callable[[S3Saver], None], sizes: Sizes | None, at: str
) -> None:
    pair(make_saver(fake, sizes=sizes))

    def delete(_: Any) -> None:
        fake.hook = None
        make_saver(fake).delete_thread("t")

    fake.hook = once(UploadPart, delete) if at == "a part" and sizes else at_the_rewriting(delete)
    remove(make_saver(fake, sizes=sizes))
    assert fake.hook is None
    assert fake.keys("/checkpoint") == []
    assert not fake.uploads


@SIZES
def test_who_ignores_conditions_is_asked_before_an_upload_ends(fake: FakeS3, sizes: Sizes | None) -> None:
    """Ceph ignores them there. Of a single PUT, and in the moment that is left, one checkpoint stays."""
    pair(make_saver(fake, sizes=sizes))
    fake.plain = True

    def delete(_: Any) -> None:
        fake.hook = None
        make_saver(fake).delete_thread("t")

    fake.hook = once(UploadPart, delete) if sizes else at_the_rewriting(delete)
    make_saver(fake, sizes=sizes).prune(["t"])
    assert len(fake.keys("/checkpoint")) == (0 if sizes else 1)
    assert not fake.uploads
    if not sizes:
        assert cold(fake)["n"] == 2


@SIZES
@REMOVAL
def test_who_is_overtaken_looks_again(
    fake: FakeS3, remove: Callable[[S3Saver], None], sizes: Sizes | None
) -> None:
    """Another process rewrites the same borrower, and is cut short before it deletes the lender."""
    expected = pair(make_saver(fake, sizes=sizes))

    def other(_: Any) -> None:
        def stop(_: Any) -> None:
            fake.hook = None
            raise KeyboardInterrupt

        fake.hook = once(DeleteObjects, stop)
        with pytest.raises(KeyboardInterrupt):
            make_saver(fake).prune(["t"])

    fake.hook = at_the_rewriting(other)
    with fake.counted() as count:
        remove(make_saver(fake, sizes=sizes))
    assert count.kinds["ListObjects"] == 4  # two each: this one looked again
    assert len(fake.keys("/checkpoint")) == 1
    assert lenders(fake, "2") == []
    assert cold(fake) == expected


@pytest.mark.parametrize("times", [1, 3])
def test_what_is_put_in_its_place_is_rewritten_too(fake: FakeS3, times: int) -> None:
    """The object is another one each time, and still borrows."""
    expected = pair(make_saver(fake))
    key = key_of(fake, "2")
    data = fake.objects[key].data

    def touch(_: Any) -> None:  # as a copy from elsewhere would: another ETag, and the same frames
        fake._write(key, data, f"etag-{fake._tick()}")

    fake.hook = at_the_rewriting(touch, times=times)
    make_saver(fake).prune(["t"])
    assert lenders(fake, "2") == []
    assert cold(fake) == expected


def test_what_changes_each_time_keeps_its_lender(fake: FakeS3) -> None:
    expected = pair(make_saver(fake))
    key = key_of(fake, "2")
    data = fake.objects[key].data

    def touch(_: Any) -> None:
        fake._write(key, data, f"etag-{fake._tick()}")

    fake.hook = at_the_rewriting(touch, times=99)
    with pytest.raises(ConflictError, match=r"changed each time .* nothing was deleted") as raised:
        make_saver(fake).prune(["t"])
    fake.hook = None
    assert raised.value.key == key
    assert len(fake.keys("/checkpoint")) == 2
    assert cold(fake) == expected


@SIZES
@REMOVAL
def test_a_lost_reply_is_no_obstacle(
    fake: FakeS3, remove: Callable[[S3Saver], None], sizes: Sizes | None
) -> None:
    """The client library sends it again, and is refused for its own first try."""
    expected = pair(make_saver(fake, sizes=sizes))

    def lose(request: Request[Any]) -> None:
        code, status = ("PreconditionFailed", 412) if sizes is None else ("NoSuchUpload", 404)
        raise client_error(code, status, request)

    fake.hook = at_the_rewriting(lose, "after")
    remove(make_saver(fake, sizes=sizes))
    fake.hook = None
    assert len(fake.keys("/checkpoint")) == 1
    assert cold(fake) == expected
    assert not fake.uploads


@SIZES
@pytest.mark.parametrize(
    ("code", "status"), [("PreconditionFailed", 412), ("NoSuchKey", 404), ("NotImplemented", 501)]
)
def test_a_store_that_cannot_compare_gets_a_plain_put(
    fake: FakeS3, sizes: Sizes | None, code: str, status: int
) -> None:
    """A store that refuses `If-Match` with a correct ETag."""
    expected = pair(make_saver(fake, sizes=sizes))
    saver = make_saver(fake, sizes=sizes)

    def refuse(request: Request[Any]) -> None:
        if inside.shared(saver).conditional:
            raise client_error(code, status, request)

    fake.hook = at_the_rewriting(refuse, times=99)
    saver.prune(["t"])
    fake.hook = None
    assert len(fake.keys("/checkpoint")) == 1
    assert lenders(fake, "2") == []
    assert cold(fake) == expected
    assert not fake.uploads


def test_an_upload_that_somebody_aborted_and_nothing_in_its_place(fake: FakeS3) -> None:
    saver = make_saver(fake)
    put(saver, "1")
    [key] = fake.keys()
    before = fake.objects[key]

    def abort(_: Any) -> None:
        fake.uploads.clear()

    for there in (True, False):
        if not there:
            fake.delete(key)
        fake.hook = once(CompleteUpload, abort)
        done = inside.store(saver).run(overwrite(key, noise(5_000), IN_PARTS, before.etag), "test")
        assert done is there  # written by a second upload; or there is nothing to replace
        assert (key in fake.objects) is there
        before = fake.objects.get(key, before)


def test_what_it_costs(fake: FakeS3) -> None:
    pair(make_saver(fake))
    with fake.counted() as count:
        make_saver(fake).prune(["t"])
    assert count.kinds == {"ListObjects": 2, "GetObject": 4, "PutObject": 2, "DeleteObjects": 1}
