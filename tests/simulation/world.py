"""Virtual time, and requests that are steps of their own: what a history is played in.

A batch of requests is sent as a whole; then each of its requests has two steps, in any order among all
that are under way in all processes: its effect on the bucket, and its answer. Between the two, or before
the first, the connection may break. Then the client library sends it again, or gives up; and what it sent
first may still arrive.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

from botocore.exceptions import ReadTimeoutError

from langgraph_checkpoint_s3 import S3CheckpointError
from langgraph_checkpoint_s3.s3.request_state import RequestState
from langgraph_checkpoint_s3.s3.requests import (
    Attempted,
    Call,
    CompleteUpload,
    CopyObject,
    DeleteObjects,
    Failure,
    GetObject,
    HeadObject,
    ListObjects,
    PutObject,
    Request,
)
from tests.simulation.bucket import Bucket
from tests.simulation.facts import Op
from tests.simulation.store import TRANSLATOR, Batch, data_of, name_of
from tests.support.fake_s3 import client_error

STALE: Final = 900.0
"""Seconds after which S3 refuses a signature: so long after it was sent, a request may still arrive."""
_READS: Final = (GetObject, HeadObject, ListObjects)
_WRITES: Final = (PutObject, CompleteUpload, CopyObject, DeleteObjects)
_AGAIN: Final = 0.6
"""The probability that the client library retries a request whose answer was lost."""


@dataclass(eq=False)
class Flight:
    """A request that is under way.

    Attributes:
        running: The operation.
        number: Its place in the batch.
        request: The request.
        state: Its state; `None` for what isn't sent.
        conditional: Whether its condition goes along.
        weight: How soon it tends to get on, beside others.
        since: When it was sent.
        ready: When it may get on.
        arrived: Whether it has had its effect.
        outcome: The answer to it, or an error.
        awaited: Whether its client still waits for that.
    """

    running: Running
    number: int
    request: Request[Any]
    state: Any
    conditional: bool
    weight: float
    since: float
    ready: float = 0.0
    arrived: bool = False
    outcome: Any = None
    awaited: bool = True


class Running:
    """An operation that is under way: its coroutine, and what it waits for.

    Args:
        world: The world.
        op: What it is.
        coroutine: Its coroutine.

    Attributes:
        result: What it returned.
        error: What it raised.
    """

    def __init__(self, world: World, op: Op, coroutine: Coroutine[Any, Any, Any]) -> None:
        self.world = world
        self.op = op
        self.result: Any = None
        self.error: BaseException | None = None
        self._coroutine = coroutine
        self._batch: Batch | None = None
        self._answers: list[Any] = []
        self._failures: dict[int, BaseException] = {}
        self._open = 0

    def start(self) -> None:
        """Let it begin."""
        self._go(None, None)

    def _go(self, answers: Any, error: BaseException | None) -> None:
        """Let it go on, until it waits for something or ends."""
        while True:
            try:
                go = self._coroutine
                batch = go.send(answers) if error is None else go.throw(error)
            except StopIteration as stop:
                self.result = stop.value
                self._end("done")
                return
            except BaseException as raised:  # noqa: BLE001  # judged by the oracle
                self.error = raised
                self._end("failed")
                return
            error = None
            self._send(batch)
            if self._open:
                return
            answers = self._settled()

    def _end(self, outcome: str) -> None:
        self._batch = None
        self.op.outcome = outcome
        self.op.ended = self.world.step

    def _settled(self) -> tuple[list[Any], BaseException | None]:
        failure = self._failures[min(self._failures)] if self._failures else None
        return self._answers, failure

    def _send(self, batch: Batch) -> None:
        self._batch = batch
        self._answers = [None] * len(batch.requests)
        self._failures = {}
        self._open = 0
        store, deadline = batch.store, batch.store.saver_state.deadline()
        every = [each.request if isinstance(each, Attempted) else each for each in batch.requests]
        for number in sorted(range(len(every)), key=lambda number: _order(every[number])):
            plain: Any = every[number]
            if isinstance(plain, Call):
                try:
                    self._answers[number] = plain.function()
                except Exception as error:  # noqa: BLE001  # as the drivers do
                    self._note(number, error)
            elif name_of(plain) in ("Tick", "Sleep"):
                broken = store.bucket.broken == "waits for nobody"
                ready = self.world.now + (0.0 if broken else getattr(plain, "seconds", 0.0))
                self._fly(Flight(self, number, plain, None, False, 1.0, self.world.now, ready))
            else:
                state = RequestState(store.saver_state, plain, deadline)
                if state.done:
                    self._answers[number] = state.answer
                else:
                    self._call(number, plain, state)

    def _call(self, number: int, request: Request[Any], state: RequestState) -> None:
        """Make the client's call for a request."""
        try:
            _, arguments = state.prepare(TRANSLATOR)
        except S3CheckpointError as error:
            self._note(number, error)
            return
        self.send(number, request, state, conditional=arguments["conditional"])

    def send(self, number: int, request: Request[Any], state: RequestState, *, conditional: bool) -> None:
        """Send a request, or send it again."""
        slow = (0.03, 0.002) if isinstance(request, _WRITES) else (0.03,)
        weight = self.world.chosen.choice((1.0, 1.0, 1.0, 0.3, *slow))
        self._fly(Flight(self, number, request, state, conditional, weight, self.world.now))

    def _fly(self, flight: Flight) -> None:
        self._open += 1
        self.op.flying += 1
        self.world.flights.append(flight)

    def _note(self, number: int, error: BaseException) -> None:
        assert self._batch is not None
        if isinstance(self._batch.requests[number], Attempted) and isinstance(error, S3CheckpointError):
            self._answers[number] = Failure(error)
        else:
            self._failures[number] = error

    def answer(self, flight: Flight) -> None:
        """Give a request's answer to its state."""
        assert self._batch is not None
        self._open -= 1
        number, state, outcome = flight.number, flight.state, flight.outcome
        if state is None:
            clock = self._batch.store.clock()
            self._answers[number] = clock if name_of(flight.request) == "Tick" else None
        else:
            try:
                if isinstance(outcome, Exception):
                    state.failed(outcome)
                else:
                    state.succeeded(TRANSLATOR, {"answer": outcome}, data_of(outcome))
            except Exception as error:  # noqa: BLE001  # as the drivers do
                self._note(number, error)
            else:
                if state.done:
                    self._answers[number] = state.answer
                else:
                    self._call(number, flight.request, state)
        if not self._open:
            self._go(self._settled(), None)

    def lose(self, flight: Flight, error: Exception) -> None:
        """A request's answer doesn't come: the client library sends it again, or gives up."""
        if self.world.chosen.random() < _AGAIN:
            self._open -= 1
            self.send(flight.number, flight.request, flight.state, conditional=flight.conditional)
        else:
            flight.outcome = error
            self.answer(flight)

    def leave(self) -> None:
        """Wait for nothing any more. What was sent may still arrive, or never does."""
        for flight in [each for each in self.world.flights if each.running is self and each.awaited]:
            self.world.abandon(flight)
        self._open = 0

    def cancel(self) -> None:
        """Cancel it. It may still clean up."""
        self.leave()
        self.op.faults.append("cancelled")
        self._go(None, asyncio.CancelledError())

    def kill(self) -> None:
        """Kill its process."""
        self.leave()
        self._coroutine.close()
        self._end("killed")


@dataclass
class World:
    """Time, chance, what is under way, and what has happened.

    Attributes:
        chosen: All chance.
        now: Seconds since the beginning.
        step: Its number.
        pace: How fast time goes on, in steps.
        flights: The requests that are under way.
        trace: What has happened.
        faults: How many things may still go wrong.
        rate: How often one does.
        deadly: Whether operations are cancelled, and processes killed.
    """

    chosen: random.Random
    now: float = 0.0
    step: int = 0
    pace: float = 1.0
    flights: list[Flight] = field(default_factory=list)
    trace: list[tuple[float, str, str, Any, Any]] = field(default_factory=list)
    faults: int = 0
    rate: float = 0.0
    deadly: bool = True

    def note(self, who: str, what: str, request: Any = None, answer: Any = None) -> None:
        """Write a line into the trace."""
        self.trace.append((self.now, who, what, request, answer))

    def pass_time(self) -> None:
        """Let time go on: milliseconds mostly, at times seconds."""
        self.step += 1
        chance = self.chosen.random()
        if chance < 0.6:
            spent = self.chosen.uniform(0.001, 0.02)
        elif chance < 0.9:
            spent = self.chosen.uniform(0.02, 0.3)
        elif chance < 0.99:
            spent = self.chosen.uniform(0.3, 1.5)
        else:
            spent = self.chosen.uniform(1.5, 6.0)
        self.now += spent * self.pace

    def ready(self) -> list[Flight]:
        """Return the tasks that can go on now. If all of them wait for time to pass, it passes."""
        for flight in [each for each in self.flights if not each.awaited and self.now > each.since + STALE]:
            self.note(flight.running.op.name, "never arrives", flight.request)
            self.land(flight)
        return [flight for flight in self.flights if flight.ready <= self.now]

    def slow(self) -> bool:
        """Return if a slow write is under way."""
        return any(
            flight.weight < 0.1
            and flight.awaited
            and not flight.arrived
            and isinstance(flight.request, _WRITES)
            for flight in self.flights
        )

    def wait(self) -> None:
        """Let the time pass until the next one can get on."""
        waiting = [flight.ready for flight in self.flights if flight.ready > self.now]
        if waiting:
            self.now = min(waiting) + 0.001

    def advance(self, flight: Flight, bucket: Bucket) -> str:
        """Let one request get on by a step.

        Returns:
            `kill` if its process is to be killed instead, else nothing.
        """
        running = flight.running
        fault = self._fault(flight)
        if fault:
            running.op.faults.append(fault)
            self.note(running.op.name, f"FAULT {fault}", flight.request)
        if fault == "kill":
            return fault
        if fault == "cancel":
            running.cancel()
        elif fault == "cut":
            self.abandon(flight)
            running.lose(flight, ReadTimeoutError(endpoint_url="https://s3"))
        elif fault == "conflicting":
            self.land(flight)
            flight.outcome = client_error("ConditionalRequestConflict", 409, flight.request)
            running.answer(flight)
        elif fault in ("refused", "dropped", "lost"):
            self.land(flight)
            error = client_error("SlowDown", 503, flight.request)
            running.lose(flight, error if fault == "refused" else ReadTimeoutError(endpoint_url="https://s3"))
        elif not flight.arrived and flight.state is not None:
            self._arrive(flight, bucket)
        else:
            self.land(flight)
            running.answer(flight)
        return ""

    def _arrive(self, flight: Flight, bucket: Bucket) -> None:
        flight.arrived = True
        try:
            flight.outcome = bucket.execute(flight.request, conditional=flight.conditional)
        except Exception as error:  # noqa: BLE001  # classified by the state
            flight.outcome = error
        running = flight.running
        if flight.awaited:
            self.note(running.op.name, "", flight.request, flight.outcome)
        else:
            self.note(running.op.name, "ARRIVES LATE", flight.request, flight.outcome)
            self.land(flight)

    def land(self, flight: Flight) -> None:
        """A request is over."""
        self.flights.remove(flight)
        flight.running.op.flying -= 1
        flight.running.op.landed = self.step

    def abandon(self, flight: Flight) -> None:
        """Nobody waits for a request any more. If it hasn't arrived, it may do so much later, or never."""
        if flight.arrived or flight.state is None or self.chosen.random() < 0.4:
            self.land(flight)
            flight.awaited = False
            return
        late = Flight(
            flight.running,
            flight.number,
            flight.request,
            flight.state,
            flight.conditional,
            self.chosen.choice((1.0, 0.1, 0.01)),
            flight.since,
            awaited=False,
        )
        self.flights[self.flights.index(flight)] = late
        flight.awaited = False

    def _fault(self, flight: Flight) -> str:
        rate = self.rate * (1.0 if isinstance(flight.request, _READS) else 4.0)
        if not (self.faults and flight.awaited and self.chosen.random() < rate):
            return ""
        self.faults -= 1
        kinds = ["lost", "lost"] if flight.arrived else ["refused", "dropped", "cut"]
        if not flight.arrived and (
            getattr(flight.request, "only_new", False) or getattr(flight.request, "expected", None)
        ):
            kinds.append("conflicting")
        if flight.state is None:
            kinds = []
        if self.deadly or not kinds:
            kinds += ["cancel", "kill"]
        return self.chosen.choice(kinds)


def _order(request: Any) -> tuple[str, str, int]:
    """The order in which a batch is sent. It may come from a set, and so be another each time."""
    first = getattr(request, "number", getattr(request, "first", 0))
    return name_of(request), getattr(request, "key", getattr(request, "prefix", "")), first
