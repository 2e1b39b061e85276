"""`Lease`, made by `S3Saver.lease`: an optional lock for a thread, across machines."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import random
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from langgraph_checkpoint_s3.errors import ConflictError, InvalidConfigError, S3CheckpointError
from langgraph_checkpoint_s3.fork_safety import renew_after_fork
from langgraph_checkpoint_s3.format.lease_record import LeaseRecord
from langgraph_checkpoint_s3.plans import lease as plans
from langgraph_checkpoint_s3.plans.lease import Held, Taken
from langgraph_checkpoint_s3.plans.plan import Plan
from langgraph_checkpoint_s3.s3.store import Store

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

logger = logging.getLogger("langgraph_checkpoint_s3")

_MIN_PAUSE: Final = 0.1
_MAX_PAUSE: Final = 2.0
_MIN_TTL: Final = 1.0
_MAX_TTL: Final = 7 * 86400.0
_MAX_HOLDER: Final = 256


@dataclass(frozen=True, slots=True)
class LeaseSettings:
    """Validated arguments of `S3Saver.lease`.

    Attributes:
        ttl: Seconds until it expires unless it is renewed.
        wait: Seconds to keep trying to acquire it.
        holder: The holder's name, shown to other callers.
        auto_renew: Whether it is renewed in the background.
    """

    ttl: float
    wait: float
    holder: str
    auto_renew: bool

    @classmethod
    def of(
        cls, ttl: float | timedelta, wait: float | timedelta, holder: Any, auto_renew: bool
    ) -> LeaseSettings:
        """Validate the arguments.

        Raises:
            InvalidConfigError: One is of the wrong type or out of range.
        """
        ttl_seconds = _seconds("ttl", ttl)
        if not _MIN_TTL <= ttl_seconds <= _MAX_TTL:
            raise InvalidConfigError(f"ttl={ttl!r} must be from 1 second to 7 days.")
        wait_seconds = _seconds("wait", wait)
        if wait_seconds < 0:
            raise InvalidConfigError(f"wait={wait!r} must not be negative.")
        if holder is None:
            holder = f"{socket.gethostname()} pid {os.getpid()}"[:_MAX_HOLDER]
        if not isinstance(holder, str) or not 0 < len(holder) <= _MAX_HOLDER:
            raise InvalidConfigError(f"holder={holder!r} must be a name of 1 to {_MAX_HOLDER} characters.")
        return cls(ttl_seconds, wait_seconds, holder, auto_renew)


@dataclass(frozen=True, slots=True)
class Clock:
    """Monotonic time in seconds, and sleeping. Tests replace both."""

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class Lease:
    """A lock for one thread, across processes and machines, that expires by itself. See `S3Saver.lease`.

        with saver.lease("customer-42", ttl=60, wait=300) as lease:
            graph.invoke(inputs, config)

    Each object is one holder: two leases exclude each other in the same process, too. Blocking methods may
    be called from any thread; those whose names begin with `a`, from one event loop.
    """

    def __init__(
        self,
        store: Store,
        key: str,
        thread_id: str,
        settings: LeaseSettings,
        now: Callable[[], int],
        clock: Clock | None = None,
    ) -> None:
        self._store = store
        self._key = key
        self._thread_id = thread_id
        self._settings = settings
        self._now = now
        self._clock = clock or Clock()
        self._owner = uuid.uuid4().hex
        self._writes = 0
        self._held: Held | None = None
        self._token = 0
        self._expires_at = -math.inf
        self._deadline = 0.0
        self._next_pause = _MIN_PAUSE
        self._lost_because: str | None = None
        self._make_locks()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Hold nothing: the lease stays with the parent, as do the thread and event loop that renew it."""
        if self._held is not None:
            self._lost_because = "it is held by the process that this one was forked from"
        self._held = None
        self._make_locks()

    def _make_locks(self) -> None:
        self._lock = threading.Lock()
        self._alock = asyncio.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def token(self) -> int:
        """Fencing token: greater than that of every earlier holder of this thread; 0 before `acquire`.

        Pass it to the other systems that a run writes to. A system that remembers the greatest token it has
        seen, and rejects smaller ones, is safe from a holder that was paused and lost the lease.
        """
        return self._token

    @property
    def holder(self) -> str:
        """Name of the holder, shown to other callers."""
        return self._settings.holder

    @property
    def remaining(self) -> float:
        """Seconds for which it is certainly held without another renewal; 0 if it isn't held."""
        if self._held is None or self._lost_because is not None:
            return 0.0
        return max(0.0, self._expires_at - self._clock.monotonic())

    @property
    def lost(self) -> bool:
        """True if another holder has taken it over, as far as this process knows."""
        return self._lost_because is not None

    def check(self) -> None:
        """Raise an error unless it is held now, as far as this process knows. Sends nothing.

        Raises:
            ConflictError: It was lost, has expired, or isn't held.
        """
        if self.remaining <= 0:
            raise self._not_held()

    def acquire(self) -> Self:
        """Acquire it, as `with` does. Needs `s3:GetObject` and `s3:PutObject`.

        Raises:
            ConflictError: Another holder had it for all of `wait`; the message names the holder.
            NotSupportedError: The store ignores conditional writes.
            S3CheckpointError: The store can't be reached or refuses.
        """
        self._start()
        try:
            while (pause := self._pause_after(self._store.run(self._acquire(), "acquire"))) is not None:
                self._clock.sleep(pause)
            if self._until_renewal() == 0:  # acquiring took long
                self.renew()
            if self._settings.auto_renew:
                self._stop = threading.Event()
                thread = threading.Thread(
                    target=self._keep_renewing,
                    args=(self._stop,),
                    name="langgraph-checkpoint-s3-lease",
                    daemon=True,
                )
                thread.start()
                self._thread = thread
        except BaseException:
            self._stop.set()
            if (plan := self._undo()) is not None:
                self._store.run(plan, "release")
            raise
        return self

    async def aacquire(self) -> Self:
        """`acquire`, as a coroutine."""
        self._start()
        try:
            outcome = await self._store.arun(self._acquire(), "acquire")
            while (pause := self._pause_after(outcome)) is not None:
                await asyncio.sleep(pause)
                outcome = await self._store.arun(self._acquire(), "acquire")
            if self._until_renewal() == 0:
                await self.arenew()
            if self._settings.auto_renew:
                self._task = asyncio.create_task(self._akeep_renewing())
        except BaseException:
            if (plan := self._undo()) is not None:
                await self._store.arun(plan, "release")
            raise
        return self

    def renew(self) -> None:
        """Extend it by another `ttl`, with one PUT (`s3:PutObject`). Without `auto_renew`, call it in time.

        Raises:
            ConflictError: It was lost.
            S3CheckpointError: The store can't be reached or refuses. It is still held for `remaining`.
        """
        with self._lock:
            plan, sent = self._renew()
            self._renewed(sent, self._store.run(plan, "renew"))

    async def arenew(self) -> None:
        """`renew`, as a coroutine."""
        async with self._alock:
            plan, sent = self._renew()
            self._renewed(sent, await self._store.arun(plan, "renew"))

    def release(self) -> None:
        """Release it with one PUT (`s3:PutObject`), so that others needn't wait, if it is held.

        Raises:
            ConflictError: It was lost: another process may have run the thread.
            S3CheckpointError: The store can't be reached or refuses. The lease expires by itself.
        """
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        with self._lock:
            if self._held is not None:
                plan, sent = self._renew(released=True)
                try:
                    self._released(sent, self._store.run(plan, "release"))
                finally:
                    self._end()

    async def arelease(self) -> None:
        """`release`, as a coroutine."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        async with self._alock:
            if self._held is not None:
                plan, sent = self._renew(released=True)
                try:
                    self._released(sent, await self._store.arun(plan, "release"))
                finally:
                    self._end()

    def __enter__(self) -> Self:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._after_body(error):
            self.release()

    async def __aenter__(self) -> Self:
        return await self.aacquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._after_body(error):
            await self.arelease()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._thread_id!r}, holder={self.holder!r}, token={self._token})"

    def _start(self) -> None:
        if self._held is not None:
            raise InvalidConfigError("This lease is held already. Another holder needs a lease of its own.")
        self._lost_because, self._next_pause = None, _MIN_PAUSE
        self._deadline = self._clock.monotonic() + self._settings.wait

    def _end(self) -> None:
        self._held = None
        self._owner = uuid.uuid4().hex

    def _record(self, token: int, *, released: bool = False) -> LeaseRecord:
        # `plans.acquire` may write up to four records and counts them from here: the acquisition itself, two
        # that check conditional writes, and a release.
        self._writes += 4
        return LeaseRecord(
            self._owner, self.holder, token, self._settings.ttl, self._writes, self._now(), released
        )

    def _acquire(self) -> Plan[Held | Taken]:
        # The time is the minimum token, so that tokens grow even if the object was deleted in between.
        record = self._record(self._now() // 1_000_000)
        # Taken before the request, so that the lease expires for its holder before it does for others.
        sent = self._clock.monotonic()
        outcome = yield from plans.acquire(self._key, record, prove=not self._store.saver_state.compares)
        if isinstance(outcome, Held):
            # Set here, not by the caller, so that an interruption in between still releases it.
            self._held, self._token, self._expires_at = outcome, outcome.token, sent + self._settings.ttl
            self._store.saver_state.compares = True
        return outcome

    def _undo(self) -> Plan[None] | None:
        """Reset after a failed acquisition, and return the plan that releases what was written, if anything.

        The owner id stays, so that this object can acquire a lease that it couldn't release.
        """
        held, self._held, self._expires_at = self._held, None, -math.inf
        return None if held is None else plans.give_back(self._key, self._owner)

    def _renew(self, *, released: bool = False) -> tuple[Plan[Held | Taken], float]:
        """Return the plan of a renewal or release, and the time from which the new `ttl` counts."""
        if self._held is None or self._lost_because is not None:
            raise self._not_held()
        record = self._record(self._token, released=released)
        return plans.renew(self._key, record, self._held.etag), self._clock.monotonic()

    def _pause_after(self, outcome: Held | Taken) -> float | None:
        """Return the seconds until the next attempt to acquire it; `None` if it is acquired.

        Raises:
            ConflictError: The time to wait is over.
        """
        if isinstance(outcome, Held):
            return None
        left = self._deadline - self._clock.monotonic()
        if left <= 0:
            ends = f"it ends in {outcome.left:.0f} s unless it is renewed"
            raise ConflictError(
                f"{outcome.holder or 'Somebody'} holds the lease of thread {self._thread_id!r}; "
                f"{ends if outcome.left else 'it ended just now'}. Try again later, or pass wait= to lease()",
                bucket=self._store.config.bucket,
                key=self._key,
            )
        longest, self._next_pause = self._next_pause, min(_MAX_PAUSE, self._next_pause * 2)
        return min(left, longest * random.uniform(0.5, 1))  # noqa: S311  # jitter, no secret

    def _renewed(self, sent: float, outcome: Held | Taken) -> None:
        if isinstance(outcome, Held):
            self._held, self._expires_at = outcome, sent + self._settings.ttl
            return
        self._lost_because = f"{outcome.holder} took it over" if outcome.holder else "its object was deleted"
        raise self._not_held()

    def _released(self, sent: float, outcome: Held | Taken) -> None:
        # If another holder has it before it could expire, the release succeeded, its response was lost, and
        # the other holder came before our retry.
        taken = isinstance(outcome, Taken) and outcome.holder
        if not (taken and self._clock.monotonic() < self._expires_at):
            self._renewed(sent, outcome)

    def _not_held(self) -> ConflictError:
        if self._lost_because is not None:
            why = f"was lost: {self._lost_because}. Another process may have run the thread meanwhile"
        elif self._held is None:
            why = "isn't held"
        else:
            why = "has ended without having been renewed, and somebody else may take it"
        return ConflictError(
            f"The lease of thread {self._thread_id!r} {why}",
            bucket=self._store.config.bucket,
            key=self._key,
        )

    def _keep_renewing(self, stop: threading.Event) -> None:
        pause: float | None = self._until_renewal()
        while pause is not None and not stop.wait(pause):
            try:
                self.renew()
            except Exception as error:  # noqa: BLE001  # there is no caller: it is logged
                pause = self._pause_after_failure(error)
            else:
                pause = self._until_renewal()

    async def _akeep_renewing(self) -> None:
        pause: float | None = self._until_renewal()
        while pause is not None:
            await asyncio.sleep(pause)
            try:
                await self.arenew()
            except Exception as error:  # noqa: BLE001  # as above
                pause = self._pause_after_failure(error)
            else:
                pause = self._until_renewal()

    def _until_renewal(self) -> float:
        """Return the seconds until a third of the ttl is over."""
        return max(0.0, self.remaining - self._settings.ttl * 2 / 3)

    def _pause_after_failure(self, error: Exception) -> float | None:
        """Log a failed renewal. Return the seconds until the next attempt, or `None` if it is lost."""
        logger.warning("The lease of a thread wasn't renewed (%s): %s", self._key, error)
        return None if self.lost else self._settings.ttl / 10

    @contextlib.contextmanager
    def _after_body(self, error: BaseException | None) -> Iterator[None]:
        """Log an error of the release if the body of the `with` failed, and let the body's error through."""
        try:
            yield
        except S3CheckpointError as second:
            if error is None:
                raise
            logger.warning("Releasing a lease failed (%s): %s", self._key, second)


def _seconds(name: str, value: float | timedelta) -> float:
    seconds: Any = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or math.isnan(seconds):
        raise InvalidConfigError(f"{name}={value!r} must be seconds, or a timedelta.")
    return float(seconds)
