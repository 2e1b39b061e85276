"""Searches by Amazon S3 Vectors: answers are those of exact searches, whatever failed or raced before."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from langgraph.store.base import PutOp, SearchOp

from langgraph_checkpoint_s3 import (
    AccessDeniedError,
    BucketNotFoundError,
    ConflictError,
    InvalidConfigError,
    InvalidKeyError,
    S3CheckpointError,
    StorageUnavailableError,
)
from langgraph_checkpoint_s3.memory import RebuiltVectors, S3Store, S3Vectors, vector_search
from langgraph_checkpoint_s3.memory.items import pack_vector, unpack_vector
from langgraph_checkpoint_s3.memory.vectors import Vector, VectorIndex, item_of
from langgraph_checkpoint_s3.s3.requests import GetObject, PutObject, Request
from tests.memory.support import DIMS, WORDS, index, make_store
from tests.support.fake_s3 import FakeS3, Moment, client_error
from tests.support.fake_store import make_saver
from tests.support.fake_vectors import BUCKET, INDEX, FakeVectors, ResponseError

NS = ("users", "ada")


@pytest.fixture
def vectors() -> FakeVectors:
    return FakeVectors()


@pytest.fixture
def process(fake: FakeS3, vectors: FakeVectors) -> Callable[..., S3Store]:
    """Makes a store, as another process has it."""

    def make(**settings: Any) -> S3Store:
        own: dict[str, Any] = {"index": settings.pop("index", index()), "ttl": settings.pop("ttl", None)}
        return S3Store(saver=make_saver(fake, **settings), vectors=vectors.vectors_of(DIMS), **own)

    return make


Process = Callable[..., S3Store]


def text(value: str, **more: Any) -> dict[str, Any]:
    return {"text": value, **more}


def test_answers_are_those_of_an_exact_search(fake: FakeS3, vectors: FakeVectors, process: Process) -> None:
    draw = random.Random(7)
    vectors.page = 20
    fields = ["text", "tags[*]"]
    stores = [process(index=index(fields=fields)) for _ in range(2)]
    namespaces = [("a",), ("a", "b"), ("a/b", "ü"), ("c",)]
    for step in range(3):
        puts = []
        for number in range(40):
            tags = [f"{word} {draw.random()}" for word in draw.sample(WORDS, draw.randrange(3))]
            value = text(f"{draw.choice(WORDS)} {draw.random()}", n=draw.randrange(9), tags=tags)
            key = draw.choice(["k", "k/1", "", "é", str(number), str(step)])
            puts.append(PutOp(draw.choice(namespaces), key, None if draw.random() < 0.2 else value))
        writer = stores[step % 2]
        asyncio.run(writer.abatch(puts)) if step % 2 else writer.batch(puts)
        searches = [
            SearchOp(prefix, conditions, *draw.choice([(0, 0), (1, 0), (5, 3), (500, 0)]), query)
            for prefix in ((), ("a",), ("a/b",), ("none",))
            for conditions in (None, {"n": 2}, {"n": {"$gt": 100}})
            for query in ("red cat", "blue")
        ]
        expected = make_store(fake, index=index(fields=fields)).batch(searches)
        assert stores[0].batch(searches) == expected
        assert asyncio.run(stores[1].abatch(searches)) == expected
    found = {each.key for each in stores[0].search((), limit=999)}
    assert found == {each.key for each in stores[0].search((), query="red", limit=999)}
    before = dict(vectors.vectors)
    assert stores[0].rebuild_vectors() == RebuiltVectors(len(before), 0, 0)
    assert vectors.vectors == before


def test_requests(fake: FakeS3, vectors: FakeVectors, process: Process) -> None:
    store = process()
    with fake.counted() as count, vectors.counted() as asked:
        store.put(NS, "a", text("red"))
    assert (count.kinds, count.round_trips) == ({"GetObject": 1, "PutObject": 1}, 2)
    assert asked == {"PutVectors": 1}
    with fake.counted() as count, vectors.counted() as asked:
        store.put(NS, "a", text("green"))
    assert (count.kinds, count.round_trips) == ({"GetObject": 1, "PutObject": 1}, 2)
    assert asked == {"PutVectors": 1, "DeleteVectors": 1}
    puts = [PutOp(NS, str(number), text(f"red {number}")) for number in range(600)]
    with fake.counted() as count, vectors.counted() as asked:
        store.batch([*puts, PutOp(NS, "a", None)])
    assert count.kinds == {"GetObject": 601, "PutObject": 600, "DeleteObjects": 1}
    assert count.round_trips == 2
    assert asked == {"PutVectors": 2, "DeleteVectors": 1}
    with fake.counted() as count, vectors.counted() as asked:
        assert len(process().search(NS, query="red", limit=7)) == 7
    assert (count.kinds, count.round_trips) == ({"GetObject": 7}, 1)
    assert asked == {"QueryVectors": 1}
    assert vectors.queries[-1]["queryMode"] == "ENHANCED"
    with fake.counted() as count, vectors.counted() as asked:
        assert len(store.search(NS, limit=7)) == 7
        store.get(NS, "1")
    assert not asked
    assert count.kinds["ListObjects"] == 1


def test_a_filter_reads_no_more_than_it_must(fake: FakeS3, vectors: FakeVectors, process: Process) -> None:
    store = process()
    store.batch([PutOp(NS, str(n), text(f"red {n}", n=n)) for n in range(300)])
    exact = make_store(fake, index=index()).search(NS, query="red", limit=300)
    wanted = [each for each in exact if each.value["n"] % 100 == 0]
    with fake.counted() as count, vectors.counted() as asked:
        [found] = store.search(NS, query="red", limit=1, filter={"n": wanted[-1].value["n"]})
    assert found == wanted[-1]
    place = exact.index(found)
    assert count.kinds["GetObject"] <= 2 * place + 2
    assert asked["QueryVectors"] == (1 if place < 100 else 2)


def test_vectors_that_are_left_over_hide_nothing(
    fake: FakeS3, vectors: FakeVectors, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = process()
    monkeypatch.setattr(vector_search, "_FIRST_HITS", 3)
    store.put(NS, "far", text("blue dog"))
    for number in range(25):  # a process that can't delete vectors
        store.put(NS, "near", text(f"red {number}"))
        vectors.hook = refuse("DeleteVectors")
        with pytest.raises(StorageUnavailableError):
            process().put(NS, "near", text("green"))
        vectors.hook = None
    store.put(NS, "also", text("red eats"))
    assert len(vectors.vectors) > 25
    exact = make_store(fake, index=index()).search(NS, query="red", limit=3)
    assert process().search(NS, query="red", limit=3) == exact
    assert process().search(NS, query="red", limit=1) == exact[:1]
    assert store.rebuild_vectors().deleted >= 23
    assert len(vectors.vectors) == 3
    # Beyond the most vectors of a query there is nothing to find.
    monkeypatch.setattr(vector_search, "MOST_HITS", 2)
    assert store.search(NS, query="red", limit=3) == exact[:2]


def refuse(*operations: str) -> Callable[[str, str], None]:
    def hook(moment: str, operation: str) -> None:
        if operation in operations:
            raise ConnectionResetError

    return hook


def test_what_is_acknowledged_is_found_whatever_fails(
    fake: FakeS3, vectors: FakeVectors, process: Process
) -> None:
    """Each request of a script fails, before or after its effect; the process ends, another goes on."""
    expected: dict[str, str] = {}
    left = 0
    for place in range(1, 37):
        left = place

        def fail(moment: Any, request: Any) -> None:
            nonlocal left
            left -= 1
            if left == 0 and isinstance(request, str):
                raise ConnectionResetError
            if left == 0:
                raise client_error("InternalError", 500, request)

        fake.hook = vectors.hook = fail
        store, pending = process(), ""
        try:
            for key, word in (("a", "red"), ("b", "cat"), ("a", "green"), ("b", "")):
                pending = key
                if word:
                    store.put(NS, key, text(f"{word} {place}"))
                    expected[key] = f"{word} {place}"
                else:
                    store.delete(NS, key)
                    expected.pop(key, None)
        except StorageUnavailableError:
            fake.hook = vectors.hook = None
            item = process().get(NS, pending)
            if item is None or item.value["text"] != expected.get(pending):
                expected.pop(pending, None)  # what isn't acknowledged has replaced it
        fake.hook = vectors.hook = None
        fresh = process()
        for key, value in expected.items():
            best = fresh.search(NS, query=value, limit=1)
            assert [(each.key, each.value["text"]) for each in best] == [(key, value)]
        exact = make_store(fake, index=index()).search(NS, query="red", limit=9)
        assert all(each in exact for each in fresh.search(NS, query="red", limit=9))
        if place % 3 == 0:
            process().rebuild_vectors()
            assert process().search(NS, query="red", limit=9) == exact
            assert len(vectors.vectors) == len(exact)
        for key in {"a", "b"} - expected.keys():
            process().delete(NS, key)
    assert left > 0, "the script is shorter than the places"


@pytest.mark.parametrize("when", ["GetObject", "PutObject", "PutVectors"])
def test_the_last_of_two_puts_is_found(
    fake: FakeS3, vectors: FakeVectors, process: Process, when: str
) -> None:
    """Another process's put, and a search, happen before each request of a put."""
    first, second, reader = process(), process(), process()
    first.put(NS, "k", text("red"))
    first.put(NS, "other", text("blue"))

    def race(moment: Any, request: Any) -> None:
        name = request if isinstance(request, str) else type(request).__name__
        if moment == "before" and name == when:
            fake.hook = vectors.hook = None
            second.put(NS, "k", text("cat"))
            assert [each.key for each in reader.search(NS, query="cat", limit=1)] == ["k"]

    fake.hook = vectors.hook = race
    first.put(NS, "k", text("dog"))
    assert fake.hook is None
    item = reader.get(NS, "k")
    assert item is not None
    [best] = reader.search(NS, query=item.value["text"], limit=1)
    assert best.value == item.value
    assert reader.search(NS, query="dog cat", limit=9) == make_store(fake, index=index()).search(
        NS, query="dog cat", limit=9
    )
    reader.rebuild_vectors()
    assert len(vectors.vectors) == 2


def test_a_rebuild_deletes_no_vector_that_is_put_meanwhile(
    fake: FakeS3, vectors: FakeVectors, process: Process
) -> None:
    store = process()
    store.put(NS, "k", text("red"))
    vectors.hook = refuse("DeleteVectors")
    with pytest.raises(StorageUnavailableError):
        store.put(NS, "k", text("green"))

    def put_again(moment: str, operation: str) -> None:
        if operation == "DeleteVectors":
            vectors.hook = None
            process().put(NS, "k", text("red"))

    vectors.hook = put_again
    assert process().rebuild_vectors().deleted == 1
    assert [each.key for each in process().search(NS, query="red")] == ["k"]


def test_an_item_that_changes_during_a_search_is_found(
    fake: FakeS3, vectors: FakeVectors, process: Process
) -> None:
    store = process()
    store.batch([PutOp(NS, "k", text("red cat")), PutOp(NS, "other", text("blue"))])

    def change(moment: Moment, request: Request[Any]) -> None:
        if isinstance(request, GetObject):
            fake.hook = None
            process().put(NS, "k", text("red cat sleeps"))

    fake.hook = change
    [best] = store.search(NS, query="red cat", limit=1)
    assert (best.key, best.value["text"]) == ("k", "red cat sleeps")

    def vanish(moment: Moment, request: Request[Any]) -> None:
        if isinstance(request, GetObject):
            fake.hook = None
            process().delete(NS, "k")

    fake.hook = vanish
    assert [each.key for each in store.search(NS, query="red cat", limit=1)] == ["other"]


def test_time_to_live(fake: FakeS3, vectors: FakeVectors, process: Process) -> None:
    store = process(ttl={"default_ttl": 10})
    store.put(NS, "short", text("red"), ttl=5)
    store.put(NS, "long", text("red cat"))
    fake.later += timedelta(minutes=4)
    with vectors.counted() as asked, fake.counted() as count:
        assert len(store.search(NS, query="red", limit=2)) == 2
    assert asked == {"QueryVectors": 1}
    assert count.kinds == {"GetObject": 2, "PutObject": 2}  # both are renewed, and their vectors stay
    fake.later += timedelta(minutes=4)
    assert len(store.search(NS, query="red", limit=2)) == 2
    fake.later += timedelta(minutes=7)
    assert [each.key for each in process().search(NS, query="red", limit=1, refresh_ttl=False)] == ["long"]
    assert len(vectors.vectors) == 2
    assert process().sweep_ttl() == 1
    assert [item_of(key) for key in vectors.vectors] == fake.keys("long")


def test_items_without_vectors(fake: FakeS3, vectors: FakeVectors, process: Process) -> None:
    store = process()
    store.put(NS, "a", text("red"))
    store.put(NS, "b", text("red"), index=False)
    assert [each.key for each in store.search(NS, query="red")] == ["a"]
    store.put(NS, "a", text("red"), index=False)
    assert store.search(NS, query="red") == []
    assert not vectors.vectors
    with pytest.raises(ConflictError):
        store.put(NS, "a", text("red"), if_match="")
    assert not vectors.vectors


def test_a_damaged_item_can_be_replaced(fake: FakeS3, vectors: FakeVectors, process: Process) -> None:
    store = process()
    store.put(NS, "a", text("red"))
    [key] = fake.keys("a.item")
    fake.put(key, b"something else")
    store.put(NS, "a", text("red"))
    assert len(store.search(NS, query="red")) == 1
    store.delete(NS, "a")
    fake.hook = lambda moment, request: refuse_get(request)
    with pytest.raises(AccessDeniedError):
        store.put(NS, "a", text("red"))
    fake.hook = None
    assert store.get(NS, "a") is None


def refuse_get(request: Request[Any]) -> None:
    assert not isinstance(request, PutObject)
    raise client_error("AccessDenied", 403, request)


def test_rebuilding(fake: FakeS3, vectors: FakeVectors, process: Process) -> None:
    exact = make_store(fake, index=index())
    exact.batch([PutOp((str(n % 3),), str(n), text(f"red {n}")) for n in range(120)])
    one_number = index(embed=lambda texts: [[1.0] for _ in texts], dims=1)
    make_store(fake, index=one_number).put(NS, "another model's", text("red"))
    zeros = index(embed=lambda texts: [[0.0] * DIMS for _ in texts])
    make_store(fake, index=zeros).put(NS, "zeros", text(""))
    other = process(prefix="other/")  # the index has another store's vectors, too
    other.batch([PutOp((str(n % 3),), str(n), text(f"red {n}")) for n in range(60)])
    vectors.page = 50
    store = process()
    assert store.search((), query="red") == []
    assert store.rebuild_vectors() == RebuiltVectors(120, 0, 2)
    expected = exact.search((), query="red 7", limit=120)
    assert store.search((), query="red 7", limit=120) == expected
    own = [key for key in fake.keys("checkpoints/.store") if key.endswith(".item")]
    for key in own[:50]:  # as a lifecycle rule does
        fake.delete(key)
    assert asyncio.run(store.arebuild_vectors()) == RebuiltVectors(70, 50, 2)
    assert len(vectors.vectors) == 130
    assert len(other.search((), query="red", limit=99)) == 60
    with pytest.raises(InvalidConfigError, match="has no vectors"):
        exact.rebuild_vectors()


@pytest.mark.parametrize("mode", ["sealed", "private"], indirect=True)
def test_an_encrypted_store_is_refused_unless_it_is_allowed(
    fake: FakeS3, vectors: FakeVectors, mode: str
) -> None:
    saver = make_saver(fake)
    with pytest.raises(InvalidConfigError, match="allow_unencrypted"):
        S3Store(saver=saver, index=index(), vectors=vectors.vectors_of(DIMS))
    allowed = vectors.vectors_of(DIMS, allow_unencrypted=True)
    store = S3Store(saver=saver, index=index(), vectors=allowed)
    store.put(NS, "secret", text("red cat"))
    store.put(NS, "other", text("blue"))
    [best] = store.search(NS[:1], query="red", limit=1)
    assert best.key == "secret"
    if mode == "private":
        assert not any(name in repr(vectors.vectors) for name in ("users", "secret"))
    store.delete(NS, "secret")
    assert len(vectors.vectors) == 1


def test_setup(fake: FakeS3, vectors: FakeVectors) -> None:
    named = S3Vectors(BUCKET, INDEX, client=vectors.client)
    store = S3Store(saver=make_saver(fake), index=index(), vectors=named)
    with pytest.raises(BucketNotFoundError, match=f"index '{INDEX}' of vector bucket '{BUCKET}'") as caught:
        store.search((), query="red")
    assert caught.value.bucket == ""
    with vectors.counted() as asked:
        store.setup()
    assert asked == {"GetIndex": 2, "CreateIndex": 2, "CreateVectorBucket": 1}
    assert vectors.index == {"dimension": DIMS, "distanceMetric": "cosine", "dataType": "float32"}
    with vectors.counted() as asked:
        asyncio.run(store.asetup())
    assert asked == {"GetIndex": 1}
    wrong = S3Store(saver=make_saver(fake), index=index(dims=DIMS + 1), vectors=named)
    with pytest.raises(InvalidConfigError, match="'dimension': 8}, and the store needs"):
        wrong.setup()


@pytest.mark.parametrize("with_index", [False, True])
@pytest.mark.parametrize("raced", ["CreateIndex", "CreateVectorBucket"])
def test_two_processes_set_up(fake: FakeS3, vectors: FakeVectors, raced: str, *, with_index: bool) -> None:
    def race(moment: str, operation: str) -> None:
        if operation == raced:
            vectors.hook = None
            vectors.vectors_of(DIMS)  # the bucket, and the index
            vectors.index = vectors.index if with_index else None

    store = S3Store(
        saver=make_saver(fake), index=index(), vectors=S3Vectors(BUCKET, INDEX, client=vectors.client)
    )
    vectors.hook = race
    store.setup()
    assert vectors.hook is None
    store.put(NS, "a", text("red"))


ERRORS: list[tuple[ResponseError, type[S3CheckpointError], str]] = [
    (
        ResponseError("AccessDeniedException", 403),
        AccessDeniedError,
        "need s3vectors:QueryVectors and s3vectors:Get",
    ),
    (ResponseError("NotFoundException", 404), BucketNotFoundError, "setup"),
    (ResponseError("ValidationException"), InvalidConfigError, "isn't valid"),
    (ResponseError("TooManyRequestsException", 429), StorageUnavailableError, "after 1 attempt"),
    (ResponseError("ServiceQuotaExceededException", 402), StorageUnavailableError, "Quota"),
    (ResponseError("KmsDisabledException"), StorageUnavailableError, "KmsDisabled"),
    (ResponseError("ExpiredTokenException", 403), AccessDeniedError, "has expired"),
]


@pytest.mark.parametrize(("refusal", "kind", "why"), ERRORS, ids=[each[0].code for each in ERRORS])
def test_errors(
    vectors: FakeVectors, process: Process, refusal: ResponseError, kind: type[S3CheckpointError], why: str
) -> None:
    store = process()
    vectors.refusal = refusal
    with pytest.raises(kind, match=why) as caught:
        asyncio.run(store.asearch((), query="red"))
    assert INDEX in str(caught.value)
    assert "fake-bucket" not in str(caught.value)
    assert caught.value.request_ids == ("request-1",)


def test_bad_input(fake: FakeS3, vectors: FakeVectors, process: Process) -> None:
    saver = make_saver(fake)
    for bucket, name in (("a", INDEX), ("UPPER", INDEX), (BUCKET, "x" * 64), (BUCKET, "a_b")):
        with pytest.raises(InvalidConfigError, match="3 to 63"):
            S3Vectors(bucket, name)
    with pytest.raises(InvalidConfigError, match="needs index"):
        S3Store(saver=saver, vectors=vectors.vectors_of(DIMS))
    with pytest.raises(InvalidConfigError, match="1 to 4,096"):
        S3Store(saver=saver, index=index(dims=4097), vectors=vectors.vectors_of(DIMS))
    nowhere = S3Vectors(BUCKET, INDEX, endpoint_url="nowhere")
    with pytest.raises(InvalidConfigError, match="check region and endpoint_url"):
        S3Store(saver=saver, index=index(), vectors=nowhere).search((), query="red")
    numbers = {"zeros": 0.0, "nan": float("nan"), "infinite": float("inf"), "tiny": 1e-60}
    strange = process(index=index(embed=lambda texts: [[numbers.get(each, 1.0)] * DIMS for each in texts]))
    with fake.counted() as count, vectors.counted() as asked:
        for word in numbers:
            with pytest.raises(InvalidConfigError, match="vector of zeros"):
                strange.batch([PutOp(NS, "good", text("good")), PutOp(NS, "k", text(word), ["text"])])
            if word != "tiny":
                with pytest.raises(InvalidConfigError, match="vector of zeros"):
                    strange.search(NS, query=word)
        for namespace in (("a",) * 65, ("x" * 190,) * 5):
            with pytest.raises(InvalidKeyError, match="shorten"):
                strange.put(namespace, "k" * 50, text("good"))
            strange.batch([PutOp(namespace, "k" * 50, None)]) if len(namespace) == 65 else None
    assert set(count.kinds) <= {"GetObject", "DeleteObjects"}
    assert not asked
    deepest = ("a",) * 64
    strange.put(deepest, "k", text("good"))
    assert len(strange.search(deepest[:63], query="good")) == 1


def test_large_vectors_go_in_several_requests() -> None:
    plan = VectorIndex(S3Vectors(BUCKET, INDEX), 4096).put(
        {str(number): Vector([], bytes(4 * 4096)) for number in range(500)}
    )
    calls = next(plan)
    assert len(calls) == 4
    longest = unpack_vector(pack_vector([-1.1754943508222875e-38]))
    assert (500 / 4) * 4096 * len(json.dumps([*longest, *longest])) / 2 < 20 * 1024 * 1024


def test_an_older_boto3_is_asked_for_what_it_knows(
    vectors: FakeVectors, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = vectors.client.meta.service_model.operation_model("QueryVectors")
    monkeypatch.delitem(model.input_shape.members, "queryMode")
    store = process()
    store.put(NS, "a", text("red"))
    assert len(store.search(NS, query="red")) == 1
    assert "queryMode" not in vectors.queries[-1]


class Session:
    """A session that makes one client."""

    def __init__(self, client: Any) -> None:
        self.client_made = client
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def client(self, service: str, **arguments: Any) -> Any:
        self.asked.append((service, arguments))
        return self.client_made


def test_a_session_is_honoured(fake: FakeS3, vectors: FakeVectors) -> None:
    vectors.vectors_of(DIMS)
    session = Session(vectors.client)
    made = S3Vectors(BUCKET, INDEX, session=session, region="eu-west-1", endpoint_url="https://vpce.example")
    with S3Store(saver=make_saver(fake), index=index(), vectors=made) as store:
        store.put(NS, "a", text("red"))
        assert len(store.search(NS, query="red")) == 1
    [(service, arguments)] = session.asked
    assert service == "s3vectors"
    assert (arguments["region_name"], arguments["endpoint_url"]) == ("eu-west-1", "https://vpce.example")
    assert repr(made) == f"S3Vectors({BUCKET!r}, {INDEX!r})"
