"""A pytest plugin for LangGraph's tests: records what they did, and puts our classes for its own.

It runs in an environment of its own, where `tests` is LangGraph's folder: so it imports nothing of ours
but the package. With `SUITE_SAVER=s3`, `InMemorySaver`, `SqliteSaver` and `AsyncSqliteSaver` are
`S3Saver`s on a moto server before any test imports them; what the tests derive from `InMemorySaver`
then is, too. `memory_instead` does the same for stores and caches. Otherwise all stay as they are, and are
only watched. The tests' Redis is one in memory.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import inspect
import itertools
import json
import os
import sys
import time
import types
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from pathlib import Path
from typing import Any, ClassVar

import boto3
import botocore.endpoint
import botocore.loaders
import botocore.session
import fakeredis
import langgraph.checkpoint.sqlite.aio as sqlite_aio
import pytest
import redis
from langgraph.cache.base import BaseCache
from langgraph.checkpoint import memory, sqlite
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.store.base import BaseStore

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.encryption import KeyRing
from langgraph_checkpoint_s3.memory import S3Cache, S3Store
from langgraph_checkpoint_s3.testing._processes import child

S3 = os.environ["SUITE_SAVER"] == "s3"
BUCKET = "langgraph"
OURS = (S3Saver, S3Store, S3Cache)

# A process of its own: the tests replace `uuid.uuid4`, and moto in theirs would take of its numbers.
_MOTO = """\
import logging, threading
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print("port", server.get_host_and_port()[1], flush=True)
threading.Event().wait()
"""


class _Now:
    """Savers that the running test has made; pytest runs one test at a time in a process."""

    numbers = itertools.count()
    url = ""
    store: Any = None
    """Whose clients all savers have."""
    made: ClassVar[list[S3Saver]] = []
    classes: ClassVar[set[str]] = set()
    prefixes: ClassVar[dict[str, str]] = {}
    """Of connection strings, while a test runs."""


class OnServer(S3Saver):
    """A saver under a prefix of its own: as empty as a new `InMemorySaver`.

    All of a process have the same clients. To make one takes a while, and tests that cancel what began
    0.2 s ago count on a checkpointer that needs no time at all.

    Args:
        name: What those that share a prefix have in common, within one test.
        **keywords: As for `S3Saver`.
    """

    def __init__(self, name: str | None = None, **keywords: Any) -> None:
        prefix = f"{next(_Now.numbers)}/"
        super().__init__(
            BUCKET,
            prefix=prefix if name is None else _Now.prefixes.setdefault(name, prefix),
            endpoint_url=_Now.url,
            region="us-east-1",
            force_path_style=True,
            **keywords,
        )
        if _Now.store is None:
            _Now.store = self._store
        for client in ("_rest", "_async_rest", "_boto", "_aio"):
            setattr(self._store, client, getattr(_Now.store, client))
        _Now.made.append(self)

    def close(self) -> None:
        """Close its threads. The clients serve other tests."""
        self._store._threads.close()
        self._store._hedge_threads.close()


class InMemory(OnServer):
    """Stands in for `InMemorySaver`.

    Its async methods call its blocking ones, and tests derive classes from it that count on that: where one
    has a blocking method of its own and no async one, the latter calls the former here, too.
    """

    def __init__(self, *, serde: Any = None, factory: Any = None) -> None:
        del factory  # of the dictionaries that this one doesn't have
        super().__init__(serde=serde)
        self.stack = contextlib.ExitStack()  # the tests' own class removes its file with it

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if cls.__name__ == "MemorySaverAssertImmutable":  # for all async tests: these are to stay async
            cls.aput = _aput_immutable  # type: ignore[method-assign]  # the test's own
            return
        for name in ("get_tuple", "put", "put_writes", "get_delta_channel_history"):
            if name in cls.__dict__ and f"a{name}" not in cls.__dict__:
                setattr(cls, f"a{name}", _by_blocking(name))


def _by_blocking(name: str) -> Callable[..., Awaitable[Any]]:
    async def call(self: InMemory, *args: Any, **keywords: Any) -> Any:
        return getattr(self, name)(*args, **keywords)

    return call


async def _aput_immutable(self: Any, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
    """`MemorySaverAssertImmutable.put`, as a coroutine: what was stored reads as it read at first."""
    place = config["configurable"]
    copies = self.storage_for_copies[place["thread_id"]][place["checkpoint_ns"]]
    if saved := await S3Saver.aget(self, config):
        assert self.serde.loads_typed(copies[saved["id"]]) == saved, place["checkpoint_ns"]
    following = await S3Saver.aput(self, config, checkpoint, metadata, new_versions)
    copies[checkpoint["id"]] = self.serde.dumps_typed(await S3Saver.aget(self, following))
    return following


def sealed() -> dict[str, Any]:
    """Return the settings of a saver that encrypts, hashes names and has no cache."""
    key = base64.b64encode(bytes(32)).decode()
    return {"encryption": KeyRing({"key": key}, names_key=key), "private_keys": True, "cache_bytes": 0}


class Sealed(OnServer):
    """Stands in for `SqliteSaver`: encrypted, with hashed names and no cache, so that more is tried."""

    def __init__(self) -> None:
        super().__init__(**sealed())

    @classmethod
    @contextlib.contextmanager
    def from_conn_string(cls, conn_string: str) -> Iterator[Sealed]:  # type: ignore[override]  # another saver
        assert conn_string == ":memory:"
        yield cls()


class AsyncSealed(Sealed):
    """Stands in for `AsyncSqliteSaver`."""

    @classmethod
    @contextlib.asynccontextmanager
    async def from_conn_string(cls, conn_string: str) -> AsyncIterator[AsyncSealed]:  # type: ignore[override]  # another saver
        assert conn_string == ":memory:"
        yield cls()


# Now, for the tests' conftest.py is imported before any hook is called.
redis.Redis = fakeredis.FakeRedis
if S3:
    import memory_instead

    memory_instead.install()
    memory.InMemorySaver = memory.MemorySaver = InMemory  # type: ignore[misc, assignment]  # replaced for its tests
    sqlite.SqliteSaver = Sealed  # type: ignore[misc, assignment]  # replaced for its tests
    sqlite_aio.AsyncSqliteSaver = AsyncSealed  # type: ignore[misc, assignment]  # replaced for its tests


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record", help="the file that takes each test's outcome, and what it made")
    parser.addoption("--stretch", type=float, default=1.0, help="how many times as long tests' pauses take")
    parser.addoption("--only", help="a file with the ids of the tests to run, as JSON; others are left out")


def pytest_configure(config: pytest.Config) -> None:
    watch()
    if not hasattr(config, "workerinput"):  # with xdist, the process that hears of all workers' tests
        config.pluginmanager.register(Recorder(config))


def watch() -> None:
    """Note that a checkpointer, a store or a cache is made, of whatever class."""

    def noted(cls: type, *_: Any, **__: Any) -> Any:
        ours = next((each.__name__ for each in OURS if issubclass(cls, each)), None)
        # A store of the tests' own stands before another one, which is noted.
        if ours or not (issubclass(cls, BaseStore) and cls.__module__.startswith("tests.")):
            _Now.classes.add(ours or cls.__name__)
        return object.__new__(cls)

    for base in (BaseCheckpointSaver, BaseStore, BaseCache):
        base.__new__ = noted  # type: ignore[method-assign]  # they have none of their own


class Recorder:
    """Writes what the tests did: `{id: [outcome, classes of checkpointers, stores and caches]}`."""

    def __init__(self, config: pytest.Config) -> None:
        self._path = config.getoption("--record")
        self._found: dict[str, tuple[str, list[str]]] = {}

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._found[report.nodeid] = ("failed", [])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        before, classes = self._found.get(report.nodeid, ("", []))
        # One whose fixture fails at its end has failed; what passed there says nothing more.
        known = report.passed and before
        for name, value in report.user_properties:
            if name == "savers" and isinstance(value, list):
                classes = value
        self._found[report.nodeid] = (before if known else report.outcome, classes)

    def pytest_sessionfinish(self) -> None:
        if self._path:
            Path(self._path).write_text(json.dumps(self._found, indent=0), encoding="utf-8")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    path = config.getoption("--only")
    if path:
        wanted = set(json.loads(Path(path).read_text(encoding="utf-8")))
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in wanted])
        items[:] = [item for item in items if item.nodeid in wanted]


@pytest.fixture(scope="session", autouse=True)
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A server for this process, if its tests are to have one."""
    if not S3:
        yield
        return
    loader = botocore.loaders.create_loader()  # parses the description of S3 once, not for each saver
    botocore.session.create_loader = lambda search_path_string=None: loader
    # Its ids of requests are no matter of the tests that number `uuid.uuid4`.
    botocore.endpoint.uuid = types.SimpleNamespace(uuid4=uuid.uuid4)  # type: ignore[attr-defined]  # replaced for its tests
    os.environ |= dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "test")
    log = tmp_path_factory.mktemp("moto") / "log"
    with child("moto", [sys.executable, "-c", _MOTO], log=log) as server:

        def port() -> str | None:
            said = server.output().partition("port ")[2]
            return said.strip() if said.endswith("\n") else None

        _Now.url = "http://127.0.0.1:" + server.wait_for(port, what="port", timeout=120)
        client = boto3.client("s3", endpoint_url=_Now.url, region_name="us-east-1")
        client.create_bucket(Bucket=BUCKET)
        client.close()
        OnServer()
        _Now.made.clear()
        _Now.classes.clear()
        yield
        _Now.store._rest.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, bool, bool]:
    _Now.classes.clear()
    return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Open and close the savers' connections on a test's own loop, while it runs."""
    assert isinstance(item, pytest.Function)
    if inspect.iscoroutinefunction(item.obj):
        test = item.obj

        @functools.wraps(test)
        async def closing(**arguments: Any) -> None:
            clients = _Now.store and _Now.store._async_rest
            if clients:
                await clients.get_async()  # before the test's own clocks begin
            try:
                await test(**arguments)
            finally:
                if clients:
                    await clients.aclose()

        item.obj = closing
    with pytest.MonkeyPatch.context() as patch:
        factor = item.config.getoption("--stretch")
        for module in (asyncio, time):
            if factor != 1 and vars(item.module).get(module.__name__) is module:
                patch.setattr(item.module, module.__name__, _Stretched(module, factor))
        if factor != 1 and vars(item.module).get("perf_counter") is time.perf_counter:
            patch.setattr(item.module, "perf_counter", _Stretched(time, factor).perf_counter)
        return (yield)


class _Stretched:
    """`time` or `asyncio` with pauses that take longer, and a clock that goes as much slower.

    Some tests expect that all else has happened in a pause of 0.2 s, or of 10 ms.
    """

    def __init__(self, module: types.ModuleType, factor: float) -> None:
        self._module = module
        self._factor = factor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)

    def perf_counter(self) -> float:
        return time.perf_counter() / self._factor

    def sleep(self, seconds: float, *more: Any) -> Any:
        return self._module.sleep(seconds * self._factor, *more)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    try:
        return (yield)
    finally:
        item.user_properties.append(("savers", sorted(_Now.classes)))
        for saver in _Now.made:
            saver.close()
        _Now.made.clear()
        _Now.prefixes.clear()
