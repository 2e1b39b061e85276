"""Random histories of the store against LangGraph's own InMemoryStore: no answer may differ.

`STATE_MACHINE_EXAMPLES=5000 pytest tests/memory/test_store_machine.py` runs more of them.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from langgraph.store.base import ListNamespacesOp, MatchCondition, PutOp, SearchOp
from langgraph.store.memory import InMemoryStore

from langgraph_checkpoint_s3.memory import S3Store
from tests.memory.support import WORDS, index, make_store
from tests.support import modes
from tests.support.fake_s3 import FakeS3

EXAMPLES = int(os.environ.get("STATE_MACHINE_EXAMPLES", "25"))

LABELS = ["a", "ab", "ü/ß", "item"]
namespaces = st.lists(st.sampled_from(LABELS), min_size=1, max_size=3).map(tuple)
prefixes = st.lists(st.sampled_from(LABELS), max_size=2).map(tuple)
keys = st.sampled_from(["k", "k/1", "", "-", "--", "é", "a"])
texts = st.lists(st.sampled_from(WORDS), max_size=4).map(" ".join)
values = st.fixed_dictionaries(
    {"text": texts},
    optional={"n": st.integers(-3, 3), "tags": st.lists(st.sampled_from("xyz"), max_size=2, unique=True)},
)
filters = st.one_of(
    st.none(),
    st.fixed_dictionaries({"n": st.integers(-3, 3)}),
    st.fixed_dictionaries({"tags": st.just(["x"])}),
    st.fixed_dictionaries({"n": st.dictionaries(st.sampled_from(["$eq", "$ne"]), st.integers(-3, 3))}),
)
indexes = st.sampled_from([None, None, False, ["text"], ["tags[*]"]])
patterns = st.lists(st.sampled_from([*LABELS, "*"]), min_size=1, max_size=2).map(tuple)
conditions = st.one_of(
    st.none(),
    st.lists(
        st.builds(MatchCondition, st.sampled_from(["prefix", "suffix"]), patterns), min_size=1, max_size=2
    ).map(tuple),
)


class StoreMachine(RuleBasedStateMachine):
    """Two processes of the store, and one dictionary."""

    @initialize(mode=st.sampled_from(modes.MODES), cache_bytes=st.sampled_from([0, 3000, 1 << 26]))
    def begin(self, mode: str, cache_bytes: int) -> None:
        self.fake = FakeS3()
        self.model = InMemoryStore(index=index(fields=["text"]))
        with modes.mode(mode):
            self.stores = [
                make_store(self.fake, index=index(fields=["text"]), cache_bytes=size)
                for size in (cache_bytes, 1 << 26)
            ]

    def store(self, number: int) -> S3Store:
        return self.stores[number]

    def ask(self, number: int, op: Any, *, asynchronous: bool) -> Any:
        if asynchronous:
            return asyncio.run(self.store(number).abatch([op]))[0]
        return self.store(number).batch([op])[0]

    @rule(
        number=st.integers(0, 1),
        batch=st.lists(
            st.tuples(namespaces, keys, st.one_of(st.none(), values), indexes), min_size=1, max_size=60
        ),
        asynchronous=st.booleans(),
    )
    def write(self, number: int, batch: Any, *, asynchronous: bool) -> None:
        ops = [PutOp(namespace, key, value, index) for namespace, key, value, index in batch]
        for op in ops:  # an InMemoryStore refuses one text twice in a batch
            # It goes on finding a text that a later put of the key doesn't index.
            self.model.batch([PutOp(op.namespace, op.key, None)])
            self.model.batch([op])
        if asynchronous:
            asyncio.run(self.store(number).abatch(ops))
        else:
            self.store(number).batch(ops)

    @rule(number=st.integers(0, 1), namespace=namespaces, key=keys)
    def get(self, number: int, namespace: Any, key: str) -> None:
        expected, found = self.model.get(namespace, key), self.store(number).get(namespace, key)
        assert (found and found.value) == (expected and expected.value)

    @rule(
        number=st.integers(0, 1),
        prefix=prefixes,
        conditions=filters,
        query=st.one_of(st.none(), texts),
        limit=st.integers(0, 30),
        offset=st.integers(0, 4),
        asynchronous=st.booleans(),
    )
    def search(
        self,
        number: int,
        prefix: Any,
        conditions: Any,
        query: Any,
        limit: int,
        offset: int,
        *,
        asynchronous: bool,
    ) -> None:
        whole = SearchOp(prefix, conditions, 10_000, 0, query)
        expected: Any = self.model.batch([whole])[0]
        found = self.ask(number, whole, asynchronous=asynchronous)
        assert {(each.namespace, each.key): each.value for each in found} == {
            (each.namespace, each.key): each.value for each in expected
        }
        assert len(found) == len(expected)
        if query:
            assert [each.score is None for each in found] == [each.score is None for each in expected]
            for one, other in zip(found, expected, strict=True):
                assert one.score is None or abs(one.score - other.score) < 1e-6
        part = self.ask(number, SearchOp(prefix, conditions, limit, offset, query), asynchronous=asynchronous)
        scored = sum(each.score is not None for each in found)
        if not query:
            assert part == found[offset : offset + limit]
        else:
            assert part[: max(0, scored - offset)] == found[offset : min(scored, offset + limit)]

    @rule(
        number=st.integers(0, 1),
        conditions=conditions,
        depth=st.one_of(st.none(), st.integers(1, 3)),
        limit=st.integers(0, 20),
        offset=st.integers(0, 3),
    )
    def namespaces(self, number: int, conditions: Any, depth: Any, limit: int, offset: int) -> None:
        # An InMemoryStore lists namespaces that have become empty, or were only read from.
        for namespace in [name for name, items in self.model._data.items() if not items]:
            del self.model._data[namespace]
        op = ListNamespacesOp(conditions, depth, limit, offset)
        assert self.store(number).batch([op]) == self.model.batch([op])


StoreMachine.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=15,
    derandomize="STATE_MACHINE_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
TestStore = StoreMachine.TestCase
