"""The FastAPI example over real HTTP: streams that begin before they end, and what cuts them short."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from blockbuster import blockbuster_ctx
from fastapi import Request
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk

from examples import fastapi_app
from examples.scripted_model import ScriptedModel
from langgraph_checkpoint_s3 import InvalidKeyError, S3Saver
from tests.support.hanging import HANG

ROOT = Path(__file__).parents[2]
LINE = "Good to hear that. I keep it in mind."

pytestmark = pytest.mark.usefixtures("bucket")


class GatedModel(ScriptedModel):
    """Says its first word at once, and the others when the test lets it."""

    gate: asyncio.Event
    waits: asyncio.Event
    asked: list[int]
    breaks: bool = False
    talks: bool = True

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        self.asked.append(len(messages))
        for number, chunk in enumerate(self._stream(messages)):
            if number or not self.talks:
                self.waits.set()
                await self.gate.wait()
                if self.breaks:
                    raise ConnectionError("the model is gone")
            yield chunk


@pytest.fixture
def gated(monkeypatch: pytest.MonkeyPatch) -> GatedModel:
    model = GatedModel(script=[AIMessage(LINE)], gate=asyncio.Event(), waits=asyncio.Event(), asked=[])
    monkeypatch.setattr(fastapi_app, "model", model)
    return model


class Server(uvicorn.Server):
    """Leaves signals to the test runner, and tells when it shuts down."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.shuts_down = asyncio.Event()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.shuts_down.set()  # who waits for it runs once this one waits, and listens no more
        await super().shutdown(sockets)

    def capture_signals(self) -> contextlib.AbstractContextManager[None]:  # type: ignore[override]  # uvicorn writes it as a generator
        return contextlib.nullcontext()


@contextlib.asynccontextmanager
async def serving(**settings: Any) -> AsyncIterator[tuple[httpx.AsyncClient, Server]]:
    """The app behind uvicorn, on a free port, and a client of it."""
    server = Server(uvicorn.Config(fastapi_app.app, log_level="warning", **settings))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        task = asyncio.create_task(server.serve([listening]))
        try:
            async with httpx.AsyncClient(base_url=url, timeout=HANG, trust_env=False) as client:
                yield client, server
        finally:
            server.should_exit = True
            await task


def guarded(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run it where nothing may block the event loop."""
    with blockbuster_ctx():
        asyncio.run(asyncio.wait_for(coroutine, HANG))


async def events(response: httpx.Response) -> AsyncIterator[tuple[str, Any]]:
    """Server-sent events, as they come."""
    kind = ""
    async for line in response.aiter_lines():
        if line.startswith("event: "):
            kind = line[len("event: ") :]
        elif line:
            yield kind, json.loads(line[len("data: ") :])


def say(
    client: httpx.AsyncClient, thread: str, text: str
) -> contextlib.AbstractAsyncContextManager[httpx.Response]:
    return client.stream("POST", f"/threads/{thread}/messages", json={"text": text})


async def answer(client: httpx.AsyncClient, thread: str, text: str) -> str:
    """Say it, and hear the answer out."""
    async with say(client, thread, text) as response:
        heard = [event async for event in events(response)]
    assert heard[-1] == ("done", None)
    return "".join(word for kind, word in heard if kind == "token").strip()


async def said(client: httpx.AsyncClient, thread: str) -> list[str]:
    found = (await client.get(f"/threads/{thread}/messages")).json()
    return [message["text"].strip() for message in found["messages"]]


def test_two_conversations_at_once_and_a_third_request_that_has_to_wait(gated: GatedModel) -> None:
    async def use() -> None:
        async with (
            serving() as (client, _),
            say(client, "ada", "I am Ada.") as ada,
            say(client, "grace", "I am Grace.") as grace,
        ):
            assert (ada.status_code, grace.status_code) == (200, 200)
            of_ada, of_grace = events(ada), events(grace)
            assert await anext(of_ada) == await anext(of_grace) == ("token", "Good ")  # both wait now
            for refused in (
                await client.post("/threads/ada/messages", json={"text": "And I?"}),
                await client.delete("/threads/ada"),
            ):
                assert refused.status_code == 409
                assert refused.headers["retry-after"]
            gated.gate.set()
            for rest in (of_ada, of_grace):
                assert [event async for event in rest][-1] == ("done", None)
            assert await said(client, "ada") == ["I am Ada.", LINE]
            assert await said(client, "grace") == ["I am Grace.", LINE]

    guarded(use())


def test_a_client_that_goes_leaves_a_thread_that_goes_on(gated: GatedModel) -> None:
    async def use() -> None:
        async with serving() as (client, _):
            async with say(client, "ada", "I am Ada.") as response:
                assert await anext(events(response)) == ("token", "Good ")
            await runs_end()
            left = (await client.get("/threads/ada/messages")).json()
            assert left == {"messages": [{"role": "human", "text": "I am Ada."}], "unfinished": True}
            gated.gate.set()
            async with client.stream("POST", "/threads/ada/resume") as response:  # no 409: the lease is free
                heard = [event async for event in events(response)]
            assert heard[-1] == ("done", None)
            assert await said(client, "ada") == ["I am Ada.", LINE]
            assert not (await client.get("/threads/ada/messages")).json()["unfinished"]
            assert gated.asked == [1, 1]

    guarded(use())


async def runs_end() -> None:
    """What was cancelled has stored what it did."""
    await asyncio.wait_for(asyncio.gather(*fastapi_app.app.state.chat.runs, return_exceptions=True), HANG)


def test_shutdown_hears_a_stream_out(gated: GatedModel) -> None:
    async def use() -> None:
        async with serving() as (client, server), say(client, "ada", "I am Ada.") as response:
            heard = events(response)
            await anext(heard)
            server.should_exit = True
            await server.shuts_down.wait()
            gated.gate.set()
            assert [event async for event in heard][-1] == ("done", None)

    guarded(use())


def test_shutdown_that_cannot_wait_leaves_a_thread_that_goes_on(gated: GatedModel) -> None:
    async def use() -> None:
        async with impatient() as (client, server), say(client, "ada", "I am Ada.") as response:
            heard = events(response)
            await anext(heard)
            server.should_exit = True
            with contextlib.suppress(httpx.RemoteProtocolError):
                assert [event async for event in heard] == []
        await goes_on(gated)

    guarded(use())


def test_shutdown_that_cannot_wait_for_the_first_word_leaves_a_thread_that_goes_on(gated: GatedModel) -> None:
    gated.talks = False

    async def use() -> None:
        async with impatient() as (client, server):
            asked = asyncio.create_task(client.post("/threads/ada/messages", json={"text": "I am Ada."}))
            await gated.waits.wait()
            server.should_exit = True
            await asyncio.wait([asked])
            assert asked.exception() or asked.result().status_code == 500
        await goes_on(gated)

    guarded(use())


def impatient() -> contextlib.AbstractAsyncContextManager[tuple[httpx.AsyncClient, Server]]:
    """A server that waits for no stream when it is to stop, and whose log of that is nobody's concern."""
    return serving(timeout_graceful_shutdown=0, log_config=None)


async def goes_on(gated: GatedModel) -> None:
    """The run ended with its server. The next one finishes it: no lease is in its way."""
    assert not fastapi_app.app.state.chat.runs
    gated.gate.set()
    async with serving() as (client, _):
        async with client.stream("POST", "/threads/ada/resume") as response:
            assert response.status_code == 200
            assert [event async for event in events(response)][-1] == ("done", None)
        assert await said(client, "ada") == ["I am Ada.", LINE]


def test_errors_have_a_status_each(monkeypatch: pytest.MonkeyPatch) -> None:
    brief = functools.partial(S3Saver.from_env, max_attempts=1)

    async def use() -> None:
        async with serving() as (client, _):
            assert (await client.get("/threads/nobody/messages")).status_code == 404
            assert (await client.post("/threads/nobody/resume")).status_code == 404
            assert (await client.post("/threads/ada/messages", json={})).status_code == 422
            assert (await client.get(f"/threads/{'x' * 1100}/messages")).status_code == 404
            assert (await client.delete("/threads/nobody")).status_code == 204
        monkeypatch.setenv("S3_BUCKET_NAME", "another")
        async with serving() as (client, _):
            lost = await client.get("/threads/ada/messages")
            assert (lost.status_code, lost.json()) == (500, {"detail": "bucket_not_found"})
        with socket.socket() as silent:  # bound, and nobody listens
            silent.bind(("127.0.0.1", 0))
            monkeypatch.setenv("S3_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
            monkeypatch.setattr(S3Saver, "from_env", brief)
            async with serving() as (client, _):
                for down in (
                    await client.get("/threads/ada/messages"),
                    await client.post("/threads/ada/messages", json={"text": "Hello."}),
                ):
                    assert (down.status_code, down.json()) == (503, {"detail": "unavailable"})
                    assert down.headers["retry-after"]

    guarded(use())


def test_a_thread_that_can_be_no_key_is_the_callers_fault() -> None:
    with S3Saver.from_env() as saver, pytest.raises(InvalidKeyError) as caught:
        saver.get_tuple({"configurable": {"thread_id": "\ud800"}})  # uvicorn's paths never have one
    answered = asyncio.run(fastapi_app.failed(Request({"type": "http"}), caught.value))
    assert answered.status_code == 422
    assert "lone surrogate" in json.loads(bytes(answered.body))["detail"]


def test_a_model_that_fails_in_mid_stream_ends_it_with_an_event(
    gated: GatedModel,
) -> None:
    gated.breaks = True

    async def use() -> None:
        async with serving() as (client, _), say(client, "ada", "I am Ada.") as response:
            heard = events(response)
            await anext(heard)
            gated.gate.set()
            assert [event async for event in heard] == [("error", "error")]
            assert (await client.get("/threads/ada/messages")).json()["unfinished"]

    guarded(use())


def test_threads_outlive_the_process_and_sigterm_ends_it_in_order() -> None:
    with uvicorn_process() as (url, process):
        with httpx.Client(base_url=url, timeout=HANG, trust_env=False) as client:
            response = client.post("/threads/ada/messages", json={"text": "I am Ada."})
            assert response.text.endswith("event: done\ndata: null\n\n")
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=HANG)
        assert process.returncode in (0, -signal.SIGTERM)  # uvicorn passes the signal on, at its end
        assert "Application shutdown complete" in errors
        for trouble in ("ResourceWarning", "Unclosed", "never awaited", "Traceback"):
            assert trouble not in errors

    async def use() -> None:
        async with serving() as (client, _):
            assert await answer(client, "ada", "Who am I?") == LINE
            assert await said(client, "ada") == ["I am Ada.", LINE, "Who am I?", LINE]

    guarded(use())


@contextlib.contextmanager
def uvicorn_process() -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`uvicorn examples.fastapi_app:app`, as its docstring says."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        process = subprocess.Popen(
            [
                *(sys.executable, "-W", "default::ResourceWarning", "-m", "uvicorn"),
                *("examples.fastapi_app:app", "--fd", str(listening.fileno())),
            ],
            cwd=ROOT,
            pass_fds=[listening.fileno()],
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}", process
        finally:
            process.kill()
            process.wait()
