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

from langgraph_checkpoint_s3.aws import Throttle, lacks_credentials, refresh_credentials, region_of
from langgraph_checkpoint_s3.config import S3Config
from langgraph_checkpoint_s3.fork_safety import delay_forks, keep_for_parent, renew_after_fork
from langgraph_checkpoint_s3.request_timeout import limit_attempts
from langgraph_checkpoint_s3.s3.sync_client import (
    DEFAULT_REGION,
    client_arguments,
    name_client,
    prepare,
    tune,
    wire_of,
)
from langgraph_checkpoint_s3.s3.translate import Wire


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
        self._throttle = Throttle()
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
            keep_for_parent((self._holders, self._session))
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

    async def refused(self, client: Any) -> None:
        """Look for other credentials before the next request: this client's were refused, or it has none."""
        refresh_credentials(client)
        if self._given is not None and lacks_credentials(client):  # the session found none then
            with self._lock:
                holder = self._holders.get(asyncio.get_running_loop())
                if holder is None or holder.made is None or holder.made[0] is not client:
                    return
                if not self._throttle.allow():
                    return
            await self.aclose()  # what can't sign has nothing under way

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
        with self._making, delay_forks():  # a session isn't made for several threads
            # Making one awaits nothing that waits, so it needs no loop; a loop in this thread would
            # bring guards against blocking calls (blockbuster) with it.
            coroutine = self._create()
            try:
                coroutine.send(None)
            except StopIteration as done:
                return done.value
            except Exception:
                if self._given is None:
                    raise
            finally:
                coroutine.close()
            # It does wait, or missed a loop: a session of the user's own fetches its credentials, perhaps.
            return asyncio.run(self._create())

    async def _create(self) -> Any:
        from aiobotocore.config import AioConfig

        arguments = client_arguments(self._config, self._user_agent)
        if self._given is not None:
            session = self._given
            create = getattr(session, "create_client", None) or session.client
        else:
            session = self._own_session()
            create = session.create_client
            name_client(session, arguments["config"])
        arguments["config"] = AioConfig(**arguments["config"])
        arguments["region_name"] = region_of(arguments["region_name"], session, DEFAULT_REGION)
        client = await create("s3", **arguments).__aenter__()
        tune(client, session)
        limit_attempts(client)
        _follow_no_redirects(client)
        return client

    def _own_session(self) -> Any:
        """Return the session of this process."""
        if self._session is None:
            self._session = _new_session(self._config.region)
        return self._session


def _follow_no_redirects(client: Any) -> None:
    """Have a client follow no redirects, which aiohttp does to any host, with all headers and the body.

    botocore has its own way for a bucket in another region: by the region's name, never by an address.
    """
    endpoint = getattr(client, "_endpoint", None)  # botocore shows it nowhere else
    if endpoint is None:  # what only looks like a client has its own ways
        return
    http = endpoint.http_session
    opened = http._get_session  # noqa: SLF001  # aiobotocore has no setting for it

    async def direct(proxy_url: Any) -> _Direct:
        return _Direct(await opened(proxy_url))

    http._get_session = direct  # noqa: SLF001  # likewise


class _Direct:
    """An aiohttp session that follows no redirects."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def request(self, method: str, **arguments: Any) -> Any:
        return self._session.request(method, **arguments, allow_redirects=False)


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


def _new_session(region: str | None) -> Any:
    from aiobotocore.session import AioSession

    from langgraph_checkpoint_s3.s3.async_credentials import BlockingChain

    session = AioSession()
    session.register_component("credential_provider", BlockingChain(region_of(region, session)))
    prepare(session)
    return session
