"""Sources of the credentials that requests are signed with.

Those of environment variables are read without botocore. All others (profiles, roles, SSO, metadata services,
processes) are botocore's, or the session's that the user passed in.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Protocol

from langgraph_checkpoint_s3.aws import botocore_session
from langgraph_checkpoint_s3.config import S3Config
from langgraph_checkpoint_s3.fork_safety import delay_forks, renew_after_fork
from langgraph_checkpoint_s3.s3.rest.settings import AwsSettings
from langgraph_checkpoint_s3.s3.rest.sigv4 import Credentials

if TYPE_CHECKING:
    from langgraph_checkpoint_s3.credentials import RenewableCredentials


class CredentialSource(Protocol):
    """A source of credentials, for threads and event loops."""

    @property
    def may_block(self) -> bool:
        """True if `get` may read files or ask a server now."""

    def get(self) -> Credentials | None:
        """Return the current credentials; `None` if requests aren't signed.

        Raises:
            BotoCoreError: There are no credentials, or they couldn't be fetched.
            ClientError: A service refused to issue credentials.
        """

    async def aget(self) -> Credentials | None:
        """Return the same as `get`, without blocking the event loop."""

    def invalidate(self) -> None:
        """Look for other credentials before the next request, at most once a second: these were rejected."""


def credential_source(config: S3Config, settings: AwsSettings, session: Any = None) -> CredentialSource:
    """Return the source of a saver's credentials. Call it in a thread from a coroutine.

    It raises no error if there are no credentials: `get` does.

    Args:
        config: The saver's.
        settings: AWS's settings.
        session: A session passed in by the user: botocore's, aiobotocore's, boto3's or aioboto3's.

    Raises:
        InvalidConfigError: The session is of another kind.
    """
    if settings.unsigned:
        return Unsigned()
    if session is None:
        return ChainCredentials(settings.region)
    core = botocore_session(session)
    if core is None:
        from langgraph_checkpoint_s3.errors import InvalidConfigError

        raise InvalidConfigError(
            f"The credentials of a session of type {type(session).__name__} can't be read.",
            bucket=config.bucket,
        )
    # STS is asked for a role in the region of the session's first client, of which there may be none.
    if getattr(core, "_last_client_region_used", "") is None:
        core._last_client_region_used = settings.region  # noqa: SLF001  # as `create_client` does
    return (
        AioSessionCredentials(core)
        if inspect.iscoroutinefunction(core.get_credentials)
        else SessionCredentials(core)
    )


class Unsigned:
    """No credentials: requests aren't signed."""

    may_block = False

    def get(self) -> None:
        """Return `None`."""

    async def aget(self) -> None:
        """Return `None`."""

    def invalidate(self) -> None:
        """Do nothing."""


class _BlockingSource:
    """A source whose `get` is called in a thread where it may block."""

    @property
    def may_block(self) -> bool:
        """True if `get` may read files or ask a server now."""
        raise NotImplementedError

    def get(self) -> Credentials:
        """Return the current credentials."""
        raise NotImplementedError

    async def aget(self) -> Credentials:
        """Return the current credentials without blocking the event loop."""
        return await asyncio.to_thread(self.get) if self.may_block else self.get()


class ChainCredentials(_BlockingSource):
    """Credentials of environment variables, or else of botocore's chain.

    The variables take precedence over profiles, as in botocore. If they have a time of expiry, botocore reads
    them, and reads them again in time.

    Args:
        region: The region to assume roles in.
    """

    def __init__(self, region: str) -> None:
        self._region = region
        self._chain: RenewableCredentials | None = None
        self._environment = _from_environment()
        self._stale = False
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Replace the lock, which a thread of the parent may have held."""
        self._lock = threading.Lock()

    @property
    def may_block(self) -> bool:
        """True if `get` may read files or ask a server now."""
        if self._current() is not None:
            return False
        return self._chain is None or self._chain.may_block

    def get(self) -> Credentials:
        """Return the current credentials."""
        found = self._current()
        if found is not None:
            return found
        chain = self._chain
        if chain is None:
            with self._lock, delay_forks():
                chain = self._chain
                if chain is None:
                    from langgraph_checkpoint_s3.credentials import CredentialChain

                    chain = self._chain = CredentialChain(self._region).load_credentials()
        return _frozen(chain.get_frozen_credentials())

    def invalidate(self) -> None:
        """Look for other credentials before the next request."""
        self._stale = True
        if self._chain is not None:
            self._chain.invalidate()

    def _current(self) -> Credentials | None:
        """Return the credentials of environment variables, read again if they were rejected."""
        if self._stale:
            self._stale = False
            self._environment = _from_environment()
        return self._environment


class SessionCredentials(_BlockingSource):
    """Credentials of a botocore session, which keeps those that it found. It is asked again if it found none.

    Args:
        core: The session.
    """

    def __init__(self, core: Any) -> None:
        from langgraph_checkpoint_s3.credentials import RenewableCredentials

        self._found = RenewableCredentials(core.get_credentials)

    @property
    def may_block(self) -> bool:
        """True if `get` may read files or ask a server now."""
        return self._found.may_block

    def get(self) -> Credentials:
        """Return the current credentials."""
        return _frozen(self._found.get_frozen_credentials())

    def invalidate(self) -> None:
        """Ask the session again before the next request, if it has none."""
        self._found.invalidate()


class AioSessionCredentials:
    """Credentials of an aiobotocore session. They are resolved in a thread, and refreshed on the event loop.

    Args:
        core: The session.
    """

    def __init__(self, core: Any) -> None:
        from langgraph_checkpoint_s3.credentials import RenewableCredentials

        self._found = RenewableCredentials(lambda: _run(core.get_credentials))

    @property
    def may_block(self) -> bool:
        """True if `get` may read files or ask a server now."""
        return self._found.may_block

    def get(self) -> Credentials:
        """Return the current credentials. Not on an event loop."""
        return asyncio.run(self.aget())

    async def aget(self) -> Credentials:
        """Return the current credentials."""
        resolved = self._found.resolved
        found = await asyncio.to_thread(self._found.resolve) if resolved is None else resolved
        return _frozen(await found.get_frozen_credentials())

    def invalidate(self) -> None:
        """Ask the session again before the next request, if it has none."""
        self._found.invalidate()


def _from_environment() -> Credentials | None:
    environ = os.environ
    access_key, secret_key = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    if not access_key or not secret_key or environ.get("AWS_CREDENTIAL_EXPIRATION"):
        return None
    token = environ.get("AWS_SECURITY_TOKEN") or environ.get("AWS_SESSION_TOKEN") or None
    return Credentials(access_key, secret_key, token)


def _frozen(credentials: Any) -> Credentials:
    """Return botocore's frozen credentials without the account's id."""
    return Credentials(credentials.access_key, credentials.secret_key, credentials.token)


def _run(get_credentials: Any) -> Any:
    """Call a coroutine of an aiobotocore session in a thread without an event loop.

    It seldom suspends, so one step runs it to its end. With a loop, guards against blocking calls would
    object to the files that it reads. One that suspends or fails is started again on a loop.
    """
    coroutine: Coroutine[Any, Any, Any] = get_credentials()
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    except Exception:  # noqa: BLE001, S110  # it may need a running loop, and hide that it does
        pass
    finally:
        coroutine.close()
    return asyncio.run(get_credentials())
