"""A fake S3 and a saver on it, fresh for each test; and what runs tests in all ways of storing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from langgraph_checkpoint_s3 import S3Saver
from tests.support import modes
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marker = metafunc.definition.get_closest_marker("modes")
    chosen = any("mode" in _names(each.args[0]) for each in metafunc.definition.iter_markers("parametrize"))
    if marker is not None and not chosen:
        metafunc.parametrize("mode", marker.args or modes.MODES, indirect=True)


def _names(parameters: str | Sequence[str]) -> Sequence[str]:
    return parameters.split(",") if isinstance(parameters, str) else parameters


@pytest.fixture(autouse=True)
def mode(request: pytest.FixtureRequest) -> Iterator[str]:
    """A way of storing, in which the test runs."""
    chosen = getattr(request, "param", "plain")
    with modes.mode(chosen):
        yield chosen


@pytest.fixture
def fake() -> FakeS3:
    return FakeS3()


@pytest.fixture
def saver(fake: FakeS3) -> S3Saver:
    return make_saver(fake)
