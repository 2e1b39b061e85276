"""Fixtures: a command line whose savers use a fake S3."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from typer.testing import CliRunner

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.cli import runtime, transfer
from langgraph_checkpoint_s3.cli.app import app
from tests.support.checkpoints import make_checkpoint, place, put_chain
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver

THREAD = "customer-42"


@dataclass(frozen=True)
class Ran:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """The output, parsed as JSON."""
        return json.loads(self.out)


Cli = Callable[..., Ran]


@pytest.fixture
def fake() -> FakeS3:
    return FakeS3()


@pytest.fixture
def saver(fake: FakeS3) -> S3Saver:
    """A saver with caches of its own, like an agent in another process."""
    return make_saver(fake)


@pytest.fixture
def thread(saver: S3Saver) -> str:
    """A thread of four checkpoints, and a fork from the second."""
    put_chain(saver, THREAD, 4)
    fork = make_checkpoint("00000007", {"n": "fork"})
    metadata: Any = {"source": "fork", "step": 2}
    saver.put(place(THREAD, "00000001"), fork, metadata, fork["channel_versions"])
    return THREAD


@pytest.fixture
def cli(fake: FakeS3, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Run a command as a script would, without a terminal."""

    def open_saver(uri: str | None, **keywords: Any) -> S3Saver:
        return make_saver(fake)

    monkeypatch.setattr(runtime, "open_saver", open_saver)
    monkeypatch.setattr(transfer, "open_saver", open_saver)
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    return run


def run(*arguments: object, stdin: str | bytes | None = None) -> Ran:
    """Run a command in this process."""
    result = CliRunner().invoke(app, [str(each) for each in arguments], input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ran(result.exit_code, result.stdout, result.stderr)
