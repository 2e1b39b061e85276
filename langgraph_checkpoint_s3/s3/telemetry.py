"""OpenTelemetry spans and metrics of a saver's operations, where the application uses OpenTelemetry.

An application that exports telemetry has imported `opentelemetry` already. In all others this module only
looks that up, and imports nothing. `docs/telemetry.md` lists the spans and metrics. They hold no thread's
name, no key or value, and no error's text.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Any, Final

from langgraph_checkpoint_s3.aws import Throttle
from langgraph_checkpoint_s3.s3.stats import Counts, Number
from langgraph_checkpoint_s3.version import __version__

logger = logging.getLogger("langgraph_checkpoint_s3")

SCOPE: Final = "langgraph_checkpoint_s3"
"""The instrumentation's name, and the prefix of the names of metrics and attributes."""

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_COUNTERS: Final[Mapping[Number, tuple[str, str]]] = {
    "cache_hits": ("{read}", "Reads that the cache answered."),
    "retries": ("{request}", "Requests that were sent again."),
    "hedges": ("{request}", "Slow reads that were sent a second time."),
    "bytes_raw": ("By", "Bytes of what was put, serialized."),
    "bytes_stored": ("By", "Bytes of the objects that were written for it."),
    "bytes_sent": ("By", "Bytes of bodies sent."),
    "bytes_received": ("By", "Bytes of bodies received."),
}


class Instruments:
    """The tracer and the metrics' instruments, of the application's providers."""

    def __init__(self) -> None:
        from opentelemetry import metrics, trace

        self.tracer = trace.get_tracer(SCOPE, __version__)
        self.kind = trace.SpanKind.CLIENT
        self.failed = trace.StatusCode.ERROR
        meter = metrics.get_meter(SCOPE, __version__)
        named = f"{SCOPE}.operation.duration", "s", "How long operations took."
        try:
            self.duration = meter.create_histogram(*named, explicit_bucket_boundaries_advisory=_SECONDS)
        except TypeError:  # before version 1.30
            self.duration = meter.create_histogram(*named)
        self.requests = meter.create_counter(f"{SCOPE}.requests", "{request}", "Requests to S3.")
        self.counters: dict[str, Any] = {
            name: meter.create_counter(f"{SCOPE}.{name}", unit, description)
            for name, (unit, description) in _COUNTERS.items()
        }

    def measure(self, operation: str, seconds: float, counts: Counts, error: str | None) -> None:
        """Record the metrics of an operation that has ended."""
        named = {f"{SCOPE}.operation": operation}
        self.duration.record(seconds, named if error is None else {**named, "error.type": error})
        for kind, number in counts.requests.items():
            self.requests.add(number, {**named, "rpc.method": kind})
        for name, number in counts.numbers.items():
            if number and name in self.counters:
                self.counters[name].add(number, named)


_instruments: Instruments | None = None
_retry: Throttle | None = None
"""Limits further tries after a failed one, such as while `opentelemetry` is still being imported."""


def instruments() -> Instruments | None:
    """Return the process's instruments, if the application uses OpenTelemetry."""
    global _instruments, _retry  # noqa: PLW0603  # one for the process
    if _instruments is not None or sys.modules.get("opentelemetry.trace") is None:
        return _instruments
    if _retry is None or _retry.allow():
        try:
            _instruments = Instruments()
        except Exception:  # no checkpoint is lost for want of a metric
            if _retry is None:
                _retry = Throttle()
                _retry.allow()
                logger.warning("OpenTelemetry can't be used: there are no spans and metrics", exc_info=True)
    return _instruments


class Operation:
    """An operation that is counted, within a span if the application uses OpenTelemetry.

    A context manager that yields what counts its requests. It is no generator, since each call has one.

    Args:
        name: The operation's name.
        bucket: The bucket's name.
        all: The counts of all operations.
    """

    def __init__(self, name: str, bucket: str, all: Counts) -> None:
        self._name = name
        self._bucket = bucket
        self._all = all
        self._traced: AbstractContextManager[None] | None = None

    def __enter__(self) -> Counts:
        used = instruments()
        if used is None:
            return self._all  # only a span needs the operation's own
        counts = Counts(self._all)
        self._traced = _traced(used, self._name, self._bucket, counts)
        self._traced.__enter__()
        return counts

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._all.ended(self._name, error)
        if self._traced is not None:
            self._traced.__exit__(kind, error, traceback)


@contextmanager
def _traced(used: Instruments, name: str, bucket: str, counts: Counts) -> Iterator[None]:
    """Measure an operation, within a span."""
    begun, failed = time.perf_counter(), None
    try:
        with _span(used, name, bucket, counts):
            yield
    except BaseException as error:
        failed = type(error).__name__
        raise
    finally:
        used.measure(name, time.perf_counter() - begun, counts, failed)


@contextmanager
def _span(used: Instruments, name: str, bucket: str, counts: Counts) -> Iterator[None]:
    attributes = {"rpc.system": "aws-api", "rpc.service": "S3", "aws.s3.bucket": bucket}
    # OpenTelemetry would record the error's text, which may hold a value: a serializer's errors do.
    with used.tracer.start_as_current_span(
        f"S3Saver.{name}",
        kind=used.kind,
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield
        except BaseException as error:
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(used.failed, type(error).__name__)
            raise
        finally:
            if span.is_recording():
                span.set_attributes(_attributes(counts))


def _attributes(counts: Counts) -> dict[str, Any]:
    """Return a span's attributes for an operation's counts."""
    found: dict[str, Any] = {f"{SCOPE}.requests": sum(counts.requests.values())}
    found |= {f"{SCOPE}.requests.{kind}": number for kind, number in counts.requests.items()}
    return found | {f"{SCOPE}.{name}": number for name, number in counts.numbers.items()}
