"""Clients of S3's REST API: a blocking one for all threads, and one for each event loop."""

from __future__ import annotations

import asyncio
import platform
import re
import threading
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any, Final, Generic, NamedTuple, TypeVar

from langgraph_checkpoint_s3.config import S3Config
from langgraph_checkpoint_s3.fork_safety import delay_forks, renew_after_fork
from langgraph_checkpoint_s3.request_timeout import TimeLimit
from langgraph_checkpoint_s3.s3.answer_checks import InvalidResponse
from langgraph_checkpoint_s3.s3.client import Fetched
from langgraph_checkpoint_s3.s3.deadline import Attempt
from langgraph_checkpoint_s3.s3.per_loop import PerLoop
from langgraph_checkpoint_s3.s3.request_state import SaverState
from langgraph_checkpoint_s3.s3.rest.api import NeedsMd5, RestApi, Target, WrongRegion
from langgraph_checkpoint_s3.s3.rest.async_http import AsyncConnectionPool
from langgraph_checkpoint_s3.s3.rest.credentials import CredentialSource, credential_source
from langgraph_checkpoint_s3.s3.rest.http_parser import BodyTooLong, MalformedResponse, ResponseParser
from langgraph_checkpoint_s3.s3.rest.route import Route
from langgraph_checkpoint_s3.s3.rest.settings import read_settings
from langgraph_checkpoint_s3.s3.rest.sigv4 import Credentials
from langgraph_checkpoint_s3.s3.rest.sync_http import Connection, ConnectionPool
from langgraph_checkpoint_s3.s3.thread_pool import Threads
from langgraph_checkpoint_s3.s3.translate import Translator

P = TypeVar("P")

_PLATFORM: Final = f"Python/{platform.python_version()} {platform.system()}/{platform.machine()}"
_NOT_IN_AGENT: Final = r"[^A-Za-z0-9!#$%&'*+.^_`|~,-]"
"""Characters that botocore replaces in an application's name, too. A line break would begin a header."""
_LARGE: Final = 2 * 1024 * 1024
"""Bytes of a body from which a coroutine's request is sent in a thread."""
_SPARE_CONNECTIONS: Final = 256
"""Connections beyond one operation's: LangGraph calls a saver from many threads and tasks at once."""


class _Shared(NamedTuple):
    """Parts that all clients of a saver share.

    Attributes:
        api: The bucket's API.
        credentials: The source of the credentials to sign with.
        translator: The translator of requests.
    """

    api: RestApi
    credentials: CredentialSource
    translator: Translator


class _Base(Generic[P]):
    """A client and the pool of its connections.

    Args:
        config: The saver's.
        shared: The parts that it shares with other clients.
        make_pool: Makes a pool of a route, timeouts in seconds, and a number of connections.
    """

    def __init__(
        self, config: S3Config, shared: _Shared, make_pool: Callable[[Route, float, float, int], P]
    ) -> None:
        self.retries = False
        self.translator = shared.translator
        self._api = shared.api
        self._credentials = shared.credentials
        self._config = config
        self._make_pool = make_pool
        self._pool = self._pool_for(self._api.target)

    def _pool_for(self, target: Target) -> tuple[Target, P]:
        config = self._config
        count = config.max_concurrency + _SPARE_CONNECTIONS
        return target, self._make_pool(target.route, config.connect_timeout, config.read_timeout, count)


class ThreadedCall:
    """A request of a coroutine that is sent in a thread, until its response has come.

    Args:
        credentials: The credentials to sign with.
        limit: Its time limit.

    Attributes:
        credentials: The credentials.
    """

    def __init__(self, credentials: Credentials | None, limit: TimeLimit) -> None:
        self.credentials = credentials
        self._limit = limit
        self._connection: list[Connection] = []  # who pops it has it: no lock is needed

    def begin(self, connection: Connection) -> None:
        """Note its connection."""
        self._connection.append(connection)

    def end(self) -> bool:
        """Note that its response has come; return whether the connection can be used again."""
        return self._take() is not None

    def cut(self) -> None:
        """End its waits: the coroutine was cancelled. Nothing more is sent."""
        self._limit.cut()
        connection = self._take()
        if connection is not None:
            connection.abort()

    def _take(self) -> Connection | None:
        try:
            return self._connection.pop()
        except IndexError:
            return None


class RestClient(_Base[ConnectionPool]):
    """The blocking client.

    Args:
        config: The saver's.
        shared: The parts that it shares with other clients.
    """

    def __init__(self, config: S3Config, shared: _Shared) -> None:
        super().__init__(config, shared, ConnectionPool)
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Replace the lock, which a thread of the parent may hold."""
        self._lock = threading.Lock()

    def fetch(
        self,
        operation: str,
        arguments: Mapping[str, Any],
        attempt: Attempt,
        call: ThreadedCall | None = None,
    ) -> Fetched:
        """Send a request, and read the body of its response.

        Args:
            operation: The operation.
            arguments: Its arguments.
            attempt: Facts about the request.
            call: The coroutine's call that it is sent for.
        """
        request = self._api.build(operation, arguments)
        limit = attempt.limit
        followed = False
        while True:
            target, pool = self._pool
            credentials = self._credentials.get() if call is None else call.credentials
            limit.start()
            parser = ResponseParser(request.method, request.most, attempt.into)
            connection = pool.acquire(limit)
            try:
                if call is not None:
                    call.begin(connection)
                head = self._api.head(request, target, credentials, attempt)
                connection.exchange(head, request.body, parser, limit)
            except (MalformedResponse, BodyTooLong) as error:
                connection.close()
                raise InvalidResponse(str(error)) from error
            except BaseException:
                connection.close()
                raise
            limit.stop()
            if parser.keep_alive and (call is None or call.end()):
                pool.release(connection)
            else:
                connection.close()
            try:
                return self._api.read(request, target, parser, attempt)
            except NeedsMd5:
                request = self._api.build(operation, arguments)
            except WrongRegion as wrong:
                if followed:
                    raise wrong.error from None
                followed = True
                with self._lock:
                    if self._pool[1] is pool:  # no other request was redirected before
                        self._pool = self._pool_for(self._api.follow(wrong))
                        pool.retire()

    def refused(self) -> None:
        """Look for other credentials before the next request."""
        self._credentials.invalidate()

    def close(self) -> None:
        """Close its connections. The next request makes new ones."""
        self._pool[1].close()


class AsyncRestClient(_Base[AsyncConnectionPool]):
    """The client of one event loop.

    Hashing, encrypting and moving megabytes would block the loop. So what is large goes over blocking
    connections, in threads.

    Args:
        config: The saver's.
        shared: The parts that it shares with other clients.
        blocking: The client for what is large.
        threads: The threads for what is large.
    """

    def __init__(self, config: S3Config, shared: _Shared, blocking: RestClient, threads: Threads) -> None:
        super().__init__(config, shared, AsyncConnectionPool)
        self._blocking = blocking
        self._threads = threads

    @property
    def connections_in_use(self) -> int:
        """Connections that serve a request."""
        return self._pool[1].in_use

    async def fetch(self, operation: str, arguments: Mapping[str, Any], attempt: Attempt) -> Fetched:
        """Send a request, and read the body of its response."""
        if attempt.into is not None or len(arguments.get("Body", b"")) >= _LARGE:
            call = ThreadedCall(await self._credentials.aget(), attempt.limit)
            send = partial(self._blocking.fetch, operation, arguments, attempt, call)
            return await self._threads.awaited(send, call.cut)
        request = self._api.build(operation, arguments)
        limit = attempt.limit
        followed = False
        while True:
            target, pool = self._pool
            credentials = await self._credentials.aget()
            limit.start()
            parser = ResponseParser(request.method, request.most)
            connection = await pool.acquire(limit)
            try:
                head = self._api.head(request, target, credentials, attempt)
                await connection.exchange(head, request.body, parser, limit)
            except (MalformedResponse, BodyTooLong) as error:
                raise InvalidResponse(str(error)) from error
            finally:
                pool.release(connection, keep=parser.complete and parser.keep_alive)
            limit.stop()
            try:
                return self._api.read(request, target, parser, attempt)
            except NeedsMd5:
                request = self._api.build(operation, arguments)
            except WrongRegion as wrong:
                if followed:
                    raise wrong.error from None
                followed = True
                fresh = self._pool_for(await asyncio.to_thread(self._api.follow, wrong))
                if self._pool[1] is pool:  # no other request was redirected before
                    self._pool = fresh
                    await pool.close()

    async def refused(self) -> None:
        """Look for other credentials before the next request."""
        self._credentials.invalidate()

    async def close(self) -> None:
        """Close its connections."""
        await self._pool[1].close()


class RestClients:
    """The clients of a saver, made on first use.

    Args:
        config: The saver's.
        user_agent: The text that is added to the `User-Agent` header.
        state: The saver's state: the store's clock, and the number of attempts.
        threads: The threads for large requests of coroutines.
        session: A session passed in by the user, for credentials and settings: boto3's or botocore's, for the
            event loops' clients aiobotocore's or aioboto3's as well.
    """

    def __init__(
        self, config: S3Config, user_agent: str, state: SaverState, threads: Threads, session: Any = None
    ) -> None:
        self._config = config
        self._user_agent = user_agent
        self._state = state
        self._threads = threads
        self._session = session
        self._shared: _Shared | None = None
        self._client: RestClient | None = None
        self._loops: PerLoop[AsyncRestClient] = PerLoop(self._make_async)
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Replace the lock, which a thread of the parent may hold."""
        self._lock = threading.Lock()

    def get(self) -> RestClient:
        """Return the blocking client."""
        client = self._client
        if client is None:
            shared = self._get_shared()
            with self._lock:
                if self._client is None:
                    self._client = RestClient(self._config, shared)
                client = self._client
        return client

    def get_async(self) -> Coroutine[Any, Any, AsyncRestClient]:
        """Return the running loop's client."""
        return self._loops.get()

    def close(self) -> None:
        """Close the blocking client's connections. The next request makes new ones."""
        if self._client is not None:
            self._client.close()

    def aclose(self) -> Coroutine[Any, Any, None]:
        """Close the running loop's connections."""
        return self._loops.aclose()

    def _make_async(self) -> AsyncRestClient:
        return AsyncRestClient(self._config, self._get_shared(), self.get(), self._threads)

    def _get_shared(self) -> _Shared:
        with self._lock:
            if self._shared is None:
                with delay_forks():
                    self._shared = self._make_shared()
            return self._shared

    def _make_shared(self) -> _Shared:
        config = self._config.with_store_variables()
        settings = read_settings(config, self._session)
        application = f"app/{re.sub(_NOT_IN_AGENT, '-', settings.app_id)} " if settings.app_id else ""
        api = RestApi(
            config, settings, f"{_PLATFORM} {application}{self._user_agent}", self._state.store_time
        )
        endpoint = api.target.endpoint
        translator = Translator(config, endpoint.url, endpoint.region)
        self._state.use_attempts(settings.max_attempts)
        return _Shared(api, credential_source(config, settings, self._session), translator)
