"""Policies of `iam_policy`, for a second user on a store that enforces them."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from langgraph_checkpoint_s3 import AccessDeniedError, S3Saver
from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.plans.plan import ask
from langgraph_checkpoint_s3.s3.admin_requests import DeleteVersions, ListUploads, ListVersions
from langgraph_checkpoint_s3.s3.bucket_settings import LIFECYCLE, POLICY, GetSetting, PutSetting
from langgraph_checkpoint_s3.s3.requests import CopyObject, DeleteObjects, Deletion, GetObject, Request
from tests.contract.operations import ALL, READS, WRITES, Call
from tests.contract.support import MIB, Calls, MakeSaver, Place, at, build_thread, checkpoint, metadata, noise
from tests.support import inside

PREFIX = "agents/"
LARGE = noise(6 * MIB)


def writes_twice(calls: Calls) -> None:
    """Call `put_writes` twice: the second call finds the object, and aborts its upload."""
    for _ in range(2):
        calls.put_writes(at("new", checkpoint_id="1"), [("raw", LARGE)], "task-large")


RUNTIME: dict[str, Call] = {
    **{name: call for name, call in ALL.items() if name != "delete_thread"},
    "setup": lambda calls: calls.setup(),
    "large put_writes": writes_twice,
    "large get_tuple": lambda calls: calls.get_tuple(at("large")),
    "delete_for_runs": lambda calls: calls.delete_for_runs(["run-0"]),
    "prune": lambda calls: calls.prune(["thread", "new"]),
    "delete_thread": ALL["delete_thread"],
}
"""Every operation of a saver, in an order in which each has something to do."""
MakeStranger = Callable[..., Calls]


@pytest.fixture
def owner(make_saver: MakeSaver, place: Place) -> Iterator[S3Admin]:
    """The bucket's owner, with a thread below the prefix and one outside."""
    if place.server.stranger is None:
        pytest.skip("this store has no second user")
    saver = make_saver(prefix=PREFIX)
    fill(saver)
    build_thread(make_saver(prefix="other/"))
    yield S3Admin(saver)
    with contextlib.suppress(place.client.exceptions.ClientError):
        place.client.delete_bucket_policy(Bucket=place.bucket)


@pytest.fixture
def stranger(owner: S3Admin, make_saver: MakeSaver, place: Place, driver: str) -> Iterator[MakeStranger]:
    """A function that makes savers of the second user, without a cache."""
    user = place.server.stranger
    assert user is not None
    session = boto3.session.Session(user.access_key, user.secret_key)
    with contextlib.ExitStack() as stack:

        def make(prefix: str = PREFIX) -> Calls:
            saver = make_saver(prefix=prefix, session=session, cache_bytes=0)
            return stack.enter_context(Calls(saver, asynchronous=driver == "async"))

        yield make


def fill(saver: S3Saver) -> None:
    build_thread(saver)
    saver.put(at("large"), checkpoint({"raw": LARGE}), metadata(), {})


def grant(place: Place, policy: dict[str, Any]) -> None:
    """Allow the second user this policy alone."""
    assert place.server.stranger is not None
    made = copy.deepcopy(policy)
    for statement in made["Statement"]:
        statement["Principal"] = {"AWS": [place.server.stranger.arn]}
    place.client.put_bucket_policy(Bucket=place.bucket, Policy=json.dumps(made))


def without(policy: dict[str, Any], action: str) -> dict[str, Any]:
    made = copy.deepcopy(policy)
    for statement in made["Statement"]:
        statement["Action"] = [each for each in statement["Action"] if each != action]
    made["Statement"] = [each for each in made["Statement"] if each["Action"]]
    return made


def actions(policy: dict[str, Any]) -> list[str]:
    return sorted({action for statement in policy["Statement"] for action in statement["Action"]})


def refused(make: MakeStranger, operations: dict[str, Call], **where: Any) -> dict[str, str]:
    """Return the refused operations, and the action that each error names."""
    found: dict[str, str] = {}
    calls = make(**where)
    for name, call in operations.items():
        try:
            call(calls)
        except AccessDeniedError as error:
            found[name] = str(error.action)
    return found


def granted(calls: Calls, request: Request[Any]) -> bool:
    """Return whether a request is permitted for all its objects."""
    try:
        answer = inside.store(calls.saver).run(ask(request), "test")
    except AccessDeniedError:
        return False
    codes = {code for _, code, _ in answer.failed} if isinstance(answer, Deletion) else set()
    assert codes <= {"AccessDenied"}
    return not codes


class TestRuntime:
    def test_it_is_enough_for_everything(self, owner: S3Admin, stranger: MakeStranger, place: Place) -> None:
        assert refused(stranger, RUNTIME).keys() == RUNTIME.keys()  # without a policy, nothing
        grant(place, owner.iam_policy(whole_bucket=True))
        assert refused(stranger, RUNTIME) == {}
        assert stranger().list(at()) == []
        assert place.uploads() == []

    def test_no_action_is_one_too_many(self, owner: S3Admin, stranger: MakeStranger, place: Place) -> None:
        policy = owner.iam_policy(whole_bucket=True)
        assert len(actions(policy)) == 5
        for action in actions(policy):
            fill(owner.saver)
            grant(place, without(policy, action))
            found = refused(stranger, RUNTIME)
            assert action in found.values(), (action, found)
            place.client.delete_bucket_policy(Bucket=place.bucket)

    def test_nothing_outside_of_the_prefix(
        self, owner: S3Admin, stranger: MakeStranger, place: Place
    ) -> None:
        before = place.objects("other/")
        grant(place, owner.iam_policy())
        assert refused(stranger, ALL, prefix="other/").keys() == ALL.keys()
        assert refused(stranger, ALL, prefix="agent/").keys() == ALL.keys()
        grant(place, owner.iam_policy(whole_bucket=True))
        assert refused(stranger, WRITES, prefix="other/").keys() >= {"put", "put large", "put_writes"}
        [key, *_] = before
        for request in (GetObject(key), CopyObject(key, f"{PREFIX}stolen"), DeleteObjects((key,))):
            assert not granted(stranger(), request)
        assert place.objects("other/") == before

    def test_a_narrow_policy_shows_nothing_else(
        self, owner: S3Admin, stranger: MakeStranger, place: Place
    ) -> None:
        grant(place, owner.iam_policy())
        operations = {**READS, "put": WRITES["put"], "put_writes": WRITES["put_writes"]}
        operations["copy_thread"] = WRITES["copy_thread"]
        assert refused(stranger, operations) == {}

    def test_no_administration(self, owner: S3Admin, stranger: MakeStranger, place: Place) -> None:
        grant(place, owner.iam_policy(("runtime", "retention"), whole_bucket=True))
        rules = {"Rules": [{"ID": "x", "Status": "Enabled", "Prefix": "", "Expiration": {"Days": 1}}]}
        mine = place.client.get_bucket_policy(Bucket=place.bucket)["Policy"]
        requests: list[Request[Any]] = [
            GetSetting(LIFECYCLE),
            PutSetting(LIFECYCLE, rules),
            GetSetting(POLICY),
            PutSetting(POLICY, mine),
        ]
        calls = stranger()
        assert not any(granted(calls, request) for request in requests)


class TestReadOnly:
    def test_it_reads_and_writes_nothing(self, owner: S3Admin, stranger: MakeStranger, place: Place) -> None:
        grant(place, owner.iam_policy(("read-only",)))
        before = place.objects()
        reads = {**READS, "large get_tuple": RUNTIME["large get_tuple"]}
        assert refused(stranger, reads) == {}
        assert len(stranger().list(at())) == 3
        writes = {**WRITES, "delete_for_runs": RUNTIME["delete_for_runs"], "setup": RUNTIME["setup"]}
        assert refused(stranger, writes).keys() == writes.keys()
        assert place.objects() == before

    def test_no_action_is_one_too_many(self, owner: S3Admin, stranger: MakeStranger, place: Place) -> None:
        policy = owner.iam_policy(("read-only",))
        for action in actions(policy):
            grant(place, without(policy, action))
            assert refused(stranger, READS) == dict.fromkeys(READS, action)


class TestRetention:
    def test_it_reaches_old_versions(self, owner: S3Admin, stranger: MakeStranger, place: Place) -> None:
        place.client.put_bucket_versioning(Bucket=place.bucket, VersioningConfiguration={"Status": "Enabled"})
        owner.saver.delete_thread("thread")
        old = inside.store(owner.saver).run(ask(ListVersions(f"{PREFIX}thread.thread/")), "test").versions
        requests: list[Request[Any]] = [
            ListVersions(PREFIX),
            ListUploads(PREFIX),
            GetObject(old[-1].key, version=old[-1].version_id),
            DeleteVersions(tuple((version.key, version.version_id) for version in old)),
        ]
        calls = stranger()
        grant(place, owner.iam_policy(whole_bucket=True))
        assert not any(granted(calls, request) for request in requests)
        grant(place, owner.iam_policy(("retention",), whole_bucket=True))
        assert all(granted(calls, request) for request in requests)
        assert (
            not inside.store(owner.saver).run(ask(ListVersions(f"{PREFIX}thread.thread/")), "test").versions
        )
        assert refused(stranger, RUNTIME) == {}
