"""AWS credentials that are resolved again after they were rejected or missing, for clients made here.

Imported only when a client is made.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import NoCredentialsError
from botocore.session import Session

from langgraph_checkpoint_s3.aws import Throttle, region_of
from langgraph_checkpoint_s3.fork_safety import renew_after_fork


class RenewableCredentials:
    """Credentials from AWS's chain (environment, profile, role), resolved again after they were rejected.

    That happens at once, and then at most once a second. Each time a new session resolves them, because a
    session caches its result and never reads a file again. Botocore uses only the attributes defined here.

    Args:
        resolve: Resolves credentials through AWS's chain.
        clock: Returns the time in seconds.
    """

    def __init__(self, resolve: Callable[[], Any], clock: Callable[[], float] = time.monotonic) -> None:
        self._resolve = resolve
        self.after_fork()
        renew_after_fork(self)
        self._throttle = Throttle(clock)
        self._invalid = False
        self._problem: Exception | None = None
        self._found: Any = None
        self._update()

    def after_fork(self) -> None:
        """Replace the lock, which a thread of the parent may have held."""
        self._lock = threading.Lock()

    @property
    def method(self) -> str | None:
        """Name of the method that found them."""
        return getattr(self._found, "method", None)

    def get_deferred_property(self, name: str) -> Callable[[], Any]:
        """Return a function that reads a property later, such as the account."""
        return lambda: getattr(self._found, name, None)

    @property
    def has_known_expiry(self) -> bool:
        """True if the time of their expiry is known."""
        return hasattr(self._found, "refresh_needed")

    @property
    def may_block(self) -> bool:
        """True if `get_frozen_credentials` may block, to resolve or refresh them."""
        return self._found is None or self._invalid or self.refresh_needed()

    def refresh_needed(self, refresh_in: float | None = None) -> bool:
        """Return whether they are known to expire within a number of seconds, botocore's own by default."""
        known = getattr(self._found, "refresh_needed", None)
        return known is not None and bool(known(refresh_in))

    def invalidate(self) -> None:
        """Resolve them again before the next request, because they were rejected or couldn't be fetched."""
        self._invalid = True

    def get_frozen_credentials(self) -> Any:
        """Return the current credentials.

        Raises:
            BotoCoreError: There are no credentials.
        """
        return (self.resolved or self.resolve()).get_frozen_credentials()

    @property
    def resolved(self) -> Any:
        """The resolved credentials; `None` if there are none, or if they were rejected."""
        return None if self._invalid else self._found

    def resolve(self) -> Any:
        """Return the credentials that are resolved now.

        Raises:
            BotoCoreError: There are no credentials.
        """
        with self._lock:
            return self._current()

    def _current(self) -> Any:
        if self._invalid and self._throttle.allow():
            self._invalid = False
            self._update()
        if self._found is None:
            raise (self._problem or NoCredentialsError()).with_traceback(None)
        return self._found

    def _update(self) -> None:
        try:
            self._found, self._problem = self._resolve(), None
        except Exception as error:  # noqa: BLE001  # raised by the next request
            self._found, self._problem = None, error


class CredentialChain:
    """Replacement for botocore's credential provider component.

    Args:
        region: The region to assume roles in, unless the environment or profile sets one.
    """

    def __init__(self, region: str | None) -> None:
        self._region = region

    def load_credentials(self) -> RenewableCredentials:
        """Return credentials of AWS's chain, whether or not there are any yet."""
        return RenewableCredentials(self._resolve)

    def _resolve(self) -> Any:
        session = Session()
        if self._region is not None:
            session.set_config_variable("region", self._region)
        return session.get_credentials()


def new_session(region: str | None) -> Session:
    """Make a session with `RenewableCredentials`.

    Args:
        region: The region that the user set, if any.
    """
    session = Session()
    session.register_component("credential_provider", CredentialChain(region_of(region, session)))
    return session
