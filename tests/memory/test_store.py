"""The store's operations, their requests, and what other processes see."""

from __future__ import annotations

import asyncio
import tracemalloc
from datetime import timedelta
from typing import Any, cast

import pytest
from langgraph.store.base import (
    GetOp,
    InvalidNamespaceError,
    ListNamespacesOp,
    MatchCondition,
    PutOp,
    SearchOp,
)
from langgraph.store.memory import InMemoryStore

from langgraph_checkpoint_s3 import (
    ConflictError,
    CorruptObjectError,
    DecryptionError,
    InvalidConfigError,
    InvalidKeyError,
    NotSupportedError,
    S3Saver,
    StorageUnavailableError,
)
from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.memory import S3Cache, S3Item, S3Store, search
from langgraph_checkpoint_s3.memory.index import Row
from langgraph_checkpoint_s3.memory.items import ItemRecord
from langgraph_checkpoint_s3.memory.view import View
from langgraph_checkpoint_s3.s3.requests import (
    Call,
    DeleteObjects,
    GetObject,
    ListObjects,
    PutObject,
    Request,
)
from tests.memory.support import DIMS, index, make_store
from tests.plans.borrowers import noise
from tests.support import inside
from tests.support.checkpoints import put_chain
from tests.support.fake_s3 import FakeS3, Moment, client_error
from tests.support.fake_store import make_saver

pytestmark = pytest.mark.modes

NS = ("users", "ada")


def test_an_item(fake: FakeS3) -> None:
    make_store(fake).put(NS, "color", {"likes": "red", "since": 1815})
    item = make_store(fake).get(NS, "color")
    assert isinstance(item, S3Item)
    assert (item.namespace, item.key, item.value) == (NS, "color", {"likes": "red", "since": 1815})
    assert item.created_at == item.updated_at
    assert item.updated_at.tzinfo is not None
    assert make_store(fake).get(NS, "size") is None
    assert make_store(fake).get(("users",), "color") is None


def test_the_last_put_counts_and_a_deletion_deletes(fake: FakeS3) -> None:
    store, other = make_store(fake), make_store(fake)
    store.put(NS, "a", {"n": 1})
    other.put(NS, "a", {"n": 2})
    assert [each.value for each in (store.get(NS, "a"), other.get(NS, "a")) if each] == [{"n": 2}] * 2
    store.delete(NS, "a")
    assert other.get(NS, "a") is None
    assert other.search(NS) == []
    store.delete(NS, "a")


def test_names_of_all_kinds(fake: FakeS3) -> None:
    store = make_store(fake)
    names = ["a", "a/b", "", "..", "é", "x" * 500, ".item", "A b", "a.index", "%2F"]
    for number, name in enumerate(names):
        store.put(("x" * 300, "ü/ß", "l"), name, {"n": number})
        store.put(("l",), name, {"n": -number})
    fresh = make_store(fake)
    for number, name in enumerate(names):
        found = fresh.get(("x" * 300, "ü/ß", "l"), name)
        assert found is not None
        assert found.value == {"n": number}
    assert len(fresh.search(())) == 10
    assert {(each.namespace, each.key) for each in fresh.search((), limit=99)} == {
        (namespace, name) for namespace in (("x" * 300, "ü/ß", "l"), ("l",)) for name in names
    }
    assert sorted(fresh.list_namespaces()) == [("l",), ("x" * 300, "ü/ß", "l")]
    assert fresh.list_namespaces(prefix=("x" * 300,)) == [("x" * 300, "ü/ß", "l")]


def test_requests_of_each_operation(fake: FakeS3) -> None:
    store = make_store(fake)
    store.put(NS, "warm", {})  # the data key, where there is encryption
    with fake.counted() as count:
        store.put(NS, "a", {"n": 1})
    assert (count.kinds, count.round_trips) == ({"PutObject": 1}, 1)
    with fake.counted() as count:
        store.get(NS, "a")
    assert (count.kinds, count.round_trips) == ({"GetObject": 1}, 1)
    with fake.counted() as count:
        assert len(store.search(NS)) == 2
    assert (count.kinds, count.round_trips) == ({"ListObjects": 1}, 1)
    with fake.counted() as count:
        assert len(make_store(fake).search(NS)) == 2
    assert (count.kinds, count.round_trips) == ({"ListObjects": 1, "GetObject": 2}, 2)
    with fake.counted() as count:
        store.delete(NS, "a")
    assert (count.kinds, count.round_trips) == ({"DeleteObjects": 1}, 1)


def test_a_batch_is_one_round_trip(fake: FakeS3) -> None:
    store = make_store(fake)
    store.put(NS, "old", {"n": 0})
    with fake.counted() as count:
        store.batch(
            [*(PutOp(NS, str(number), {"n": number}) for number in range(20)), PutOp(NS, "old", None)]
        )
    assert (count.kinds, count.round_trips) == ({"PutObject": 20, "DeleteObjects": 1}, 1)
    with fake.counted() as count:
        found = store.batch([GetOp(NS, str(number)) for number in (*range(20), 99)])
    assert [each and each.value["n"] for each in found] == [*range(20), None]  # type: ignore[union-attr]  # gets
    assert (count.kinds, count.round_trips) == ({"GetObject": 21}, 1)


def test_reads_of_a_batch_see_what_was_there_before(fake: FakeS3) -> None:
    def script(store: Any) -> list[Any]:
        store.put(NS, "a", {"n": 1})
        found = store.batch(
            [
                PutOp(NS, "a", {"n": 2}),
                GetOp(NS, "a"),
                SearchOp(NS),
                PutOp(NS, "a", {"n": 3}),
                ListNamespacesOp(),
                PutOp(("b",), "b", {"n": 4}),
            ]
        )
        return [
            found[0],
            found[1].value,
            [each.value for each in found[2]],
            found[3:],
            store.get(NS, "a").value,
            store.list_namespaces(),
        ]

    assert script(make_store(fake)) == script(InMemoryStore())


def test_a_search_of_many_is_a_list_and_a_few_gets(fake: FakeS3) -> None:
    writer = make_store(fake, index=index())
    writer.batch([PutOp(NS, f"{number:05}", {"text": f"red cat {number}"}) for number in range(1100)])
    assert len(writer.search(NS, limit=3000)) == 1100
    with fake.counted() as count:
        assert len(writer.search(NS, query="red", limit=5)) == 5
    assert count.kinds == {"ListObjects": 2}
    assert count.round_trips == 1
    cold = make_store(fake, index=index())
    with fake.counted() as count:
        assert len(cold.search(NS, query="red", limit=5)) == 5
    assert count.kinds["GetObject"] == 1
    assert count.kinds["ListObjects"] <= 3
    assert count.round_trips == 3
    writer.put(NS, "new", {"text": "green dog"})
    with fake.counted() as count:
        [best] = cold.search(NS, query="green dog", limit=1)
    assert best.key == "new"
    assert count.kinds == {"ListObjects": 2, "GetObject": 1}
    assert cold.search(NS, limit=9999) == make_store(fake).search(NS, limit=9999)


def test_the_index_is_only_a_cache(fake: FakeS3) -> None:
    store = make_store(fake)
    store.batch([PutOp(NS, str(number), {"n": number}) for number in range(100)])
    expected = store.search(NS, limit=200)
    [key] = [key for key in fake.objects if key.endswith("/-.index")]
    intact = fake.objects[key].data
    store.batch([PutOp(NS, str(number), {"n": -number}) for number in range(40)])
    store.batch([PutOp(NS, str(number), None) for number in range(40, 50)])
    after = make_store(fake, cache_bytes=0).search(NS, limit=200)
    assert {each.key: each.value["n"] for each in after} == {
        str(number): -number if number < 40 else number for number in range(100) if not 40 <= number < 50
    }
    assert after != expected
    for damaged in (b"", b"no index", intact[:-10], intact[:40] + b"!" + intact[41:], intact):
        fake.put(key, damaged)
        assert make_store(fake).search(NS, limit=200) == after
    fake.delete(key)
    assert make_store(fake).search(NS, limit=200) == after


def test_the_index_of_another_folder_is_none(fake: FakeS3) -> None:
    store = make_store(fake)
    for namespace in (("a",), ("b",)):
        store.batch([PutOp(namespace, str(number), {"of": namespace[0]}) for number in range(50)])
        store.search(namespace)
    first, second = sorted(key for key in fake.objects if key.endswith("/-.index"))
    fake.put(second, fake.objects[first].data)
    fresh = make_store(fake)
    for namespace in (("a",), ("b",)):
        assert {each.value["of"] for each in fresh.search(namespace, limit=99)} == {namespace[0]}


def test_how_much_memory_a_view_takes() -> None:
    """`docs/memory.md` says 70 MB for 10,000 items of 1,536 dimensions."""
    tracemalloc.start()
    rows = {}
    for number in range(200):
        name = f"{number:05}"
        vectors = (("text", bytes(bytearray(4 * 1536))),)
        record = ItemRecord(NS, name, "msgpack", name.encode() * 12, 10**18 + number, vectors=vectors)
        rows[f"agents/.store/users/ada/{name}.item"] = Row(f"{number:032}", record)
    view = View(rows, {key: row.etag for key, row in rows.items()})
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert view.size * 50 == pytest.approx(70_000_000, rel=0.02)
    assert view.size == pytest.approx(taken, rel=0.1)


def test_a_process_that_may_not_write_searches(fake: FakeS3) -> None:
    make_store(fake).batch([PutOp(NS, str(number), {"n": number}) for number in range(50)])

    def refuse(moment: Moment, request: Request[Any]) -> None:
        if isinstance(request, PutObject):
            raise client_error("AccessDenied", 403, request)

    fake.hook = refuse
    reader = make_store(fake, ttl={"default_ttl": 5})
    assert len(reader.search(NS, limit=99)) == 50
    with fake.counted() as count:
        assert len(reader.search(NS, limit=99)) == 50
    assert count.kinds == {"ListObjects": 1}


def test_an_index_that_cant_be_written_for_once_is_written_later(fake: FakeS3) -> None:
    store = make_store(fake)
    store.batch([PutOp(NS, str(number), {"n": number}) for number in range(50)])

    def fail(moment: Moment, request: Request[Any]) -> None:
        if isinstance(request, PutObject):
            raise client_error("InternalError", 500, request)

    fake.hook = fail
    assert len(store.search(NS, limit=99)) == 50
    fake.hook = None
    with fake.counted() as count:
        assert len(store.search(NS, limit=99)) == 50
    assert count.kinds == {"ListObjects": 1, "PutObject": 1}


def test_a_conditional_put(fake: FakeS3) -> None:
    store, other = make_store(fake), make_store(fake)
    store.put(NS, "n", {"n": 1}, if_match="")
    with pytest.raises(ConflictError, match="there already"):
        other.put(NS, "n", {"n": 7}, if_match="")
    item = other.get(NS, "n")
    assert isinstance(item, S3Item)
    asyncio.run(other.aput(NS, "n", {"n": 2}, if_match=item.etag))
    with pytest.raises(ConflictError, match="changed or deleted"):
        store.put(NS, "n", {"n": 7}, if_match=item.etag)
    found = store.get(NS, "n")
    assert found is not None
    assert found.value == {"n": 2}


def test_a_conditional_put_whose_answer_is_lost(fake: FakeS3) -> None:
    """It is sent again, and refused for what its first attempt wrote: that is no conflict."""
    store = make_store(fake)
    lost: list[PutObject] = []

    def lose(moment: Moment, request: Request[Any]) -> None:
        if isinstance(request, PutObject) and moment == "before" and not lost:
            lost.append(request)
            fake.execute(request)

    for number, if_match in enumerate(("", "seen")):
        item = store.get(NS, "n")
        etag = if_match and getattr(item, "etag", "")
        lost.clear()
        fake.hook = lose
        store.put(NS, "n", {"n": number}, if_match=etag)
        fake.hook = None
        assert len(lost) == 1
        found = store.get(NS, "n")
        assert found is not None
        assert found.value == {"n": number}


def test_a_conditional_put_of_the_same_value_by_another_process_is_a_conflict(fake: FakeS3) -> None:
    """Else two processes could both have made the only item, at the same nanosecond."""
    one, other = make_store(fake), make_store(fake)
    for store in (one, other):
        inside.set_clock(store.saver, lambda: 1)
    one.put(NS, "lock", {"held": True}, if_match="")
    with pytest.raises(ConflictError):
        other.put(NS, "lock", {"held": True}, if_match="")


def test_an_expired_item_is_none_for_a_conditional_put(fake: FakeS3) -> None:
    store = make_store(fake)
    store.put(NS, "a", {"n": 1}, ttl=1)
    with pytest.raises(ConflictError):
        store.put(NS, "a", {"n": 2}, if_match="")
    fake.later += timedelta(minutes=2)
    assert store.get(NS, "a") is None
    with fake.counted() as count:
        store.put(NS, "a", {"n": 2}, if_match="")
    assert count.kinds == {"PutObject": 2, "GetObject": 1}
    found = make_store(fake).get(NS, "a")
    assert found is not None
    assert found.value == {"n": 2}


def test_a_read_that_renews_an_item_returns_its_new_etag(fake: FakeS3) -> None:
    store = make_store(fake, ttl={"default_ttl": 10})
    store.put(NS, "a", {"n": 1})
    fake.later += timedelta(minutes=5)
    with fake.counted() as count:
        item = store.get(NS, "a")
    assert count.kinds == {"GetObject": 1, "PutObject": 1}
    assert isinstance(item, S3Item)
    store.put(NS, "a", {"n": 2}, if_match=item.etag)


def test_time_to_live(fake: FakeS3) -> None:
    store = make_store(fake, ttl={"default_ttl": 10})
    store.put(NS, "default", {"n": 1})
    store.put(NS, "short", {"n": 2}, ttl=5)
    store.put(NS, "ever", {"n": 3}, ttl=None)

    def there() -> set[str]:
        return {each.key for each in make_store(fake).search(NS, refresh_ttl=False)}

    assert there() == {"default", "short", "ever"}
    fake.later += timedelta(minutes=4)
    with fake.counted() as count:
        assert store.get(NS, "short") is not None
    assert count.kinds == {"GetObject": 1, "PutObject": 1}
    with fake.counted() as count:
        assert store.get(NS, "short") is not None
    assert count.kinds == {"GetObject": 1}
    fake.later += timedelta(minutes=4)
    assert there() == {"default", "short", "ever"}
    fake.later += timedelta(minutes=4)
    assert there() == {"ever"}
    assert make_store(fake).get(NS, "short") is None
    assert store.get(NS, "short") is None
    count_before = len([key for key in fake.objects if key.endswith(".item")])
    assert make_store(fake).sweep_ttl() == 2
    assert len([key for key in fake.objects if key.endswith(".item")]) == count_before - 2
    assert asyncio.run(make_store(fake).asweep_ttl()) == 0
    assert there() == {"ever"}


def test_a_refresh_never_undoes_a_change(fake: FakeS3) -> None:
    store = make_store(fake, ttl={"default_ttl": 10})
    store.put(NS, "a", {"n": 1})
    fake.later += timedelta(minutes=5)
    raced = False

    def change(moment: Moment, request: Request[Any]) -> None:
        nonlocal raced
        if isinstance(request, PutObject) and moment == "before" and not raced:
            raced = True
            make_store(fake, ttl={"default_ttl": 10}).put(NS, "a", {"n": 2})

    fake.hook = change
    assert store.get(NS, "a") is not None
    fake.hook = None
    assert raced
    found = make_store(fake).get(NS, "a")
    assert found is not None
    assert found.value == {"n": 2}


def test_a_sweep_leaves_what_is_put_meanwhile(fake: FakeS3) -> None:
    store = make_store(fake)
    store.put(NS, "a", {"n": 1}, ttl=1)
    fake.later += timedelta(minutes=5)

    def change(moment: Moment, request: Request[Any]) -> None:
        if isinstance(request, DeleteObjects) and moment == "before":
            fake.hook = None
            make_store(fake).put(NS, "a", {"n": 2})

    fake.hook = change
    assert store.sweep_ttl() == 0
    found = store.get(NS, "a")
    assert found is not None
    assert found.value == {"n": 2}


def test_what_is_acknowledged_is_found_whatever_fails(fake: FakeS3) -> None:
    """Each request of a search that writes the index, of a put and of a refresh fails, before and after."""
    store = make_store(fake)
    store.batch([PutOp(NS, str(number), {"n": number}) for number in range(40)])
    place = left = 0
    while left <= 0:  # all of the requests, until more are counted than were sent
        fresh = make_store(fake)
        place += 1
        left = place

        def fail(moment: Moment, request: Request[Any]) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise client_error("InternalError", 500, request)

        fake.hook = fail
        try:
            fresh.put(NS, "extra", {"n": place})
            found = fresh.search(NS, limit=99)
            fake.hook = None
            assert {each.key for each in found} == {*map(str, range(40)), "extra"}
        except StorageUnavailableError:
            fake.hook = None
        found = make_store(fake).search(NS, limit=99)
        assert {each.key for each in found} >= set(map(str, range(40)))
    assert place > 6


def test_an_item_under_another_ones_key_is_refused(fake: FakeS3) -> None:
    store = make_store(fake)
    store.put(NS, "a", {"n": 1})
    store.put(NS, "b", {"n": 2})
    first, second = sorted(key for key in fake.objects if key.endswith(".item"))
    fake.put(second, fake.objects[first].data)
    with pytest.raises((CorruptObjectError, DecryptionError)):
        make_store(fake).batch([GetOp(NS, "a"), GetOp(NS, "b")])
    fake.put(second, b"something else")
    with pytest.raises(CorruptObjectError):
        make_store(fake).search(NS)


def test_an_item_that_goes_between_the_list_and_its_read(fake: FakeS3) -> None:
    make_store(fake).batch([PutOp(NS, "a", {"n": 1}), PutOp(NS, "b", {"n": 2})])

    def vanish(moment: Moment, request: Request[Any]) -> None:
        if isinstance(request, ListObjects) and moment == "after":
            fake.hook = None
            make_store(fake).delete(NS, "a")

    fake.hook = vanish
    assert [each.key for each in make_store(fake).search(NS)] == ["b"]


def test_large_values_go_in_parts(fake: FakeS3) -> None:
    from langgraph_checkpoint_s3.plans.transfer import Sizes

    store = S3Store(saver=make_saver(fake, sizes=Sizes(20_000, 8_000), compression="none"))
    fake.least_part = 1
    value = {"text": "x" * 50_000, "n": [*range(1000)]}
    store.put(NS, "large", value)
    store.put(NS, "small", {"n": 1})
    fresh = S3Store(saver=make_saver(fake, sizes=Sizes(20_000, 8_000)))
    found = fresh.get(NS, "large")
    assert found is not None
    assert found.value == value
    assert {each.key for each in fresh.search(NS)} == {"large", "small"}


@pytest.mark.parametrize(
    ("op", "error"),
    [
        (SearchOp(NS, {"n": {"$near": 1}}), InvalidConfigError),
        (SearchOp(NS, limit=-1), InvalidConfigError),
        (SearchOp(NS, offset=-1), InvalidConfigError),
        (ListNamespacesOp(limit=-1), InvalidConfigError),
        (PutOp(NS, "a", {}, ttl=0), InvalidConfigError),
        (PutOp(NS, "a", {}, ttl=float("nan")), InvalidConfigError),
        (PutOp(NS, "a", {}, ttl=True), InvalidConfigError),
        (PutOp(NS, "\ud800", {}), InvalidKeyError),
        (PutOp(("x" * 190,) * 6, "a", {}), InvalidKeyError),
        (GetOp(("a.b",), "a"), InvalidNamespaceError),
        (PutOp(("a", ""), "a", None), InvalidNamespaceError),
        (SearchOp(cast("Any", (1,))), InvalidNamespaceError),
        (ListNamespacesOp((MatchCondition("suffix", ("*", "a.b")),)), InvalidNamespaceError),
        ("put", InvalidConfigError),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(fake: FakeS3, op: Any, error: type[Exception]) -> None:
    store = make_store(fake)
    if isinstance(op, PutOp) and len(op.namespace) == 6 and store.saver.config.private_keys:
        pytest.skip("hashed names are shorter")
    with fake.counted() as count, pytest.raises(error):
        store.batch([PutOp(NS, "good", {"n": 1}), op])
    assert not count.requests


def test_bad_namespaces(fake: FakeS3) -> None:
    for namespace in ((), ("a.b",), ("",), ("langgraph",)):
        with pytest.raises(InvalidNamespaceError):
            make_store(fake).put(namespace, "a", {})
        with pytest.raises(InvalidNamespaceError):
            make_store(fake).put(namespace, "a", {}, if_match="")


def test_bad_settings(fake: FakeS3) -> None:
    saver = make_saver(fake)
    given: list[dict[str, Any]] = [
        {"bucket": "b"},
        {"prefix": "x/"},
        {"index": {"dims": 3}},
        {"index": {"embed": len}},
        {"ttl": {"default_ttl": -1}},
        {"ttl": {"every": 1}},
    ]
    for settings in given:
        with pytest.raises(InvalidConfigError):
            S3Store(saver=saver, **settings)
    with pytest.raises(NotSupportedError, match="sweep_ttl"):
        S3Store(saver=saver, ttl={"sweep_interval_minutes": 5})


def test_embeddings_of_another_size_are_refused(fake: FakeS3) -> None:
    store = make_store(fake, index=index(dims=DIMS + 1))
    with fake.counted() as count, pytest.raises(InvalidConfigError, match="dims=9"):
        store.put(NS, "a", {"text": "red"})
    assert not count.requests
    make_store(fake, index=index()).put(NS, "a", {"text": "red"})
    other = make_store(fake, index=index(dims=2, embed=lambda texts: [[1.0, 0.0] for _ in texts]))
    other.put(NS, "b", {"text": "red"})
    assert [(each.key, each.score) for each in other.search(NS, query="red")] == [("b", 1.0), ("a", None)]


def test_threads_and_items_dont_meet(fake: FakeS3, saver: S3Saver) -> None:
    make_store(fake).put(("t",), "a", {"n": 1})
    put_chain(saver, "t", 2)
    admin = S3Admin(saver)
    assert list(admin.threads()) == ["t"]
    saver.delete_thread("t")
    assert make_store(fake).get(("t",), "a") is not None
    assert list(admin.threads()) == []
    fake.later += timedelta(days=30)
    admin.remove_orphans(older_than=timedelta(days=1), dry_run=False)
    assert [each.key for each in make_store(fake).search(())] == ["a"]


def test_a_get_reads_the_store_and_a_mutated_value_changes_nothing(fake: FakeS3) -> None:
    store = make_store(fake)
    store.put(NS, "a", {"tags": ["x"]})
    [found] = store.search(NS)
    found.value["tags"].append("y")
    [again] = store.search(NS)
    assert again.value == {"tags": ["x"]}
    with fake.counted() as count:
        store.get(NS, "a")
    assert [type(each) for each in count.requests] == [GetObject]


def test_it_shares_a_savers_connections_or_has_its_own(fake: FakeS3) -> None:
    saver = make_saver(fake)
    with S3Store(saver=saver) as store:
        assert store.saver is saver
    store = S3Store.from_conn_string("s3://bucket/agents?region=eu-west-1", ttl={"default_ttl": 5})
    assert (store.saver.config.bucket, store.saver.config.prefix) == ("bucket", "agents/")
    assert repr(store) == "S3Store('bucket', prefix='agents/')"
    store.close()
    asyncio.run(store.aclose())


def test_scores_are_the_same_without_numpy(fake: FakeS3, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make_store(fake, index=index(fields=["text"]))
    for number, text in enumerate(("red cat", "blue dog", "", "red dog runs")):
        store.put(NS, str(number), {"text": text})
    found = store.search(NS, query="red dog")
    monkeypatch.setattr(search, "find_numpy", lambda: None)
    other = store.search(NS, query="red dog")
    assert [each.key for each in other] == [each.key for each in found]
    assert [each.score for each in other] == pytest.approx([each.score for each in found])


@pytest.mark.parametrize(
    "name", ["serde", "client", "session", "aio_session", "encryption", "config", "prefix"]
)
def test_settings_beside_a_saver_are_refused(fake: FakeS3, name: str) -> None:
    """Else a key ring, say, would be passed over, and items be written in the open."""
    given: Any = {name: object()}
    for kind in (S3Store, S3Cache):
        with pytest.raises(InvalidConfigError, match=name):
            kind(saver=make_saver(fake), **given)


def test_large_items_dont_make_an_index_old(fake: FakeS3) -> None:
    """They are in no index, so a process that reads one would write it anew each time."""
    puts = [PutOp(NS, f"{number:03}", {"noise": noise(150_000, number).hex()}) for number in range(33)]
    store = make_store(fake)
    store.batch(puts)
    for each in (store, make_store(fake)):
        with fake.counted() as count:
            assert len(each.search(NS, limit=99)) == 33
        assert "PutObject" not in count.kinds


def test_ranking_many_items_is_done_off_the_loop(fake: FakeS3, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make_store(fake, index=index(fields=["text"]))
    store.batch([PutOp(NS, str(number), {"text": f"red {number}"}) for number in range(600)])
    calls: list[Any] = []

    def noting(function: Any) -> Call[Any]:
        calls.append(function)
        return Call(function)

    monkeypatch.setattr("langgraph_checkpoint_s3.memory.store.Call", noting)
    assert len(store.search(NS, query="red")) == 10
    assert len(calls) == 1
    store.get(NS, "1")
    assert len(calls) == 1
