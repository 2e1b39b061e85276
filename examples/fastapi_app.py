"""A chat service on FastAPI: answers are streamed, threads are kept in S3, one saver serves the app's life.

    pip install . langgraph fastapi uvicorn    # in a clone of this repository
    S3_BUCKET_NAME=my-bucket uvicorn examples.fastapi_app:app --timeout-graceful-shutdown 30
    curl -N localhost:8000/threads/ada/messages --json '{"text": "My name is Ada."}'
    curl localhost:8000/threads/ada/messages

A run ends with its stream: if the client goes, or the server can't wait any longer, it is cancelled, and what
it did is stored. `POST /threads/ada/resume` goes on from there. The store has to honour conditional writes,
as AWS does: the lease, which keeps two requests (of two servers, too) off one thread, is made of them.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, StreamingResponse
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, MessagesState, StateGraph
from pydantic import BaseModel

from examples.scripted_model import ScriptedModel
from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.errors import (
    ConflictError,
    InvalidKeyError,
    S3CheckpointError,
    StorageUnavailableError,
)

logger = logging.getLogger(__name__)

model = ScriptedModel(script=[AIMessage("Good to hear that. I keep it in mind.")])  # init_chat_model("…")


async def reply(state: MessagesState) -> dict[str, list[BaseMessage]]:
    return {"messages": [await model.ainvoke(state["messages"])]}


builder: StateGraph[MessagesState, None, MessagesState, MessagesState] = StateGraph(MessagesState)
builder.add_node("reply", reply)
builder.add_edge(START, "reply")


class Chat:
    """The graph, its saver, and the runs that are under way."""

    def __init__(self, saver: S3Saver) -> None:
        self.saver = saver
        self.graph = builder.compile(checkpointer=saver)
        self.runs: set[asyncio.Task[None]] = set()

    async def answer(self, thread_id: str, inputs: MessagesState | None) -> StreamingResponse:
        """Stream a run. What fails before its first word is raised, and so has a status of its own."""
        events: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        # A task of its own: a cancelled request can't wait for anything, so it couldn't end the run in order.
        run = asyncio.create_task(self._run(thread_id, inputs, events))
        self.runs.add(run)
        run.add_done_callback(self.runs.discard)
        kind, value = await events.get()
        if kind == "error":
            raise value
        return StreamingResponse(_stream(run, events, kind, value), media_type="text/event-stream")

    async def _run(
        self, thread_id: str, inputs: MessagesState | None, events: asyncio.Queue[tuple[str, Any]]
    ) -> None:
        try:
            async with self.saver.alease(thread_id):  # a ConflictError if somebody has it
                async for chunk, _ in self.graph.astream(inputs, _config(thread_id), stream_mode="messages"):
                    if text := chunk.text:  # type: ignore[union-attr]  # in this mode, chunks are messages
                        events.put_nowait(("token", text))
            events.put_nowait(("done", None))
        except Exception as error:  # noqa: BLE001  # told to the client, and to the log
            events.put_nowait(("error", error))


async def _stream(
    run: asyncio.Task[None], events: asyncio.Queue[tuple[str, Any]], kind: str, value: Any
) -> AsyncIterator[str]:
    """Server-sent events: `token`s, and at last `done` or an `error`, after which `/resume` may go on."""
    try:
        while True:
            if kind == "error":
                logger.error("A run failed after its first word.", exc_info=value)
                value = getattr(value, "kind", "error")
            yield f"event: {kind}\ndata: {json.dumps(value)}\n\n"
            if kind != "token":
                return
            kind, value = await events.get()
    finally:
        run.cancel()  # the client has gone; of a run that has ended, nothing


def _config(thread_id: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread_id}}


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with S3Saver.from_env() as saver:
        app.state.chat = chat = Chat(saver)
        yield
        for run in chat.runs:  # those that uvicorn didn't wait for
            run.cancel()
        # They store what they did, and give their leases back, before the saver is closed.
        await asyncio.gather(*chat.runs, return_exceptions=True)


app = FastAPI(lifespan=lifespan)


def get_chat(request: Request) -> Chat:
    """Where yours would also check that the thread is the caller's."""
    chat: Chat = request.app.state.chat
    return chat


TheChat = Annotated[Chat, Depends(get_chat)]


class Message(BaseModel):
    text: str


@app.post("/threads/{thread_id}/messages")
async def say(thread_id: str, message: Message, chat: TheChat) -> StreamingResponse:
    return await chat.answer(thread_id, {"messages": [HumanMessage(message.text)]})


@app.post("/threads/{thread_id}/resume")
async def resume(thread_id: str, chat: TheChat) -> StreamingResponse:
    await messages(thread_id, chat)
    return await chat.answer(thread_id, None)


@app.get("/threads/{thread_id}/messages")
async def messages(thread_id: str, chat: TheChat) -> dict[str, Any]:
    state = await chat.graph.aget_state(_config(thread_id))
    if state.created_at is None:
        raise HTTPException(404, "There is no such thread.")
    said = [{"role": message.type, "text": message.text} for message in state.values.get("messages", [])]
    return {"messages": said, "unfinished": bool(state.next)}


@app.delete("/threads/{thread_id}", status_code=204)
async def delete(thread_id: str, chat: TheChat) -> None:
    async with chat.saver.alease(thread_id):  # not while it is being answered
        await chat.saver.adelete_thread(thread_id)


@app.exception_handler(S3CheckpointError)
async def failed(request: Request, error: Exception) -> JSONResponse:
    match error:
        case InvalidKeyError():
            return JSONResponse({"detail": error.reason}, 422)
        case ConflictError():
            return JSONResponse({"detail": "The thread is being answered."}, 409, {"Retry-After": "2"})
        case StorageUnavailableError():
            status, headers = 503, {"Retry-After": "10"}
        case _:  # permissions, a missing bucket, a damaged object: trying again doesn't help
            status, headers = 500, {}
    logger.error("Checkpoints can't be had.", exc_info=error)  # names the bucket: not for the client
    return JSONResponse({"detail": getattr(error, "kind", "error")}, status, headers)
