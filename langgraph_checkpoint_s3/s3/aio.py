"""The asyncio client: aiobotocore, one client for each event loop that uses the saver.

A client belongs to the loop that it was first used on, while a saver outlives loops: `asyncio.run`
may be called many times, and several loops may run in several threads. Each client is therefore
held by an async generator of its loop, which the loop itself closes when it shuts down
(`asyncio.run`, uvicorn and pytest do that), and which is closed when the saver is dropped, so
nothing is left open. Only a loop that is closed without shutting down its generators needs an
`aclose()` before that.
"""

from __future__ import annotations

import asyncio
import importlib.util
import threading
import weakref
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

from langgraph_checkpoint_s3.config import S3Config
from langgraph_checkpoint_s3.forking import held_up, leave_to_parent, renew_after_fork
from langgraph_checkpoint_s3.s3.boto import client_arguments, name_client, prepare, tune, wire_of
from langgraph_checkpoint_s3.s3.wire import Wire
from langgraph_checkpoint_s3.sockets import limit_attempts


def available() -> bool:
    """Whether aiobotocore is installed (the extra `aio`)."""
    return importlib.util.find_spec("aiobotocore") is not None


@dataclass(slots=True)
class _Holder:
    """One loop's client."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    lifetime: AsyncGenerator[Any, None] | None = None
    closer: weakref.finalize[[asyncio.AbstractEventLoop, AsyncGenerator[Any, None]], AioClients] | None = None
    made: tuple[Any, Wire] | None = None


class AioClients:
    """The clients of all event loops.

    Args:
        config: The saver's.
        user_agent: What to say to the store of who calls.
        session: An `aiobotocore` or `aioboto3` session of the user's own.
    """

    def __init__(self, config: S3Config, user_agent: str, session: Any = None) -> None:
        self._config = config
        self._user_agent = user_agent
        self._given = session
        self._session: Any = None
        self._holders: dict[asyncio.AbstractEventLoop, _Holder] = {}
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Leave clients and loops to the parent: what closed them here would close them there."""
        self._lock = threading.Lock()
        self._making = threading.Lock()
        for holder in list(self._holders.values()):
            if holder.closer is not None:
                holder.closer.detach()
        if self._holders or self._session is not None:
            leave_to_parent((self._holders, self._session))
        self._holders = {}
        self._session = None

    async def get(self) -> tuple[Any, Wire]:
        """The running loop's client and its wire format."""
        loop = asyncio.get_running_loop()
        with self._lock:
            holder = self._holders.get(loop)
            if holder is None:
                self._forget_closed_loops()
                holder = self._holders[loop] = _Holder()
        if holder.made is None:
            async with holder.lock:
                if holder.made is None:
                    await self._open(loop, holder)
        assert holder.made is not None  # noqa: S101  # for mypy
        return holder.made

    async def aclose(self) -> None:
        """Close the running loop's client; other loops close theirs when they end."""
        with self._lock:
            holder = self._holders.get(asyncio.get_running_loop())
        if holder is not None and holder.lifetime is not None:
            await holder.lifetime.aclose()

    async def _open(self, loop: asyncio.AbstractEventLoop, holder: _Holder) -> None:
        # Importing and making a client reads dozens of files: never on the loop.
        client = await asyncio.to_thread(self._make)
        holder.lifetime = _keep(client, loop, self._holders, self._lock)
        await anext(holder.lifetime)
        holder.closer = weakref.finalize(self, _close_soon, loop, holder.lifetime)
        holder.closer.atexit = False
        holder.made = (client, wire_of(self._config, client))

    def _forget_closed_loops(self) -> None:
        for loop in [loop for loop in self._holders if loop.is_closed()]:
            _forget(self._holders, loop)

    def _make(self) -> Any:
        """Make a client. Its connections begin with its first request, on the loop that sends it."""
        with self._making, held_up():  # a session isn't made for several threads
            # Making one awaits nothing that waits, so it needs no loop; a loop in this thread would
            # bring guards against blocking calls (blockbuster) with it.
            coroutine = self._create()
            try:
                coroutine.send(None)
            except StopIteration as done:
                return done.value
            coroutine.close()
            return asyncio.run(self._create())  # it does wait: a session of the user's own, perhaps

    async def _create(self) -> Any:
        from aiobotocore.config import AioConfig

        arguments = client_arguments(self._config, self._user_agent)
        if self._given is not None:
            create = getattr(self._given, "create_client", None) or self._given.client
        else:
            if self._session is None:
                self._session = _new_session()
            name_client(self._session, arguments["config"])
            if not (arguments["region_name"] or self._session.get_config_variable("region")):
                arguments["region_name"] = "us-east-1"
            create = self._session.create_client
        arguments["config"] = AioConfig(**arguments["config"])
        client = await create("s3", **arguments).__aenter__()
        tune(client)
        limit_attempts(client)
        return client


async def _keep(
    client: Any,
    loop: asyncio.AbstractEventLoop,
    holders: dict[asyncio.AbstractEventLoop, _Holder],
    lock: threading.Lock,
) -> AsyncGenerator[Any, None]:
    """A client's lifetime. It doesn't know the saver, whose being dropped is to end it."""
    try:
        yield client
    finally:
        with lock:
            _forget(holders, loop)
        await client.close()


def _forget(holders: dict[asyncio.AbstractEventLoop, _Holder], loop: asyncio.AbstractEventLoop) -> None:
    """Let go of a loop: its client and its closer would keep it in memory."""
    holder = holders.pop(loop, None)
    if holder is not None and holder.closer is not None:
        holder.closer.detach()


def _close_soon(loop: asyncio.AbstractEventLoop, lifetime: AsyncGenerator[Any, None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(lambda: loop.create_task(lifetime.aclose()))


def _new_session() -> Any:
    from aiobotocore.session import AioSession

    from langgraph_checkpoint_s3.s3.credentials import BlockingChain

    session = AioSession()
    session.register_component("credential_provider", BlockingChain())
    prepare(session)
    return session
