"""The asyncio client of the SDK: aiobotocore, one client for each event loop that uses the saver."""

from __future__ import annotations

import asyncio
import importlib.util
import threading
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from langgraph_checkpoint_s3.aws import (
    DEFAULT_REGION,
    Throttle,
    lacks_credentials,
    refresh_credentials,
    region_of,
)
from langgraph_checkpoint_s3.config import S3Config
from langgraph_checkpoint_s3.fork_safety import delay_forks, keep_for_parent, renew_after_fork
from langgraph_checkpoint_s3.request_timeout import LimitTimer, limit_attempts
from langgraph_checkpoint_s3.s3.client import Fetched
from langgraph_checkpoint_s3.s3.deadline import Attempt
from langgraph_checkpoint_s3.s3.per_loop import PerLoop
from langgraph_checkpoint_s3.s3.rest.settings import read_settings
from langgraph_checkpoint_s3.s3.sdk_calls import calling, has_body, with_file
from langgraph_checkpoint_s3.s3.sync_client import (
    client_arguments,
    name_client,
    prepare,
    translator_for,
    tune,
)
from langgraph_checkpoint_s3.s3.translate import Translator, method_of


def available() -> bool:
    """Return whether aiobotocore is installed (the extra `aiobotocore`)."""
    return importlib.util.find_spec("aiobotocore") is not None


class AsyncSdkClient:
    """A client of aiobotocore's, and its translator.

    Args:
        client: The client.
        translator: Translates requests for it.
        refused: Looks for other credentials.
    """

    def __init__(
        self,
        client: Any,
        translator: Translator,
        refused: Callable[[AsyncSdkClient], Coroutine[Any, Any, None]],
    ) -> None:
        self.client = client
        self.translator = translator
        self.retries = False
        self._refused = refused

    async def refused(self) -> None:
        """Look for other credentials before the next request: these were refused, or there are none."""
        await self._refused(self)

    async def fetch(self, operation: str, arguments: Mapping[str, Any], attempt: Attempt) -> Fetched:
        """Call the client's method for an operation, and read the body of its response."""
        with calling(attempt):
            async with LimitTimer(attempt.limit):
                response = await getattr(self.client, method_of(operation))(**with_file(arguments))
                if not has_body(response):
                    return response, b""
                attempt.reading = True
                async with response["Body"]:
                    attempt.limit.count_with(_received_bytes(response["Body"]))
                    data = await response["Body"].read()
        attempt.read(data)
        return response, data

    async def close(self) -> None:
        """Close its connections."""
        await self.client.close()


def _received_bytes(body: Any) -> Callable[[], int]:
    """Return a function that tells how many bytes of an asyncio client's body have come."""
    content = getattr(getattr(body, "raw_stream", None), "content", None)
    return lambda: int(getattr(content, "total_bytes", 0))  # aiohttp's


class AioClients:
    """The clients of all event loops.

    Args:
        config: The saver's.
        user_agent: The text that is added to the `User-Agent` header.
        use_attempts: Takes AWS's own setting for the number of attempts.
        session: An `aiobotocore` or `aioboto3` session passed in by the user.
    """

    def __init__(
        self,
        config: S3Config,
        user_agent: str,
        use_attempts: Callable[[int | None], None],
        session: Any = None,
    ) -> None:
        self._config = config
        self._user_agent = user_agent
        self._use_attempts = use_attempts
        self._given = session
        self._session: Any = None
        self._throttle = Throttle()
        self._loops: PerLoop[AsyncSdkClient] = PerLoop(self._make_with_translator)
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Leave the session to the parent."""
        self._making = threading.Lock()
        if self._session is not None:
            keep_for_parent(self._session)
        self._session = None

    async def get(self) -> AsyncSdkClient:
        """Return the running loop's client."""
        return await self._loops.get()

    async def _refused(self, made: AsyncSdkClient) -> None:
        refresh_credentials(made.client)
        had_none = self._given is not None and lacks_credentials(made.client)
        if had_none and self._loops.is_current(made) and self._throttle.allow():
            await self.aclose()  # without credentials, it has no requests under way

    async def aclose(self) -> None:
        """Close the running loop's client; other loops close theirs when they end."""
        await self._loops.aclose()

    def _make_with_translator(self) -> AsyncSdkClient:
        client = self._make()
        return AsyncSdkClient(client, translator_for(self._config, client), self._refused)

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
        settings = read_settings(self._config, session)
        tune(client, settings)
        limit_attempts(client)
        self._use_attempts(settings.max_attempts)
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


def _new_session(region: str | None) -> Any:
    from aiobotocore.session import AioSession

    from langgraph_checkpoint_s3.s3.async_credentials import BlockingChain

    session = AioSession()
    session.register_component("credential_provider", BlockingChain(region_of(region, session)))
    prepare(session)
    return session
