"""Base of the store and the node cache: the saver whose bucket, settings and connections they use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from langgraph.checkpoint.serde.base import SerializerProtocol

from langgraph_checkpoint_s3.config import S3Config, S3Settings
from langgraph_checkpoint_s3.crypto.provider import KeyProvider
from langgraph_checkpoint_s3.errors import InvalidConfigError
from langgraph_checkpoint_s3.memory.shelf import Shelf
from langgraph_checkpoint_s3.memory.view import ItemCache
from langgraph_checkpoint_s3.plans.plan import Plan
from langgraph_checkpoint_s3.saver import Closing, S3Saver, internals_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

T = TypeVar("T")


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


class OnSaver(Closing):
    """Mixin for what keeps items on a saver's bucket. It closes the saver only if it has made it."""

    _saver: S3Saver
    _own: bool
    _cache: ItemCache
    _folder: str

    def _use(
        self, folder: str, saver: S3Saver | None, bucket: str | None, **options: Unpack[SaverOptions]
    ) -> None:
        """Use a saver, or make one.

        Args:
            folder: The folder of the items, below the prefix.
            saver: The saver to use.
            bucket: The bucket's name, for a saver to be made.
            **options: The other arguments of `S3Saver`, for a saver to be made.

        Raises:
            InvalidConfigError: There are both, or a setting is unknown, missing or out of range.
        """
        if saver is not None and (bucket is not None or options):
            named = ", ".join(["bucket"] * (bucket is not None) + sorted(options))
            raise InvalidConfigError(f"Pass a saver, or settings: the saver has its own {named}.")
        self._own = saver is None
        self._saver = S3Saver(bucket, **options) if saver is None else saver
        self._cache = ItemCache(self._saver.config.cache_bytes)
        self._folder = folder

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._saver.config.bucket!r}, prefix={self._saver.config.prefix!r})"

    @property
    def saver(self) -> S3Saver:
        """The saver whose bucket, settings and connections are used."""
        return self._saver

    def setup(self) -> None:
        """Create the bucket if it is missing, and check permissions, as `S3Saver.setup` does."""
        self._saver.setup()

    async def asetup(self) -> None:
        """`setup`, as a coroutine."""
        await self._saver.asetup()

    def close(self) -> None:
        """Close the connections, unless they are those of a saver that was passed in."""
        if self._own:
            self._saver.close()

    async def aclose(self) -> None:
        """`close`, as a coroutine."""
        if self._own:
            await self._saver.aclose()

    @property
    def _shelf(self) -> Shelf:
        return Shelf(internals_of(self._saver).context, self._folder)

    def _now(self) -> int:
        return internals_of(self._saver).now()

    def _run(self, plan: Plan[T], operation: str) -> T:
        return internals_of(self._saver).store.run(plan, operation)

    async def _arun(self, plan: Plan[T], operation: str, weight: int = 0) -> T:
        return await internals_of(self._saver).store.arun(plan, operation, weight=weight)
