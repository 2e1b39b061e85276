"""Log lines, `stats()`, and OpenTelemetry's spans and metrics, by both drivers."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from langgraph_checkpoint_s3 import BucketNotFoundError, S3Saver, StorageUnavailableError
from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.aws import Throttle
from langgraph_checkpoint_s3.s3 import telemetry
from langgraph_checkpoint_s3.s3.stats import Counts
from tests.contract.front import Answer
from tests.contract.support import (
    MakeCalls,
    MakeSaver,
    Place,
    at,
    build_thread,
    checkpoint,
    metadata,
)
from tests.support import inside
from tests.support.pauses import shorten_pauses

SECRET = "customer-42"
EXPORTER = InMemorySpanExporter()
READER = InMemoryMetricReader()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Botocore's own pauses between attempts are short."""
    shorten_pauses(monkeypatch, 0.002)


@pytest.fixture(scope="module")
def providers() -> Iterator[tuple[TracerProvider, MeterProvider]]:
    """An application's own, which export into memory."""
    tracers, meters = TracerProvider(), MeterProvider([READER])
    tracers.add_span_processor(SimpleSpanProcessor(EXPORTER))
    yield tracers, meters
    tracers.shutdown()
    meters.shutdown()


@pytest.fixture
def spans(
    providers: tuple[TracerProvider, MeterProvider], monkeypatch: pytest.MonkeyPatch
) -> InMemorySpanExporter:
    """Trace the test's savers, and return the exporter of their spans."""
    tracers, meters = providers
    monkeypatch.setattr(trace, "get_tracer", tracers.get_tracer)
    monkeypatch.setattr(metrics, "get_meter", meters.get_meter)
    monkeypatch.setattr(telemetry, "_instruments", None)
    READER.get_metrics_data()
    EXPORTER.clear()
    return EXPORTER


def ended(exporter: InMemorySpanExporter) -> list[ReadableSpan]:
    return list(exporter.get_finished_spans())


def measured() -> dict[str, list[tuple[dict[str, Any], Any]]]:
    """The metrics: by name, their points' attributes and values."""
    data = READER.get_metrics_data()
    if data is None:  # nothing was measured yet
        return {}
    return {
        metric.name: [
            (dict(point.attributes or {}), getattr(point, "value", None) or getattr(point, "count", None))
            for point in metric.data.data_points
        ]
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


class TestStats:
    def test_operations_bytes_and_requests(self, make_calls: MakeCalls) -> None:
        calls = make_calls()
        state = {"text": "the same words " * 500}
        config = calls.put(at(), checkpoint(state), metadata(), {})
        calls.put_writes(config, [("text", "more " * 100)], "task")
        calls.get_tuple(at())
        calls.list(at())
        calls.delete_thread("thread")
        stats = calls.saver.stats()
        assert stats.operations == {"put": 1, "put_writes": 1, "get_tuple": 1, "list": 1, "delete_thread": 1}
        assert stats.errors == {}
        assert stats.bytes_raw > 7_500 + 500
        assert stats.bytes_stored == stats.bytes_sent < stats.bytes_raw / 4
        assert stats.cache_hits == 4
        assert stats.retries == 0

    def test_failures_and_retries(self, make_calls: MakeCalls, place: Place) -> None:
        calls = make_calls(max_attempts=4)
        place.front.fail("PutObject", Answer(503, "SlowDown"), times=2)
        calls.put(at(), checkpoint(), metadata(), {})
        assert calls.saver.stats().retries == 2
        place.front.fail("PutObject", Answer(409, "OperationAborted"), times=1)
        calls.put(at("other"), checkpoint(), metadata(), {})
        assert calls.saver.stats().retries == 3
        place.front.fail("*", Answer(500, "InternalError"), times=9)
        with pytest.raises(StorageUnavailableError):
            calls.get_tuple(at())
        stats = calls.saver.stats()
        assert (stats.retries, stats.operations, stats.errors) == (
            6,
            {"put": 2, "get_tuple": 1},
            {"get_tuple": 1},
        )

    def test_an_admins_operations_are_called_so(self, make_admin: MakeCalls) -> None:
        admin = make_admin()
        build_thread(admin.saver.saver)
        assert admin.usage("thread").checkpoints == 3
        assert admin.saver.saver.stats().operations["admin.usage"] == 1


class TestLog:
    def test_a_line_for_each_retry(
        self, make_calls: MakeCalls, place: Place, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "langgraph_checkpoint_s3")
        calls = make_calls(max_attempts=4)
        place.front.fail("PutObject", Answer(503, "SlowDown"), times=2)
        place.front.fail("PutObject", Answer(409, "OperationAborted"), times=1)
        calls.put(at(SECRET), checkpoint(), metadata(), {})
        lines = [each.getMessage() for each in caplog.records if each.name == "langgraph_checkpoint_s3"]
        assert len(lines) == 3
        for line, code in zip(lines, ("503 SlowDown", "503 SlowDown", "OperationAborted"), strict=True):
            assert line.startswith("PutObject: ")
            assert code in line
            assert "again in 0.0" in line
        assert calls.saver.stats().retries == 3
        assert SECRET not in "".join(lines)

    def test_the_way_by_threads_is_told_once(
        self, make_saver: MakeSaver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "langgraph_checkpoint_s3")
        saver = make_saver()
        monkeypatch.setattr(inside.store(saver), "_aio", None)
        monkeypatch.setattr(inside.store(saver), "_async_rest", None)

        async def twice() -> None:
            await saver.aget_tuple(at())
            await saver.aget_tuple(at())

        asyncio.run(twice())
        assert caplog.text.count("run boto3 in threads") == 1
        assert saver.stats().operations == {"get_tuple": 2}


class TestSpans:
    def test_one_for_each_operation_with_what_it_took(
        self, make_calls: MakeCalls, spans: InMemorySpanExporter, place: Place
    ) -> None:
        calls = make_calls()
        config = calls.put(at(SECRET), checkpoint({"text": "word " * 2_000}), metadata(), {})
        calls.put_writes(config, [("c", 1)], "task")
        make_calls().get_tuple(at(SECRET))
        put, put_writes, get_tuple = ended(spans)
        assert [span.name for span in (put, put_writes, get_tuple)] == [
            "S3Saver.put",
            "S3Saver.put_writes",
            "S3Saver.get_tuple",
        ]
        said: dict[str, Any] = dict(put.attributes or {})
        assert said["aws.s3.bucket"] == place.bucket
        assert said["langgraph_checkpoint_s3.requests"] == 1
        assert said["langgraph_checkpoint_s3.requests.PutObject"] == 1
        assert said["langgraph_checkpoint_s3.bytes_raw"] > 10_000
        assert said["langgraph_checkpoint_s3.bytes_stored"] < 2_000
        read: dict[str, Any] = dict(get_tuple.attributes or {})
        assert read["langgraph_checkpoint_s3.requests"] == 3
        assert read["langgraph_checkpoint_s3.requests.GetObject"] == 2
        assert SECRET not in repr([span.to_json() for span in ended(spans)])

    def test_they_are_within_the_callers(self, make_calls: MakeCalls, spans: InMemorySpanExporter) -> None:
        calls = make_calls()
        tracer = trace.get_tracer("app", "1")
        with tracer.start_as_current_span("outer") as outer:
            build_thread(calls)
            assert trace.get_current_span() is outer
            assert len(calls.list(at(), limit=2)) == 2
            assert trace.get_current_span() is outer
        inner = [span for span in ended(spans) if span.name != "outer"]
        assert len(inner) > 5
        assert {span.parent.span_id for span in inner if span.parent} == {outer.get_span_context().span_id}

    def test_what_is_sent_is_within_them(
        self, make_calls: MakeCalls, spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Also from the threads: so spans of botocore's instrumentation nest."""
        build_thread(make_calls(), tasks=4)
        seen: list[str] = []
        count = Counts.request

        def watched(self: Any, kind: str) -> None:
            seen.append(getattr(trace.get_current_span(), "name", "none"))
            count(self, kind)

        monkeypatch.setattr(Counts, "request", watched)
        make_calls().get_tuple(at())
        assert Counter(seen) == {"S3Saver.get_tuple": len(seen)}
        assert len(seen) > 3

    def test_a_failure(self, make_calls: MakeCalls, spans: InMemorySpanExporter) -> None:
        calls = make_calls(bucket="a-bucket-that-is-not-there")
        with pytest.raises(BucketNotFoundError):
            calls.get_tuple(at(SECRET))
        [span] = ended(spans)
        assert span.status.status_code is StatusCode.ERROR
        assert (span.attributes or {})["error.type"] == "BucketNotFoundError"
        assert not span.events

    def test_a_serializers_error_leaves_no_value_in_it(
        self, make_calls: MakeCalls, spans: InMemorySpanExporter
    ) -> None:
        class Unable(JsonPlusSerializer):
            def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
                raise ValueError(f"cannot serialize {obj!r}")

        calls = make_calls(serde=Unable())
        with pytest.raises(ValueError, match=SECRET):
            calls.put_writes(at(checkpoint_id="1"), [("c", SECRET)], "task")
        [span] = ended(spans)
        assert (span.attributes or {})["error.type"] == "ValueError"
        assert SECRET not in span.to_json()

    def test_an_iteration_that_is_left_early_leaves_none_open(
        self, make_saver: MakeSaver, spans: InMemorySpanExporter
    ) -> None:
        saver = make_saver()
        build_thread(saver, checkpoints=20, tasks=0)
        EXPORTER.clear()

        async def first() -> None:
            async for _ in saver.alist(at()):
                assert not trace.get_current_span().get_span_context().is_valid
                break
            await saver.aclose()

        asyncio.run(first())
        for _ in saver.list(at()):
            assert not trace.get_current_span().get_span_context().is_valid
            break
        assert [span.name for span in ended(spans)] == ["S3Saver.list"] * 2


class TestMetrics:
    def test_by_operation_and_no_thread(
        self, make_calls: MakeCalls, spans: InMemorySpanExporter, place: Place
    ) -> None:
        calls = make_calls(max_attempts=2)
        before = measured()
        place.front.fail("PutObject", Answer(503, "SlowDown"), times=1)
        calls.put(at(SECRET), checkpoint(), metadata(), {})
        calls.get_tuple(at(SECRET))
        calls.get_tuple(at(SECRET))
        place.front.fail("*", Answer(500, "InternalError"), times=9)
        with pytest.raises(StorageUnavailableError):
            calls.put(at("other"), checkpoint(), metadata(), {})
        found = measured()
        assert SECRET not in repr(found)
        name = "langgraph_checkpoint_s3.operation"
        labels = {key for points in found.values() for attributes, _ in points for key in attributes}
        assert labels == {name, "rpc.method", "error.type"}

        def grew(metric: str, **wanted: str) -> int:
            def total(points: Any) -> int:
                return sum(
                    value
                    for attributes, value in points
                    if wanted.items()
                    <= {key.rpartition(".")[2]: each for key, each in attributes.items()}.items()
                )

            metric = f"langgraph_checkpoint_s3.{metric}"
            return total(found.get(metric, ())) - total(before.get(metric, ()))

        assert grew("operation.duration", operation="put") == 2
        assert grew("operation.duration", operation="put", type="StorageUnavailableError") == 1
        assert grew("operation.duration", operation="get_tuple") == 2
        assert grew("requests", operation="put", method="PutObject") == 4
        assert grew("requests", operation="get_tuple", method="ListObjectsV2") == 2
        assert grew("cache_hits", operation="get_tuple") == 2
        assert grew("retries", operation="put") == 2
        stats = calls.saver.stats()
        assert grew("bytes_raw", operation="put") == stats.bytes_raw > 0
        assert grew("bytes_stored", operation="put") == stats.bytes_stored > 0
        assert grew("bytes_sent") == stats.bytes_sent
        assert grew("bytes_received") == stats.bytes_received


class TestOtherVersions:
    def test_an_older_api_has_buckets_of_its_own(
        self, spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Old(metrics.NoOpMeter):
            def create_histogram(self, name: str, unit: str = "", description: str = "") -> Any:  # type: ignore[override]  # the signature of older versions
                return metrics.NoOpHistogram(name, unit, description)

        monkeypatch.setattr(metrics, "get_meter", lambda *_: Old("old"))
        told = telemetry.instruments()
        assert told is not None
        assert isinstance(told.duration, metrics.NoOpHistogram)

    def test_what_can_not_be_used_costs_no_checkpoint(
        self,
        make_saver: MakeSaver,
        spans: InMemorySpanExporter,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setattr(telemetry, "_retry", None)
        monkeypatch.delattr(metrics, "get_meter")
        saver = make_saver()
        build_thread(saver)
        assert saver.get_tuple(at())
        assert caplog.text.count("OpenTelemetry can't be used") == 1
        assert not ended(spans)

    def test_a_failed_start_is_tried_again(
        self, spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = [0.0]
        monkeypatch.setattr(telemetry, "Throttle", lambda: Throttle(lambda: now[0]))
        monkeypatch.setattr(telemetry, "_retry", None)
        with monkeypatch.context() as broken:
            broken.delattr(metrics, "get_meter")
            assert telemetry.instruments() is None
        assert telemetry.instruments() is None  # not at once
        now[0] += Throttle.SECONDS
        assert telemetry.instruments() is not None
        assert not ended(spans)


def test_an_admin_is_traced_too(make_saver: MakeSaver, spans: InMemorySpanExporter) -> None:
    saver: S3Saver = make_saver()
    build_thread(saver)
    EXPORTER.clear()
    S3Admin(saver).usage()
    assert [span.name for span in ended(spans)] == ["S3Saver.admin.usage"]
