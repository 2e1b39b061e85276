"""The state of one request (`RequestState`), and of all requests of one saver (`SaverState`). No I/O.

Both drivers step through a `RequestState`, one with blocking calls and one with awaited ones: the cache is
asked first, then the request is sent, and an error is classified as an answer, another try or the end.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from langgraph_checkpoint_s3.aws import Throttle
from langgraph_checkpoint_s3.config import S3Config
from langgraph_checkpoint_s3.errors import (
    AccessDeniedError,
    CorruptObjectError,
    S3CheckpointError,
    StorageUnavailableError,
)
from langgraph_checkpoint_s3.fork_safety import renew_after_fork
from langgraph_checkpoint_s3.request_timeout import TimeLimit
from langgraph_checkpoint_s3.s3.answer_checks import InvalidResponse, PartlyDone
from langgraph_checkpoint_s3.s3.cache import BodyCache, Lru
from langgraph_checkpoint_s3.s3.circuit_breaker import Breaker
from langgraph_checkpoint_s3.s3.deadline import Attempt, IdleDeadline, allowance
from langgraph_checkpoint_s3.s3.hedging import Hedges, kind_of
from langgraph_checkpoint_s3.s3.requests import (
    AgedBody,
    Body,
    CompleteUpload,
    Deletion,
    GetObject,
    PreconditionFailed,
    PutObject,
    Request,
    Stored,
)
from langgraph_checkpoint_s3.s3.stats import Counts, Number, Stats
from langgraph_checkpoint_s3.s3.store_clock import StoreClock, since_boot
from langgraph_checkpoint_s3.s3.telemetry import Operation
from langgraph_checkpoint_s3.s3.thread_pool import Stop
from langgraph_checkpoint_s3.s3.translate import Translator, is_transient

if TYPE_CHECKING:
    from langgraph_checkpoint_s3.s3.error_mapping import Retry

logger = logging.getLogger("langgraph_checkpoint_s3")

DEFAULT_ATTEMPTS: Final = 5
_LIVES_BYTES: Final = 4 * 1024 * 1024
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 2.0
_FIRST_THROTTLED_PAUSE: Final = 0.5
_LONGEST_THROTTLED_PAUSE: Final = 20.0
_CLOCK_SKEW: Final = 240 * 1_000_000_000
"""Nanoseconds by which a clock is so wrong that signatures may be refused for it."""


class SaverState:
    """State shared by all requests of a saver: its settings, caches and counts, and facts about the store.

    Attributes:
        conditional: Whether the store may know conditional writes; `False` once it refused one as unknown.
        compares: Whether the store was seen to refuse writes whose condition isn't met, as leases need.
        store_time: The time by the store's clock, in ns since 1970.
        client_error: The error of the last attempt to make a client, if another attempt may take long.
        throttle: Limits further attempts to make one.
        max_attempts: How often a request is sent before it fails.
    """

    def __init__(self, config: S3Config) -> None:
        self.config = config
        self.max_attempts = config.max_attempts or DEFAULT_ATTEMPTS
        self.cache = BodyCache(Lru(config.cache_bytes))
        self.states = Lru(config.cache_bytes)
        self.lives = Lru(_LIVES_BYTES)
        self.conditional = True
        self.compares = False
        self.clock: Callable[[], float] = time.monotonic
        self.tick: Callable[[], float] = since_boot
        self.store_time = StoreClock()
        self.breaker = Breaker(
            config.circuit_breaker, config.circuit_breaker_cooldown, self.now, config.bucket
        )
        self.hedges = Hedges(config.hedged_reads)
        self.counts = Counts()
        self.client_error: S3CheckpointError | None = None
        self.throttle = Throttle()
        self._logged: set[str] = set()
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Replace the lock, which a thread of the parent may hold."""
        self._lock = threading.Lock()

    def operation(self, name: str) -> Operation:
        """Return a context in which an operation runs. It yields the operation's counts."""
        return Operation(name, self.config.bucket, self.counts)

    def use_attempts(self, number: int | None) -> None:
        """Take AWS's own setting for the number of attempts, unless the user set one here."""
        if self.config.max_attempts is None and number is not None:
            self.max_attempts = number

    def now(self) -> float:
        """Return the monotonic time, in seconds."""
        return self.clock()

    def deadline(self, stop: Stop | None = None) -> IdleDeadline:
        """Return the deadline of a batch that begins now.

        Args:
            stop: What may ask the batch's plan to stop.
        """
        return IdleDeadline(self.config.operation_timeout, self.clock, stop)

    def failed(self, error: S3CheckpointError) -> None:
        """Name the bucket in an operation's error, and clear caches that may be damaged."""
        if error.bucket is None:  # it is empty if the error is about something else, such as a file
            error.bucket = self.config.bucket
        if isinstance(error, CorruptObjectError) and error.bucket:
            self.states.clear()
            self.cache.clear()  # an object may have been damaged on its way here, and be intact in the store

    def creating_client(self) -> _CreatingClient:
        """Return a context that maps errors of making a client."""
        return _CreatingClient(self)

    def stats(self) -> Stats:
        """Return the counts so far."""
        return self.counts.stats(self.breaker.state)

    def log_once(self, level: int, message: str, *arguments: object) -> None:
        """Log a message, unless it was logged before."""
        with self._lock:
            logged = message in self._logged
            self._logged.add(message)
        if not logged:
            logger.log(level, message, *arguments)

    def without_conditions(self) -> None:
        """Stop sending conditional writes, which the store doesn't know, and warn once."""
        self.conditional = False
        self.log_once(
            logging.WARNING,
            "The store behind bucket %s has no conditional writes (If-None-Match): where two processes "
            "write the same task's results at once, the last one wins, not the first.",
            self.config.bucket,
        )


_UNSENT: Final = Attempt()
"""The attempt of requests that weren't sent yet."""


class _CreatingClient:
    """A context that maps errors of making a client. It is no generator, since each request has one.

    Without credentials every attempt may take seconds, so it isn't repeated with each request.
    """

    def __init__(self, saver: SaverState) -> None:
        self._saver = saver

    def __enter__(self) -> None:
        saver = self._saver
        if saver.client_error is not None and not saver.throttle.allow():
            raise saver.client_error.with_traceback(None)

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        saver = self._saver
        if error is None:
            saver.client_error = None
        elif isinstance(error, S3CheckpointError):
            error.bucket = error.bucket or saver.config.bucket
        elif isinstance(error, Exception):
            from langgraph_checkpoint_s3.s3.error_mapping import client_error  # needed only on errors

            mapped = client_error(error, saver.config.bucket)
            if mapped is not None:
                saver.client_error = mapped if isinstance(mapped, AccessDeniedError) else None
                raise mapped from error


class RequestState:
    """One request until it is answered: its tries, and what their errors mean.

    Args:
        saver_state: The state of the saver.
        request: The request.
        deadline: The deadline of its batch.
        counts: The operation's counts; by default the saver's.

    Attributes:
        request: The request, or what is left to do of it.
        attempt: The present call of the client, once it is prepared.
        answer: The answer, once it is `done`.
        done: Whether it is answered.
    """

    def __init__(
        self,
        saver_state: SaverState,
        request: Request[Any],
        deadline: IdleDeadline,
        counts: Counts | None = None,
    ) -> None:
        self._saver = saver_state
        self._counts = saver_state.counts if counts is None else counts
        self.request = request
        self._deadline = deadline
        self._tries = 0
        self._attempts = 0  # a client that a user passed in may send several times in one try
        self._conditional = True
        self._endpoint = ""
        self._begun = saver_state.clock()
        self._sent = self._begun
        self._kind = kind_of(request)
        self._failed_keys: list[tuple[str, str, str]] = []  # of a deletion: keys that failed for good
        self.attempt = _UNSENT
        self.answer: Any = None
        self.done = False
        if isinstance(request, GetObject):
            known = saver_state.cache.recall(request)
            if known is not None:
                self._counts.count("cache_hits")
                self._finish(known)
        elif not saver_state.conditional and self._is_strict:
            self._finish(PreconditionFailed())

    def prepare(self, translator: Translator) -> tuple[str, dict[str, Any]]:
        """Begin another try: return the operation, and its arguments.

        Raises:
            StorageUnavailableError: The deadline passed before it could be sent, or the circuit is open.
        """
        wait = self._saver.breaker.wait() if not self._tries else 0  # asked once: it may let one request try
        if wait:
            raise StorageUnavailableError(
                "Not sent: the store failed too often in a row, and the circuit breaker is open. It tries "
                f"again in {wait:.1f} s",
                attempts=0,
                seconds=0.0,
                bucket=self._saver.config.bucket,
                key=getattr(self.request, "key", None),
            )
        if not self._deadline.left:
            raise self._given_up(f"nothing was answered for {self._deadline.waited:.1f} s", late=True)
        self._tries += 1
        self.attempt = self._new_attempt()
        self._conditional = self._saver.conditional
        self._endpoint = translator.endpoint_url
        if self.request.is_sent:
            self._counts.request(self.request.operation)
        arguments = translator.arguments(self.request, conditional=self._conditional)
        self._sent = self._saver.clock()
        return self.request.operation, arguments

    def hedge_after(self) -> float | None:
        """Return the seconds after which the call is slow enough to be hedged; `None` is never."""
        return self._saver.hedges.after(self._kind)

    def second_attempt(self) -> Attempt | None:
        """Begin a hedge beside the call that is slow; return `None` if there may be none.

        A store that fails, or may be failing, isn't sent more.
        """
        saver = self._saver
        failing = self._tries > 1 or saver.breaker.state not in ("off", "closed")
        if failing or not self._deadline.left or not saver.hedges.take():
            return None
        self._counts.request(self.request.operation)
        self._counts.count("hedges")
        logger.debug("%s: slow, and sent a second time", type(self.request).__name__)
        return self._new_attempt()

    def is_answered(self, error: BaseException | None) -> bool:
        """Return whether a call that ended with this error, or with none, has an answer, such as absence."""
        if not isinstance(error, Exception):
            return error is None
        from langgraph_checkpoint_s3.s3.error_mapping import Outcome, classify

        return isinstance(classify(error, self.request, self._saver.config.bucket), Outcome)

    def answered_by(self, attempt: Attempt) -> None:
        """Note which of two calls was answered first."""
        if attempt is not self.attempt:
            self._counts.count("hedges_won")

    def succeeded(
        self, translator: Translator, response: Mapping[str, Any], data: bytes | memoryview
    ) -> None:
        """Read a response. Errors that this raises are for `failed`, as a call's are.

        Raises:
            InvalidResponse: It isn't S3's.
            UnsupportedListing: It is a list, but not in S3's order.
            PartlyDone: A part was left undone; `request` is that part now.
            S3CheckpointError: The store took the request for another one.
        """
        saver, request = self._saver, self.request
        answer: Any = translator.answer(request, response, data, self.attempt.received)
        seconds = saver.clock() - self._sent
        saver.breaker.succeeded()
        self._count_retries(response)
        saver.store_time.heard(response, seconds)
        saver.hedges.answered(self._kind, seconds)
        if isinstance(answer, Deletion):
            answer = self._all_of(answer)
        body: Any = getattr(request, "body", b"")
        counted: dict[Number, int] = {}
        if body and not isinstance(request, CompleteUpload):  # whose parts were counted
            counted["bytes_sent"] = len(body)
        if isinstance(request, GetObject) and isinstance(answer, Body):
            counted["bytes_received"] = len(data)
            if request.keep and not answer.landed:
                saver.cache.keep(request.key, answer, request.first, request.length)
        elif isinstance(answer, AgedBody):
            counted["bytes_received"] = len(data)
        elif isinstance(answer, Stored) and isinstance(request, (PutObject, CompleteUpload)):
            saver.cache.keep(request.key, Body(body, answer.etag, len(body)))
            if request.raw:
                counted["bytes_raw"] = request.raw
                counted["bytes_stored"] = len(body)
        if counted:
            self._counts.add(counted)
        self._finish(answer)

    def _all_of(self, answer: Deletion) -> Deletion:
        """Return the result of all tries of a deletion.

        DeleteObjects succeeds as a whole while single keys fail. Transient failures of keys are retried, as
        those of whole requests are.
        """
        if not answer.failed and not self._failed_keys:
            return answer
        again = {key for key, code, _ in answer.failed if is_transient(code)}
        self._failed_keys += [each for each in answer.failed if each[0] not in again]
        rest = [each for each in answer.failed if each[0] in again]
        if rest and self._tries < self._saver.max_attempts:
            self._deadline.answered()
            self.request = self.request.only(again)  # type: ignore[attr-defined]  # a deletion has it
            raise PartlyDone(f"{len(again)} objects weren't deleted ({rest[0][1]})")
        return Deletion((*self._failed_keys, *rest))

    def failed(self, error: Exception, *, retried: bool = False) -> float:
        """Classify the error of a call, or of reading its response.

        Args:
            error: The error.
            retried: Whether the client has sent the request again by itself, as a user's does.

        Returns:
            Seconds to wait before the next try. If the error was an answer, the request is `done` now.

        Raises:
            S3CheckpointError: There is no next try.
        """
        from langgraph_checkpoint_s3.s3.error_mapping import Outcome, Retry, Unconditional, classify

        saver, attempt = self._saver, self.attempt
        response = getattr(error, "response", None)
        self._attempts += 1 + self._count_retries(response)
        saver.store_time.heard(response, saver.clock() - self._sent)
        verdict = classify(
            error, self.request, saver.config.bucket, received=attempt.received, endpoint=self._endpoint
        )
        if isinstance(verdict, Outcome):
            saver.breaker.succeeded()
            self._finish(verdict.answer)
            return 0
        if isinstance(verdict, Unconditional):
            if self._conditional:
                saver.without_conditions()
                if self._is_strict:
                    self._finish(PreconditionFailed())
                else:
                    self._counts.count("retries")
                return 0
            verdict = verdict.otherwise
        if isinstance(verdict, Retry):
            return self._pause_or_give_up(verdict, error, retried=retried)
        if isinstance(verdict, AccessDeniedError) and self._may_sign_again():
            return 0
        if isinstance(verdict, StorageUnavailableError):
            verdict.attempts, verdict.seconds = self._attempts, saver.clock() - self._begun
        if isinstance(verdict, StorageUnavailableError) and verdict.status is None:
            saver.breaker.failed()  # its certificate, say
        elif verdict is not None:
            saver.breaker.succeeded()  # the store answered, if only with a refusal
        if verdict is None or verdict is error:
            raise error
        raise verdict from error

    def _pause_or_give_up(self, fault: Retry, error: Exception, *, retried: bool) -> float:
        """Return the seconds to wait before the next try.

        Raises:
            StorageUnavailableError: There is no next try.
        """
        saver, attempt = self._saver, self.attempt
        if attempt.limit.failure:  # the time limit cut the connection: that's the reason
            fault = replace(fault, why=attempt.limit.failure)
        retried = retried and fault.unavailable and not attempt.reading
        late = False
        if self._tries < saver.max_attempts and not retried:
            pause: float = max(_pause(self._tries, throttled=fault.throttled), fault.after)
            if pause < self._deadline.left:
                self._counts.count("retries")
                logger.info("%s: %s; again in %.2f s", type(self.request).__name__, fault.why, pause)
                return pause
            late = True
        if fault.unavailable or (isinstance(error, InvalidResponse) and not late):
            saver.breaker.failed()  # or something else than the store answers, again and again
        raise self._given_up(fault.why, late=late, of=fault) from error

    def _may_sign_again(self) -> bool:
        """Return whether a refused request was signed with a wrong time, and the refusal had the right one.

        The code doesn't tell: the response to a HEAD has none. S3 allows a difference of 15 minutes.
        """
        signed = self.attempt.signed_ahead
        if signed is None or abs(self._saver.store_time.ahead - signed) < _CLOCK_SKEW:
            return False
        self._counts.count("retries")
        return True

    @property
    def _is_strict(self) -> bool:
        """True if to refuse the request rather than send it without its condition."""
        return isinstance(self.request, PutObject) and self.request.strict

    def _new_attempt(self) -> Attempt:
        config = self._saver.config
        limit = TimeLimit(
            config.connect_timeout + config.read_timeout,
            allowance(self.request),
            cap=self._deadline.remaining,
            clock=self._deadline.clock,
        )
        return Attempt(limit=limit, into=getattr(self.request, "into", None))

    def _count_retries(self, response: Any) -> int:
        """Count the retries of a client that a user passed in, and return their number."""
        try:
            retries = int(response["ResponseMetadata"]["RetryAttempts"])
        except (KeyError, TypeError):
            return 0
        if retries:
            self._counts.count("retries", retries)
        return retries

    def _given_up(self, why: str, *, late: bool = False, of: Retry | None = None) -> StorageUnavailableError:
        """Return the error to end with: the attempts, their time, and the reason."""
        seconds = self._saver.clock() - self._begun
        times = f"{self._attempts} attempt{'' if self._attempts == 1 else 's'} in {seconds:.1f} s"
        limit = f" (operation_timeout={self._saver.config.operation_timeout:g})" if late else ""
        return StorageUnavailableError(
            f"Given up after {times}{limit}: {why}",
            attempts=self._attempts,
            seconds=seconds,
            status=of.status if of else None,
            bucket=self._saver.config.bucket,
            key=getattr(self.request, "key", None) or getattr(self.request, "prefix", None) or None,
            request_ids=of.request_ids if of else (),
        )

    def _finish(self, answer: Any) -> None:
        self.answer = answer
        self.done = True
        self._deadline.answered()


def _pause(tries: int, *, throttled: bool) -> float:
    """Return the seconds to wait after some tries. They are random, so that callers don't meet again."""
    first, most = (
        (_FIRST_THROTTLED_PAUSE, _LONGEST_THROTTLED_PAUSE) if throttled else (_FIRST_PAUSE, _LONGEST_PAUSE)
    )
    return min(most, first * 2.0 ** (tries - 1)) * random.uniform(0.5, 1)  # noqa: S311  # it hides nothing
