"""AWS credentials for the asyncio client, from botocore's blocking chain.

aiobotocore's own chain reads files, and refreshes an assumed role by making a client, on the
running loop. This one does both in a thread, and finds the same credentials as the blocking client.
Imported only where aiobotocore is.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiobotocore.credentials import AioCredentials
from botocore.session import Session


class LentCredentials(AioCredentials):  # type: ignore[misc]  # aiobotocore is untyped
    """Blocking credentials, for aiobotocore to await."""

    def __init__(self, lent: Any) -> None:
        frozen = lent.get_frozen_credentials()
        super().__init__(frozen.access_key, frozen.secret_key, frozen.token, method=lent.method)
        self._lent = lent

    @property
    def end_is_known(self) -> bool:
        """Whether it is known when they end."""
        return hasattr(self._lent, "refresh_needed")

    def refresh_needed(self, refresh_in: float | None = None) -> bool:
        """Whether they end within so many seconds, as far as that is known."""
        known = getattr(self._lent, "refresh_needed", None)
        return known is not None and bool(known(refresh_in))

    async def get_frozen_credentials(self) -> Any:
        """The credentials of this moment; what must be fetched for them is, in a thread."""
        if self.refresh_needed():
            return await asyncio.to_thread(self._lent.get_frozen_credentials)
        return self._lent.get_frozen_credentials()


class BlockingChain:
    """Stands in for aiobotocore's credential provider. To be asked in a thread."""

    async def load_credentials(self) -> LentCredentials | None:
        """What AWS's chain (environment, profile, role) finds, if anything."""
        found = Session().get_credentials()
        return LentCredentials(found) if found else None
