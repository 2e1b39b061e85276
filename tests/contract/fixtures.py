"""Fixtures that the contract tests need on any server, given `s3_server`, `s3_client` and `bucket`."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.plans import materialize
from langgraph_checkpoint_s3.plans.plan import ask
from tests.contract.front import Front
from tests.contract.support import Calls, MakeCalls, MakeSaver, Place
from tests.contract.worlds import WAYS, Run, own_client, run_plan
from tests.servers import Server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
from tests.support.pauses import shorten_pauses


@pytest.fixture(scope="session")
def session_front(s3_server: Server) -> Iterator[Front]:
    with Front(s3_server.endpoint_url) as started:
        yield started


@pytest.fixture
def front(session_front: Front) -> Iterator[Front]:
    """The front that the test's savers talk to, with nothing counted yet."""
    session_front.reset()
    yield session_front
    session_front.reset()


@pytest.fixture(autouse=True)
def no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let deletions go on without their wait, which is for puts of others that are under way meanwhile."""
    monkeypatch.setattr(materialize, "DELETION_WAIT", 0.0)


@pytest.fixture
def place(
    s3_server: Server, s3_client: S3Client, bucket: str, front: Front, monkeypatch: pytest.MonkeyPatch
) -> Place:
    """A fresh bucket behind the front, with the credentials for it in the environment."""
    for name, value in environment(s3_server).items():
        monkeypatch.setenv(name, value)
    for name in (
        *("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION"),
        *("S3_ENDPOINT_URL", "S3_FORCE_PATH_STYLE", "S3_BUCKET_NAME", "S3_KEY_PREFIX"),
    ):
        monkeypatch.delenv(name, raising=False)
    return Place(s3_server, front, bucket, s3_client)


@pytest.fixture
def make_saver(place: Place) -> Iterator[MakeSaver]:
    """Makes savers on the test's bucket, and closes them."""
    with contextlib.ExitStack() as stack:

        def make(**settings: Any) -> S3Saver:
            saver = S3Saver(**place.arguments(**settings))
            stack.callback(saver.close)
            return saver

        yield make


@pytest.fixture(params=["sync", "async"])
def driver(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture
def make_calls(make_saver: MakeSaver, driver: str) -> Iterator[MakeCalls]:
    """Makes savers whose methods are called once by the blocking driver and once by the asyncio one."""
    with contextlib.ExitStack() as stack:

        def make(**settings: Any) -> Calls:
            made = Calls(make_saver(**settings), asynchronous=driver == "async")
            stack.callback(made.end)
            return made

        yield make


@pytest.fixture
def make_admin(make_saver: MakeSaver, driver: str) -> Iterator[MakeCalls]:
    """Makes admins whose methods are called once by the blocking driver and once by the asyncio one."""
    with contextlib.ExitStack() as stack:

        def make(**settings: Any) -> Calls:
            made = Calls(S3Admin(make_saver(**settings)), asynchronous=driver == "async")
            stack.callback(made.end)
            return made

        yield make


@pytest.fixture
def released() -> Iterator[threading.Event]:
    """An event that parked answers wait for."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def calls(make_calls: MakeCalls) -> Calls:
    """A saver's methods, once by the blocking driver and once by the asyncio one."""
    return make_calls()


def environment(server: Server) -> dict[str, str]:
    """Return environment variables that hide the user's AWS configuration, also for subprocesses."""
    return {
        "AWS_ACCESS_KEY_ID": server.access_key,
        "AWS_SECRET_ACCESS_KEY": server.secret_key,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }


@pytest.fixture(params=WAYS)
def run(request: pytest.FixtureRequest, place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Sends a request by itself in one of the worlds, twice at most, without a pause."""
    shorten_pauses(monkeypatch)
    given = own_client(place) if request.param == WAYS[2] else None
    saver = S3Saver(**place.arguments(max_attempts=2), client=given)
    with saver, Calls(saver, asynchronous=request.param == "async") as calls:
        yield lambda asked: run_plan(calls, ask(asked))
    if given is not None:
        given.close()
