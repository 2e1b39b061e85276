"""The Lambda example, called as Lambda's runtime calls it: retries, time that runs out, cold starts."""

from __future__ import annotations

import base64
import importlib
import itertools
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Durability

from examples import lambda_cold_start
from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.errors import ConflictError
from langgraph_checkpoint_s3.testing import LocalS3
from tests.support.hanging import HANG

LINE = "Good to hear that. I keep it in mind."


class Context(lambda_cold_start.Context):
    """One that leaves the slowest machine enough time."""

    def __init__(self, request_id: str) -> None:
        super().__init__(request_id, HANG)


@pytest.fixture
def fresh(bucket: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The handler as a new environment of Lambda's imports it."""
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
    real = S3Saver.from_env
    monkeypatch.setattr(
        S3Saver, "from_env", lambda **settings: real(**{**settings, "operation_timeout": HANG})
    )
    sys.modules.pop("examples.lambda_handler", None)
    module = importlib.import_module("examples.lambda_handler")
    yield module
    module.saver.close()


class Counted:
    """A model that says which of its answers this is, and does what the test wants meanwhile."""

    def __init__(self) -> None:
        self.calls = 0
        self.during: Any = lambda: None

    def invoke(self, messages: Sequence[Any]) -> AIMessage:
        self.calls += 1
        self.during()
        return AIMessage(f"Answer {self.calls} to {len(messages)} messages.")


@pytest.fixture
def model(fresh: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Counted:
    counted = Counted()
    monkeypatch.setattr(fresh, "model", counted)
    return counted


def request(text: str, request_id: str | None = None, thread: str = "ada") -> dict[str, Any]:
    """Return the event that a function URL, or an HTTP API, makes of a request."""
    body = json.dumps({"thread": thread, "text": text, "id": request_id})
    return {"version": "2.0", "requestContext": {"http": {"method": "POST"}}, "body": body}


def test_it_remembers_and_answers_each_request_once(fresh: ModuleType, model: Counted) -> None:
    first = fresh.handler(request("I am Ada.", "1"), Context("a"))
    assert first["statusCode"] == 200
    assert json.loads(first["body"]) == {"reply": "Answer 1 to 1 messages."}
    second = fresh.handler(request("Who am I?", "2"), Context("b"))
    assert json.loads(second["body"]) == {"reply": "Answer 2 to 3 messages."}
    for request_id, answered in (("1", first), ("2", second)):  # a client that didn't hear the answer
        assert fresh.handler(request("…", request_id), Context("c")) == answered
    assert model.calls == 2


def test_lambdas_own_retries_of_an_event_answer_once(fresh: ModuleType, model: Counted) -> None:
    event = {"thread": "ada", "text": "I am Ada."}
    replies = [fresh.handler(event, Context("the same")) for _ in range(2)]
    assert replies == [{"reply": "Answer 1 to 1 messages."}] * 2
    assert fresh.handler(event, Context("another"))["reply"] == "Answer 2 to 3 messages."


def test_a_body_may_come_in_base64(fresh: ModuleType) -> None:
    event = request("I am Ada.", "1")
    event |= {"body": base64.b64encode(event["body"].encode()).decode(), "isBase64Encoded": True}
    assert json.loads(fresh.handler(event, Context("a"))["body"]) == {"reply": LINE}


def test_time_that_runs_out_leaves_a_request_that_goes_on(
    fresh: ModuleType, model: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the first step of two. The second try doesn't do it again."""
    builder: StateGraph[MessagesState, None, MessagesState, MessagesState] = StateGraph(MessagesState)
    second: list[int] = []

    def check(state: MessagesState) -> dict[str, Any]:
        second.append(len(state["messages"]))
        return {}

    builder.add_node("reply", fresh.reply)
    builder.add_node("check", check)
    builder.add_edge(START, "reply")
    builder.add_edge("reply", "check")
    monkeypatch.setattr(fresh, "graph", builder.compile(checkpointer=fresh.saver))
    context, other = Context("a"), Context("b")
    model.during = lambda: setattr(context, "_end", time.monotonic() + 1)  # below the margin
    left = itertools.chain([30_000], itertools.repeat(2_000))  # for its lease, and from then on
    other.get_remaining_time_in_millis = left.__next__  # type: ignore[method-assign]  # the test's own
    cut = fresh.handler(request("I am Ada.", "1"), context)
    assert (cut["statusCode"], cut["headers"]["Retry-After"]) == (503, "2")
    assert second == []
    with pytest.raises(fresh.OutOfTimeError):  # what isn't a request is tried again by Lambda, if it raises
        fresh.handler({"thread": "grace", "text": "I am Grace."}, other)
    done = fresh.handler(request("I am Ada.", "1"), Context("c"))
    assert json.loads(done["body"]) == {"reply": "Answer 1 to 1 messages."}
    assert second == [2]
    assert model.calls == 1


def test_a_run_that_failed_is_resumed_by_the_same_request(fresh: ModuleType, model: Counted) -> None:
    def fail() -> None:
        raise ConnectionResetError("the model is gone")

    model.during = fail
    with pytest.raises(ConnectionResetError):
        fresh.handler({"thread": "ada", "text": "I am Ada."}, Context("1"))
    model.during = lambda: None
    assert fresh.handler({"thread": "ada", "text": "I am Ada."}, Context("1"))["reply"] == (
        "Answer 2 to 1 messages."
    )


def test_the_same_request_twice_at_once_is_answered_once(fresh: ModuleType, model: Counted) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        assert go_on.wait(HANG)

    model.during = wait
    heard: list[dict[str, Any]] = []
    first = threading.Thread(
        target=lambda: heard.append(fresh.handler(request("I am Ada.", "1"), Context("a")))
    )
    first.start()
    assert begun.wait(HANG)
    with pytest.raises(ConflictError):
        fresh.handler({"thread": "ada", "text": "I am Ada.", "id": "1"}, Context("b"))
    assert fresh.handler(request("I am Ada.", "1"), Context("c"))["statusCode"] == 409
    go_on.set()
    first.join()
    assert heard[0]["statusCode"] == 200
    assert model.calls == 1


def test_what_is_wrong_has_a_status(fresh: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    for event in ({"body": "no JSON"}, {"body": "[]"}, {"body": '{"text": "Hello."}'}, {}):
        answered = fresh.handler({"requestContext": {}, **event}, Context("a"))
        assert answered["statusCode"] == 422
    no_key = fresh.handler(request("Hello.", thread="\ud800"), Context("a"))
    assert no_key["statusCode"] == 422
    assert "lone surrogate" in json.loads(no_key["body"])["error"]
    assert fresh.handler(request("Hello.", thread="x" * 1100), Context("a"))["statusCode"] == 200
    monkeypatch.setenv("S3_ENDPOINT_URL", "http://127.0.0.1:9")  # where nobody listens
    monkeypatch.setattr(fresh, "saver", S3Saver.from_env(max_attempts=1))
    assert fresh.handler(request("Hello."), Context("a"))["statusCode"] == 503


def test_its_requests_are_those_that_the_document_counts(fresh: ModuleType) -> None:
    counts = []
    before: Counter[str] = Counter()
    for request_id in ("1", "2", "2"):
        fresh.handler(request("Hello.", request_id), Context("a"))
        now = Counter(fresh.saver.stats().requests)
        counts.append(dict(now - before))
        before = now
    assert counts == [
        {"PutObject": 10, "ListObjectsV2": 2, "GetObject": 1},
        {"PutObject": 7, "ListObjectsV2": 2, "GetObject": 1},
        {"PutObject": 2, "ListObjectsV2": 1, "GetObject": 1},
    ]


def test_the_settings_go_by_the_functions_memory(fresh: ModuleType) -> None:
    assert fresh.saver.config.cache_bytes == 16 * 2**20


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_invoke_returns_only_when_its_saves_are_done(durability: Durability) -> None:
    """Lambda freezes what goes on after that. docs/lambda.md builds on it, for every `durability`."""
    under_way = 0

    class Slow(InMemorySaver):
        def put(self, *args: Any, **kwargs: Any) -> Any:
            nonlocal under_way
            under_way += 1
            time.sleep(0.03)
            try:
                return super().put(*args, **kwargs)
            finally:
                under_way -= 1

    builder: StateGraph[MessagesState, None, MessagesState, MessagesState] = StateGraph(MessagesState)
    builder.add_node("reply", lambda _: {"messages": [AIMessage("Yes.")]})
    builder.add_edge(START, "reply")
    saver = Slow()
    config: RunnableConfig = {"configurable": {"thread_id": "ada"}}
    builder.compile(checkpointer=saver).invoke({"messages": []}, config, durability=durability)
    assert under_way == 0
    stored = saver.get_tuple(config)
    assert stored is not None
    assert [message.text for message in stored.checkpoint["channel_values"]["messages"]] == ["Yes."]


def test_a_cold_start_loads_no_sdk_client(fresh: ModuleType, server: LocalS3) -> None:
    """The claims of docs/lambda.md, and the figures of its table."""
    found = lambda_cold_start.one("s3", server)
    assert (found["early"], found["late"]) == ([], [])
    without = lambda_cold_start.one("memory", server)
    assert without["late"] == []
    assert list(found["seconds"]) == list(without["seconds"]) == list(lambda_cold_start.PARTS)


def test_its_table_compares_start_by_start() -> None:
    def starts(*seconds: float) -> list[dict[str, Any]]:
        parts = lambda_cold_start.PARTS
        return [{"seconds": dict.fromkeys(parts, each), "elapsed": 1.0, "peak": 99.0} for each in seconds]

    shown = lambda_cold_start.table({"s3": starts(0.1, 0.2, 0.4), "memory": starts(0.05, 0.1, 0.4)})
    assert ["together", "1000", "500"] in [line.split() for line in shown.splitlines()]
    assert shown.endswith("takes 2.00 times the CPU time (1.00 to 2.00): 50% is its share.")
