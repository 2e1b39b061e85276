"""Base of the store and the node cache: the saver whose bucket, settings and connections they use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langgraph.checkpoint.serde.base import SerializerProtocol

from langgraph_checkpoint_s3.config import S3Config, S3Settings
from langgraph_checkpoint_s3.crypto.provider import KeyProvider
from langgraph_checkpoint_s3.errors import InvalidConfigError
from langgraph_checkpoint_s3.memory.shelf import Shelf
from langgraph_checkpoint_s3.memory.view import ItemCache
from langgraph_checkpoint_s3.saver import S3Saver, UsesSaver, internals_of

if TYPE_CHECKING:
    from typing_extensions import Unpack


class ClassMethodOptions(S3Settings, total=False):
    """Types of the arguments of `S3Saver.from_env`, for editors and type checkers."""

    serde: SerializerProtocol
    client: Any
    session: Any
    aio_session: Any
    encryption: KeyProvider


class SaverOptions(ClassMethodOptions, total=False):
    """Types of the arguments of `S3Saver` except `bucket`, for editors and type checkers."""

    config: S3Config


class ItemKeeper(UsesSaver):
    """Base of what keeps items on a saver's bucket.

    Args:
        folder: The folder of the items, below the prefix.
        saver: The saver to use.
        bucket: The bucket's name, for a saver to be made.
        **options: The other arguments of `S3Saver`, for a saver to be made.

    Raises:
        InvalidConfigError: There are both, or a setting is unknown, missing or out of range.
    """

    def __init__(
        self, folder: str, saver: S3Saver | None, bucket: str | None, **options: Unpack[SaverOptions]
    ) -> None:
        if saver is not None and (bucket is not None or options):
            named = ", ".join(["bucket"] * (bucket is not None) + sorted(options))
            raise InvalidConfigError(f"Pass a saver, or settings: the saver has its own {named}.")
        super().__init__(S3Saver(bucket, **options) if saver is None else saver, closes=saver is None)
        self._cache = ItemCache(self._saver.config.cache_bytes)
        self._folder = folder

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._saver.config.bucket!r}, prefix={self._saver.config.prefix!r})"

    def setup(self) -> None:
        """Create the bucket if it is missing, and check permissions, as `S3Saver.setup` does."""
        self._saver.setup()

    async def asetup(self) -> None:
        """`setup`, as a coroutine."""
        await self._saver.asetup()

    @property
    def _shelf(self) -> Shelf:
        return Shelf(internals_of(self._saver).context, self._folder)

    def _now(self) -> int:
        return internals_of(self._saver).now()
