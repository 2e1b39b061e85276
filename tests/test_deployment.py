"""The factory that `langgraph.json` names; under `langgraph dev` itself: `make test-langgraph-dev`."""

from __future__ import annotations

import asyncio
import importlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from langgraph_checkpoint_s3 import InvalidConfigError, S3Saver
from langgraph_checkpoint_s3.deployment import checkpointer, store
from langgraph_checkpoint_s3.memory import S3Store

DOCUMENT = Path(__file__).parents[1] / "docs" / "deployment.md"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("S3_ENDPOINT_URL", "S3_FORCE_PATH_STYLE", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("S3_BUCKET_NAME", "bucket")
    monkeypatch.setenv("S3_KEY_PREFIX", "agents/")


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[S3Saver]:
    """The savers that were closed, which they still are when the test ends."""
    found: list[S3Saver] = []
    close = S3Saver.aclose

    async def noting(saver: S3Saver) -> None:
        found.append(saver)
        await close(saver)

    monkeypatch.setattr(S3Saver, "aclose", noting)
    return found


def test_it_reads_the_environment_and_closes_at_the_end(closed: list[S3Saver]) -> None:
    async def run() -> S3Saver:
        async with checkpointer() as saver:
            assert saver.config.bucket == "bucket"
            assert saver.config.prefix == "agents/"
            assert closed == []
        return saver

    assert closed == [asyncio.run(run())]


def test_the_store_is_of_the_same_bucket(closed: list[S3Saver]) -> None:
    async def run() -> S3Store:
        async with store() as made:
            assert made.saver.config.prefix == "agents/"
        return made

    assert closed == [asyncio.run(run()).saver]


def test_each_loop_has_a_saver_of_its_own() -> None:
    async def run() -> S3Saver:
        async with checkpointer() as saver:
            return saver

    assert asyncio.run(run()) is not asyncio.run(run())


def test_it_closes_when_the_server_fails(closed: list[S3Saver]) -> None:
    async def run() -> None:
        async with checkpointer():
            raise RuntimeError("the server fails")

    with pytest.raises(RuntimeError, match="the server fails"):
        asyncio.run(run())
    assert len(closed) == 1


def test_a_missing_bucket_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("S3_BUCKET_NAME")

    async def run() -> None:
        async with checkpointer():
            pass

    with pytest.raises(InvalidConfigError, match="S3_BUCKET_NAME"):
        asyncio.run(run())


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)


def test_the_documented_path_is_the_factorys() -> None:
    (text,) = blocks("json")
    module, name = json.loads(text)["checkpointer"]["path"].rsplit(".", 1)  # as LangGraph's loader does
    # The loader looks into the module's dictionary, so a lazy attribute wouldn't do.
    assert importlib.import_module(module).__dict__[name] is checkpointer


def test_the_documented_factory_of_ones_own_works(closed: list[S3Saver]) -> None:
    (text,) = blocks("python")
    names: dict[str, Any] = {}
    exec(text, names)  # the loader's way too

    async def run() -> S3Saver:
        async with names["checkpointer"]() as saver:
            assert isinstance(saver, S3Saver)
            return saver

    saver = asyncio.run(run())
    assert (saver.config.bucket, saver.config.max_attempts) == ("bucket", 8)
    assert closed == [saver]
