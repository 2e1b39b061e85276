"""A thread pool for concurrent requests. Threads start when they are needed, and end when they are idle.

Ctrl-C may interrupt the waiting main thread between any two steps. So a waiting thread holds no lock that a
worker needs in order to end, and keeps no counters that an interrupt could leave wrong. Each call's outcome
is recorded where it can be looked up again; a `SimpleQueue` only wakes the waiting thread.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextvars import copy_context
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeAlias, TypeVar

from langgraph_checkpoint_s3.fork_safety import renew_after_fork
from langgraph_checkpoint_s3.s3.driver import drop_tracebacks

T = TypeVar("T")
Outcome: TypeAlias = "tuple[Any, BaseException | None]"
"""The outcome of a call: its result, or its error."""

logger = logging.getLogger("langgraph_checkpoint_s3")

IDLE: Final = 10.0
"""Seconds after which a thread without work ends."""


class Threads:
    """A pool of daemon threads. They delay neither the process's end nor a fork.

    Args:
        most: The most threads; further jobs wait.
        name: The prefix of the threads' names.
        idle: Seconds after which an idle thread ends.
    """

    def __init__(self, most: int, name: str, idle: float = IDLE) -> None:
        self._most = most
        self._name = name
        self._idle_time = idle
        self._made = 0
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Begin without threads: the parent's don't exist here."""
        self._lock = threading.Lock()
        self._workers: set[_Worker] = set()
        self._idle: list[_Worker] = []
        self._waiting: deque[Callable[[], object]] = deque()

    def start(self, job: Callable[[], object]) -> None:
        """Call a function in a thread. It must not raise.

        Raises:
            RuntimeError: There can be no more threads, or the interpreter is ending.
        """
        worker: _Worker | None = None
        try:
            with self._lock:
                if self._idle:
                    self._idle.pop().box.put(job)
                    return
                if len(self._workers) >= self._most:
                    self._waiting.append(job)
                    return
                self._made += 1
                worker = _Worker(self, f"{self._name}-{self._made}", job)
                self._workers.add(worker)
            worker.thread.start()
        except BaseException:
            if worker is not None and worker.thread.ident is None:
                self._forget(worker)
            raise

    def each(
        self, function: Callable[[T], Any], items: Sequence[T], most: int
    ) -> tuple[list[Any], BaseException | None]:
        """Call a function with each item, some at once, and wait for all calls.

        The calling thread makes calls too, so all are made even if no thread can be started.

        Args:
            function: The function.
            items: The items.
            most: The most calls at once.

        Returns:
            The results, and the error of the first call that failed. If the calling thread is interrupted,
            that is the error, once the calls that had begun have ended; the others aren't made.
        """
        batch = _Batch(function, items, min(most, len(items)) - 1)
        try:
            try:
                for helper in batch.helpers():
                    self.start(helper)
            except RuntimeError as error:
                logger.info("There are fewer threads than requests at once: %s", error)
            batch.work(interruptible=True)
            batch.end(drop=False)
            return batch.results()
        except BaseException as error:  # noqa: BLE001  # Ctrl-C: returned once all calls have ended
            batch.drop()
            return [], error

    async def awaited(self, function: Callable[[], T], stop: Callable[[], None]) -> T:
        """Call a function in a thread, and await it.

        Args:
            function: The function.
            stop: Asks the function to stop, when this is cancelled. Its end is awaited all the same.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Outcome] = loop.create_future()

        def job() -> None:
            outcome = outcome_of(function)
            with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody waits
                loop.call_soon_threadsafe(_set_outcome, done, outcome)

        self.start(partial(copy_context().run, job))
        cancelled: asyncio.CancelledError | None = None
        while not done.done():
            try:
                await asyncio.wait([done])
            except asyncio.CancelledError as error:
                cancelled = error
                stop()
        result, failure = done.result()
        if cancelled is not None:
            raise cancelled
        if failure is not None:
            raise failure
        returned: T = result
        return returned

    def close(self) -> None:
        """Wait for the threads' jobs, and end the threads. The next use starts new ones."""
        with self._lock:
            workers, self._workers = self._workers, set()
            idle, self._idle = self._idle, []
            for worker in workers:
                worker.last = True
            for worker in idle:
                worker.box.put(None)
        for worker in workers:
            # A thread that is just being started takes its job after this, and then ends by itself.
            if worker.thread is not threading.current_thread() and worker.thread.ident is not None:
                worker.thread.join()

    def next_job(self, worker: _Worker) -> Callable[[], object] | None:
        """Wait for a thread's next job; `None` ends the thread."""
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            if worker.last:
                return None
            self._idle.append(worker)
        try:
            return worker.box.get(timeout=self._idle_time)
        except Empty:
            pass
        with self._lock:
            if worker in self._idle:
                self._idle.remove(worker)
            with contextlib.suppress(Empty):
                return worker.box.get_nowait()  # it came between the timeout and the lock
            self._workers.discard(worker)
        return None

    def _forget(self, worker: _Worker) -> None:
        with self._lock:
            self._workers.discard(worker)


class _Worker:
    """A thread, and the box for its next job."""

    def __init__(self, pool: Threads, name: str, job: Callable[[], object]) -> None:
        self.box: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self.last = False
        self._pool = pool
        self._first: Callable[[], object] | None = job
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)

    def _run(self) -> None:
        job, self._first = self._first, None
        while job is not None:
            try:
                job()
            except BaseException:
                logger.exception("A thread's job failed")
            del job  # frees its data while the thread waits
            job = self._pool.next_job(self)


class _Batch:
    """Calls that the waiting thread and its helpers make together.

    `_begun` records for each helper whether it has begun, by `dict.setdefault`, which is atomic. A helper
    enters `True` when it begins. The waiting thread enters `False` for helpers that haven't, so that they
    don't begin later. The first entry counts.
    """

    def __init__(self, function: Callable[[Any], Any], items: Sequence[Any], helpers: int) -> None:
        self._function = function
        self._items = items
        self._todo = deque(range(len(items)))
        self._outcomes: dict[int, Outcome] = {}
        self._helpers = range(helpers)
        self._begun: dict[int, bool] = {}
        self._ended: set[int] = set()
        self._woken: SimpleQueue[None] = SimpleQueue()

    def helpers(self) -> list[Callable[[], object]]:
        """Return the helpers, to be called in other threads."""
        return [partial(copy_context().run, self._help, number) for number in self._helpers]

    def work(self, *, interruptible: bool = False) -> None:
        """Make calls until there are none left."""
        while True:
            try:
                number = self._todo.popleft()
            except IndexError:
                return
            outcome = outcome_of(self._function, self._items[number])
            self._outcomes[number] = outcome
            if interruptible and outcome[1] is not None and not isinstance(outcome[1], Exception):
                raise outcome[1]

    def end(self, *, drop: bool) -> None:
        """Wait until no call is under way.

        Args:
            drop: Whether to drop calls that haven't begun.
        """
        if drop:
            self._todo.clear()
        begun = [number for number in self._helpers if self._begun.setdefault(number, False)]
        while not self._ended.issuperset(begun):
            self._woken.get()

    def drop(self) -> None:
        """Drop the calls to come, and wait for those under way, even if this is interrupted again."""
        while True:
            with contextlib.suppress(BaseException):
                self.end(drop=True)
                return

    def results(self) -> tuple[list[Any], BaseException | None]:
        """Return the results of all calls, and the first error."""
        return split([self._outcomes[number] for number in range(len(self._items))])

    def _help(self, number: int) -> None:
        if not self._begun.setdefault(number, True):
            return
        try:
            self.work()
        finally:
            self._ended.add(number)
            self._woken.put(None)


class Stop:
    """A request to stop a plan that runs in a thread. It is raised once; the plan may then clean up.

    Args:
        loop: The event loop of the coroutine that waits for the thread.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._loop = loop
        self._tasks: set[asyncio.Task[Any]] = set()  # used on the loop alone
        self._asked = threading.Event()
        self._raised = False

    def ask(self) -> None:
        """Ask the plan to stop."""
        if not self._asked.is_set():
            self._asked.set()
            for task in self._tasks:
                task.cancel()

    def run(self, coroutine: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine on the loop, and wait for it in this thread.

        Raises:
            CancelledError: The plan was asked to stop.
        """
        assert self._loop is not None, "coroutines run on a loop"  # noqa: S101  # for the types

        async def run() -> T:
            self.check()
            task = asyncio.current_task()
            assert task is not None  # noqa: S101  # for the types
            self._tasks.add(task)
            try:
                return await coroutine()
            finally:
                self._tasks.discard(task)

        try:
            return asyncio.run_coroutine_threadsafe(run(), self._loop).result()
        except concurrent.futures.CancelledError:
            raise asyncio.CancelledError from None

    def due(self) -> asyncio.CancelledError | None:
        """Return the error to throw into the plan, the first time after `ask`."""
        if self._raised or not self._asked.is_set():
            return None
        self._raised = True
        return asyncio.CancelledError()

    def check(self) -> None:
        """Raise `CancelledError` between `ask` and `due`. After that, the plan's clean-up may send."""
        if self._asked.is_set() and not self._raised:
            raise asyncio.CancelledError

    def sleep(self, seconds: float) -> None:
        """Wait for some seconds, or until `ask`."""
        if self._raised:
            threading.Event().wait(seconds)
        else:
            self._asked.wait(seconds)


def _set_outcome(done: asyncio.Future[Outcome], outcome: Outcome) -> None:
    if not done.done():
        done.set_result(outcome)


def outcome_of(function: Callable[..., Any], *arguments: Any) -> Outcome:
    """Return a function's result, or its error."""
    try:
        return function(*arguments), None
    except BaseException as error:  # noqa: BLE001  # thrown into the plan
        return None, error


def split(outcomes: Sequence[Outcome]) -> tuple[list[Any], BaseException | None]:
    """Return the results of calls, and the first error. The others are dropped."""
    errors = [error for _, error in outcomes if error is not None]
    for dropped in errors[1:]:
        drop_tracebacks(dropped)
    return [result for result, _ in outcomes], errors[0] if errors else None
