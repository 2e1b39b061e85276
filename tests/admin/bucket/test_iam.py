"""IAM policies of `iam_policy`: they allow what a role does, and nothing else."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import timedelta
from itertools import combinations
from typing import Any, get_args

import pytest
from langgraph.store.base import PutOp

from langgraph_checkpoint_s3 import InvalidConfigError, S3Config, S3Saver
from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.admin.bucket.policies import Role, iam_policy
from langgraph_checkpoint_s3.s3 import bucket_settings, translate
from langgraph_checkpoint_s3.s3.admin_requests import InspectBucket
from langgraph_checkpoint_s3.s3.bucket_settings import DeleteSetting, GetSetting, PutSetting
from langgraph_checkpoint_s3.s3.requests import (
    AbortUpload,
    CompareAndSwap,
    CompleteUpload,
    CopyObject,
    CreateBucket,
    CreateUpload,
    DeleteObjects,
    GetObject,
    GetWithAge,
    HeadObject,
    ListObjects,
    PutObject,
    Request,
    UploadPart,
)
from tests.contract.operations import ALL, READS
from tests.contract.support import Calls, at, build_thread, noise
from tests.memory.support import make_cache, make_store
from tests.s3.admin_requests import ADMIN_REQUESTS
from tests.support.fake_s3 import FakeS3, Moment
from tests.support.fake_store import make_saver
from tests.support.policies import ROLE, allowed, questions

ROLES: tuple[Role, ...] = get_args(Role)
CONFIG = S3Config(bucket="my-bucket", prefix="agents/")
BUCKET = "arn:aws:s3:::my-bucket"
KEY = "agents/t.thread/.ns/00z/checkpoint"
SAVER_REQUESTS: list[Request[Any]] = [
    PutObject(KEY, b""),
    CompareAndSwap(KEY, b"", None),
    GetWithAge(KEY),
    GetObject(KEY),
    GetObject(KEY, version="v"),
    HeadObject(KEY),
    ListObjects("agents/"),
    DeleteObjects((KEY,)),
    CopyObject(KEY, "agents/u.thread/.ns/00z/checkpoint"),
    CopyObject(KEY, KEY, "v"),
    CreateUpload(KEY),
    UploadPart(KEY, "u", 1, b""),
    CompleteUpload(KEY, "u", (), b""),
    AbortUpload(KEY, "u"),
    CreateBucket(),
]
OF_THE_BUCKET = (CreateBucket, InspectBucket, GetSetting, PutSetting, DeleteSetting)


def policy(*roles: Role, config: S3Config = CONFIG, **more: Any) -> dict[str, Any]:
    return iam_policy(config, roles, **more)


def actions(made: dict[str, Any]) -> set[str]:
    return {action for statement in made["Statement"] for action in statement["Action"]}


def permitted(made: dict[str, Any], request: Request[Any]) -> bool:
    return all(allowed(made, question) for question in questions(request, BUCKET))


def statement(made: dict[str, Any], sid: str) -> dict[str, Any] | None:
    return next((each for each in made["Statement"] if each["Sid"] == sid), None)


class TestWhole:
    def test_the_run_time_policy(self) -> None:
        made = policy("runtime")
        assert json.loads(json.dumps(made)) == made
        assert made == {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "Objects",
                    "Effect": "Allow",
                    "Action": [
                        "s3:AbortMultipartUpload",
                        "s3:DeleteObject",
                        "s3:GetObject",
                        "s3:PutObject",
                    ],
                    "Resource": f"{BUCKET}/agents/*",
                },
                {
                    "Sid": "Listing",
                    "Effect": "Allow",
                    "Action": ["s3:ListBucket"],
                    "Resource": BUCKET,
                    "Condition": {"StringLike": {"s3:prefix": "agents/*"}},
                },
            ],
        }

    def test_read_only(self) -> None:
        assert actions(policy("read-only")) == {"s3:GetObject", "s3:ListBucket"}

    def test_administration_touches_no_object(self) -> None:
        made = policy("administration")
        [bucket] = made["Statement"]
        assert bucket["Resource"] == BUCKET
        assert "Condition" not in bucket
        assert {"s3:CreateBucket", "s3:ListBucket", "s3:PutBucketPolicy"} <= set(bucket["Action"])
        assert not any("Object" in action for action in bucket["Action"])

    def test_the_admins_method_knows_the_savers_settings(self) -> None:
        saver = S3Saver("my-bucket", prefix="agents/", region="cn-north-1")
        made = S3Admin(saver).iam_policy(("read-only", "administration"), partition="aws")
        assert made == policy("read-only", "administration")
        assert S3Admin(saver).iam_policy()["Statement"][1]["Resource"] == "arn:aws-cn:s3:::my-bucket"


class TestEveryRequest:
    @pytest.mark.parametrize("request_", [*SAVER_REQUESTS, *ADMIN_REQUESTS], ids=repr)
    def test_one_of_the_roles_may_send_it(self, request_: Request[Any]) -> None:
        sent = within_the_prefix(request_)
        assert any(permitted(policy(role, replication_role=ROLE), sent) for role in ROLES)

    def test_these_are_all_there_are(self) -> None:
        assert {type(each) for each in SAVER_REQUESTS} == set(translate.CODECS)
        setting = {each.setting for each in ADMIN_REQUESTS if isinstance(each, GetSetting)}
        assert setting == set(bucket_settings.ALL)

    @pytest.mark.parametrize("role", [role for role in ROLES if role != "administration"])
    def test_only_administration_touches_the_bucket(self, role: Role) -> None:
        made = policy(role)
        for request in [*SAVER_REQUESTS, *ADMIN_REQUESTS]:
            if isinstance(request, OF_THE_BUCKET):
                asks_for_versioning = role == "retention" and request == GetSetting(
                    bucket_settings.VERSIONING
                )
                assert permitted(made, request) == asks_for_versioning, request
        assert not any(
            word in action
            for action in actions(made)
            for word in ("Lifecycle", "Policy", "CreateBucket", "Configuration", "PutBucket", "PublicAccess")
        )

    @pytest.mark.parametrize("role", ROLES)
    def test_nothing_outside_of_the_prefix(self, role: Role) -> None:
        made = policy(role)
        for key in ("other/x", "agents", "agent/x", "x/agents/y", ""):
            for request in (
                GetObject(key),
                PutObject(key, b""),
                DeleteObjects((key,)),
                AbortUpload(key, "u"),
            ):
                assert not permitted(made, request), request
            listed = permitted(made, ListObjects(key))
            assert listed == (role == "administration")
        assert not permitted(made, CopyObject("other/x", "agents/x"))
        assert not permitted(made, CopyObject("agents/x", "other/x"))

    def test_roles_add_up(self) -> None:
        for some in combinations(ROLES, 2):
            assert actions(policy(*some)) == actions(policy(some[0])) | actions(policy(some[1]))
        assert policy("runtime", "runtime") == policy("runtime")

    def test_retention_can_do_what_runtime_can(self) -> None:
        assert actions(policy("runtime")) < actions(policy("retention"))


class TestASaver:
    """The policy allows the requests that a saver sends."""

    def run(self, calls: dict[str, Callable[[Calls], Any]], role: Role, **config: Any) -> set[str]:
        """Run operations, and check that each of their requests is permitted.

        Returns:
            The actions that were needed.
        """
        fake = FakeS3()
        saver = make_saver(fake, bucket="my-bucket", prefix="agents/", **config)
        build_thread(saver)
        made, needed = policy(role), set[str]()

        def hook(moment: Moment, request: Request[Any]) -> None:
            for question in questions(request, BUCKET) if moment == "before" else ():
                assert allowed(made, question), (question, request)
                needed.add(question.action)

        fake.hook = hook
        for call in calls.values():
            call(Calls(make_saver(fake, config=saver.config), asynchronous=False))
        return needed

    def test_run_time(self) -> None:
        large = [("a", noise(17 * 1024 * 1024))]
        more: dict[str, Callable[[Calls], Any]] = {
            "setup": lambda calls: calls.setup(),
            "large writes, twice": lambda calls: [
                calls.put_writes(at("new", checkpoint_id="1"), large, "task-2") for _ in range(2)
            ],
            "delete_for_runs": lambda calls: calls.delete_for_runs(["run-0"]),
            "prune": lambda calls: calls.prune(["thread", "new"]),
        }
        order = {**{name: call for name, call in ALL.items() if name != "delete_thread"}, **more}
        needed = self.run({**order, "delete_thread": ALL["delete_thread"]}, "runtime")
        assert needed == actions(policy("runtime"))  # so none of them is one too many

    def test_read_only(self) -> None:
        assert self.run(READS, "read-only") == actions(policy("read-only"))


class TestMemory:
    @pytest.mark.parametrize("role", ["memory", "memory-read-only"])
    def test_no_thread_is_within_reach(self, role: Role) -> None:
        made = policy(role)
        for request in SAVER_REQUESTS:
            assert not permitted(made, request), request
        for folder in (".store/", ".cache/"):
            key = f"agents/{folder}a/b.item"
            assert permitted(made, GetObject(key))
            assert permitted(made, ListObjects(f"agents/{folder}"))
            assert permitted(made, PutObject(key, b"")) == (role == "memory")
            assert permitted(made, DeleteObjects((key,))) == (role == "memory")
        assert not permitted(made, ListObjects("agents/"))
        assert permitted(policy(role, whole_bucket=True), ListObjects("agents/"))
        assert statement(policy("memory", whole_bucket=True), "Deletion") is not None

    @pytest.mark.parametrize("prefix", ["agents/", ""])
    @pytest.mark.parametrize("role", ["memory", "memory-read-only"])
    def test_what_a_store_and_a_cache_send(self, role: Role, prefix: str) -> None:
        fake = FakeS3()
        settings: dict[str, Any] = {"bucket": "my-bucket", "prefix": prefix, "object_tags": {"team": "a"}}
        made, needed = policy(role, config=CONFIG.replace(**settings)), set[str]()
        tagging = {"s3:PutObjectTagging", "s3:GetObjectTagging"}
        writer = make_store(fake, **settings)
        writer.batch([PutOp(("users",), str(number), {"n": number}, ttl=60) for number in range(40)])
        file = io.BytesIO()

        def hook(moment: Moment, request: Request[Any]) -> None:
            for question in questions(request, BUCKET) if moment == "before" else ():
                if role == "memory" or not isinstance(
                    request, PutObject
                ):  # an index, which readers do without
                    assert allowed(made, question), (question, request)
                    needed.add(question.action)

        fake.hook = hook
        store, cache = make_store(fake, **settings), make_cache(fake, **settings)
        assert len(store.search((), limit=99, refresh_ttl=False)) == 40
        assert store.get(("users",), "1", refresh_ttl=False)
        assert store.list_namespaces() == [("users",)]
        assert cache.get([(("node",), "key")]) == {}
        S3Admin(store.saver).export_memories(file)
        if role == "memory":
            store.put(("users",), "large", {"raw": noise(17 * 1024 * 1024).hex()})
            store.delete(("users",), "large")
            store.sweep_ttl()
            cache.set({(("node",), "key"): (1, None)})
            cache.clear()
            S3Admin(store.saver).import_memories(file)
            assert needed | {"s3:AbortMultipartUpload", *tagging} == actions(made)


class TestSettings:
    @pytest.mark.parametrize(
        "settings", [{"object_tags": {"team": "a"}}, {"retention": {"default": timedelta(days=9)}}], ids=str
    )
    def test_tags(self, settings: Any) -> None:
        config = CONFIG.replace(**settings)
        tagging = {"s3:PutObjectTagging", "s3:GetObjectTagging"}
        assert actions(policy("runtime", config=config)) == actions(policy("runtime")) | tagging
        assert actions(policy("read-only", config=config)) == actions(policy("read-only"))

    def test_a_store_that_holds_more_against_the_bucket(self) -> None:
        made = policy("runtime", whole_bucket=True)
        assert actions(made) == actions(policy("runtime"))
        assert statement(made, "Listing") == {
            "Sid": "Listing",
            "Effect": "Allow",
            "Action": ["s3:ListBucket"],
            "Resource": BUCKET,
        }
        assert statement(made, "Deletion") == {
            "Sid": "Deletion",
            "Effect": "Allow",
            "Action": ["s3:DeleteObject"],
            "Resource": BUCKET,
        }
        assert not permitted(made, DeleteObjects(("other/x",)))
        assert statement(policy("read-only", whole_bucket=True), "Deletion") is None

    def test_no_prefix(self) -> None:
        made = policy("runtime", config=CONFIG.replace(prefix=""))
        assert "Condition" not in made["Statement"][1]
        assert made["Statement"][0]["Resource"] == f"{BUCKET}/*"
        assert permitted(made, ListObjects(""))

    @pytest.mark.parametrize(
        ("region", "partition"),
        [(None, "aws"), ("eu-west-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-east-1", "aws-us-gov")],
    )
    def test_the_regions_partition(self, region: str | None, partition: str) -> None:
        made = policy("runtime", "administration", config=CONFIG.replace(region=region))
        assert {each["Resource"].split(":")[1] for each in made["Statement"]} == {partition}
        other = policy("runtime", config=CONFIG.replace(region=region), partition="aws-iso")
        assert {each["Resource"].split(":")[1] for each in other["Statement"]} == {"aws-iso"}

    def test_an_access_point(self) -> None:
        arn = "arn:aws-cn:s3:cn-north-1:123456789012:accesspoint/point"
        config = CONFIG.replace(bucket=arn)
        made = policy("runtime", config=config)
        assert [each["Resource"] for each in made["Statement"]] == [f"{arn}/object/agents/*", arn]
        with pytest.raises(InvalidConfigError, match="under its own name"):
            policy("runtime", "administration", config=config)

    def test_no_role_is_passed_unless_it_is_named(self) -> None:
        assert statement(policy(*ROLES), "ReplicationRole") is None
        assert statement(policy("administration", replication_role=ROLE), "ReplicationRole") == {
            "Sid": "ReplicationRole",
            "Effect": "Allow",
            "Action": ["iam:PassRole"],
            "Resource": ROLE,
            "Condition": {"StringEquals": {"iam:PassedToService": "s3.amazonaws.com"}},
        }


class TestKeys:
    ARN = "arn:aws:kms:eu-west-1:123456789012:key/abc"

    @pytest.mark.parametrize(
        ("role", "wanted"),
        [
            ("runtime", ["kms:Decrypt", "kms:GenerateDataKey"]),
            ("retention", ["kms:Decrypt", "kms:GenerateDataKey"]),
            ("read-only", ["kms:Decrypt"]),
            ("administration", None),
            ("memory", ["kms:Decrypt", "kms:GenerateDataKey"]),
            ("memory-read-only", ["kms:Decrypt"]),
        ],
    )
    def test_key_permissions_of_each_role(self, role: Role, wanted: list[str] | None) -> None:
        config = CONFIG.replace(server_side_encryption="aws:kms", kms_key_id=self.ARN)
        found = statement(policy(role, config=config), "Key")
        assert (found and found["Action"]) == wanted

    @pytest.mark.parametrize(
        ("key", "region", "resource", "alias"),
        [
            (ARN, None, ARN, None),
            ("abc", None, "arn:aws:kms:*:*:key/abc", None),
            ("mrk-abc", "cn-north-1", "arn:aws-cn:kms:cn-north-1:*:key/mrk-abc", None),
            ("alias/mine", "eu-west-1", "arn:aws:kms:eu-west-1:*:key/*", "alias/mine"),
            (
                "arn:aws:kms:eu-west-1:123456789012:alias/mine",
                None,
                "arn:aws:kms:eu-west-1:123456789012:key/*",
                "alias/mine",
            ),
        ],
    )
    def test_names_of_keys(self, key: str, region: str | None, resource: str, alias: str | None) -> None:
        config = CONFIG.replace(region=region)
        found = statement(policy("runtime", config=config, kms_key_id=key), "Key")
        assert found is not None
        assert found["Resource"] == resource
        condition = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": alias}}
        assert found.get("Condition") == (condition if alias else None)

    def test_amazons_own_key_needs_nothing(self) -> None:
        config = CONFIG.replace(server_side_encryption="aws:kms")
        assert policy("runtime", config=config) == policy("runtime")


@pytest.mark.parametrize("features", [(), ("runtime", "root"), "runtime", ["RUNTIME"]])
def test_unknown_roles(features: Any) -> None:
    with pytest.raises(
        InvalidConfigError, match="runtime, read-only, retention, administration, memory, memory-read-only"
    ):
        iam_policy(CONFIG, features)


@pytest.mark.parametrize(
    ("bucket", "said"),
    [
        ("point-abc123-s3alias", "alias"),
        ("my-bucket--use1-az4--x-s3", "directory bucket"),
        ("lambda-abc--ol-s3", "Object Lambda"),
        ("arn:aws:s3-outposts:us-west-2:123456789012:outpost/o/accesspoint/p", "only those of S3's"),
    ],
)
def test_buckets_without_such_a_policy(bucket: str, said: str) -> None:
    with pytest.raises(InvalidConfigError, match=said):
        policy("runtime", config=CONFIG.replace(bucket=bucket))


def within_the_prefix(request: Request[Any]) -> Request[Any]:
    """Return the request with a key or prefix of this saver."""
    ours = {"key": KEY, "prefix": "agents/", "versions": ((KEY, "v"),)}
    names = {each.name for each in fields(request)}
    return replace(request, **{name: value for name, value in ours.items() if name in names})
