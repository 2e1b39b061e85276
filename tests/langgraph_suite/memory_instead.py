"""Stand-ins for LangGraph's stores and caches in its own tests: `S3Store` and `S3Cache` on the tests' server.

`s3_instead` puts them in place. Each takes what the class that it stands for takes, and makes of it what ours
take.
"""

from __future__ import annotations

import contextlib
import types
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

import langgraph.cache.memory as memory_cache
import langgraph.cache.redis as redis_cache
import langgraph.cache.sqlite as sqlite_cache
import langgraph.store.memory as memory_store
import langgraph.store.postgres as postgres_store
import langgraph.store.sqlite as sqlite_store
import psycopg
from s3_instead import OnServer, sealed

from langgraph_checkpoint_s3.memory import S3Cache, S3Store

if TYPE_CHECKING:
    from typing_extensions import Self


class InMemoryStore(S3Store):
    """Stands in for `InMemoryStore`."""

    def __init__(self, *, index: Any = None) -> None:
        super().__init__(saver=OnServer(), index=index)


class NoDatabase:
    """Stands in for a connection to Postgres, with which the tests make and drop databases."""

    @classmethod
    def connect(cls, *_: Any, **__: Any) -> NoDatabase:
        return cls()

    def execute(self, *_: Any) -> None:
        """Execute nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class AsyncNoDatabase:
    """`NoDatabase` for async tests."""

    __class_getitem__: Any = classmethod(types.GenericAlias)

    @classmethod
    async def connect(cls, *_: Any, **__: Any) -> AsyncNoDatabase:
        return cls()

    async def execute(self, *_: Any) -> None:
        """Execute nothing."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


class Connected(S3Store):
    """Stands in for `SqliteStore` and `PostgresStore`.

    Those of one connection string have the same items. They are encrypted, with hashed names and no cache, so
    that more is tried. None sweeps by itself, and needn't: expired items are never returned.
    """

    MIGRATIONS: Any = ()  # the tests change those of Postgres before they set it up

    def __init__(self, conn_string: str, index: Any, ttl: Any) -> None:
        name = None if conn_string == ":memory:" else conn_string
        if index and index.get("text_fields"):  # as SqliteStore calls them
            index = {**index, "fields": index["text_fields"]}
        ttl = ttl and {key: value for key, value in ttl.items() if key != "sweep_interval_minutes"}
        # Some tests send thousands of requests at once, which take moto minutes on a busy machine.
        saver = OnServer(name, operation_timeout=None, read_timeout=600, **sealed())
        super().__init__(saver=saver, index=index, ttl=ttl)

    @classmethod
    @contextlib.contextmanager
    def from_conn_string(  # type: ignore[override]  # as LangGraph's own
        cls, conn_string: str, *, index: Any = None, ttl: Any = None, **_: Any
    ) -> Iterator[Connected]:
        yield cls(conn_string, index, ttl)

    def setup(self) -> None:
        """Leave the bucket as it is: it is there."""

    def _cursor(self) -> Any:
        return NoDatabase()

    def start_ttl_sweeper(self) -> None:
        """Start nothing."""

    def stop_ttl_sweeper(self) -> None:
        """Stop nothing."""


class AsyncConnected(Connected):
    """Stands in for `AsyncSqliteStore` and `AsyncPostgresStore`."""

    @classmethod
    @contextlib.asynccontextmanager
    async def from_conn_string(  # type: ignore[override]  # as LangGraph's own
        cls, conn_string: str, *, index: Any = None, ttl: Any = None, **_: Any
    ) -> AsyncIterator[AsyncConnected]:
        yield cls(conn_string, index, ttl)

    async def setup(self) -> None:  # type: ignore[override]  # as LangGraph's own
        """Leave the bucket as it is: it is there."""

    def _cursor(self) -> Any:
        return AsyncNoDatabase()

    async def start_ttl_sweeper(self) -> None:  # type: ignore[override]  # as LangGraph's own
        """Start nothing."""

    async def stop_ttl_sweeper(self) -> None:  # type: ignore[override]  # as LangGraph's own
        """Stop nothing."""

    async def sweep_ttl(self) -> int:  # type: ignore[override]  # as LangGraph's own
        return await self.asweep_ttl()


class InMemoryCache(S3Cache[Any]):
    """Stands in for `InMemoryCache`."""

    def __init__(self, *, serde: Any = None) -> None:
        super().__init__(saver=OnServer(serde=serde or S3Cache.serde))


class SealedCache(S3Cache[Any]):
    """Stands in for `SqliteCache` and `RedisCache`: encrypted, with hashed names and no cache of its own."""

    def __init__(self, *_: Any, serde: Any = None, **__: Any) -> None:
        super().__init__(saver=OnServer(serde=serde or S3Cache.serde, **sealed()))


def install() -> None:
    """Put them in the places of LangGraph's own, before a test imports these."""
    places: list[tuple[Any, str, type]] = [
        (memory_store, "InMemoryStore", InMemoryStore),
        (sqlite_store, "SqliteStore", Connected),
        (sqlite_store, "AsyncSqliteStore", AsyncConnected),
        (sqlite_store.aio, "AsyncSqliteStore", AsyncConnected),
        (postgres_store, "PostgresStore", Connected),
        (postgres_store, "AsyncPostgresStore", AsyncConnected),
        (memory_cache, "InMemoryCache", InMemoryCache),
        (sqlite_cache, "SqliteCache", SealedCache),
        (redis_cache, "RedisCache", SealedCache),
        (psycopg, "Connection", NoDatabase),
        (psycopg, "AsyncConnection", AsyncNoDatabase),
    ]
    for module, name, stand_in in places:
        setattr(module, name, stand_in)
