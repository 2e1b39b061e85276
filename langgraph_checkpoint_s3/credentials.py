"""AWS credentials for clients of our own making, that are looked for again when they were refused or missing.

Imported only where a client is made.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import NoCredentialsError
from botocore.session import Session

from langgraph_checkpoint_s3.aws import Seldom, region_of
from langgraph_checkpoint_s3.fork_safety import renew_after_fork


class FoundCredentials:
    """Credentials from AWS's chain (environment, profile, role), looked for again after they were refused.

    That happens at once, and then at most once a second. A new session is asked each time, since one keeps
    what it found, and never reads a file again. Botocore asks nothing of credentials but what is here.

    Args:
        find: Asks AWS's chain.
        clock: Tells the time in seconds.
    """

    def __init__(self, find: Callable[[], Any], clock: Callable[[], float] = time.monotonic) -> None:
        self._find = find
        self.after_fork()
        renew_after_fork(self)
        self._seldom = Seldom(clock)
        self._refused = False
        self._problem: Exception | None = None
        self._found: Any = None
        self._ask()

    def after_fork(self) -> None:
        """Wait for nobody who looked for credentials in the parent."""
        self._lock = threading.Lock()

    @property
    def method(self) -> str | None:
        """Return the name of the method that found them."""
        return getattr(self._found, "method", None)

    def get_deferred_property(self, name: str) -> Callable[[], Any]:
        """Return what tells a property later on, such as the account."""
        return lambda: getattr(self._found, name, None)

    @property
    def end_is_known(self) -> bool:
        """Return if the time of their end is known."""
        return hasattr(self._found, "refresh_needed")

    @property
    def wait(self) -> bool:
        """Return if the next look may block: they must be found, or fetched anew."""
        return self._found is None or self._refused or self.refresh_needed()

    def refresh_needed(self, refresh_in: float | None = None) -> bool:
        """Return whether they end within so many seconds, as far as that is known."""
        known = getattr(self._found, "refresh_needed", None)
        return known is not None and bool(known(refresh_in))

    def forget(self) -> None:
        """They were refused, or couldn't be fetched: look for others before the next request."""
        self._refused = True

    def get_frozen_credentials(self) -> Any:
        """Return the credentials of this moment.

        Raises:
            BotoCoreError: There are none.
        """
        found = self._found
        if found is None or self._refused:
            with self._lock:
                found = self._look()
        return found.get_frozen_credentials()

    def _look(self) -> Any:
        if self._refused and self._seldom.may():
            self._refused = False
            self._ask()
        if self._found is None:
            raise (self._problem or NoCredentialsError()).with_traceback(None)
        return self._found

    def _ask(self) -> None:
        try:
            self._found, self._problem = self._find(), None
        except Exception as error:  # noqa: BLE001  # told to who sends a request
            self._found, self._problem = None, error


class Chain:
    """Stands in for botocore's credential provider.

    Args:
        region: Where roles are assumed, if that isn't said elsewhere.
    """

    def __init__(self, region: str | None) -> None:
        self._region = region

    def load_credentials(self) -> FoundCredentials:
        """Return what AWS's chain finds, or will find."""
        return FoundCredentials(self._ask)

    def _ask(self) -> Any:
        session = Session()
        if self._region is not None:
            session.set_config_variable("region", self._region)
        return session.get_credentials()


def new_session(region: str | None) -> Session:
    """Return a session of our own, whose credentials are looked for again when they were refused.

    Args:
        region: What a setting says of the region.
    """
    session = Session()
    session.register_component("credential_provider", Chain(region_of(region, session)))
    return session
