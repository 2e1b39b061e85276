"""The savers to measure: this package in its variants, and its peers with their requirements.

Runs in every saver's environment. A peer's module is imported only when it is created, since one of them has
this package's import name.
"""

from __future__ import annotations

import atexit
import importlib
import importlib.metadata
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

Make = Callable[[str, str], "BaseCheckpointSaver[Any]"]
"""Creates a saver, given the server's URL and a bucket's name."""


@dataclass(frozen=True, slots=True)
class Saver:
    """A saver to measure.

    Attributes:
        make: Creates the saver.
        distribution: Name of its package.
        requirements: Packages to install; empty if the current environment has them.
        make_async: Creates the saver for asyncio; None without one.
        remote: Whether it uses the server.
    """

    make: Make
    distribution: str
    requirements: Sequence[str] = ()
    make_async: Make | None = None
    remote: bool = True


def _ours(**settings: Any) -> Make:
    def make(endpoint_url: str, bucket: str) -> BaseCheckpointSaver[Any]:
        module = importlib.import_module("langgraph_checkpoint_s3")
        saver: BaseCheckpointSaver[Any] = module.S3Saver(bucket, endpoint_url=endpoint_url, **settings)
        return saver

    return make


def _tigris(endpoint_url: str, bucket: str) -> BaseCheckpointSaver[Any]:
    module = importlib.import_module("langgraph.checkpoint.tigris")
    saver: BaseCheckpointSaver[Any] = module.TigrisSaver(bucket, endpoint_url=endpoint_url)
    return saver


def _other_s3(endpoint_url: str, bucket: str) -> BaseCheckpointSaver[Any]:
    client = importlib.import_module("boto3").client("s3", endpoint_url=endpoint_url)
    module = importlib.import_module("langgraph_checkpoint_s3")
    saver: BaseCheckpointSaver[Any] = module.S3CheckpointSaver(bucket, s3_client=client)
    return saver


def _other_s3_async(endpoint_url: str, bucket: str) -> BaseCheckpointSaver[Any]:
    os.environ["AWS_ENDPOINT_URL_S3"] = endpoint_url  # it creates its clients itself, and takes no URL
    module = importlib.import_module("langgraph_checkpoint_s3")
    saver: BaseCheckpointSaver[Any] = module.AsyncS3CheckpointSaver(bucket)
    return saver


def _object_storage(endpoint_url: str, bucket: str) -> BaseCheckpointSaver[Any]:
    module = importlib.import_module("langgraph_checkpoint_objectstorage")
    saver: BaseCheckpointSaver[Any] = module.ObjectStorageSaver.from_conn_string(
        f"s3://{bucket}/checkpoints", client_kwargs={"endpoint_url": endpoint_url}
    )
    return saver


def _in_memory(endpoint_url: str, bucket: str) -> BaseCheckpointSaver[Any]:
    module = importlib.import_module("langgraph.checkpoint.memory")
    saver: BaseCheckpointSaver[Any] = module.InMemorySaver()
    return saver


def _sqlite(endpoint_url: str, bucket: str) -> BaseCheckpointSaver[Any]:
    import shutil  # here, so that no other saver's cold start pays for them
    import sqlite3
    import tempfile

    folder = tempfile.mkdtemp(prefix="benchmarks-")
    atexit.register(shutil.rmtree, folder)
    connection = sqlite3.connect(f"{folder}/{bucket}.sqlite", check_same_thread=False)
    saver: BaseCheckpointSaver[Any] = importlib.import_module("langgraph.checkpoint.sqlite").SqliteSaver(
        connection
    )
    return saver


def _postgres(endpoint_url: str, bucket: str) -> BaseCheckpointSaver[Any]:
    psycopg = importlib.import_module("psycopg")
    server = importlib.import_module("benchmarks.postgres").server()
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{bucket}"')
    # as in its `from_conn_string`
    row_factory = importlib.import_module("psycopg.rows").dict_row
    connection = psycopg.connect(
        f"{server}/{bucket}", autocommit=True, prepare_threshold=0, row_factory=row_factory
    )
    saver = importlib.import_module("langgraph.checkpoint.postgres").PostgresSaver(connection)
    saver.setup()
    made: BaseCheckpointSaver[Any] = saver
    return made


def _limit(endpoint_url: str, bucket: str) -> BaseCheckpointSaver[Any]:
    saver: BaseCheckpointSaver[Any] = importlib.import_module("benchmarks.limit").Limit()
    return saver


def versions_of(saver: Saver) -> dict[str, str]:
    """Return the versions of a saver's package and of those beside it, in its own environment."""
    return {name: _version(name) for name in (saver.distribution, *_BESIDE)}


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


_BESIDE: Final = ("langgraph", "langgraph-checkpoint", "boto3")
OURS: Final[Mapping[str, Saver]] = {
    "this saver": Saver(_ours(), "langgraph-checkpoint-s3", make_async=_ours()),
    "this saver, borrow=False": Saver(
        _ours(borrow=False), "langgraph-checkpoint-s3", make_async=_ours(borrow=False)
    ),
}
PEERS: Final[Mapping[str, Saver]] = {
    # Its `TigrisSaver` has async methods too, in threads; `AsyncTigrisSaver` creates a client for each call.
    "langgraph-checkpoint-tigris 0.1.0": Saver(
        _tigris,
        "langgraph-checkpoint-tigris",
        ["langgraph-checkpoint-tigris==0.1.0", "langgraph>=1.2,<2"],
        make_async=_tigris,
    ),
    # langgraph-checkpoint 2.1.2 is the last version that works with it.
    "langgraph-checkpoint-s3 0.1.3 (PyPI)": Saver(
        _other_s3,
        "langgraph-checkpoint-s3",
        ["langgraph-checkpoint-s3==0.1.3", "langgraph-checkpoint==2.1.2", "langgraph"],
        make_async=_other_s3_async,
    ),
    "langgraph-checkpoint-objectstorage 0.1.15": Saver(
        _object_storage,
        "langgraph-checkpoint-objectstorage",
        ["langgraph-checkpoint-objectstorage==0.1.15", "s3fs==2026.9.0", "langgraph>=1.2,<2"],
        make_async=_object_storage,
    ),
}
FLOORS: Final[Mapping[str, Saver]] = {
    "InMemorySaver": Saver(_in_memory, "langgraph-checkpoint", make_async=_in_memory, remote=False),
    "SqliteSaver": Saver(_sqlite, "langgraph-checkpoint-sqlite", remote=False),
}
DATABASES: Final[Mapping[str, Saver]] = {
    "PostgresSaver 3.2.0": Saver(
        _postgres,
        "langgraph-checkpoint-postgres",
        ["langgraph-checkpoint-postgres==3.2.0", "psycopg[binary]==3.3.9", "langgraph>=1.2,<2"],
        remote=False,
    ),
}
LIMIT: Final = "the limit"
SAVERS: Final[Mapping[str, Saver]] = {
    **OURS,
    **PEERS,
    **FLOORS,
    **DATABASES,
    LIMIT: Saver(_limit, "langgraph-checkpoint", make_async=_limit, remote=False),
}
