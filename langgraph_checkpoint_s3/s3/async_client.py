"""The asyncio client: aiobotocore, one client for each event loop that uses the saver.

A client belongs to the loop that it was first used on, while a saver outlives loops: `asyncio.run` may be
called many times, and several loops may run in several threads. So each client is held by an async generator
of its loop. The loop closes it when it shuts down (`asyncio.run`, uvicorn and pytest do that), and it is
closed when the saver is garbage-collected. Only before a loop that is closed without shutting down its
generators, call `aclose()`.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import threading
import weakref
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any, Final

from langgraph_checkpoint_s3.aws import Throttle, lacks_credentials, refresh_credentials, region_of
from langgraph_checkpoint_s3.config import S3Config
from langgraph_checkpoint_s3.fork_safety import delay_forks, keep_for_parent, renew_after_fork
from langgraph_checkpoint_s3.request_timeout import limit_attempts
from langgraph_checkpoint_s3.s3.sync_client import (
    DEFAULT_REGION,
    client_arguments,
    name_client,
    prepare,
    translator_for,
    tune,
)
from langgraph_checkpoint_s3.s3.translate import Translator


def available() -> bool:
    """Return whether aiobotocore is installed (the extra `aio`)."""
    return importlib.util.find_spec("aiobotocore") is not None


@dataclass(slots=True)
class _Holder:
    """One loop's client, and what closes it."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    lifetime: AsyncGenerator[Any, None] | None = None
    closer: weakref.finalize[[asyncio.AbstractEventLoop, AsyncGenerator[Any, None]], AioClients] | None = None
    made: tuple[Any, Translator] | None = None


class AioClients:
    """The clients of all event loops.

    Args:
        config: The saver's.
        user_agent: The text that is added to the `User-Agent` header.
        session: An `aiobotocore` or `aioboto3` session passed in by the user.
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
        """Leave clients and loops to the parent: closing them here would close its connections."""
        self._lock = threading.Lock()
        self._making = threading.Lock()
        for holder in list(self._holders.values()):
            if holder.closer is not None:
                holder.closer.detach()
        if self._holders or self._session is not None:
            keep_for_parent((self._holders, self._session))
        self._holders = {}
        self._session = None

    async def get(self) -> tuple[Any, Translator]:
        """Return the running loop's client and its translator."""
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
        if self._given is not None and lacks_credentials(client):  # the session had none
            with self._lock:
                holder = self._holders.get(asyncio.get_running_loop())
                if holder is None or holder.made is None or holder.made[0] is not client:
                    return
                if not self._throttle.allow():
                    return
            await self.aclose()  # without credentials, it has no requests under way

    async def aclose(self) -> None:
        """Close the running loop's client; other loops close theirs when they end."""
        with self._lock:
            holder = self._holders.get(asyncio.get_running_loop())
        if holder is not None and holder.lifetime is not None:
            await holder.lifetime.aclose()

    async def _open(self, loop: asyncio.AbstractEventLoop, holder: _Holder) -> None:
        # Importing and making a client reads dozens of files, which would block the loop.
        client = await asyncio.to_thread(self._make)
        holder.lifetime = _keep(client, loop, self._holders, self._lock)
        await anext(holder.lifetime)
        holder.closer = weakref.finalize(self, _close_soon, loop, holder.lifetime)
        holder.closer.atexit = False
        holder.made = (client, translator_for(self._config, client))

    def _forget_closed_loops(self) -> None:
        for loop in [loop for loop in self._holders if loop.is_closed()]:
            _forget(self._holders, loop)

    def _make(self) -> Any:
        """Make a client. Its connections begin with its first request, on the loop that sends it."""
        with self._making, delay_forks():  # sessions aren't thread-safe
            # Making a client awaits nothing that suspends, so one step runs it to its end without a loop.
            # With a loop, guards against blocking calls (blockbuster) would object to the files it reads.
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
            # A session passed in may suspend, or need a loop, for example to fetch credentials. Its coroutine
            # can't go on where it stopped, since it was started without a loop.
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
        """Return this process's session."""
        if self._session is None:
            self._session = _new_session(self._config.region)
        return self._session


def _follow_no_redirects(client: Any) -> None:
    """Make a client follow no redirects: aiohttp follows them to any host, with all headers and the body.

    botocore itself handles a bucket in another region, by the region's name and not by an address.
    """
    endpoint = getattr(client, "_endpoint", None)  # there is no public attribute
    if endpoint is None:  # a test double, say
        return
    http = endpoint.http_session
    opened = http._get_session  # noqa: SLF001  # aiobotocore has no setting for it

    async def without_redirects(proxy_url: Any) -> _WithoutRedirects:
        return _WithoutRedirects(await opened(proxy_url))

    http._get_session = without_redirects  # noqa: SLF001  # likewise


class _WithoutRedirects:
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
    """Hold a client until it is closed. No reference to the saver: its garbage collection ends this."""
    try:
        yield client
    finally:
        with lock:
            _forget(holders, loop)
        await client.close()


def _forget(holders: dict[asyncio.AbstractEventLoop, _Holder], loop: asyncio.AbstractEventLoop) -> None:
    """Drop a loop's holder: its client and its finalizer would keep the loop in memory."""
    holder = holders.pop(loop, None)
    if holder is not None and holder.closer is not None:
        holder.closer.detach()


_closing: Final[set[asyncio.Task[None]]] = set()
"""Tasks that close clients. A loop itself has only weak references to its tasks."""


def _close_soon(loop: asyncio.AbstractEventLoop, lifetime: AsyncGenerator[Any, None]) -> None:
    """Close a client on its loop, from any thread."""

    def start() -> None:
        for task in [each for each in _closing if each.get_loop().is_closed()]:
            _closing.discard(task)  # its loop was closed in the midst of it
        task = loop.create_task(lifetime.aclose())
        _closing.add(task)
        task.add_done_callback(_closing.discard)

    with contextlib.suppress(RuntimeError):  # the loop is closed, and has closed its generators
        loop.call_soon_threadsafe(start)


def _new_session(region: str | None) -> Any:
    from aiobotocore.session import AioSession

    from langgraph_checkpoint_s3.s3.async_credentials import BlockingChain

    session = AioSession()
    session.register_component("credential_provider", BlockingChain(region_of(region, session)))
    prepare(session)
    return session
