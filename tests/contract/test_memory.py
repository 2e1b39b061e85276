"""The store and the node cache on a server, sync and async, against LangGraph's own."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest
from langgraph.graph import END, START, StateGraph
from langgraph.store.base import BaseStore, GetOp, ListNamespacesOp, PutOp, SearchOp
from langgraph.store.memory import InMemoryStore
from langgraph.types import CachePolicy
from typing_extensions import TypedDict

from langgraph_checkpoint_s3 import ConflictError
from langgraph_checkpoint_s3.memory import S3Cache, S3Item, S3Store
from langgraph_checkpoint_s3.s3.requests import DeleteObjects, PutObject, Stored
from tests.contract.support import MakeSaver, Place, at
from tests.memory.support import WORDS, index
from tests.support import inside

NS = ("users", "ada")


class State(TypedDict, total=False):
    asked: str
    answer: str


@pytest.fixture(params=["sync", "async"])
def batch(request: pytest.FixtureRequest) -> Callable[[BaseStore, list[Any]], list[Any]]:
    def run(store: BaseStore, ops: list[Any]) -> list[Any]:
        if request.param == "sync":
            return store.batch(ops)
        return asyncio.run(closing(store, ops))

    async def closing(store: BaseStore, ops: list[Any]) -> list[Any]:
        try:
            return await store.abatch(ops)
        finally:
            if isinstance(store, S3Store):
                await store.saver.aclose()

    return run


class TestStore:
    def test_its_answers_are_langgraphs(
        self, make_saver: MakeSaver, batch: Callable[[BaseStore, list[Any]], list[Any]]
    ) -> None:
        draw = random.Random(7)
        model = InMemoryStore(index=index(fields=["text"]))
        stores = [S3Store(saver=make_saver(), index=index(fields=["text"])) for _ in range(2)]
        namespaces = [("a",), ("a", "b"), ("a/b", "ü"), ("c",)]
        for step in range(4):
            puts: dict[Any, PutOp] = {}
            for _ in range(25):
                namespace, key = draw.choice(namespaces), draw.choice(["k", "k/1", "", "é", str(step)])
                value = {"text": f"{draw.choice(WORDS)} {draw.random()}", "n": draw.randrange(4)}
                puts[namespace, key] = PutOp(namespace, key, None if draw.random() < 0.2 else value)
            model.batch(list(puts.values()))
            batch(stores[step % 2], list(puts.values()))
            reads: list[Any] = [
                *(GetOp(namespace, "k") for namespace in namespaces),
                *(SearchOp(namespace[:1], {"n": 2}, 100, 0, "red cat") for namespace in namespaces),
                SearchOp((), None, 100),
                ListNamespacesOp(),
            ]
            expected = shown(model.batch(reads[:-1]))
            for store in stores:
                *found, listed = batch(store, reads)
                assert shown(found) == expected
                assert listed == sorted(name for name, items in model._data.items() if items)

    def test_conditions(self, make_saver: MakeSaver, place: Place) -> None:
        if not place.server.features.conditional_put:
            pytest.skip("the store has no conditional writes")
        one, other = S3Store(saver=make_saver()), S3Store(saver=make_saver())
        one.put(NS, "n", {"n": 1}, if_match="")
        item = other.get(NS, "n")
        assert isinstance(item, S3Item)
        one.put(NS, "n", {"n": 2}, if_match=item.etag)
        for etag in ("", item.etag):
            with pytest.raises(ConflictError):
                other.put(NS, "n", {"n": 3}, if_match=etag)
        found = other.get(NS, "n")
        assert found is not None
        assert found.value == {"n": 2}

    def test_requests(self, make_saver: MakeSaver, place: Place) -> None:
        store = S3Store(saver=make_saver())
        store.put(NS, "a", {"n": 1})
        with place.front.counted() as count:
            store.put(NS, "b", {"n": 2})
            assert len(store.search(NS)) == 2
            store.get(NS, "a")
        assert count == {"PutObject": 1, "ListObjectsV2": 1, "GetObject": 1}

    def test_a_conditional_deletion(self, make_saver: MakeSaver, place: Place) -> None:
        """AWS deletes an object only if it has the ETag; another store may delete it in any case."""
        saver = make_saver()
        key = f"{saver.config.prefix}.store/a/k.item"

        def plan() -> Any:
            [stored] = yield [PutObject(key, b"one")]
            assert isinstance(stored, Stored)
            [changed] = yield [PutObject(key, b"two")]
            answers = yield [DeleteObjects((key,), (stored.etag,))]
            kept = key in place.listing()
            [again] = yield [DeleteObjects((key,), (changed.etag,))]
            return answers[0], kept, again

        refused, kept, again = inside.store(saver).run(plan(), "delete")
        assert [each[1] for each in refused.failed] == ([] if not kept else ["PreconditionFailed"])
        assert not again.failed
        assert place.listing() == []


class TestCache:
    def test_a_graph_with_all_three(self, make_saver: MakeSaver) -> None:
        ran: list[str] = []

        def answer(state: State, store: BaseStore) -> State:
            ran.append(state["asked"])
            store.put(NS, state["asked"], {"asked": True})
            return {"answer": state["asked"].upper()}

        def run(asked: str, thread: str) -> str:
            saver = make_saver()
            builder = StateGraph(State)
            builder.add_node(
                "answer", answer, cache_policy=CachePolicy(key_func=lambda state: state["asked"])
            )
            builder.add_edge(START, "answer")
            builder.add_edge("answer", END)
            graph = builder.compile(
                checkpointer=saver, store=S3Store(saver=saver), cache=S3Cache(saver=saver)
            )
            return str(graph.invoke({"asked": asked}, at(thread))["answer"])

        assert [run("why", "one"), run("why", "two"), run("how", "two")] == ["WHY", "WHY", "HOW"]
        assert ran == ["why", "how"]
        assert {each.key for each in S3Store(saver=make_saver()).search(NS)} == {"why", "how"}


def shown(answers: list[Any]) -> list[Any]:
    """Answers without their times, and items without an order where they have no scores."""
    found: list[Any] = []
    for answer in answers:
        if isinstance(answer, list):
            items = [(each.namespace, each.key, each.value, round(each.score or 0, 6)) for each in answer]
            found.append(sorted(items, key=lambda item: (-item[3], item[:2])))
        else:
            found.append(answer and (answer.namespace, answer.key, answer.value))
    return found
