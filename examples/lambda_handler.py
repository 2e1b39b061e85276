"""An AWS Lambda function that answers on a thread: for function URLs, HTTP APIs and asynchronous invocations.

Saver and graph are made once, in the init phase, and serve all events of an environment. An event is
`{"thread": "ada", "text": "My name is Ada.", "id": "…"}`, as the body of a request or by itself. The same id
twice is answered once: what was done is in the thread, a run that was cut short goes on, and an answer that
is there is given again. docs/lambda.md says how to package it, what its role needs, what a cold start takes.
"""

import base64
import contextlib
import itertools
import json
import os
from typing import Any, Protocol

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, MessagesState, StateGraph

from examples.scripted_model import ScriptedModel
from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.errors import ConflictError, InvalidKeyError, StorageUnavailableError

MARGIN = 3.0  # seconds that are kept for storing what was done and for saying so
MEMORY = int(os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")) * 2**20

model = ScriptedModel(
    script=[AIMessage("Good to hear that. I keep it in mind.")]
)  # with a timeout below the function's


class Context(Protocol):
    """What Lambda hands over beside the event."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int: ...


class OutOfTimeError(Exception):
    """The function's time is nearly over. What was done is stored: the same request goes on from there."""


def reply(state: MessagesState) -> dict[str, list[BaseMessage]]:
    return {"messages": [model.invoke(state["messages"])]}


builder: StateGraph[MessagesState, None, MessagesState, MessagesState] = StateGraph(MessagesState)
builder.add_node("reply", reply)
builder.add_edge(START, "reply")

# It gives up before Lambda does, and remembers no more than an eighth of the memory (objects, and states).
saver = S3Saver.from_env(operation_timeout=10, cache_bytes=MEMORY // 16)
graph = builder.compile(checkpointer=saver)


def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    if "requestContext" not in event:  # asynchronous: what is raised makes Lambda try again, with the same id
        return {"reply": answer(event["thread"], event["text"], event.get("id"), context)}
    try:
        body = event["body"]
        asked = json.loads(base64.b64decode(body) if event.get("isBase64Encoded") else body)
        thread_id, text, request_id = asked["thread"], asked["text"], asked.get("id")
    except (KeyError, TypeError, ValueError):
        return _http(422, error='The body has to be {"thread": "…", "text": "…", "id": "…"}.')
    try:
        return _http(200, reply=answer(thread_id, text, request_id, context))
    except InvalidKeyError as error:
        return _http(422, error=error.reason)
    except ConflictError:
        return _http(409, 2, error="The thread is being answered.")
    except (OutOfTimeError, StorageUnavailableError) as error:
        print(repr(error))  # to CloudWatch: it may name the bucket
        return _http(503, 2, error="Not done yet: send the same request, with the same id, again.")


def answer(thread_id: str, text: str, request_id: str | None, context: Context) -> str:
    """Answer a request, or go on with it, or say again what was answered.

    Raises:
        ConflictError: The thread is being answered by somebody else, maybe by an earlier try of this request.
        OutOfTimeError: Not all is done.
        S3CheckpointError: The store can't be reached or refuses.
    """
    request_id = request_id or context.aws_request_id  # which stays the same when Lambda tries again
    config: RunnableConfig = {"configurable": {"thread_id": thread_id}}
    # It ends when this invocation must have ended, so nothing has to renew it in the background.
    with saver.lease(thread_id, ttl=max(1.0, _seconds_left(context)), auto_renew=False):
        state = graph.get_state(config)
        messages = state.values.get("messages", [])
        said = _said(messages, request_id)
        if said is None or state.next:
            inputs: Any = None if said is not None else {"messages": [HumanMessage(text, id=request_id)]}
            steps: Any = graph.stream(inputs, config, stream_mode="values", durability="sync")
            with contextlib.closing(steps):  # which stores what is under way
                for values in steps:
                    messages = values["messages"]
                    if _seconds_left(context) < MARGIN:
                        raise OutOfTimeError(f"{request_id} isn't done.")
        said = _said(messages, request_id)
        return said[-1].text if said else ""


def _said(messages: list[BaseMessage], request_id: str) -> list[BaseMessage] | None:
    """What was said to a request, up to the next one; `None` if the thread doesn't know it."""
    at = next((place for place, message in enumerate(messages) if message.id == request_id), None)
    if at is None:
        return None
    return list(itertools.takewhile(lambda message: message.type != "human", messages[at + 1 :]))


def _seconds_left(context: Context) -> float:
    return context.get_remaining_time_in_millis() / 1000


def _http(status: int, retry_after: int | None = None, **body: str) -> dict[str, Any]:
    headers = {"Content-Type": "application/json"}
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    return {"statusCode": status, "headers": headers, "body": json.dumps(body)}
