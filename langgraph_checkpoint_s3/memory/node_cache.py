"""`S3Cache`, LangGraph's cache of nodes' results on the saver's bucket."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from langgraph.cache.base import BaseCache, FullKey, Namespace

from langgraph_checkpoint_s3.config import S3Config
from langgraph_checkpoint_s3.errors import InvalidConfigError
from langgraph_checkpoint_s3.format.serialization import dump, estimate_size, loads
from langgraph_checkpoint_s3.memory.index import Row
from langgraph_checkpoint_s3.memory.items import ItemRecord
from langgraph_checkpoint_s3.memory.plans import ItemPut, clear, read_items, write_items
from langgraph_checkpoint_s3.memory.shelf import CACHE, Shelf
from langgraph_checkpoint_s3.memory.view import ItemCache
from langgraph_checkpoint_s3.plans.plan import Plan
from langgraph_checkpoint_s3.saver import Closing, S3Saver, internals_of

if TYPE_CHECKING:
    from langgraph.checkpoint.serde.base import SerializerProtocol
    from typing_extensions import Unpack

    from langgraph_checkpoint_s3.config import S3Settings
    from langgraph_checkpoint_s3.crypto.provider import KeyProvider

ValueT = TypeVar("ValueT")

_SECOND = 1_000_000_000
_MAX_TTL = 100 * 365 * 24 * 3600


class S3Cache(Closing, BaseCache[ValueT]):
    """LangGraph's cache of nodes' results in Amazon S3 or an S3-compatible store.

        from langgraph_checkpoint_s3.memory import S3Cache

        builder.add_node("report", report, cache_policy=CachePolicy(ttl=3600))
        graph = builder.compile(checkpointer=S3Saver("my-bucket"), cache=S3Cache("my-bucket"))

    Each value is one object below the saver's prefix, in a folder of its own (`.cache/`): `set` is a PUT,
    `get` a GET, and none for what this process has set or read before. So a process doesn't notice a `clear`
    by another one until a value's time to live ends; `cache_bytes=0` reads the store each time.

    Expired values are never returned, and stay in the bucket until they are set anew or cleared. A lifecycle
    rule for `PREFIX.cache/` removes what is older than the longest time to live.

    Needs `s3:GetObject` and `s3:PutObject` on `BUCKET/PREFIX*`; `clear` needs `s3:ListBucket` and
    `s3:DeleteObject` too.

    Args:
        bucket: The bucket's name.
        saver: A saver whose bucket, prefix, settings, connections and keys are used, in place of all others.
        config: As for `S3Saver`.
        serde: As for `S3Saver`.
        client: As for `S3Saver`.
        session: As for `S3Saver`.
        aio_session: As for `S3Saver`.
        encryption: As for `S3Saver`.
        **settings: Any other setting of `S3Config`, by name.

    Raises:
        InvalidConfigError: A setting is unknown, missing or out of range.
    """

    def __init__(
        self,
        bucket: str | None = None,
        *,
        saver: S3Saver | None = None,
        config: S3Config | None = None,
        serde: SerializerProtocol | None = None,
        client: Any = None,
        session: Any = None,
        aio_session: Any = None,
        encryption: KeyProvider | None = None,
        **settings: Unpack[S3Settings],
    ) -> None:
        if saver is not None and (bucket, config, settings) != (None, None, {}):
            raise InvalidConfigError("Pass a saver, or settings: with a saver, its settings count.")
        self._own = saver is None
        self._saver = saver or S3Saver(
            bucket,
            config=config,
            serde=serde or self.serde,
            client=client,
            session=session,
            aio_session=aio_session,
            encryption=encryption,
            **settings,
        )
        super().__init__(serde=serde or (None if saver is None else saver.serde))
        self._cache = ItemCache(self._saver.config.cache_bytes)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._saver.config.bucket!r}, prefix={self._saver.config.prefix!r})"

    def close(self) -> None:
        """Close the connections, unless they are those of a saver that was passed in."""
        if self._own:
            self._saver.close()

    async def aclose(self) -> None:
        """`close`, as a coroutine."""
        if self._own:
            await self._saver.aclose()

    def get(self, keys: Sequence[FullKey]) -> dict[FullKey, ValueT]:
        """Return the values that are there. One round trip.

        Raises:
            S3CheckpointError: The store can't be reached, or refuses.
        """
        return self._values(keys, internals_of(self._saver).store.run(self._read(keys), "cache.get"))

    async def aget(self, keys: Sequence[FullKey]) -> dict[FullKey, ValueT]:
        """`get`, as a coroutine."""
        return self._values(keys, await internals_of(self._saver).store.arun(self._read(keys), "cache.get"))

    def set(self, pairs: Mapping[FullKey, tuple[ValueT, int | None]]) -> None:
        """Store values, each with its time to live in seconds; `None` is for ever. One round trip.

        Raises:
            InvalidConfigError: A time to live is invalid. Nothing was written.
            S3CheckpointError: The store can't be reached, or refuses.
        """
        internals_of(self._saver).store.run(self._write(pairs), "cache.set")

    async def aset(self, pairs: Mapping[FullKey, tuple[ValueT, int | None]]) -> None:
        """`set`, as a coroutine."""
        weight = estimate_size(value for value, _ in pairs.values())
        await internals_of(self._saver).store.arun(self._write(pairs), "cache.set", weight=weight)

    def clear(self, namespaces: Sequence[Namespace] | None = None) -> None:
        """Delete the values of namespaces, or all of them. A LIST and a deletion per 1,000 values.

        Raises:
            S3CheckpointError: The store can't be reached, or refuses.
        """
        internals_of(self._saver).store.run(self._clear(namespaces), "cache.clear")

    async def aclear(self, namespaces: Sequence[Namespace] | None = None) -> None:
        """`clear`, as a coroutine."""
        await internals_of(self._saver).store.arun(self._clear(namespaces), "cache.clear")

    @property
    def _shelf(self) -> Shelf:
        return Shelf(internals_of(self._saver).context, CACHE)

    def _read(self, keys: Iterable[FullKey]) -> Plan[dict[str, Row]]:
        shelf = self._shelf
        names = {shelf.key(namespace, key) for namespace, key in keys}
        known = {name: row for name in names if (row := self._cache.row(name)) is not None}
        rows = yield from read_items(shelf, sorted(names - known.keys()))
        for name, row in rows.items():
            self._cache.add(name, row)
        now = internals_of(self._saver).now()
        return {name: row for name, row in {**known, **rows}.items() if not row.record.expired(now)}

    def _values(self, keys: Iterable[FullKey], rows: Mapping[str, Row]) -> dict[FullKey, ValueT]:
        shelf = self._shelf
        found: dict[FullKey, ValueT] = {}
        for namespace, key in keys:
            row = rows.get(shelf.key(namespace, key))
            if row is not None:
                found[tuple(namespace), key] = loads(self.serde, row.record.kind, row.record.raw)
        return found

    def _write(self, pairs: Mapping[FullKey, tuple[ValueT, int | None]]) -> Plan[list[str]]:
        now = internals_of(self._saver).now()
        puts = []
        for (namespace, key), (value, ttl) in pairs.items():
            if ttl is not None and not 0 < ttl <= _MAX_TTL:
                raise InvalidConfigError(f"ttl={ttl!r} must be seconds: above 0, and at most {_MAX_TTL:,}.")
            kind, raw = dump(self.serde, value)
            expires = None if ttl is None else now + int(ttl * _SECOND)
            puts.append(ItemPut(ItemRecord(tuple(namespace), key, kind, raw, now, None, expires)))
        return write_items(self._shelf, self._cache, puts)

    def _clear(self, namespaces: Sequence[Namespace] | None) -> Plan[int]:
        self._cache.clear()
        return clear(self._shelf, None if namespaces is None else list(map(tuple, namespaces)))
