"""Time limits of operations, on the test's own clock."""

from __future__ import annotations

from typing import Any

import pytest

from langgraph_checkpoint_s3 import S3Config, S3Saver, StorageUnavailableError
from langgraph_checkpoint_s3.plans.transfer import Sizes
from langgraph_checkpoint_s3.s3.deadline import IdleDeadline
from langgraph_checkpoint_s3.s3.request_state import RequestState, SaverState
from langgraph_checkpoint_s3.s3.requests import AbortUpload, CompleteUpload, GetObject, Request, UploadPart
from tests.plans.borrowers import noise
from tests.plans.helpers import get, put
from tests.support import inside
from tests.support.checkpoints import place
from tests.support.fake_s3 import FakeS3, Moment, client_error
from tests.support.fake_store import FakeTranslator, make_saver


class Clock:
    """A clock that stands until it is set on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_each_answer_gives_all_the_time_again(clock: Clock) -> None:
    deadline = IdleDeadline(10, clock)
    clock.now += 7
    assert deadline.left == 3
    deadline.answered()
    assert deadline.left == 10
    clock.now += 11
    assert (deadline.left, deadline.waited) == (0, 11)


def test_without_a_limit_there_is_always_time(clock: Clock) -> None:
    deadline = IdleDeadline(None, clock)
    clock.now += 1e9
    assert deadline.left > 1e9


class TestARequestState:
    @pytest.fixture
    def saver_state(self, clock: Clock) -> SaverState:
        saver_state = SaverState(S3Config(bucket="bucket", operation_timeout=10, max_attempts=100))
        saver_state.clock = clock
        return saver_state

    def test_sends_nothing_when_its_time_is_over(self, saver_state: SaverState, clock: Clock) -> None:
        state = RequestState(saver_state, GetObject("k"), saver_state.deadline())
        clock.now += 10
        translator: Any = None
        with pytest.raises(StorageUnavailableError, match="operation_timeout=10") as caught:
            state.prepare(translator)
        assert (caught.value.attempts, caught.value.seconds, caught.value.key) == (0, 10, "k")
        assert saver_state.stats().requests == {}

    def test_does_not_wait_longer_than_there_is_time(self, saver_state: SaverState, clock: Clock) -> None:
        state = RequestState(saver_state, GetObject("k"), saver_state.deadline())
        conflict = client_error("OperationAborted", 409)

        def keep_trying() -> None:
            while True:
                clock.now += state.failed(conflict)

        with pytest.raises(StorageUnavailableError, match="operation_timeout=10") as caught:
            keep_trying()
        assert 1009.9 < clock.now < 1010
        assert caught.value.attempts
        assert caught.value.attempts > 100  # it wasn't sent by `call`, so each pause is the first one's
        assert caught.value.seconds == clock.now - 1000

    def test_says_how_often_and_how_long(self, saver_state: SaverState, clock: Clock) -> None:
        saver_state.max_attempts = 2
        translator: Any = FakeTranslator()
        state = RequestState(saver_state, GetObject("k"), saver_state.deadline())
        state.prepare(translator)
        assert state.failed(ConnectionResetError("x"))
        state.prepare(translator)
        clock.now += 2.5
        with pytest.raises(
            StorageUnavailableError, match=r"Given up after 2 attempts in 2\.5 s: .*reached"
        ) as caught:
            state.failed(ConnectionResetError("x"))
        assert (caught.value.attempts, caught.value.seconds) == (2, 2.5)

    def test_counts_the_attempts_of_a_users_client(self, saver_state: SaverState) -> None:
        """It has tried again by itself, by its own settings: the saver doesn't."""
        translator: Any = FakeTranslator()
        state = RequestState(saver_state, GetObject("k"), saver_state.deadline())
        state.prepare(translator)
        error = client_error("SlowDown", 503)
        error.response["ResponseMetadata"]["RetryAttempts"] = 3
        with pytest.raises(StorageUnavailableError, match="SlowDown") as caught:
            state.failed(error, retried=True)
        assert caught.value.attempts == 4
        assert saver_state.stats().retries == 3

    def test_reads_a_body_again_that_breaks_off_at_a_users_client(self, saver_state: SaverState) -> None:
        translator: Any = FakeTranslator()
        state = RequestState(saver_state, GetObject("k"), saver_state.deadline())
        state.prepare(translator)
        state.attempt.reading = True
        assert state.failed(ConnectionResetError("x"), retried=True)

    @pytest.mark.parametrize("header", ["7", "1000", "Wed, 21 Oct 2026 07:28:00 GMT", ""])
    def test_waits_as_long_as_the_store_says(self, saver_state: SaverState, header: str) -> None:
        saver_state.config = saver_state.config.replace(operation_timeout=100)
        translator: Any = FakeTranslator()
        state = RequestState(saver_state, GetObject("k"), saver_state.deadline())
        state.prepare(translator)
        error = client_error("SlowDown", 503)
        error.response["ResponseMetadata"]["HTTPHeaders"] = {"retry-after": header}
        pause = state.failed(error)
        assert pause == {"7": 7, "1000": 20}.get(header, pause)
        assert 0.25 <= pause <= 20


class TestAnUpload:
    SIZES = Sizes(multipart_threshold=2_000, part_size=500)

    @pytest.fixture
    def fake(self) -> FakeS3:
        return FakeS3()

    @pytest.fixture
    def saver(self, fake: FakeS3, clock: Clock) -> S3Saver:
        saver = make_saver(fake, sizes=self.SIZES, operation_timeout=60)
        inside.shared(saver).clock = clock
        return saver

    def test_may_take_as_long_as_it_gets_on(self, fake: FakeS3, saver: S3Saver, clock: Clock) -> None:
        def hook(moment: Moment, request: Request[Any]) -> None:
            if moment == "after" and isinstance(request, UploadPart):
                clock.now += 50

        fake.hook = hook
        put(saver, "1", values={"raw": noise(20_000)})
        assert clock.now > 1000 + 40 * 50
        assert get(saver, place("t")).checkpoint["channel_values"] == {"raw": noise(20_000)}

    def test_that_stands_still_is_given_up_and_freed(
        self, fake: FakeS3, saver: S3Saver, clock: Clock
    ) -> None:
        asked: list[type[Request[Any]]] = []

        def hook(moment: Moment, request: Request[Any]) -> None:
            if moment == "before":
                asked.append(type(request))
                if isinstance(request, UploadPart):
                    clock.now += 25
                    raise client_error("OperationAborted", 409, request)

        fake.hook = hook
        with pytest.raises(StorageUnavailableError, match="operation_timeout=60"):
            put(saver, "1", values={"raw": noise(20_000)})
        assert (asked.count(UploadPart), asked.count(CompleteUpload), asked[-1]) == (3, 0, AbortUpload)
        assert (fake.keys(), fake.uploads) == ([], {})
