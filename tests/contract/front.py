"""The fault server with what only these tests ask of it: round trips, and how much is under way at once."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import Counter
from collections.abc import Iterator

from langgraph_checkpoint_s3.testing import FaultServer
from langgraph_checkpoint_s3.testing.faults import Answer, BreakOff, Fault, Flip, HangUp, Hold, Park, Reply

__all__ = ["Answer", "BreakOff", "Fault", "Flip", "Front", "HangUp", "Hold", "Park", "Reply"]

_QUIET = 20
"""Looks without a new request after which none is taken to be on its way.

Looks, and no time: where the machine is busy, who sends gets his turn between two of them all the same.
"""
_LOOK_SECONDS = 0.005


class Front(FaultServer):
    """Counts and gathers requests besides."""

    def __init__(self, upstream: str, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(upstream, tls)
        self._rounds: list[int] | None = None
        self._gate: asyncio.Future[None] | None = None
        self._opener: asyncio.TimerHandle | None = None
        self._waiting = 0

    @contextlib.contextmanager
    def counted(self) -> Iterator[dict[str, int]]:
        """Fills the mapping with what came by in the body."""
        found: dict[str, int] = {}
        before = len(self.log)
        yield found
        found.update(Counter(seen.operation for seen in self.log[before:]))

    @contextlib.contextmanager
    def rounds(self) -> Iterator[list[int]]:
        """Fills the list with how many requests each round trip of the body had.

        Requests are held until no more come, and then let through together.
        """
        found: list[int] = []
        self._rounds = found
        try:
            yield found
        finally:
            self._rounds = None

    def most_at_once(self, operation: str) -> int:
        """Return the highest number of concurrent requests of an operation."""
        edges = sorted(
            edge
            for seen in self.log
            if seen.operation == operation
            for edge in ((seen.begun, 1), (seen.ended, -1))
        )
        most = now = 0
        for _, step in edges:
            now += step
            most = max(most, now)
        return most

    async def _before_forwarding(self) -> None:
        """Wait until no more requests come, if round trips are counted."""
        if self._rounds is None:
            return
        if self._gate is None:
            self._gate = self._loop.create_future()
        if self._opener is not None:
            self._opener.cancel()
        self._look(_QUIET)
        self._waiting += 1
        await self._gate

    def _look(self, left: int) -> None:
        if left:
            self._opener = self._loop.call_later(_LOOK_SECONDS, self._look, left - 1)
        else:
            self._open()

    def _open(self) -> None:
        if self._gate is not None and not self._gate.done():
            self._gate.set_result(None)
        if self._rounds is not None:
            self._rounds.append(self._waiting)
        self._gate, self._waiting = None, 0
