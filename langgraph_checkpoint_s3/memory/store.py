"""`S3Store`, LangGraph's long-term memory on the saver's bucket."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from langgraph.store.base import (
    NOT_PROVIDED,
    BaseStore,
    GetOp,
    IndexConfig,
    InvalidNamespaceError,
    Item,
    ListNamespacesOp,
    NotProvided,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
    TTLConfig,
)

from langgraph_checkpoint_s3.errors import InvalidConfigError, NotSupportedError
from langgraph_checkpoint_s3.format.serialization import dump, estimate_size, loads_map
from langgraph_checkpoint_s3.memory.base import ClassMethodOptions, ItemKeeper, SaverOptions
from langgraph_checkpoint_s3.memory.embedding import Embedded, Embedder, last_puts
from langgraph_checkpoint_s3.memory.index import Row
from langgraph_checkpoint_s3.memory.items import ItemRecord
from langgraph_checkpoint_s3.memory.plans import (
    ItemPut,
    list_namespaces,
    read_items,
    renew,
    write_items,
)
from langgraph_checkpoint_s3.memory.search import check_filter, matches, rank, select_namespaces
from langgraph_checkpoint_s3.memory.shelf import STORE, Namespace, Shelf
from langgraph_checkpoint_s3.memory.vector_search import (
    RebuiltVectors,
    delete_left_over,
    find_nearest,
    rebuild,
    write_with_vectors,
)
from langgraph_checkpoint_s3.memory.vectors import S3Vectors, Vector, VectorIndex, check_directions
from langgraph_checkpoint_s3.memory.view import load_view
from langgraph_checkpoint_s3.plans.delete import delete_unchanged
from langgraph_checkpoint_s3.plans.plan import Plan, ask, gather
from langgraph_checkpoint_s3.s3.requests import Call
from langgraph_checkpoint_s3.saver import S3Saver, internals_of

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

_MINUTE: Final = 60 * 1_000_000_000
_MAX_TTL: Final = 100 * 365 * 24 * 60
"""Longest time to live, in minutes: a century."""
_MANY: Final = 500
"""Items above which a search is computed in a thread, off the event loop."""


class S3Item(Item):
    """An item with the ETag of its object, for `S3Store.put(…, if_match=item.etag)`.

    Attributes:
        etag: The ETag.
    """

    __slots__ = ("etag",)

    def __init__(self, etag: str, **fields: Any) -> None:
        super().__init__(**fields)
        self.etag = etag


class S3Store(ItemKeeper, BaseStore):
    """LangGraph's long-term memory in Amazon S3 or an S3-compatible store.

        from langgraph_checkpoint_s3 import S3Saver
        from langgraph_checkpoint_s3.memory import S3Store

        graph = builder.compile(checkpointer=S3Saver("my-bucket"), store=S3Store("my-bucket"))

    Each item is one object below the saver's prefix, in a folder of its own (`.store/`). A `put` is one PUT,
    a `get` one GET. A search lists the items (one LIST per 1,000), and reads what this process doesn't know:
    an index object, and what changed since that was written. What is acknowledged is found by the next search
    of any process. The last of concurrent puts of one key counts, unless `if_match` says otherwise.

    With `vectors`, a search with a query asks Amazon S3 Vectors instead, and reads the items that it names.
    The score is still computed from the item. Which items are found is approximate, as S3 Vectors' searches
    are; items without vectors aren't found, and only the 10,000 nearest vectors are looked at. A `put` and a
    `delete` then take three round trips: a read of what is replaced, the item, and its vectors.

    One object serves the blocking and the async methods, any number of threads and event loops. Compression,
    client-side encryption, hashed names, retries and telemetry are those of `S3Saver`, with its settings.

    A search without a query returns the items that were put last first, as `PostgresStore` does; a comparison
    with what is no number matches nothing. `created_at` is the time of the last put, as in `InMemoryStore`.
    Vectors are kept as float32.

    Needs `s3:GetObject`, `s3:PutObject` and `s3:DeleteObject` on `BUCKET/PREFIX*`, and `s3:ListBucket`; with
    `vectors` also what `S3Vectors` lists.

    Args:
        bucket: The bucket's name.
        saver: A saver whose bucket, prefix, settings, connections and keys are used, in place of all others.
        index: Semantic search, as for `InMemoryStore`: `dims`, `embed`, and `fields` (the whole value by
            default). Without it, `query` has no effect. numpy makes large searches faster (the extra
            `search`).
        vectors: Where to keep the vectors of millions of items, for searches with a query; needs `index`.
            `setup` creates it. Default: searches compare all items below the prefix.
        ttl: `default_ttl` in minutes, and `refresh_on_read` (true by default). Expired items are never
            returned. Sweeping in the background isn't supported: call `sweep_ttl`.
        **options: The other arguments of `S3Saver`, such as `prefix`, `session` or `encryption`.

    Raises:
        InvalidConfigError: A setting is unknown, missing or out of range; or `vectors` has no
            `allow_unencrypted`, and the saver encrypts.
    """

    supports_ttl = True

    def __init__(
        self,
        bucket: str | None = None,
        *,
        saver: S3Saver | None = None,
        index: IndexConfig | None = None,
        vectors: S3Vectors | None = None,
        ttl: TTLConfig | None = None,
        **options: Unpack[SaverOptions],
    ) -> None:
        super().__init__(STORE, saver, bucket, **options)
        self.ttl_config = _checked_ttl(ttl)
        self.index_config = index
        self._embedder = None if index is None else Embedder(index)
        self._vectors = None if vectors is None else self._vector_index(vectors)

    @classmethod
    def from_conn_string(
        cls,
        conn_string: str,
        *,
        index: IndexConfig | None = None,
        vectors: S3Vectors | None = None,
        ttl: TTLConfig | None = None,
        **options: Unpack[ClassMethodOptions],
    ) -> Self:
        """Make a store from `s3://bucket/prefix?setting=value&…`, as `S3Saver.from_conn_string` does."""
        made = cls(
            saver=S3Saver.from_conn_string(conn_string, **options), index=index, vectors=vectors, ttl=ttl
        )
        made._closes = True
        return made

    @classmethod
    def from_env(
        cls,
        *,
        index: IndexConfig | None = None,
        vectors: S3Vectors | None = None,
        ttl: TTLConfig | None = None,
        **options: Unpack[ClassMethodOptions],
    ) -> Self:
        """Make a store from the environment variables that `S3Saver.from_env` reads."""
        made = cls(saver=S3Saver.from_env(**options), index=index, vectors=vectors, ttl=ttl)
        made._closes = True
        return made

    def setup(self) -> None:
        """Create the bucket if it is missing, and check permissions, as `S3Saver.setup` does.

        With `vectors`, also create the vector bucket and the index where they are missing, and check the
        index. Needs `s3vectors:GetIndex`, and `s3vectors:CreateIndex` and `s3vectors:CreateVectorBucket` for
        what doesn't exist.

        Raises:
            InvalidConfigError: The index has other dimensions, or another metric than cosine.
            S3CheckpointError: As for `S3Saver.setup`; or S3 Vectors can't be reached, or refuses.
        """
        super().setup()
        if self._vectors is not None:
            self._vectors.setup()

    async def asetup(self) -> None:
        """`setup`, as a coroutine."""
        await super().asetup()
        if self._vectors is not None:
            await asyncio.to_thread(self._vectors.setup)

    def close(self) -> None:
        """Close the connections of `vectors`, and the saver's, unless the saver was passed in."""
        super().close()
        if self._vectors is not None:
            self._vectors.close()

    async def aclose(self) -> None:
        """`close`, as a coroutine."""
        await super().aclose()
        if self._vectors is not None:
            await asyncio.to_thread(self._vectors.close)

    def put(
        self,
        namespace: tuple[str, ...],
        key: str,
        value: Mapping[str, Any],
        index: Literal[False] | list[str] | None = None,
        *,
        ttl: float | NotProvided | None = NOT_PROVIDED,
        if_match: str | None = None,
    ) -> None:
        """Store an item. One PUT.

        Args:
            namespace: The namespace, one label or more, each not empty and without a dot.
            key: The key in the namespace.
            value: The value, which the serializer must take.
            index: The paths of the texts to embed, or False for none. Default: the store's `fields`.
            ttl: Minutes until it expires, counted from the last read or write. `None` is never. Default: the
                store's `default_ttl`.
            if_match: The `etag` of the item as `get` returned it: it is written only if nobody has changed or
                deleted it since. `""` writes it only if there is none.

        Raises:
            ConflictError: The item isn't the expected one, or the store has no conditional writes. Nothing
                was written.
            InvalidNamespaceError: The namespace is invalid.
            InvalidKeyError: The object's key would be too long.
            S3CheckpointError: The store can't be reached, or refuses.
        """
        if if_match is None:
            super().put(namespace, key, value, index, ttl=ttl)
            return
        op = self._put_op(namespace, key, value, index, ttl)
        self._run(self._batch([op], self._embedded([op]), {0: if_match}), "store.put")

    async def aput(
        self,
        namespace: tuple[str, ...],
        key: str,
        value: Mapping[str, Any],
        index: Literal[False] | list[str] | None = None,
        *,
        ttl: float | NotProvided | None = NOT_PROVIDED,
        if_match: str | None = None,
    ) -> None:
        """`put`, as a coroutine."""
        if if_match is None:
            await super().aput(namespace, key, value, index, ttl=ttl)
            return
        op = self._put_op(namespace, key, value, index, ttl)
        plan = self._batch([op], await self._aembedded([op]), {0: if_match})
        await self._arun(plan, "store.put", _weight([op]))

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Execute operations. Reads see what was there before the batch's puts.

        Of several puts of one key the last counts. A batch of puts, or of gets, is one round trip.

        Raises:
            InvalidConfigError: A filter's operator, an embedding's size or a time to live is invalid. Nothing
                was sent.
            InvalidNamespaceError: A namespace has an invalid label. Nothing was sent.
            S3CheckpointError: The store can't be reached, or refuses. Some of the puts may be there.
        """
        ops = list(ops)
        return self._run(self._batch(ops, self._embedded(ops)), "store.batch")

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """`batch`, as a coroutine."""
        ops = list(ops)
        plan = self._batch(ops, await self._aembedded(ops))
        return await self._arun(plan, "store.batch", _weight(ops))

    def sweep_ttl(self) -> int:
        """Delete expired items. They aren't returned in any case: this frees their storage.

        Takes a LIST per 1,000 items, reads what a search of everything reads, and deletes 1,000 items with a
        request. On AWS an item that is put at the same moment stays (the deletion names its ETag). Other
        stores may ignore that: there, don't put expired keys anew while sweeping.

        Returns:
            The number of items deleted.
        """
        return self._run(self._sweep(), "store.sweep_ttl")

    async def asweep_ttl(self) -> int:
        """`sweep_ttl`, as a coroutine."""
        return await self._arun(self._sweep(), "store.sweep_ttl")

    def rebuild_vectors(self) -> RebuiltVectors:
        """Write the vectors of all items to `vectors`, and delete those that no item has.

        For items that were put before the store had `vectors`, or that the admin imported or restored; and,
        now and then, for what was left by failed calls, or by a lifecycle rule that deleted items. Nothing is
        embedded: the items have their vectors. Other processes may read and write meanwhile.

        Takes a LIST per 1,000 items, two reads of each item, a PutVectors per 500 vectors (fewer of more than
        1,100 dimensions), and a ListVectors per 500. Needs `s3:ListBucket`, `s3:GetObject`,
        `s3vectors:PutVectors`, `s3vectors:ListVectors`, `s3vectors:GetVectors` and `s3vectors:DeleteVectors`.

        Raises:
            InvalidConfigError: The store has no `vectors`.
            S3CheckpointError: S3 or S3 Vectors can't be reached, or refuses. It can be called again.
        """
        return self._run(self._rebuild(), "store.rebuild_vectors")

    async def arebuild_vectors(self) -> RebuiltVectors:
        """`rebuild_vectors`, as a coroutine."""
        return await self._arun(self._rebuild(), "store.rebuild_vectors")

    def _rebuild(self) -> Plan[RebuiltVectors]:
        if self._vectors is None:
            raise InvalidConfigError("The store has no vectors: pass S3Store(…, vectors=S3Vectors(…)).")
        return rebuild(self._vectors, self._shelf)

    def _vector_index(self, vectors: S3Vectors) -> VectorIndex:
        if self._embedder is None:
            raise InvalidConfigError("vectors needs index, which says how texts become vectors.")
        if internals_of(self._saver).context.key_cache is not None and not vectors.allow_unencrypted:
            raise InvalidConfigError(
                "Amazon S3 Vectors must read the vectors, which tell much of the texts: the store can't "
                "encrypt them as it does the items. Leave out vectors, or pass S3Vectors(…, "
                "allow_unencrypted=True)."
            )
        return VectorIndex(vectors, self._embedder.dims)

    def _put_op(
        self,
        namespace: tuple[str, ...],
        key: str,
        value: Mapping[str, Any],
        index: Literal[False] | list[str] | None,
        ttl: float | NotProvided | None,
    ) -> PutOp:
        minutes = (self.ttl_config or {}).get("default_ttl") if isinstance(ttl, NotProvided) else ttl
        _validate(namespace)
        return PutOp(namespace, str(key), value, index, minutes)

    # Embedding calls a model, so it is done before the plan, which may be run in pieces.

    def _embedded(self, ops: Sequence[Op]) -> Embedded:
        return Embedded() if self._embedder is None else self._embedder.embed(ops)

    async def _aembedded(self, ops: Sequence[Op]) -> Embedded:
        return Embedded() if self._embedder is None else await self._embedder.aembed(ops)

    def _batch(
        self, ops: Sequence[Op], embedded: Embedded, if_match: Mapping[int, str] | None = None
    ) -> Plan[list[Result]]:
        shelf, now = self._shelf, self._now()
        for op in ops:
            _check_op(op)
        puts, deletions, added = [], [], dict[str, Vector]()
        for number, op in last_puts(ops).items():
            key = shelf.key(op.namespace, op.key)
            if op.value is None:
                deletions.append(key)
            else:
                record = self._record(op, embedded.vectors.get(number, ()), now)
                if self._vectors is not None:
                    added |= self._vectors.new_vectors_of(shelf, record)
                expected = (if_match or {}).get(number)
                puts.append(ItemPut(record, expected, b"" if expected is None else secrets.token_bytes(8)))
        if self._vectors is not None:
            check_directions(embedded.queries.values())
        return self._execute(shelf, ops, embedded.queries, puts, deletions, added, now)

    def _execute(
        self,
        shelf: Shelf,
        ops: Sequence[Op],
        queries: Mapping[str, Sequence[float]],
        puts: Sequence[ItemPut],
        deletions: Sequence[str],
        added: Mapping[str, Vector],
        now: int,
    ) -> Plan[list[Result]]:
        gets = [op for op in ops if isinstance(op, GetOp)]
        searches = {number: op for number, op in enumerate(ops) if isinstance(op, SearchOp)}
        nearest = {
            number: self._nearest(self._vectors, shelf, op, queries[op.query], now)
            for number, op in searches.items()
            if self._vectors is not None and op.query
        }
        whole = {tuple(op.namespace_prefix) for number, op in searches.items() if number not in nearest}
        views = {prefix: load_view(shelf, self._cache, prefix) for prefix in whole}
        listings = [op for op in ops if isinstance(op, ListNamespacesOp)]
        plans: list[Plan[Any]] = [
            read_items(shelf, [shelf.key(op.namespace, op.key) for op in gets]),
            gather(nearest.values()),
            gather(views.values()),
            gather(list_namespaces(shelf, _literal_prefix(op)) for op in listings),
        ]
        if gets or searches or listings:
            items, near, viewed, listed = yield from gather(plans)
            rows_of = {prefix: list(view.rows.values()) for prefix, view in zip(views, viewed, strict=True)}
            found = {number: rows_of.get(tuple(op.namespace_prefix), []) for number, op in searches.items()}
            found.update(zip(nearest, near, strict=True))
            answer = partial(self._answer, shelf, ops, queries, items, found, listed, now)
            # Ranking ten thousand items would hold up an event loop.
            many = sum(map(len, rows_of.values())) > _MANY
            results, seen = (yield from ask(Call(answer))) if many else answer()
        else:
            results, seen = [None] * len(ops), []
        renewed = yield from renew(shelf, self._cache, seen, now)
        for item in results if renewed else ():
            if isinstance(item, S3Item):
                item.etag = renewed.get(shelf.key(item.namespace, item.key), item.etag)
        if (puts or deletions) and self._vectors is not None:
            yield from write_with_vectors(self._vectors, shelf, self._cache, puts, deletions, added)
        elif puts or deletions:
            yield from write_items(shelf, self._cache, puts, deletions)
        return results

    def _nearest(
        self, vectors: VectorIndex, shelf: Shelf, op: SearchOp, query: Sequence[float], now: int
    ) -> Plan[list[Row]]:
        prefix = tuple(op.namespace_prefix)

        def accepts(record: ItemRecord) -> bool:
            return (
                record.namespace[: len(prefix)] == prefix
                and not record.expired(now)
                and any(len(vector) == 4 * len(query) for _, vector in record.vectors)
                and (not op.filter or matches(self._value(record), op.filter))
            )

        return find_nearest(vectors, shelf, query, shelf.folder(prefix), op.offset + op.limit, accepts)

    def _answer(
        self,
        shelf: Shelf,
        ops: Sequence[Op],
        queries: Mapping[str, Sequence[float]],
        items: Mapping[str, Row],
        found: Mapping[int, Sequence[Row]],
        listed: Iterable[Iterable[Namespace]],
        now: int,
    ) -> tuple[list[Result], list[Row]]:
        """Return the results of operations, and the items whose time to live the reads renew."""
        namespaces = iter(listed)
        results: list[Result] = []
        seen: list[Row] = []
        for number, op in enumerate(ops):
            if isinstance(op, GetOp):
                row = items.get(shelf.key(op.namespace, op.key))
                if row is not None and row.record.expired(now):
                    row = None
                results.append(None if row is None else self._item(row))
                seen += [row] if row is not None and op.refresh_ttl else []
            elif isinstance(op, SearchOp):
                live = {id(row.record): row for row in found[number] if not row.record.expired(now)}
                best = self._search(op, [row.record for row in live.values()], queries)
                results.append([self._search_item(record, score) for score, record in best])
                seen += [live[id(record)] for _, record in best] if op.refresh_ttl else []
            elif isinstance(op, ListNamespacesOp):
                named = select_namespaces(next(namespaces), op.match_conditions or (), op.max_depth)
                results.append(named[op.offset : op.offset + op.limit])
            else:
                results.append(None)
        return results, seen

    def _record(self, op: PutOp, vectors: tuple[tuple[str, bytes], ...], now: int) -> ItemRecord:
        kind, raw = dump(self._saver.serde, dict(cast("Mapping[str, Any]", op.value)))
        ttl = None if op.ttl is None else int(op.ttl * _MINUTE)
        namespace = tuple(op.namespace)
        expires = None if ttl is None else now + ttl
        return ItemRecord(namespace, op.key, kind, raw, now, ttl, expires, vectors)

    def _search(
        self, op: SearchOp, records: Sequence[ItemRecord], queries: Mapping[str, Sequence[float]]
    ) -> list[tuple[float | None, ItemRecord]]:
        if op.filter:
            records = [record for record in records if matches(self._value(record), op.filter)]
        if op.query and op.query in queries:
            ordered = sorted(records, key=lambda record: record.updated)
            return rank(queries[op.query], ordered, op.limit, op.offset)
        newest = sorted(records, key=lambda record: (-record.updated, record.namespace, record.key))
        return [(None, record) for record in newest[op.offset : op.offset + op.limit]]

    def _value(self, record: ItemRecord) -> dict[str, Any]:
        return loads_map(self._saver.serde, record.kind, record.raw)

    def _item(self, row: Row) -> S3Item:
        return S3Item(row.etag, value=self._value(row.record), **_names(row.record))

    def _search_item(self, record: ItemRecord, score: float | None) -> SearchItem:
        return SearchItem(value=self._value(record), score=score, **_names(record))

    def _sweep(self) -> Plan[int]:
        shelf, now = self._shelf, self._now()
        view = yield from load_view(shelf, self._cache, ())
        expired = {key: row.etag for key, row in view.rows.items() if row.record.expired(now)}
        for key in expired:
            self._cache.drop(key)
        deleted = yield from delete_unchanged(expired)
        if self._vectors is not None:
            records = [view.rows[key].record for key in expired]
            keys = [key for record in records for key in self._vectors.vectors_of(shelf, record)]
            yield from delete_left_over(self._vectors, shelf, keys)
        return deleted


def _weight(ops: Sequence[Op]) -> int:
    """Return about how many bytes the puts of a batch encode."""
    return estimate_size(op.value for op in ops if isinstance(op, PutOp))


def _check_op(op: Op) -> None:
    if isinstance(op, (GetOp, PutOp)):
        _check_labels(op.namespace)
    elif isinstance(op, SearchOp):
        _check_labels(op.namespace_prefix)
        check_filter(op.filter)
    elif isinstance(op, ListNamespacesOp):
        for condition in op.match_conditions or ():
            _check_labels(condition.path)
    if isinstance(op, PutOp) and op.ttl is not None:
        check_ttl("ttl", op.ttl)
    if isinstance(op, (SearchOp, ListNamespacesOp)) and min(op.limit, op.offset) < 0:
        raise InvalidConfigError(f"limit={op.limit} and offset={op.offset} must be 0 or more.")
    if not isinstance(op, (GetOp, PutOp, SearchOp, ListNamespacesOp)):
        raise InvalidConfigError(f"A batch takes LangGraph's operations, not {type(op).__name__}.")


def _literal_prefix(op: ListNamespacesOp) -> tuple[str, ...]:
    """Return the longest beginning, without a wildcard, that all namespaces of an answer have."""
    paths = [each.path for each in op.match_conditions or () if each.match_type == "prefix"]
    literal = [path[: path.index("*")] if "*" in path else path for path in paths]
    return max(literal, key=len, default=())


def _names(record: ItemRecord) -> dict[str, Any]:
    at = datetime.fromtimestamp(record.updated / 1_000_000_000, timezone.utc)
    return {"namespace": record.namespace, "key": record.key, "created_at": at, "updated_at": at}


def _validate(namespace: tuple[str, ...]) -> None:
    """Check a namespace by the rules of `BaseStore.put`."""
    if not namespace or namespace[0] == "langgraph":
        raise InvalidNamespaceError(
            f"{namespace!r}: a namespace has labels, of which langgraph isn't the first."
        )
    _check_labels(namespace)


def _check_labels(namespace: Sequence[object]) -> None:
    """Check labels by the rules of `BaseStore`, whose methods `batch` doesn't go through.

    Raises:
        InvalidNamespaceError: One is invalid.
    """
    if not all(isinstance(label, str) and label and "." not in label for label in namespace):
        raise InvalidNamespaceError(f"{namespace!r}: each label is text, not empty, and without a dot.")


def embedder_of(store: S3Store) -> Embedder | None:
    """Return a store's embedder, for items that are written without `put`; `None` without an index."""
    return store._embedder  # noqa: SLF001  # its own class


def default_ttl(store: S3Store) -> int | None:
    """Return a store's default time to live, in ns; `None` if items don't expire by default."""
    minutes = (store.ttl_config or {}).get("default_ttl")
    return None if minutes is None else int(minutes * _MINUTE)


def check_ttl(name: str, minutes: object) -> None:
    """Check a time to live in minutes.

    Raises:
        InvalidConfigError: It isn't a number, or out of range.
    """
    number = isinstance(minutes, (int, float)) and not isinstance(minutes, bool)
    if not number or not 0 < cast("float", minutes) <= _MAX_TTL:
        raise InvalidConfigError(f"{name}={minutes!r} must be minutes, more than 0 and at most {_MAX_TTL:,}.")


def _checked_ttl(ttl: TTLConfig | None) -> TTLConfig | None:
    unknown = set(ttl or {}) - set(TTLConfig.__annotations__)
    if unknown:
        raise InvalidConfigError(f"ttl has no {', '.join(sorted(unknown))}.")
    if ttl and ttl.get("default_ttl") is not None:
        check_ttl("default_ttl", ttl["default_ttl"])
    if ttl and ttl.get("sweep_interval_minutes") is not None:
        raise NotSupportedError(
            "S3Store doesn't sweep in the background: expired items are never returned, and sweep_ttl() "
            "deletes them, in a cron job for example"
        )
    return ttl
