"""Threads made through the HTTP API of `langgraph dev`, which here forbids blocking calls, are in S3."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.testing._processes import child
from tests.servers import running

pytestmark = pytest.mark.integration

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PROGRAM = os.environ.get("LANGGRAPH_DEV", "")
"""The `langgraph` of an environment that has langgraph-cli[inmem] and this package."""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder as docs/deployment.md describes it, and an S3 server that outlives the API's."""
    if not PROGRAM:
        pytest.skip("LANGGRAPH_DEV names no langgraph: make test-langgraph-dev does")
    if sys.platform == "win32":
        pytest.skip("langgraph dev is stopped by a signal here")
    for name in os.environ:
        if name.startswith(("AWS_", "S3_", "LANGSMITH_", "LANGCHAIN_", "LANGGRAPH_")):
            monkeypatch.delenv(name)
    documented = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    (tmp_path / "langgraph.json").write_text(documented.split("```json\n")[1].split("```")[0])
    shutil.copy(HERE / "graph.py", tmp_path / "graph.py")
    monkeypatch.chdir(tmp_path)  # the API's server starts where this process is
    with running("moto", tmp_path) as server:
        variables = {
            "AWS_ACCESS_KEY_ID": server.access_key,
            "AWS_SECRET_ACCESS_KEY": server.secret_key,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_REGION": server.region,
            "S3_ENDPOINT_URL": server.endpoint_url,
            "S3_FORCE_PATH_STYLE": "true",
            "S3_BUCKET_NAME": "langgraph-dev",
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        with S3Saver.from_env() as saver:
            saver.setup()
        yield tmp_path


class Api:
    """The HTTP API of a server that is running."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        request = urllib.request.Request(
            self._url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or "null")

    def answers(self) -> bool | None:
        with contextlib.suppress(OSError):
            return bool(self.ask("GET", "/ok")["ok"])
        return None

    def say(self, thread: str, text: str) -> list[str]:
        message = {"role": "user", "content": text}
        run = {"assistant_id": "agent", "input": {"messages": [message]}}
        return texts(self.ask("POST", f"/threads/{thread}/runs/wait", run))

    def state(self, thread: str) -> list[str]:
        return texts(self.ask("GET", f"/threads/{thread}/state")["values"])


def texts(values: dict[str, Any]) -> list[str]:
    assert "messages" in values, values
    return [message["content"] for message in values["messages"]]


@contextlib.contextmanager
def langgraph_dev(project: Path) -> Iterator[Api]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Without --allow-blocking: a call that blocks an event loop is an error in its log.
    command = ["dev", "--no-browser", "--no-reload", "--host=127.0.0.1", f"--port={port}"]
    log = project / f"{port}.log"
    with child("langgraph dev", [PROGRAM, *command], log=log) as server:
        api = Api(port)
        server.wait_for(api.answers, what="answer to /ok", timeout=60)
        yield api
    assert "Using custom checkpointer: S3Saver" in server.output()
    assert "Using custom store: S3Store" in server.output()
    for trouble in ("BlockingError", "Blocking call", "Traceback", "Custom checkpointer missing", "Unclosed"):
        assert trouble not in server.output()


def stored() -> set[str]:
    with S3Saver.from_env() as saver:
        return {str(found.config["configurable"]["thread_id"]) for found in saver.list(None)}


def test_threads_outlive_the_server_and_are_copied_and_deleted(project: Path) -> None:
    with langgraph_dev(project) as api:
        thread = api.ask("POST", "/threads", {})["thread_id"]
        assert api.say(thread, "hello") == ["hello", "message 1"]
        assert stored() == {thread}

    with langgraph_dev(project) as api:
        assert api.state(thread) == ["hello", "message 1"]
        found = api.ask("POST", "/store/items/search", {"namespace_prefix": ["texts"]})["items"]
        assert [(each["key"], each["value"]) for each in found] == [("hello", {"number": 1})]
        assert api.say(thread, "again") == ["hello", "message 1", "again", "message 3"]

        copy = api.ask("POST", f"/threads/{thread}/copy")["thread_id"]
        assert stored() == {thread, copy}
        assert api.say(copy, "you?")[-2:] == ["you?", "message 5"]
        assert len(api.state(thread)) == 4

        api.ask("DELETE", f"/threads/{thread}")
        assert stored() == {copy}
        with pytest.raises(urllib.error.HTTPError, match="404"):
            api.state(thread)
        assert len(api.state(copy)) == 6
