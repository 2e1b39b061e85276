"""`S3Cache`, LangGraph's cache of nodes' results on the saver's bucket."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from langgraph.cache.base import BaseCache, FullKey, Namespace

from langgraph_checkpoint_s3.errors import InvalidConfigError
from langgraph_checkpoint_s3.format.serialization import dump, estimate_size, loads
from langgraph_checkpoint_s3.memory.base import ItemKeeper, SaverOptions
from langgraph_checkpoint_s3.memory.index import Row
from langgraph_checkpoint_s3.memory.items import ItemRecord
from langgraph_checkpoint_s3.memory.plans import ItemPut, clear, read_items, write_items
from langgraph_checkpoint_s3.memory.shelf import CACHE
from langgraph_checkpoint_s3.plans.plan import Plan
from langgraph_checkpoint_s3.saver import S3Saver

if TYPE_CHECKING:
    from typing_extensions import Unpack

ValueT = TypeVar("ValueT")

_SECOND: Final = 1_000_000_000
_MAX_TTL: Final = 100 * 365 * 24 * 3600
"""Longest time to live, in seconds: a century."""


class S3Cache(ItemKeeper, BaseCache[ValueT]):
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
        **options: The other arguments of `S3Saver`, such as `prefix`, `session` or `encryption`.

    Raises:
        InvalidConfigError: A setting is unknown, missing or out of range.
    """

    def __init__(
        self, bucket: str | None = None, *, saver: S3Saver | None = None, **options: Unpack[SaverOptions]
    ) -> None:
        if saver is None:
            options.setdefault("serde", BaseCache.serde)
        super().__init__(CACHE, saver, bucket, **options)
        BaseCache.__init__(self, serde=self._saver.serde)

    def get(self, keys: Sequence[FullKey]) -> dict[FullKey, ValueT]:
        """Return the values that are there. One round trip.

        Raises:
            S3CheckpointError: The store can't be reached, or refuses.
        """
        return self._values(keys, self._run(self._read(keys), "cache.get"))

    async def aget(self, keys: Sequence[FullKey]) -> dict[FullKey, ValueT]:
        """`get`, as a coroutine."""
        return self._values(keys, await self._arun(self._read(keys), "cache.get"))

    def set(self, pairs: Mapping[FullKey, tuple[ValueT, int | None]]) -> None:
        """Store values, each with its time to live in seconds; `None` is for ever. One round trip.

        Raises:
            InvalidConfigError: A time to live is invalid. Nothing was written.
            S3CheckpointError: The store can't be reached, or refuses.
        """
        self._run(self._write(pairs), "cache.set")

    async def aset(self, pairs: Mapping[FullKey, tuple[ValueT, int | None]]) -> None:
        """`set`, as a coroutine."""
        weight = estimate_size(value for value, _ in pairs.values())
        await self._arun(self._write(pairs), "cache.set", weight)

    def clear(self, namespaces: Sequence[Namespace] | None = None) -> None:
        """Delete the values of namespaces, or all of them. A LIST and a deletion per 1,000 values.

        Raises:
            S3CheckpointError: The store can't be reached, or refuses.
        """
        self._run(self._clear(namespaces), "cache.clear")

    async def aclear(self, namespaces: Sequence[Namespace] | None = None) -> None:
        """`clear`, as a coroutine."""
        await self._arun(self._clear(namespaces), "cache.clear")

    def _read(self, keys: Iterable[FullKey]) -> Plan[dict[str, Row]]:
        shelf, state = self._shelf, self._cache.state
        names = {shelf.key(namespace, key) for namespace, key in keys}
        known = {name: row for name in names if (row := self._cache.row(name)) is not None}
        rows = yield from read_items(shelf, sorted(names - known.keys()))
        self._cache.add_read(rows, state)
        now = self._now()
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
        now = self._now()
        puts = []
        for (namespace, key), (value, ttl) in pairs.items():
            if ttl is not None and not 0 < ttl <= _MAX_TTL:
                raise InvalidConfigError(f"ttl={ttl!r} must be seconds: above 0, and at most {_MAX_TTL:,}.")
            kind, raw = dump(self.serde, value)
            expires = None if ttl is None else now + int(ttl * _SECOND)
            puts.append(ItemPut(ItemRecord(tuple(namespace), key, kind, raw, now, None, expires)))
        return write_items(self._shelf, self._cache, puts)

    def _clear(self, namespaces: Sequence[Namespace] | None) -> Plan[int]:
        try:
            return (
                yield from clear(self._shelf, None if namespaces is None else list(map(tuple, namespaces)))
            )
        finally:
            self._cache.clear()
