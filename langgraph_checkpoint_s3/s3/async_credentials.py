"""AWS credentials for the asyncio client, from botocore's blocking chain.

aiobotocore's own chain blocks the running loop: it reads files, and makes a client to refresh an assumed
role. This one does both in a thread, and finds the same credentials as the blocking client. Imported only
where aiobotocore is installed.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiobotocore.credentials import AioCredentials

from langgraph_checkpoint_s3.credentials import CredentialChain, RenewableCredentials


class AwaitableCredentials(AioCredentials):  # type: ignore[misc]  # aiobotocore is untyped
    """Blocking credentials as awaitable ones."""

    def __init__(self, found: RenewableCredentials) -> None:
        super().__init__("", "", None, method=found.method)  # aiobotocore awaits the keys before each use
        self._found = found

    @property
    def has_known_expiry(self) -> bool:
        """True if it is known when they expire."""
        return self._found.has_known_expiry

    def refresh_needed(self, refresh_in: float | None = None) -> bool:
        """Return whether they are known to expire within so many seconds."""
        return self._found.refresh_needed(refresh_in)

    def invalidate(self) -> None:
        """Look for other credentials before the next request: these were refused, or couldn't be fetched."""
        self._found.invalidate()

    async def get_frozen_credentials(self) -> Any:
        """Return the present credentials. If they must be fetched, that is done in a thread."""
        if self._found.may_block:
            return await asyncio.to_thread(self._found.get_frozen_credentials)
        return self._found.get_frozen_credentials()


class BlockingChain:
    """A replacement of aiobotocore's credential provider. Call it in a thread.

    Args:
        region: The region to assume roles in, unless a profile names one.
    """

    def __init__(self, region: str | None) -> None:
        self._chain = CredentialChain(region)

    async def load_credentials(self) -> AwaitableCredentials:
        """Return credentials that AWS's chain (environment, profile, role) finds, or will find."""
        return AwaitableCredentials(self._chain.load_credentials())
