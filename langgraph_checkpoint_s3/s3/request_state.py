"""One request on its way to an answer: the cache before it, its tries, what its errors mean.

Both drivers step through an `RequestState`, one with blocking calls and one with awaited ones; the
exchange itself does no I/O. What a saver's exchanges share is a `SaverState`.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final

from langgraph_checkpoint_s3.aws import Seldom
from langgraph_checkpoint_s3.config import S3Config
from langgraph_checkpoint_s3.errors import (
    AccessDeniedError,
    CorruptObjectError,
    S3CheckpointError,
    StorageUnavailableError,
)
from langgraph_checkpoint_s3.fork_safety import renew_after_fork
from langgraph_checkpoint_s3.request_timeout import Limit
from langgraph_checkpoint_s3.s3.answer_checks import NotAnAnswer, Unfinished
from langgraph_checkpoint_s3.s3.botocore_fields import passes
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
from langgraph_checkpoint_s3.s3.stats import Counts, Stats
from langgraph_checkpoint_s3.s3.store_clock import StoreClock, since_boot
from langgraph_checkpoint_s3.s3.telemetry import operation
from langgraph_checkpoint_s3.s3.thread_pool import Stop
from langgraph_checkpoint_s3.s3.translate import Wire, method_of, operation_of

logger = logging.getLogger("langgraph_checkpoint_s3")

_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 2.0


class SaverState:
    """What all exchanges of a saver share: settings, cache, counts, and what is known of the store.

    Attributes:
        conditional: Whether `If-None-Match: *` isn't known to be refused.
        compares: Whether the store was seen to refuse writes whose condition isn't met, as leases need.
        store_time: The time by the store's clock, in ns since 1970.
    """

    def __init__(self, config: S3Config) -> None:
        self.config = config
        self.cache = BodyCache(Lru(config.cache_bytes))
        self.states = Lru(config.cache_bytes)
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
        self._unmade: S3CheckpointError | None = None
        self._seldom = Seldom()
        self._told: set[str] = set()
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Keep what is known of the store."""
        self._lock = threading.Lock()

    def operation(self, name: str) -> AbstractContextManager[Counts]:
        """An operation runs meanwhile; its counts."""
        return operation(name, self.config.bucket, self.counts)

    def now(self) -> float:
        """The time in seconds, from somewhere."""
        return self.clock()

    def patience(self, stop: Stop | None = None) -> IdleDeadline:
        """The time of a batch that begins now, and of a plan that may be asked to stop."""
        return IdleDeadline(self.config.operation_timeout, self.now, stop)

    def failed(self, error: S3CheckpointError) -> None:
        """An operation failed: say on which bucket, and keep nothing that may be damaged."""
        if error.bucket is None:  # it is empty where the error is about something else, such as a file
            error.bucket = self.config.bucket
        if isinstance(error, CorruptObjectError) and error.bucket:
            self.states.clear()
            self.cache.clear()  # it may have been damaged on its way, and be sound where it lies

    @contextmanager
    def making(self) -> Iterator[None]:
        """Say what is wrong where a client can't be made; for want of credentials it isn't tried always."""
        unmade = self._unmade
        if unmade is not None and not self._seldom.may():
            raise unmade.with_traceback(None)
        try:
            yield
            self._unmade = None
        except S3CheckpointError as error:
            error.bucket = error.bucket or self.config.bucket
            raise
        except Exception as error:
            from langgraph_checkpoint_s3.s3.error_mapping import client_error  # for when something fails

            told = client_error(error, self.config.bucket)
            if told is None:
                raise
            self._unmade = told if isinstance(told, AccessDeniedError) else None
            raise told from error

    def stats(self) -> Stats:
        """The counts so far."""
        return self.counts.stats(self.breaker.state)

    def tell_once(self, level: int, line: str, *arguments: object) -> None:
        """Write a line into the log, the first time."""
        with self._lock:
            told = line in self._told
            self._told.add(line)
        if not told:
            logger.log(level, line, *arguments)

    def without_conditions(self) -> None:
        """The store has no conditional writes: say so once, and ask it for none any more."""
        self.conditional = False
        self.tell_once(
            logging.WARNING,
            "The store behind bucket %s has no conditional writes (If-None-Match): where two processes "
            "write the same task's results at once, the last one wins, not the first.",
            self.config.bucket,
        )


class RequestState:
    """One request on its way to an answer: the cache before it, tries, what its errors mean.

    Args:
        shared: What the saver's exchanges share.
        request: The request.
        patience: The time of the batch that it is in.
        counts: The operation's; by default, those of all.
    """

    def __init__(
        self, shared: SaverState, request: Request[Any], patience: IdleDeadline, counts: Counts | None = None
    ) -> None:
        self._shared = shared
        self._counts = shared.counts if counts is None else counts
        self.request = request  # or what is still to be done of it
        self._patience = patience
        self._tries = 0
        self._attempts = 0  # of all tries: the client library makes several of one
        self._conditional = True
        self._begun = shared.clock()
        self._sent = self._begun
        self._kind = kind_of(request)
        self._left: list[tuple[str, str, str]] = []  # of a deletion, what isn't tried again
        self.called = self._call()
        self.answer: Any = None
        self.settled = False
        if isinstance(request, GetObject):
            known = shared.cache.recall(request)
            if known is not None:
                self._counts.count("cache_hits")
                self._settle(known)
        elif self._is_strict and not shared.conditional:
            self._settle(PreconditionFailed())

    def call(self, wire: Wire) -> tuple[str, dict[str, Any]]:
        """The client's method to call, and its arguments.

        Raises:
            StorageUnavailableError: Its time was over before it could be sent, or the circuit is open.
        """
        wait = self._shared.breaker.wait() if not self._tries else 0
        if wait:
            raise StorageUnavailableError(
                "Not sent: the store failed too often in a row, and the circuit breaker is open. It tries "
                f"again in {wait:.1f} s",
                attempts=0,
                seconds=0.0,
                bucket=self._shared.config.bucket,
                key=getattr(self.request, "key", None),
            )
        if not self._patience.left:
            raise self._given_up(f"nothing was answered for {self._patience.waited:.1f} s", late=True)
        self._tries += 1
        self.called = self._call()
        self._conditional = self._shared.conditional
        if self.request.is_sent:
            self._counts.request(operation_of(self.request))
        arguments = wire.arguments(self.request, conditional=self._conditional)
        self._sent = self._shared.clock()
        return method_of(self.request), arguments

    def hedge_after(self) -> float | None:
        """Seconds after which the call is slow, and may be made a second time; `None` is never."""
        return self._shared.hedges.after(self._kind)

    def second(self) -> Attempt | None:
        """Begin a second call beside the one that is under way, and slow; `None` if it may not be.

        A store that fails, or may do so, isn't asked twice. A second call is one request: nothing retries it.
        """
        shared = self._shared
        failed = self.called.attempts > self.called.reading  # the attempt whose answer is read didn't
        failing = failed or shared.breaker.state not in ("off", "closed")
        if failing or not self._patience.left or not shared.hedges.take():
            return None
        self._counts.request(operation_of(self.request))
        self._counts.count("hedges")
        logger.debug("%s: slow, and sent a second time", type(self.request).__name__)
        return self._call(once=True)

    def is_answered(self, error: BaseException | None) -> bool:
        """Whether a call that ended with this error, or with none, has an answer: absence is one too."""
        if not isinstance(error, Exception):
            return error is None
        from langgraph_checkpoint_s3.s3.error_mapping import Outcome, classify

        return isinstance(classify(error, self.request, self._shared.config.bucket), Outcome)

    def answered_by(self, call: Attempt) -> None:
        """Of the calls that were made at once, this one has its answer first."""
        if call is not self.called:
            self._counts.count("hedges_won")

    def succeeded(self, wire: Wire, response: Mapping[str, Any], data: bytes) -> None:
        """Take what the store answered, as it seems. What is raised is for `failed`, as a call's errors are.

        Raises:
            NotAnAnswer: It didn't answer.
            Unlike: It listed in another way than S3.
            Unfinished: It left a part undone, which `request` now is.
            S3CheckpointError: It answered something else.
        """
        request, answer = self.request, wire.answer(self.request, response, data, self.called.received)
        self._shared.breaker.succeeded()
        self._shared.store_time.heard(response, self._shared.clock() - self._sent)
        self._shared.hedges.answered(self._kind, self._shared.clock() - self._sent)
        if isinstance(answer, Deletion):
            answer = self._all_of(answer)
        body: bytes = getattr(request, "body", b"")
        if isinstance(request, GetObject) and isinstance(answer, Body):
            self._counts.count("bytes_received", len(data))
            if request.keep:
                self._shared.cache.keep(request.key, answer, request.first, request.length)
        elif isinstance(answer, AgedBody):
            self._counts.count("bytes_received", len(data))
        elif isinstance(request, (PutObject, CompleteUpload)) and isinstance(answer, Stored):
            self._shared.cache.keep(request.key, Body(body, answer.etag, len(body)))
        if body and not isinstance(request, CompleteUpload):
            self._counts.count("bytes_sent", len(body))
        if isinstance(answer, Stored) and (raw := getattr(request, "raw", 0)):
            self._counts.count("bytes_raw", raw)
            self._counts.count("bytes_stored", len(body))
        self._count_retries()
        self._settle(answer)

    def _all_of(self, answer: Deletion) -> Deletion:
        """Return what a deletion came to in all of its tries: single keys may fail as whole requests do."""
        if not answer.failed and not self._left:
            return answer
        again = {key for key, code, _ in answer.failed if passes(code)}
        self._left += [each for each in answer.failed if each[0] not in again]
        rest = [each for each in answer.failed if each[0] in again]
        if rest and self._tries < self._shared.config.max_attempts:
            self._patience.answered()
            self.request = self.request.only(again)  # type: ignore[attr-defined]  # a deletion has it
            raise Unfinished(f"{len(again)} objects weren't deleted ({rest[0][1]})")
        return Deletion((*self._left, *rest))

    def failed(self, error: Exception) -> float:
        """The request failed, or the reading of its answer's body.

        Returns:
            How many seconds to wait before it is sent again, if it isn't settled now.

        Raises:
            S3CheckpointError: It won't be.
        """
        from langgraph_checkpoint_s3.s3.error_mapping import Outcome, Retry, Unconditional, classify

        self._attempts += max(1, self.called.attempts)
        self._count_retries()
        self._shared.store_time.heard(getattr(error, "response", None), self._shared.clock() - self._sent)
        call, bucket = self.called, self._shared.config.bucket
        verdict = classify(error, self.request, bucket, reading=call.reading, received=call.received)
        slow = self.called.limit.overdue
        if slow and isinstance(verdict, Retry):
            verdict = Retry(slow)
        if isinstance(verdict, Outcome):
            self._shared.breaker.succeeded()
            self._settle(verdict.answer)
            return 0
        if isinstance(verdict, Unconditional):
            if self._conditional:
                self._shared.without_conditions()
                if self._is_strict:
                    self._settle(PreconditionFailed())
                else:
                    self._counts.count("retries")
                return 0
            verdict = verdict.otherwise
        if isinstance(verdict, Retry):
            if self._tries < self._shared.config.max_attempts:
                longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** (self._tries - 1))
                pause = longest * random.uniform(0.5, 1)  # noqa: S311  # spreads retries, hides nothing
                if pause < self._patience.left:
                    self._counts.count("retries")
                    logger.info("%s: %s; again in %.2f s", type(self.request).__name__, verdict.why, pause)
                    return pause
                raise self._given_up(verdict.why, late=True, status=verdict.status) from error
            if isinstance(error, NotAnAnswer):
                self._shared.breaker.failed()
            verdict = self._given_up(verdict.why, status=verdict.status)
        elif isinstance(verdict, StorageUnavailableError):
            if verdict.status is None or verdict.status >= 500 or verdict.status == 429:
                self._shared.breaker.failed()
            else:
                self._shared.breaker.succeeded()
            why = verdict.reason if verdict.status or not slow else f"{slow}. {verdict.reason}"
            verdict = self._given_up(why, of=verdict, late=self.called.cut)
        elif verdict is not None:
            self._shared.breaker.succeeded()  # it answered, if not what was hoped for
        if verdict is None or verdict is error:
            raise error
        raise verdict from error

    @property
    def _is_strict(self) -> bool:
        """Return if the request is to be refused, rather than sent without its condition."""
        return isinstance(self.request, PutObject) and self.request.strict

    def _call(self, *, once: bool = False) -> Attempt:
        config = self._shared.config
        limit = Limit(
            config.connect_timeout + config.read_timeout,
            allowance(self.request),
            patience=self._patience.remaining,
            clock=self._patience.clock,
        )
        return Attempt(self._patience, once=once, limit=limit)

    def _count_retries(self) -> None:
        """Count how often the client library sent the request again."""
        if self.called.attempts > 1:
            self._counts.count("retries", self.called.attempts - 1)

    def _given_up(
        self,
        why: str,
        *,
        of: StorageUnavailableError | None = None,
        late: bool = False,
        status: int | None = None,
    ) -> StorageUnavailableError:
        """The error to end with: how often it was tried, for how long, and why no longer."""
        if of is not None and not self.called.attempts:
            self._attempts += (of.attempts or 1) - 1  # a client of the user's own says it in its answer alone
        seconds = self._shared.clock() - self._begun
        times = f"{self._attempts} attempt{'' if self._attempts == 1 else 's'} in {seconds:.1f} s"
        limit = f" (operation_timeout={self._shared.config.operation_timeout:g})" if late else ""
        refused = of is not None and of.status is not None  # which says its attempts itself
        return StorageUnavailableError(
            f"{why} in {seconds:.1f} s{limit}" if refused else f"Given up after {times}{limit}: {why}",
            attempts=self._attempts,
            seconds=seconds,
            status=of.status if of else status,
            bucket=self._shared.config.bucket,
            key=of.key if of else getattr(self.request, "key", None),
            request_ids=of.request_ids if of else (),
        )

    def _settle(self, answer: Any) -> None:
        self.answer = answer
        self.settled = True
        self._patience.answered()
