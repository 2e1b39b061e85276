"""`S3Store`, LangGraph's long-term memory on the saver's bucket."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, cast

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
    ensure_embeddings,
    get_text_at_path,
    tokenize_path,
)

from langgraph_checkpoint_s3.errors import InvalidConfigError, NotSupportedError
from langgraph_checkpoint_s3.format.serialization import dump, estimate_size, loads_map
from langgraph_checkpoint_s3.memory.base import ClassMethodOptions, ItemKeeper, SaverOptions
from langgraph_checkpoint_s3.memory.index import Row
from langgraph_checkpoint_s3.memory.items import ItemRecord, pack_vector
from langgraph_checkpoint_s3.memory.plans import (
    Embedding,
    ItemPut,
    list_namespaces,
    read_items,
    renew,
    write_items,
)
from langgraph_checkpoint_s3.memory.search import check_filter, find_numpy, matches, rank, select_namespaces
from langgraph_checkpoint_s3.memory.shelf import STORE, Namespace, Shelf
from langgraph_checkpoint_s3.memory.view import View, load_view
from langgraph_checkpoint_s3.plans.delete import delete_unchanged
from langgraph_checkpoint_s3.plans.plan import Plan, ask, gather
from langgraph_checkpoint_s3.s3.requests import Call
from langgraph_checkpoint_s3.saver import S3Saver

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings
    from typing_extensions import Self, Unpack

_MINUTE: Final = 60 * 1_000_000_000
_MAX_TTL: Final = 100 * 365 * 24 * 60
"""Longest time to live, in minutes: a century."""
_WHOLE: Final = "$"
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

    One object serves the blocking and the async methods, any number of threads and event loops. Compression,
    client-side encryption, hashed names, retries and telemetry are those of `S3Saver`, with its settings.

    A search without a query returns the items that were put last first, as `PostgresStore` does; a comparison
    with what is no number matches nothing. `created_at` is the time of the last put, as in `InMemoryStore`.
    Vectors are kept as float32.

    Needs `s3:GetObject`, `s3:PutObject` and `s3:DeleteObject` on `BUCKET/PREFIX*`, and `s3:ListBucket`.

    Args:
        bucket: The bucket's name.
        saver: A saver whose bucket, prefix, settings, connections and keys are used, in place of all others.
        index: Semantic search, as for `InMemoryStore`: `dims`, `embed`, and `fields` (the whole value by
            default). Without it, `query` has no effect. numpy makes large searches faster (the extra
            `search`).
        ttl: `default_ttl` in minutes, and `refresh_on_read` (true by default). Expired items are never
            returned. Sweeping in the background isn't supported: call `sweep_ttl`.
        **options: The other arguments of `S3Saver`, such as `prefix`, `session` or `encryption`.

    Raises:
        InvalidConfigError: A setting is unknown, missing or out of range.
    """

    supports_ttl = True

    def __init__(
        self,
        bucket: str | None = None,
        *,
        saver: S3Saver | None = None,
        index: IndexConfig | None = None,
        ttl: TTLConfig | None = None,
        **options: Unpack[SaverOptions],
    ) -> None:
        super().__init__(STORE, saver, bucket, **options)
        self.ttl_config = _checked_ttl(ttl)
        self.index_config = _checked_index(index)
        self._embeddings: Embeddings | None = None
        self._fields: list[tuple[str, str | list[str]]] = []
        if self.index_config is not None:
            find_numpy()  # now, rather than in a search on an event loop
            self._embeddings = ensure_embeddings(self.index_config.get("embed"))
            self._fields = [_path(each) for each in self.index_config.get("fields") or [_WHOLE]]

    @classmethod
    def from_conn_string(
        cls,
        conn_string: str,
        *,
        index: IndexConfig | None = None,
        ttl: TTLConfig | None = None,
        **options: Unpack[ClassMethodOptions],
    ) -> Self:
        """Make a store from `s3://bucket/prefix?setting=value&…`, as `S3Saver.from_conn_string` does."""
        made = cls(saver=S3Saver.from_conn_string(conn_string, **options), index=index, ttl=ttl)
        made._closes = True
        return made

    @classmethod
    def from_env(
        cls,
        *,
        index: IndexConfig | None = None,
        ttl: TTLConfig | None = None,
        **options: Unpack[ClassMethodOptions],
    ) -> Self:
        """Make a store from the environment variables that `S3Saver.from_env` reads."""
        made = cls(saver=S3Saver.from_env(**options), index=index, ttl=ttl)
        made._closes = True
        return made

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

    def _embedded(self, ops: Sequence[Op]) -> _Embedded:
        texts, queries = self._texts(ops)
        if self._embeddings is None or not (texts or queries):
            return _Embedded()
        documents = list(dict.fromkeys(text for found in texts.values() for _, text in found))
        vectors = self._embeddings.embed_documents(documents) if documents else []
        asked = {query: self._embeddings.embed_query(query) for query in queries}
        return self._checked_vectors(texts, documents, vectors, asked)

    async def _aembedded(self, ops: Sequence[Op]) -> _Embedded:
        texts, queries = self._texts(ops)
        if self._embeddings is None or not (texts or queries):
            return _Embedded()
        documents = list(dict.fromkeys(text for found in texts.values() for _, text in found))
        vectors = await self._embeddings.aembed_documents(documents) if documents else []
        asked = await asyncio.gather(*map(self._embeddings.aembed_query, queries))
        return self._checked_vectors(texts, documents, vectors, dict(zip(queries, asked, strict=True)))

    def _texts(self, ops: Sequence[Op]) -> tuple[dict[int, list[tuple[str, str]]], set[str]]:
        """Return the texts to embed of each put, with their paths, and the queries."""
        texts: dict[int, list[tuple[str, str]]] = {}
        for number, op in _last_puts(ops).items():
            if op.value is None or op.index is False:
                continue
            paths = self._fields if op.index is None else [_path(each) for each in op.index]
            for path, tokens in paths:
                found = get_text_at_path(op.value, tokens)
                names = [path] if len(found) == 1 else [f"{path}.{place}" for place in range(len(found))]
                texts.setdefault(number, []).extend(zip(names, found, strict=True))
        return texts, {op.query for op in ops if isinstance(op, SearchOp) and op.query}

    def _checked_vectors(
        self,
        texts: Mapping[int, list[tuple[str, str]]],
        documents: Sequence[str],
        vectors: Sequence[Sequence[float]],
        queries: Mapping[str, Sequence[float]],
    ) -> _Embedded:
        dims = (self.index_config or {}).get("dims")
        lengths = {len(vector) for vector in (*vectors, *queries.values())}
        if len(vectors) != len(documents) or not lengths <= {dims}:
            raise InvalidConfigError(
                f"embed returned {len(vectors)} vectors for {len(documents)} texts, of {sorted(lengths)} "
                f"numbers; index says dims={dims}."
            )
        packed = {text: pack_vector(vector) for text, vector in zip(documents, vectors, strict=True)}
        return _Embedded(
            {number: tuple((path, packed[text]) for path, text in found) for number, found in texts.items()},
            queries,
        )

    def _batch(
        self, ops: Sequence[Op], embedded: _Embedded, if_match: Mapping[int, str] | None = None
    ) -> Plan[list[Result]]:
        shelf, now = self._shelf, self._now()
        for op in ops:
            _check_op(op)
        puts, deletions = [], []
        for number, op in _last_puts(ops).items():
            key = shelf.key(op.namespace, op.key)
            if op.value is None:
                deletions.append(key)
            else:
                record = self._record(op, embedded.vectors.get(number, ()), now)
                puts.append(ItemPut(record, (if_match or {}).get(number)))
        return self._execute(shelf, ops, embedded.queries, puts, deletions, now)

    def _execute(
        self,
        shelf: Shelf,
        ops: Sequence[Op],
        queries: Mapping[str, Sequence[float]],
        puts: Sequence[ItemPut],
        deletions: Sequence[str],
        now: int,
    ) -> Plan[list[Result]]:
        gets = [op for op in ops if isinstance(op, GetOp)]
        prefixes = list(dict.fromkeys(tuple(op.namespace_prefix) for op in ops if isinstance(op, SearchOp)))
        listings = [op for op in ops if isinstance(op, ListNamespacesOp)]
        plans: list[Plan[Any]] = [
            read_items(shelf, [shelf.key(op.namespace, op.key) for op in gets]),
            *(load_view(shelf, self._cache, prefix) for prefix in prefixes),
            *(list_namespaces(shelf, _literal_prefix(op)) for op in listings),
        ]
        if not (gets or prefixes or listings):
            plans = []
        read: list[Any] = yield from gather(plans)
        if read:
            views: dict[Namespace, View] = dict(zip(prefixes, read[1:], strict=False))
            answer = partial(
                self._answer, shelf, ops, queries, read[0], views, read[1 + len(prefixes) :], now
            )
            # Ranking ten thousand items would hold up an event loop.
            many = sum(len(view.rows) for view in views.values()) > _MANY
            results, seen = (yield from ask(Call(answer))) if many else answer()
        else:
            results, seen = [None] * len(ops), []
        yield from renew(shelf, self._cache, seen, now)
        if puts or deletions:
            yield from write_items(shelf, self._cache, puts, deletions)
        return results

    def _answer(
        self,
        shelf: Shelf,
        ops: Sequence[Op],
        queries: Mapping[str, Sequence[float]],
        items: Mapping[str, Row],
        views: Mapping[Namespace, View],
        listed: Iterable[Iterable[Namespace]],
        now: int,
    ) -> tuple[list[Result], list[Row]]:
        """Return the results of operations, and the items whose time to live the reads renew."""
        namespaces = iter(listed)
        results: list[Result] = []
        seen: list[Row] = []
        for op in ops:
            if isinstance(op, GetOp):
                row = items.get(shelf.key(op.namespace, op.key))
                if row is not None and row.record.expired(now):
                    row = None
                results.append(None if row is None else self._item(row))
                seen += [row] if row is not None and op.refresh_ttl else []
            elif isinstance(op, SearchOp):
                rows = views[tuple(op.namespace_prefix)].rows.values()
                live = {id(row.record): row for row in rows if not row.record.expired(now)}
                found = self._search(op, [row.record for row in live.values()], queries)
                results.append([self._search_item(record, score) for score, record in found])
                seen += [live[id(record)] for _, record in found] if op.refresh_ttl else []
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
        return (yield from delete_unchanged(expired))


class _Embedded(NamedTuple):
    """Vectors of a batch: of each put's texts with their paths, by the put's number; and of the queries."""

    vectors: Mapping[int, tuple[tuple[str, bytes], ...]] = MappingProxyType({})
    queries: Mapping[str, Sequence[float]] = MappingProxyType({})


def _weight(ops: Sequence[Op]) -> int:
    """Return about how many bytes the puts of a batch encode."""
    return estimate_size(op.value for op in ops if isinstance(op, PutOp))


def _last_puts(ops: Sequence[Op]) -> dict[int, PutOp]:
    """Return the puts of a batch by their numbers, the last of each key."""
    last: dict[tuple[Namespace, str], tuple[int, PutOp]] = {}
    for number, op in enumerate(ops):
        if isinstance(op, PutOp):
            last[tuple(op.namespace), op.key] = number, op
    return dict(last.values())


def _check_op(op: Op) -> None:
    if isinstance(op, SearchOp):
        check_filter(op.filter)
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


def _path(path: str) -> tuple[str, str | list[str]]:
    return path, path if path == _WHOLE else tokenize_path(path)


def _validate(namespace: tuple[str, ...]) -> None:
    """Check a namespace by the rules of `BaseStore.put`."""
    if not namespace or namespace[0] == "langgraph":
        raise InvalidNamespaceError(
            f"{namespace!r}: a namespace has labels, of which langgraph isn't the first."
        )
    labels: tuple[object, ...] = namespace
    if not all(isinstance(label, str) and label and "." not in label for label in labels):
        raise InvalidNamespaceError(f"{namespace!r}: each label is text, not empty, and without a dot.")


def embedding_of(store: S3Store) -> Embedding | None:
    """Return a store's embedding, for items that are written without `put`; `None` if it has no index."""

    def ops(values: Sequence[Mapping[str, Any]]) -> list[PutOp]:
        return [PutOp((), str(number), dict(value)) for number, value in enumerate(values)]

    def embed(values: Sequence[Mapping[str, Any]]) -> list[tuple[tuple[str, bytes], ...]]:
        found = store._embedded(ops(values)).vectors  # noqa: SLF001  # its own class
        return [found.get(number, ()) for number in range(len(values))]

    async def aembed(values: Sequence[Mapping[str, Any]]) -> list[tuple[tuple[str, bytes], ...]]:
        found = (await store._aembedded(ops(values))).vectors  # noqa: SLF001  # its own class
        return [found.get(number, ()) for number in range(len(values))]

    index = store.index_config
    return None if index is None else Embedding(index["dims"], embed, aembed)


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


def _checked_index(index: IndexConfig | None) -> IndexConfig | None:
    if index is not None and (not isinstance(index.get("dims"), int) or index.get("embed") is None):
        raise InvalidConfigError("index needs dims, the length of the vectors, and embed, which makes them.")
    return index
