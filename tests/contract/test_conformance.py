"""LangGraph's own conformance suite, through each way to the store; and that the ways agree."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import boto3
import pytest
from botocore.config import Config
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.conformance.capabilities import Capability
from langgraph.checkpoint.conformance.report import CapabilityReport

from langgraph_checkpoint_s3 import S3Saver
from tests.contract.support import Calls, MakeSaver, Place, at, checkpoint, metadata


class Bridge(BaseCheckpointSaver[str]):
    """The blocking methods under the names of the coroutines, for a suite that calls only those."""

    def __init__(self, saver: S3Saver) -> None:
        super().__init__(serde=saver.serde)
        self._saver = saver

    async def aput(self, *args: Any, **kwargs: Any) -> Any:
        return self._saver.put(*args, **kwargs)

    async def aput_writes(self, *args: Any, **kwargs: Any) -> None:
        self._saver.put_writes(*args, **kwargs)

    async def aget_tuple(self, *args: Any, **kwargs: Any) -> CheckpointTuple | None:
        return self._saver.get_tuple(*args, **kwargs)

    async def alist(self, *args: Any, **kwargs: Any) -> AsyncIterator[CheckpointTuple]:
        for shown in self._saver.list(*args, **kwargs):
            yield shown

    async def adelete_thread(self, *args: Any, **kwargs: Any) -> None:
        self._saver.delete_thread(*args, **kwargs)

    async def adelete_for_runs(self, *args: Any, **kwargs: Any) -> None:
        self._saver.delete_for_runs(*args, **kwargs)

    async def acopy_thread(self, *args: Any, **kwargs: Any) -> None:
        self._saver.copy_thread(*args, **kwargs)

    async def aprune(self, *args: Any, **kwargs: Any) -> None:
        self._saver.prune(*args, **kwargs)

    async def aget_delta_channel_history(self, **kwargs: Any) -> Mapping[str, Any]:
        return self._saver.get_delta_channel_history(**kwargs)


def run_suite(name: str, make: Callable[[str], BaseCheckpointSaver[Any]]) -> CapabilityReport:
    """Run the suite, each capability in a prefix of its own."""
    made = 0

    @checkpointer_test(name=name)
    async def factory() -> AsyncGenerator[BaseCheckpointSaver[Any], None]:
        nonlocal made
        made += 1
        yield make(f"capability-{made}/")

    return asyncio.run(validate(factory))


def assert_full(report: CapabilityReport) -> None:
    failures = {name: result.failures for name, result in report.results.items() if result.failures}
    assert not failures, "\n\n".join("\n".join(each) for each in failures.values())
    assert {name for name, result in report.results.items() if result.detected and result.passed} == {
        capability.value for capability in Capability
    }
    assert sum(result.tests_passed for result in report.results.values()) > 70


class TestConformance:
    def test_the_coroutines_conform(self, make_saver: MakeSaver) -> None:
        assert_full(run_suite("async", lambda prefix: make_saver(prefix=prefix)))

    def test_the_blocking_methods_conform(self, make_saver: MakeSaver) -> None:
        assert_full(run_suite("sync", lambda prefix: Bridge(make_saver(prefix=prefix))))

    def test_the_coroutines_conform_in_threads(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without aiobotocore, and on a client of the user's own."""
        monkeypatch.setitem(sys.modules, "aiobotocore", None)  # it can't be imported
        client = boto3.session.Session().client(
            "s3",
            endpoint_url=place.front.url,
            region_name=place.server.region,
            config=Config(s3={"addressing_style": "path"}, response_checksum_validation="when_required"),
        )
        try:
            report = run_suite("client", lambda prefix: S3Saver(place.bucket, prefix=prefix, client=client))
        finally:
            client.close()
        assert_full(report)


def plain(found: Any) -> Any:
    """Return a call's result in a form that compares by value."""
    if isinstance(found, CheckpointTuple):
        return found._asdict()
    if isinstance(found, Mapping):
        return {name: plain(value) for name, value in found.items()}
    if isinstance(found, Sequence) and not isinstance(found, (str, bytes)):
        return [plain(each) for each in found]
    return found


class TestParity:
    """Both drivers, on equal data, give equal answers and leave equal keys."""

    def test_every_public_method(self, make_saver: MakeSaver, place: Place) -> None:
        answers: dict[str, list[tuple[str, Any]]] = {}
        for driver in ("sync", "async"):
            with Calls(make_saver(prefix=f"{driver}/"), asynchronous=driver == "async") as calls:
                answers[driver] = self._script(calls)
            answers[driver].append(
                ("keys", [key.removeprefix(driver) for key in place.listing(f"{driver}/")])
            )
        for (name, one), (_, other) in zip(answers["sync"], answers["async"], strict=True):
            assert one == other, name
        assert len(answers["sync"]) > 25

    def _script(self, calls: Calls) -> list[tuple[str, Any]]:
        log: list[tuple[str, Any]] = []

        def do(name: str, *args: Any, **kwargs: Any) -> Any:
            try:
                found = getattr(calls, name)(*args, **kwargs)
            except Exception as error:  # noqa: BLE001  # an answer like any other
                found = (type(error).__name__, str(error).replace("async/", "sync/"))
            log.append((f"{len(log)} {name}", plain(found)))
            return found

        ids = [f"1f0f{number:04}-0000-6000-8000-000000000000" for number in range(20)]
        do("setup")
        do("get_tuple", at("none"))
        for thread, number in (("one", 0), ("two/../ü", 10)):
            config = at(thread)
            for step in range(4):
                values = {"text": f"{step}", "big": b"x" * 20_000, "none": None}
                config = do(
                    "put",
                    config,
                    checkpoint(values, checkpoint_id=ids[number + step]),
                    metadata(step, run_id=f"run-{step}", tag="even" if step % 2 == 0 else "odd"),
                    {},
                )
                do("put_writes", config, [("delta", step), ("__interrupt__", "why")], "task", "~p")
        inner = do("put", at("one", ns="inner|1"), checkpoint({}, checkpoint_id=ids[5]), metadata(0), {})
        do("put_writes", inner, [], "task")
        do("get_tuple", at("one"))
        do("get_tuple", at("one", checkpoint_id=ids[1]))
        do("get", at("one"))
        do("list", None)
        do("list", at("one", ns=None))
        do("list", at("one"), filter={"tag": "odd"}, limit=1)
        do("list", at("one"), before=at("one", checkpoint_id=ids[2]))
        do("list", at("one"), limit=0)
        do("get_delta_channel_history", config=at("one"), channels=["delta", "text"])
        do("copy_thread", "one", "copy")
        do("list", at("copy", ns=None))
        do("delete_for_runs", ["run-0"])
        do("prune", ["copy"])
        do("list", at("copy", ns=None))
        do("prune", ["copy"], strategy="nonsense")
        do("delete_thread", "one")
        do("list", None)
        do("delete_thread", "")
        do("get_tuple", {"configurable": {}})
        do("put_writes", at("one"), [("a", 1)], "task")
        do("list", {"configurable": {}})
        return log
