"""Deserialization from a bucket that others can write to: `with_allowlist`, strict msgpack, pickle."""

from __future__ import annotations

import pickle
import urllib.request
from dataclasses import dataclass
from typing import Any

import pytest
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langgraph_checkpoint_s3 import CorruptObjectError, S3Saver
from langgraph_checkpoint_s3.admin import S3Admin, load_signed_url, loads
from tests.contract.scripts import assert_clean, script
from tests.contract.support import Calls, MakeCalls, MakeSaver, Place, at, checkpoint, metadata
from tests.support import inside


@dataclass
class Allowed:
    number: int


@dataclass
class Blocked:
    number: int


STRICT = {"LANGGRAPH_STRICT_MSGPACK": "true"}
ALLOWED = (Allowed.__module__, Allowed.__name__)


def strict(**options: Any) -> JsonPlusSerializer:
    return JsonPlusSerializer(allowed_msgpack_modules=None, **options)


def fill(saver: S3Saver | Calls) -> None:
    values = {"allowed": Allowed(1), "blocked": Blocked(2)}
    config = saver.put(at(), checkpoint(values), metadata(), {})
    saver.put_writes(config, [("allowed", Allowed(3)), ("blocked", Blocked(4))], "task")
    saver.put(config, checkpoint({}), metadata(1), {})


def revived(calls: Calls) -> list[Any]:
    """All values of the two types that reading gives, by every way there is."""
    found = [calls.get_tuple(calls.get_tuple(at()).parent_config), *calls.list(at())[1:]]
    values: list[Any] = []
    for each in found:
        values += each.checkpoint["channel_values"].values()
        values += [value for _, _, value in each.pending_writes]
    history = calls.get_delta_channel_history(config=at(), channels=["allowed", "blocked"])
    for channel in history.values():
        values += [channel["seed"], *(value for _, _, value in channel["writes"])]
    return values


class TestStrictness:
    @pytest.mark.filterwarnings("ignore:.*[Dd]eserializ.*")
    def test_an_allowlist_counts_on_every_way(self, make_calls: MakeCalls) -> None:
        free = make_calls()
        fill(free)
        assert len([value for value in revived(free) if isinstance(value, (Allowed, Blocked))]) == 12
        calls = make_calls(serde=strict())
        assert not [value for value in revived(calls) if isinstance(value, (Allowed, Blocked))]
        clone = calls.saver.with_allowlist([ALLOWED])
        assert isinstance(clone, S3Saver)
        assert clone is not calls.saver
        with Calls(clone, asynchronous=calls.asynchronous) as other:
            values = revived(other)
        assert [value.number for value in values if isinstance(value, Allowed)] == [1, 3, 1, 3, 1, 3]
        assert not [value for value in values if isinstance(value, Blocked)]
        # The one it was cloned from stays strict.
        assert not [value for value in revived(calls) if isinstance(value, (Allowed, Blocked))]

    def test_a_clone_shares_the_connections(self, make_saver: MakeSaver) -> None:
        saver = make_saver(serde=strict())
        clone = saver.with_allowlist([ALLOWED])
        fill(saver)
        assert isinstance(clone, S3Saver)
        assert inside.store(clone) is inside.store(saver)
        before = saver.stats().cache_hits
        assert clone.get_tuple(at())
        assert saver.stats().cache_hits == before + 1

    def test_the_environments_strictness(self, place: Place) -> None:
        body = """
            from dataclasses import dataclass
            from tests.contract.test_trust import ALLOWED, Allowed, Blocked, fill, revived
            from tests.contract.support import Calls
            import logging
            logging.disable(logging.CRITICAL)
            fill(saver)
            for asynchronous in (False, True):
                strict = S3Saver(bucket, endpoint_url=url, region="us-east-1")
                kinds = []
                for each in (strict, strict.with_allowlist([ALLOWED])):
                    calls = Calls(each, asynchronous=asynchronous)
                    values = revived(calls)
                    kinds.append(tuple(any(isinstance(v, k) for v in values) for k in (Allowed, Blocked)))
                    calls.end()
                print(kinds)
                strict.close()
        """
        done = script(place, body, STRICT)
        assert_clean(done)
        assert done.stdout == "[(False, False), (True, False)]\n" * 2

    def test_a_graphs_own_types_are_allowed(self, place: Place) -> None:
        """LangGraph asks for the clone itself when a graph is compiled in strict mode."""
        done = script(
            place,
            """
            import warnings
            warnings.simplefilter("default")  # LangGraph's own imports
            from typing import TypedDict
            from langgraph.graph import END, START, StateGraph
            from tests.contract.test_trust import Allowed
            class State(TypedDict):
                value: Allowed
            builder = StateGraph(State)
            builder.add_node("node", lambda state: {"value": Allowed(state["value"].number + 1)})
            builder.add_edge(START, "node")
            builder.add_edge("node", END)
            graph = builder.compile(checkpointer=saver)
            assert graph.invoke({"value": Allowed(1)}, at()) == {"value": Allowed(2)}
            assert graph.get_state(at()).values == {"value": Allowed(2)}
            assert asyncio.run(graph.aget_state(at())).values == {"value": Allowed(2)}
            """,
            STRICT,
        )
        assert done.returncode == 0, done.stderr


class TestAdmin:
    """The admin reads by its saver's serializer, and `loads` by the one that it is given."""

    @staticmethod
    def found(admin: Calls, serde: Any) -> list[Any]:
        """All values of the two types that an admin gives, by every way there is."""
        saver = admin.saver.saver
        config = saver.get_tuple(at()).parent_config
        checkpoint_id = config["configurable"]["checkpoint_id"]
        if admin.asynchronous:

            async def collect() -> list[Any]:
                return [each async for each in admin.saver.abatch_get([config])]

            [result] = admin.run(collect())
        else:
            [result] = admin.saver.batch_get([config])
        [version] = admin.list_checkpoint_versions("thread", checkpoint_id)
        url = admin.signed_url("thread", checkpoint_id)
        with urllib.request.urlopen(url) as answer:
            data = answer.read()
        tuples = [
            result.value,
            admin.get_checkpoint_version("thread", checkpoint_id, version.version_id),
            load_signed_url(url, serde=serde),
            loads(data, serde=serde),
        ]
        values: list[Any] = []
        for each in tuples:
            values += [*each.checkpoint["channel_values"].values(), each.metadata.get("said")]
            values += [value for _, _, value in each.pending_writes]
        return [value for value in values if isinstance(value, (Allowed, Blocked))]

    @pytest.mark.filterwarnings("ignore:.*[Dd]eserializ.*")
    def test_an_allowlist_counts_on_every_way(self, make_saver: MakeSaver, make_admin: MakeCalls) -> None:
        free = make_saver()
        values = {"allowed": Allowed(1), "blocked": Blocked(2)}
        said = metadata(said=Blocked(5))
        config = free.put(at(), checkpoint(values), said, {})
        free.put_writes(config, [("allowed", Allowed(3)), ("blocked", Blocked(4))], "task")
        free.put(config, checkpoint({}), metadata(1), {})
        assert len(self.found(make_admin(), JsonPlusSerializer())) == 20
        admin = make_admin(serde=strict())
        assert self.found(admin, strict()) == []
        clone = admin.saver.saver.with_allowlist([ALLOWED])
        with Calls(S3Admin(clone), asynchronous=admin.asynchronous) as other:
            values_found = self.found(other, clone.serde)
        assert [value.number for value in values_found] == [1, 3] * 4
        assert {type(value) for value in values_found} == {Allowed}


class Bomb:
    def __reduce__(self) -> Any:
        return exploded.append, (1,)


exploded: list[int] = []


class Forger(JsonPlusSerializer):
    """Writes pickles, as somebody with write access to the bucket could."""

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        if isinstance(obj, Bomb):
            return "pickle", pickle.dumps(obj)
        return super().dumps_typed(obj)


class TestPickle:
    @pytest.mark.parametrize("where", ["channel", "write"])
    def test_it_is_not_loaded(self, make_calls: MakeCalls, make_saver: MakeSaver, where: str) -> None:
        exploded.clear()
        forger = make_saver(serde=Forger())
        config = forger.put(at(), checkpoint({"a": Bomb()} if where == "channel" else {}), metadata(), {})
        if where == "write":
            forger.put_writes(config, [("a", Bomb())], "task")
        calls = make_calls()
        for read in (lambda: calls.get_tuple(at()), lambda: calls.list(at())):
            with pytest.raises(CorruptObjectError, match=r"pickle.*NotImplementedError"):
                read()
        assert exploded == []

    def test_nothing_is_written_as_one(self, calls: Calls, place: Place) -> None:
        class Local:
            pass

        with pytest.raises(TypeError):
            calls.put(at(), checkpoint({"a": Local()}), metadata(), {})
        assert place.listing() == []
