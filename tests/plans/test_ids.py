"""Ids at the one entrance: what stands for its text, and what is refused, by every method that takes one."""

from __future__ import annotations

import asyncio
import inspect
import io
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from enum import Enum, IntEnum
from typing import Any

import pytest

from langgraph_checkpoint_s3 import InvalidKeyError, S3Saver
from langgraph_checkpoint_s3.admin import S3Admin, dumps, loads
from langgraph_checkpoint_s3.format.ids import id_text, require_iterable, text_of
from langgraph_checkpoint_s3.format.key_encoding import HashedName
from tests.plans.helpers import ids, pending, put
from tests.support import inside
from tests.support.checkpoints import make_checkpoint, place, put_chain
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver

UUID = uuid.UUID("12345678-1234-5678-1234-567812345678")


class Tenant(str, Enum):
    A = "a"


class Number(IntEnum):
    SEVEN = 7


class Loud(str):
    """A str that shows itself as something else."""

    __slots__ = ()

    def __str__(self) -> str:
        return "loud"

    __repr__ = __format__ = __str__  # type: ignore[assignment]  # the same text everywhere


BAD: list[Any] = [True, b"a", 1.5, ["a"], object(), {"a": 1}, bytearray(b"a"), ("a",)]
ODD: list[tuple[Any, str]] = [
    (Tenant.A, "a"),
    (Number.SEVEN, "7"),
    (Loud("a"), "a"),
    (UUID, str(UUID)),
    (42, "42"),
    ("a/b", "a/b"),
]
MANY_BAD: list[Any] = ["ab", b"ab", bytearray(b"ab"), memoryview(b"ab"), {"a": 1}, 7, UUID, Tenant.A]

CONFIGS = {"config", "before", "configs", "source_config"}
IDS = {
    *("thread_id", "source_thread_id", "target_thread_id", "checkpoint_id", "checkpoint_ns", "task_id"),
    *("version_id", "run_id"),
}
MANY = {"thread_ids", "checkpoint_ids", "run_ids", "configs", "items"}
OTHERS: dict[str, Any] = {
    "expires_in": timedelta(minutes=1),
    "file": io.BytesIO(),
    "upload": ".exports/t/x",
    "age": timedelta(days=1),
    "keep": 1,
    "idle": timedelta(days=1),
    "checkpoint": make_checkpoint("1", {}),
    "metadata": {},
    "new_versions": {},
    "writes": [("c", 1)],
    "channels": ["c"],
    "source": None,
    "values": {},
    "strategy": "keep_latest",
}
"""The methods' other required arguments."""


def methods() -> Iterator[tuple[type, str, list[str]]]:
    """Every public method of saver and admin that takes an id, ids or a config, by its signature."""
    for kind in (S3Saver, S3Admin):
        for name, member in inspect.getmembers(kind, inspect.isfunction):
            if name.startswith("_") or not member.__module__.startswith("langgraph_checkpoint_s3"):
                continue
            parameters = list(inspect.signature(member).parameters)
            if set(parameters) & (CONFIGS | IDS | MANY):
                yield kind, name, parameters


METHODS = list(methods())
CASES = [
    pytest.param(kind, name, each, id=f"{kind.__name__}.{name}-{each}")
    for kind, name, parameters in METHODS
    for each in parameters
    if each in IDS
]
LISTS = [
    pytest.param(kind, name, each, id=f"{kind.__name__}.{name}-{each}")
    for kind, name, parameters in METHODS
    for each in parameters
    if each in MANY
]
OF_CONFIGS = [
    pytest.param(kind, name, each, id=f"{kind.__name__}.{name}-{each}")
    for kind, name, parameters in METHODS
    for each in parameters
    if each == "config" or (each == "before" and kind is S3Saver)
]


def call(kind: type, name: str, fake: FakeS3, **given: Any) -> Any:
    """Call a method to its end, with what it needs and what is given."""
    saver = make_saver(fake)
    owner: Any = saver if kind is S3Saver else S3Admin(saver)
    method: Callable[..., Any] = getattr(owner, name)
    arguments: dict[str, Any] = {}
    for parameter in inspect.signature(method).parameters.values():
        if parameter.name in given:
            arguments[parameter.name] = given[parameter.name]
        elif parameter.default is not inspect.Parameter.empty:
            continue
        elif parameter.name == "config":
            arguments["config"] = place("t", "1")
        elif parameter.name in IDS:
            arguments[parameter.name] = "t"
        elif parameter.name in MANY:
            arguments[parameter.name] = []
        elif name.endswith("import_threads"):
            arguments[parameter.name] = make_saver(FakeS3())
        else:
            arguments[parameter.name] = OTHERS[parameter.name]
    answer = method(**arguments)
    if inspect.isawaitable(answer):
        return asyncio.run(until(answer))
    if inspect.isasyncgen(answer):
        return asyncio.run(drained(answer))
    return list(answer) if inspect.isgenerator(answer) else answer


async def until(answer: Any) -> Any:
    return await answer


async def drained(answer: Any) -> list[Any]:
    return [each async for each in answer]


def test_they_are_found() -> None:
    found = {(kind.__name__, name) for kind, name, _ in METHODS}
    for name in ("put", "aput_writes", "prune", "aprune", "delete_for_runs", "lease", "copy_thread", "list"):
        assert ("S3Saver", name) in found
    for name in ("batch_delete", "abatch_delete", "signed_url", "usage", "prune_older_than", "amigrate"):
        assert ("S3Admin", name) in found
    assert len(CASES) > 60
    assert len(LISTS) >= 16


def test_no_method_has_an_id_by_another_name() -> None:
    """A parameter that looks like an id is among those that are tried here."""
    seen = {each for _, _, parameters in METHODS for each in parameters}
    seen |= {
        each
        for kind in (S3Saver, S3Admin)
        for name, member in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_") and member.__module__.startswith("langgraph_checkpoint_s3")
        for each in inspect.signature(member).parameters
    }
    named = {each for each in seen if each.endswith(("_id", "_ids", "_ns")) and "kms_key" not in each}
    assert named <= IDS | MANY


@pytest.mark.parametrize(("kind", "name", "parameter"), CASES)
def test_what_is_no_id_is_refused_before_anything_is_sent(kind: type, name: str, parameter: str) -> None:
    fake = FakeS3()
    put_chain(make_saver(fake), "t", 1)
    before = dict(fake.objects)
    for bad in BAD:
        named = "thread_id" if parameter.endswith("thread_id") else parameter
        with fake.counted() as count, pytest.raises(InvalidKeyError, match=named):
            call(kind, name, fake, **{parameter: bad})
        assert not count.requests
    assert fake.objects == before


@pytest.mark.parametrize(("kind", "name", "parameter"), LISTS)
def test_one_where_many_belong_is_refused(kind: type, name: str, parameter: str) -> None:
    fake = FakeS3()
    for thread in ("a", "b", "ab"):
        put_chain(make_saver(fake), thread, 1, run=thread)
    before = dict(fake.objects)
    for bad in MANY_BAD:
        with fake.counted() as count, pytest.raises(InvalidKeyError, match=r"must be a list, and this is"):
            call(kind, name, fake, **{parameter: bad})
        assert (count.requests, fake.objects) == ([], before), bad


@pytest.mark.parametrize(("kind", "name", "parameter"), [each for each in LISTS if "_ids" in str(each.id)])
def test_a_bad_one_among_many_is_refused_and_none_at_all_do_nothing(
    kind: type, name: str, parameter: str
) -> None:
    fake = FakeS3()
    put_chain(make_saver(fake), "a", 1, run="a")
    before = dict(fake.objects)
    for bad in [*BAD, None]:
        with fake.counted() as count, pytest.raises(InvalidKeyError, match=parameter[:-1]):
            call(kind, name, fake, **{parameter: ["a", bad]})
        assert not count.requests
    empty: list[Any] = [[], (), set(), iter([]), (each for each in "")]
    for nothing in empty:
        with fake.counted() as count:
            call(kind, name, fake, **{parameter: nothing})
        assert not count.requests
    assert fake.objects == before


@pytest.mark.parametrize(("kind", "name", "parameter"), OF_CONFIGS)
def test_a_config_is_checked_too(kind: type, name: str, parameter: str) -> None:
    fake = FakeS3()
    bad: list[Any] = [
        UUID,
        "t",
        7,
        b"t",
        [("configurable", {})],
        {"configurable": "t"},
        {"configurable": [1]},
    ]
    fields = ("thread_id", "checkpoint_ns", "checkpoint_id") if parameter == "config" else ("checkpoint_id",)
    bad += [{"configurable": {"thread_id": "t", field: each}} for field in fields for each in BAD]
    for each in bad:
        with fake.counted() as count, pytest.raises(InvalidKeyError):
            call(kind, name, fake, **{parameter: each})
        assert not count.requests


@pytest.mark.modes
@pytest.mark.parametrize(("given", "text"), ODD, ids=[text for _, text in ODD])
class TestWhatStandsForItsText:
    def test_names_a_thread(self, fake: FakeS3, given: Any, text: str) -> None:
        config = put(make_saver(fake), "1", thread=given)
        assert config["configurable"]["thread_id"] == text
        assert type(config["configurable"]["thread_id"]) is str
        for name in (given, text):
            assert ids(make_saver(fake), place(name)) == ["1"]
        assert list(S3Admin(make_saver(fake)).threads()) == [text] or inside.layout(make_saver(fake)).names
        make_saver(fake).copy_thread(given, "copy")
        make_saver(fake).delete_thread(given)
        assert ids(make_saver(fake), place(text)) == []
        make_saver(fake).prune([given, "copy"], strategy="delete")
        assert not fake.objects

    def test_names_a_namespace_and_a_task(self, fake: FakeS3, given: Any, text: str) -> None:
        config = put(make_saver(fake), "1", ns=given)
        assert config["configurable"]["checkpoint_ns"] == text
        make_saver(fake).put_writes(config, [("c", 1)], given)
        for ns in (given, text):
            assert pending(make_saver(fake), place("t", "1", ns)) == [(text, "c", 1)]

    def test_names_a_checkpoint(self, fake: FakeS3, given: Any, text: str) -> None:
        config = put(make_saver(fake), given)
        assert config["configurable"]["checkpoint_id"] == text
        for name in (given, text):
            found = make_saver(fake).get_tuple(place("t", name))
            assert found is not None
            assert found.checkpoint["id"] == text
        put(make_saver(fake), "zz", given)
        child = make_saver(fake).get_tuple(place("t", "zz"))
        assert child is not None
        assert child.parent_config is not None
        assert child.parent_config["configurable"]["checkpoint_id"] == text
        assert ids(make_saver(fake), place("t"), before=place("t", "zz")) == [text]
        assert ids(make_saver(fake), place("t"), before=place("t", given)) == []
        S3Admin(make_saver(fake)).batch_delete([place("t", given)])
        assert ids(make_saver(fake), place("t")) == ["zz"]

    def test_names_a_run(self, fake: FakeS3, given: Any, text: str) -> None:
        """Stored as the one and looked for as the other: by the key, and by the metadata."""
        for stored, wanted in ((given, text), (text, given), (given, given)):
            put(make_saver(fake), "1", run_id=stored)
            put(make_saver(fake), "2", run_id="another")
            for wish in ({"run_id": wanted}, {"run_id": wanted, "other": None}):
                assert ids(make_saver(fake), place("t"), filter=wish) == ["1"]
            assert ids(make_saver(fake), place("t"), filter={"run_id": "none"}) == []
            once: Any = (each for each in (wanted, wanted))
            make_saver(fake).delete_for_runs(once)
            assert ids(make_saver(fake), place("t")) == ["2"]
            make_saver(fake).delete_thread("t")


def test_what_metadata_holds_comes_back_as_it_was(fake: FakeS3) -> None:
    put(make_saver(fake), "1", run_id=UUID)
    found = make_saver(fake).get_tuple(place("t"))
    assert found is not None
    assert dict(found.metadata)["run_id"] == UUID


@pytest.mark.modes
def test_a_filter_that_is_no_id_is_decided_by_the_metadata(fake: FakeS3) -> None:
    put(make_saver(fake), "1", run_id=1)
    put(make_saver(fake), "2", run_id=True)
    put(make_saver(fake), "3")
    for wanted in (1, 1.0, True):
        assert ids(make_saver(fake), place("t"), filter={"run_id": wanted}) == ["2", "1"]
    assert ids(make_saver(fake), place("t"), filter={"run_id": None}) == ["3"]


def test_a_hash_stays_one() -> None:
    hidden = HashedName("abc")
    assert id_text(hidden, "thread_id") is hidden
    assert type(text_of(Loud("a"))) is str


def test_a_list_of_ids_is_consumed_once(fake: FakeS3) -> None:
    for thread in ("a", "b", "c"):
        put_chain(make_saver(fake), thread, 2)
    make_saver(fake).prune(each for each in ("a", "b", "a"))  # type: ignore[arg-type]  # an iterator, which the types leave out
    assert [len(ids(make_saver(fake), place(thread))) for thread in "abc"] == [1, 1, 2]


def test_what_is_dumped_is_loaded_for_a_thread(fake: FakeS3) -> None:
    found = make_saver(fake).get_tuple(put(make_saver(fake), "1"))
    assert found is not None
    assert loads(dumps(found), thread_id=Tenant.A).config["configurable"]["thread_id"] == "a"
    for bad in (*BAD, ""):
        with pytest.raises(InvalidKeyError, match="thread_id"):
            loads(dumps(found), thread_id=bad)


def test_several_says_what_to_do() -> None:
    with pytest.raises(
        InvalidKeyError, match=r"run_ids must be a list, and this is str: put it in a list, \['ab'\]"
    ):
        require_iterable("ab", "run_ids")
    with pytest.raises(InvalidKeyError, match=r"thread_ids must be a list, and this is NoneType\.$"):
        require_iterable(None, "thread_ids")
