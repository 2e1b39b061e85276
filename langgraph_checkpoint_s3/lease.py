"""`Lease`, which `S3Saver.lease` gives: an optional lock for a thread, across machines."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
import threading
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from langgraph_checkpoint_s3.errors import ConflictError, InvalidConfigError, S3CheckpointError
from langgraph_checkpoint_s3.fork_safety import renew_after_fork
from langgraph_checkpoint_s3.format.lease_record import LeaseRecord
from langgraph_checkpoint_s3.lease_settings import Clock, LeaseSettings
from langgraph_checkpoint_s3.plans import lease as plans
from langgraph_checkpoint_s3.plans.lease import Held, Taken
from langgraph_checkpoint_s3.plans.plan import Plan
from langgraph_checkpoint_s3.s3.store import Store

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

logger = logging.getLogger("langgraph_checkpoint_s3")

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 2.0


class Lease:
    """A lock for one thread, across processes and machines, that ends by itself. See `S3Saver.lease`.

        with saver.lease("customer-42", ttl=60, wait=300) as lease:
            graph.invoke(inputs, config)

    One object is one holder: two leases exclude each other in the same process, too. Its methods may
    be called from any thread; those that begin with `a`, from one event loop.
    """

    def __init__(
        self,
        store: Store,
        key: str,
        thread_id: str,
        terms: LeaseSettings,
        now: Callable[[], int],
        pace: Clock | None = None,
    ) -> None:
        self._store = store
        self._key = key
        self._thread_id = thread_id
        self._terms = terms
        self._now = now
        self._pace = pace or Clock()
        self._owner = uuid.uuid4().hex
        self._writes = 0
        self._held: Held | None = None
        self._token = 0
        self._until = -math.inf
        self._deadline = 0.0
        self._pause = _FIRST_PAUSE
        self._lost: str | None = None
        self._make_locks()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Hold nothing: a lease is its process's. Its thread isn't here, nor is the loop of its task."""
        if self._held is not None:
            self._lost = "it is held by the process that this one was forked from"
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
        """The fencing token: greater than that of each earlier holder of this thread; 0 before it is taken.

        Hand it to what the run changes elsewhere: whoever remembers the greatest token that it
        has seen, and refuses smaller ones, is safe from a holder who was paused and doesn't know it.
        """
        return self._token

    @property
    def holder(self) -> str:
        """The name under which others see it."""
        return self._terms.holder

    @property
    def remaining(self) -> float:
        """For how many seconds it surely holds, unless it is renewed; 0 if it isn't held."""
        if self._held is None or self._lost is not None:
            return 0.0
        return max(0.0, self._until - self._pace.clock())

    @property
    def lost(self) -> bool:
        """Whether somebody else has taken it meanwhile, as far as this process has seen."""
        return self._lost is not None

    def check(self) -> None:
        """Make sure that it is held now, as far as this process can know. Sends nothing.

        Raises:
            ConflictError: It was lost, has ended, or isn't held.
        """
        if self.remaining <= 0:
            raise self._gone()

    def acquire(self) -> Self:
        """Take it, as `with` does; `release` gives it back. Needs `s3:GetObject` and `s3:PutObject`.

        Raises:
            ConflictError: Somebody else holds it, and did so for all of `wait`; the message names him.
            NotSupportedError: The store ignores conditional writes.
            S3CheckpointError: The store can't be reached or refuses.
        """
        self._begin()
        try:
            while (pause := self._judge(self._store.run(self._acquire()))) is not None:
                self._pace.sleep(pause)
            if self._until_renewal() == 0:  # it took long
                self.renew()
            if self._terms.auto_renew:
                self._stop = threading.Event()
                thread = threading.Thread(
                    target=self._renewing,
                    args=(self._stop,),
                    name="langgraph-checkpoint-s3-lease",
                    daemon=True,
                )
                thread.start()
                self._thread = thread
        except BaseException:
            self._stop.set()
            if (plan := self._undo()) is not None:
                self._store.run(plan)
            raise
        return self

    async def aacquire(self) -> Self:
        """`acquire`, as a coroutine."""
        self._begin()
        try:
            while (pause := self._judge(await self._store.arun(self._acquire()))) is not None:  # noqa: ASYNC110  # S3 tells nobody
                await asyncio.sleep(pause)
            if self._until_renewal() == 0:
                await self.arenew()
            if self._terms.auto_renew:
                self._task = asyncio.create_task(self._arenewing())
        except BaseException:
            if (plan := self._undo()) is not None:
                await self._store.arun(plan)
            raise
        return self

    def renew(self) -> None:
        """Let it hold for another `ttl`: one PUT (`s3:PutObject`). Without `auto_renew`, call it in time.

        Raises:
            ConflictError: It was lost.
            S3CheckpointError: The store can't be reached or refuses; it still holds for `remaining`.
        """
        with self._lock:
            plan = self._renew()
            self._renewed(*self._timed(self._store.run, plan))

    async def arenew(self) -> None:
        """`renew`, as a coroutine."""
        async with self._alock:
            plan = self._renew()
            sent = self._pace.clock()
            self._renewed(sent, await self._store.arun(plan))

    def release(self) -> None:
        """Give it back, so that others needn't wait: one PUT (`s3:PutObject`). What isn't held needs none.

        Raises:
            ConflictError: It was lost meanwhile: another process may have run the thread.
            S3CheckpointError: The store can't be reached or refuses; the lease ends by itself.
        """
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        with self._lock:
            if self._held is not None:
                plan = self._renew(released=True)
                try:
                    self._released(*self._timed(self._store.run, plan))
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
                plan = self._renew(released=True)
                sent = self._pace.clock()
                try:
                    self._released(sent, await self._store.arun(plan))
                finally:
                    self._end()

    def __enter__(self) -> Self:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._yielding_to(error):
            self.release()

    async def __aenter__(self) -> Self:
        return await self.aacquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._yielding_to(error):
            await self.arelease()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._thread_id!r}, holder={self.holder!r}, token={self._token})"

    def _begin(self) -> None:
        if self._held is not None:
            raise InvalidConfigError("This lease is held already. Another holder needs a lease of its own.")
        self._lost, self._pause = None, _FIRST_PAUSE
        self._deadline = self._pace.clock() + self._terms.wait

    def _end(self) -> None:
        self._held = None
        self._owner = uuid.uuid4().hex

    def _note(self, token: int, *, released: bool = False) -> LeaseRecord:
        self._writes += 4  # a taking may make as many writings: two of a proof, and one that gives it back
        return LeaseRecord(
            self._owner, self.holder, token, self._terms.ttl, self._writes, self._now(), released
        )

    def _acquire(self) -> Plan[Held | Taken]:
        # The time is the least token, so that tokens grow even if the object was deleted in between.
        note = self._note(self._now() // 1_000_000)
        sent = self._pace.clock()  # before it is asked for: the holder's count ends first
        outcome = yield from plans.acquire(self._key, note, prove=not self._store.saver_state.compares)
        if isinstance(
            outcome, Held
        ):  # noted at once, so that whatever comes between now and then gives it back
            self._held, self._token, self._until = outcome, outcome.token, sent + self._terms.ttl
            self._store.saver_state.compares = True
        return outcome

    def _undo(self) -> Plan[None] | None:
        """Hold nothing after a taking that failed; the plan that gives back what was written, if any was.

        The owner stays: this lease may take over what it couldn't give back.
        """
        held, self._held, self._until = self._held, None, -math.inf
        return None if held is None else plans.give_back(self._key, self._owner)

    def _renew(self, *, released: bool = False) -> Plan[Held | Taken]:
        if self._held is None or self._lost is not None:
            raise self._gone()
        return plans.renew(self._key, self._note(self._token, released=released), self._held.etag)

    def _timed(
        self, run: Callable[[Plan[Held | Taken]], Held | Taken], plan: Plan[Held | Taken]
    ) -> tuple[float, Held | Taken]:
        sent = self._pace.clock()  # before it is asked for: the holder's count ends first
        return sent, run(plan)

    def _judge(self, outcome: Held | Taken) -> float | None:
        """What came of a try to take it: `None` if it is ours, or how long to wait before the next one."""
        if isinstance(outcome, Held):
            return None
        left = self._deadline - self._pace.clock()
        if left <= 0:
            ends = f"it ends in {outcome.left:.0f} s unless it is renewed"
            raise ConflictError(
                f"{outcome.holder or 'Somebody'} holds the lease of thread {self._thread_id!r}; "
                f"{ends if outcome.left else 'it ended just now'}. Try again later, or pass wait= to lease()",
                bucket=self._store.config.bucket,
                key=self._key,
            )
        longest, self._pause = self._pause, min(_LONGEST_PAUSE, self._pause * 2)
        return min(left, longest * random.uniform(0.5, 1))  # noqa: S311  # spreads tries, hides nothing

    def _renewed(self, sent: float, outcome: Held | Taken) -> None:
        if isinstance(outcome, Held):
            self._held, self._until = outcome, sent + self._terms.ttl
            return
        self._lost = f"{outcome.holder} took it over" if outcome.holder else "its object was deleted"
        raise self._gone()

    def _released(self, sent: float, outcome: Held | Taken) -> None:
        # Somebody has it before it could end: then it was released, the reply got lost, and he was faster
        # than our second try.
        if not (isinstance(outcome, Taken) and outcome.holder and self._pace.clock() < self._until):
            self._renewed(sent, outcome)

    def _gone(self) -> ConflictError:
        if self._lost is not None:
            why = f"was lost: {self._lost}. Another process may have run the thread meanwhile"
        elif self._held is None:
            why = "isn't held"
        else:
            why = "has ended without having been renewed, and somebody else may take it"
        return ConflictError(
            f"The lease of thread {self._thread_id!r} {why}",
            bucket=self._store.config.bucket,
            key=self._key,
        )

    def _renewing(self, stop: threading.Event) -> None:
        pause = self._until_renewal()
        while not stop.wait(pause):
            try:
                self.renew()
            except Exception as error:  # noqa: BLE001  # it has no caller: it is said, and shows in `remaining`
                if (again := self._failed(error)) is None:
                    return
                pause = again
            else:
                pause = self._until_renewal()

    async def _arenewing(self) -> None:
        pause = self._until_renewal()
        while True:
            await asyncio.sleep(pause)
            try:
                await self.arenew()
            except Exception as error:  # noqa: BLE001  # as above
                if (again := self._failed(error)) is None:
                    return
                pause = again
            else:
                pause = self._until_renewal()

    def _until_renewal(self) -> float:
        """Seconds until a third of the ttl is over."""
        return max(0.0, self.remaining - self._terms.ttl * 2 / 3)

    def _failed(self, error: Exception) -> float | None:
        """A renewal in the background failed: how long to wait before the next; `None` is for good."""
        logger.warning("The lease of a thread wasn't renewed (%s): %s", self._key, error)
        return None if self.lost else self._terms.ttl / 10

    @contextlib.contextmanager
    def _yielding_to(self, error: BaseException | None) -> Iterator[None]:
        """Where the body has failed already, its error is the one to tell."""
        try:
            yield
        except S3CheckpointError as second:
            if error is None:
                raise
            logger.warning("Releasing a lease failed (%s): %s", self._key, second)
