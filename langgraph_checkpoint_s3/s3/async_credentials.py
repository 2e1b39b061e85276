"""AWS credentials for the asyncio client, from botocore's blocking chain.

aiobotocore's own chain reads files, and refreshes an assumed role by making a client, on the
running loop. This one does both in a thread, and finds the same credentials as the blocking client.
Imported only where aiobotocore is.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiobotocore.credentials import AioCredentials

from langgraph_checkpoint_s3.credentials import CredentialChain, RenewableCredentials


class LentCredentials(AioCredentials):  # type: ignore[misc]  # aiobotocore is untyped
    """Blocking credentials, for aiobotocore to await."""

    def __init__(self, lent: RenewableCredentials) -> None:
        super().__init__("", "", None, method=lent.method)  # who wants the keys awaits them
        self._lent = lent

    @property
    def has_known_expiry(self) -> bool:
        """Whether it is known when they end."""
        return self._lent.has_known_expiry

    def refresh_needed(self, refresh_in: float | None = None) -> bool:
        """Return whether they end within so many seconds, as far as that is known."""
        return self._lent.refresh_needed(refresh_in)

    def invalidate(self) -> None:
        """They were refused, or couldn't be fetched: look for others before the next request."""
        self._lent.invalidate()

    async def get_frozen_credentials(self) -> Any:
        """Return the credentials of this moment; what must be fetched for them is, in a thread."""
        if self._lent.may_block:
            return await asyncio.to_thread(self._lent.get_frozen_credentials)
        return self._lent.get_frozen_credentials()


class BlockingChain:
    """Stands in for aiobotocore's credential provider. To be asked in a thread.

    Args:
        region: Where roles are assumed, if that isn't said elsewhere.
    """

    def __init__(self, region: str | None) -> None:
        self._chain = CredentialChain(region)

    async def load_credentials(self) -> LentCredentials:
        """Credentials that AWS's chain (environment, profile, role) finds, or will find."""
        return LentCredentials(self._chain.load_credentials())
