"""Commands about the bucket: check, set-up, lifecycle, IAM policies, and a local server."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
from collections.abc import Iterator
from inspect import getsource
from pathlib import Path
from typing import Any, get_args

import pytest

from langgraph_checkpoint_s3 import S3Saver, testing
from langgraph_checkpoint_s3.admin import LifecyclePolicy, S3Admin
from langgraph_checkpoint_s3.admin.bucket.policies import Role
from langgraph_checkpoint_s3.admin.check import findings
from langgraph_checkpoint_s3.cli import bucket
from langgraph_checkpoint_s3.memory import S3Store
from langgraph_checkpoint_s3.s3.bucket_settings import LIFECYCLE
from langgraph_checkpoint_s3.s3.requests import CopyObject, DeleteObjects, PutObject
from langgraph_checkpoint_s3.testing import LocalS3
from tests.cli.conftest import Cli
from tests.support.fake_s3 import FakeS3, Moment, client_error


class TestCheck:
    def test_a_bucket_that_is_fit(self, cli: Cli) -> None:
        ran = cli("check")
        assert ran.code == 0
        assert "a saver can work here" in ran.out
        assert re.search(r"^  ok +deletes +Objects can be deleted$", ran.out, re.MULTILINE)

    def test_the_number_of_objects_is_what_is_said(self, cli: Cli, fake: FakeS3) -> None:
        written: set[str] = set()

        def note(moment: Moment, request: Any) -> None:
            if isinstance(request, PutObject):
                written.add(request.key)
            if isinstance(request, CopyObject):
                written.add(request.target)

        fake.hook = note
        cli("check")
        assert len(written) == 11
        for documented in (bucket.check, S3Admin.check):
            assert "eleven small objects" in (documented.__doc__ or "").lower()

    def test_problems_are_exit_code_1(self, cli: Cli, fake: FakeS3) -> None:
        def refuse(moment: Moment, request: Any) -> None:
            if isinstance(request, DeleteObjects):
                raise client_error("AccessDenied", 403, request)

        fake.hook = refuse
        ran = cli("check")
        assert ran.code == 1
        assert "can NOT work" in ran.out
        assert "do: Allow s3:DeleteObject" in ran.out
        ran = cli("check", "--json")
        assert ran.code == 1
        assert not ran.data["ok"]
        assert {"name": "deletes", "status": "missing"}.items() <= next(
            each for each in ran.data["findings"] if each["name"] == "deletes"
        ).items()

    def test_remedies_are_commands(self, cli: Cli, fake: FakeS3) -> None:
        written = "\n".join(getsource(findings).replace('"\n        "', "").splitlines())
        call = r"(?:admin|saver)\.\w+\((?:[^()]|\([^()]*\))*\)"
        calls = set(re.findall(f"{call}(?: or {call})?", written))
        assert len(calls) > 5
        for each in calls:
            remedy = bucket.as_command(f"{each} does it")
            assert re.fullmatch(r"`langgraph-s3 [a-z0-9 -]+` does it", remedy), remedy
        named = re.findall("langgraph-s3 ([^`]+)`", "".join(map(bucket.as_command, calls)))
        for words in (each for each in named if "--classes" not in each):  # which is tested in test_pins.py
            assert cli(*words.split(), *(["--yes"] if "lifecycle" in words else [])).code == 0
        fake.exists = False
        shown = cli("check").out
        assert "do: Make it with `langgraph-s3 setup`, or correct its name" in shown
        assert shown.count("Not tried") == 1

    def test_lines_fit_a_terminal(self, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in {"FORCE_COLOR": "1", "COLUMNS": "80", "TERM": "xterm"}.items():
            monkeypatch.setenv(name, value)
        lines = re.sub(r"\x1b\[[0-9;]*m", "", cli("check").out).splitlines()
        assert len(lines) > 20
        assert max(map(len, lines)) <= 80


class TestSetup:
    def test_it_is_ready(self, cli: Cli) -> None:
        ran = cli("setup")
        assert ran.code == 0
        assert re.fullmatch(r"s3://\S+ is ready\.\n", ran.out)

    def test_changes_are_reported_once(self, cli: Cli) -> None:
        changes = cli("setup", "--harden", "--versioning", "--json").data["changes"]
        assert "versioning" in [each["setting"] for each in changes]
        assert len(changes) > 2
        assert cli("setup", "--harden", "--versioning").out.startswith("Nothing had to be changed.\n")

    def test_a_store_that_cannot_be_hardened(self, cli: Cli, fake: FakeS3) -> None:
        fake.unsupported.add(LIFECYCLE.name)
        ran = cli("setup", "--harden")
        assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)
        assert ran.err.endswith("lifecycle configuration. Leave out --harden.\n")
        assert cli("setup").code == 0


class TestLifecycle:
    def test_it_is_set_shown_and_removed(self, cli: Cli, fake: FakeS3) -> None:
        assert cli("lifecycle").out.startswith("There is no lifecycle policy")
        assert cli("lifecycle", "--json").data == {"policy": None}
        assert cli("lifecycle", "--delete-after", 30, "--yes").code == 0
        assert "days_until_deletion = 30\n" in cli("lifecycle").out
        assert "would be removed: days_until_deletion = 30\n" in cli("lifecycle", "--remove", "--dry-run").out
        assert cli("lifecycle", "--json").data["policy"]["days_until_deletion"] == 30
        assert cli("lifecycle", "--remove", "--yes").code == 0
        assert cli("lifecycle").out.startswith("There is no lifecycle policy")

    def test_memories_and_cache(self, cli: Cli, saver: S3Saver) -> None:
        assert cli("lifecycle", "--cache-after", 7).code == 0
        assert "cache_days = 7\n" in cli("lifecycle").out
        S3Store(saver=saver).put(("users",), "a", {})
        ran = cli("lifecycle", "--delete-after", 30, "--yes")
        assert ran.code == 2
        assert "pass --include-memories" in ran.err
        assert cli("lifecycle", "--delete-after", 30, "--include-memories", "--yes").code == 0
        assert "days_until_deletion = 30\n" in cli("lifecycle").out

    def test_deletion_is_confirmed(self, cli: Cli, fake: FakeS3) -> None:
        for more in (("--delete-after", 30), ("--noncurrent-after", 3), ("--remove",)):
            ran = cli("lifecycle", *more)
            assert ran.code == 2
            assert "--yes" in ran.err
        ran = cli("lifecycle", "--delete-after", 30, "--dry-run")
        assert "would be set: days_until_deletion = 30\n" in ran.out
        assert (LIFECYCLE.name, None) not in fake.settings

    def test_warnings_are_lines(self, cli: Cli) -> None:
        ran = cli("lifecycle", "--archive-after", 5)
        assert ran.code == 0
        assert ran.err.startswith("warning: ")
        assert "LifecycleWarning" not in ran.err

    def test_every_setting_has_its_option(self, cli: Cli, saver: S3Saver) -> None:
        options: list[Any] = [
            *("--delete-after", 400, "--archive-after", 150, "--archive-class", "GLACIER"),
            *("--intelligent-tiering", "--transition", "GLACIER_IR=60", "--transition", "DEEP_ARCHIVE=240"),
            *("--noncurrent-after", 91, "--keep-noncurrent", 3, "--noncurrent-transition", "GLACIER_IR=1"),
            *("--abort-uploads-after", 2, "--min-size", 131072, "--allow-offline-archive"),
            *("--tag", "team=a=b"),
        ]
        expected = LifecyclePolicy(
            days_until_deletion=400,
            days_until_archive=150,
            archive_storage_class="GLACIER",
            intelligent_tiering=True,
            transitions={"GLACIER_IR": 60, "DEEP_ARCHIVE": 240},
            noncurrent_version_days=91,
            newer_noncurrent_versions=3,
            noncurrent_transitions={"GLACIER_IR": 1},
            abort_incomplete_uploads_days=2,
            object_tag=("team", "a=b"),
            minimum_object_size=131072,
            allow_offline_archive=True,
        )
        defaults = LifecyclePolicy()
        for each in dataclasses.fields(expected):
            tried = getattr(expected, each.name) != getattr(defaults, each.name)
            assert tried or each.name in ("cache_days", "include_memories"), f"{each.name} isn't tried"
        ran = cli("lifecycle", *options, "--dry-run")
        assert "would be set: transitions = {'GLACIER_IR': 60, 'DEEP_ARCHIVE': 240}\n" in ran.out
        assert cli("lifecycle", *options, "--yes").code == 0
        admin = S3Admin(saver)
        assert admin.get_lifecycle_policy(("team", "a=b")) == expected
        assert admin.get_lifecycle_policy() is None
        assert "minimum_object_size = 131072\n" in cli("lifecycle", "--tag", "team=a=b").out
        assert cli("lifecycle", "--tag", "team=a=b", "--remove", "--yes").code == 0
        assert admin.get_lifecycle_policy(("team", "a=b")) is None

    def test_tiering_archive_and_deletion_go_together(self, cli: Cli, saver: S3Saver) -> None:
        options = ("--delete-after", 30, "--archive-after", 7, "--intelligent-tiering", "--yes")
        assert cli("lifecycle", *options).code == 0
        policy = S3Admin(saver).get_lifecycle_policy()
        assert policy == LifecyclePolicy(
            days_until_deletion=30, days_until_archive=7, intelligent_tiering=True
        )

    def test_uploads_can_be_left_alone(self, cli: Cli, saver: S3Saver) -> None:
        assert cli("lifecycle", "--delete-after", 30, "--abort-uploads-after", 0, "--yes").code == 0
        policy = S3Admin(saver).get_lifecycle_policy()
        assert policy == LifecyclePolicy(days_until_deletion=30, abort_incomplete_uploads_days=None)

    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            (("--remove", "--delete-after", 3), "--remove or a policy"),
            (("--remove", "--intelligent-tiering"), "--remove or a policy"),
            (("--delete-after", 0, "--yes"), "days_until_deletion=0"),
            (("--archive-class", "STANDARD_IA"), "needs days_until_archive"),
            (("--transition", "GLACIER_IR"), "must be like NAME=VALUE"),
            (("--transition", "GLACIER_IR=soon"), "must be like CLASS=DAYS"),
            (("--transition", "GLACIER_IR=-1"), "must be like CLASS=DAYS"),
            (("--transition", "GLACIER_IR=1", "--transition", "GLACIER_IR=2"), "names GLACIER_IR twice"),
            (("--transition", "STANDARD_IA=30", "--archive-after", 40), "60 is the least here"),
            (("--transition", "DEEP_ARCHIVE=30"), "allow_offline_archive"),
            (("--tag", "team"), "must be like NAME=VALUE"),
            (("--tag", "=a"), "must be like NAME=VALUE"),
        ],
    )
    def test_wrong_usage(self, cli: Cli, options: tuple[Any, ...], reason: str) -> None:
        ran = cli("lifecycle", *options)
        assert (ran.code, ran.err.count("\n")) == (2, 1)
        assert reason in ran.err


class TestIamPolicy:
    def test_it_is_a_policy_that_can_be_piped(self, cli: Cli, saver: S3Saver) -> None:
        shown = json.loads(cli("iam-policy").out)
        assert shown["Version"] == "2012-10-17"
        assert cli("iam-policy", "--json").data == shown
        more = json.loads(cli("iam-policy", "--role", "runtime", "--role", "retention").out)
        assert "s3:DeleteObjectVersion" in str(more)
        assert "s3:DeleteObjectVersion" not in str(shown)

    def test_an_unknown_role_names_those_there_are(self, cli: Cli) -> None:
        ran = cli("iam-policy", "--role", "admin")
        assert ran.code == 2
        assert ran.err == (
            "There is no --role 'admin': write runtime, read-only, retention, administration, memory or "
            "memory-read-only.\n"
        )

    def test_all_that_the_api_takes(self, cli: Cli) -> None:
        arn = "arn:aws-cn:iam::123456789012:role/replication"
        assert get_args(Role) == bucket.ROLES
        for role in bucket.ROLES:
            shown = cli("iam-policy", "--role", role, "--replication-role", arn, "--partition", "aws-cn").out
            passed = json.loads(shown)["Statement"][-1]
            assert (passed["Action"], passed["Resource"]) == (["iam:PassRole"], arn)
            assert "arn:aws-cn:s3:::fake-bucket" in shown
            assert "PassRole" not in cli("iam-policy", "--role", role).out
        key = "arn:aws:kms:us-east-1:123456789012:key/x"
        assert key in cli("iam-policy", "--kms-key", key).out
        assert "s3:prefix" not in cli("iam-policy", "--whole-bucket").out


class TestServe:
    @pytest.fixture
    def served(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
        """The arguments that the server was started with."""
        given: dict[str, Any] = {}

        @contextlib.contextmanager
        def local_s3(directory: Path, **keywords: Any) -> Iterator[LocalS3]:
            given.update(keywords, directory=directory)
            try:
                yield LocalS3("http://127.0.0.1:1", "key", "secret", directory, 1)
            finally:
                given["ended"] = True

        def interrupted() -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(testing, "local_s3", local_s3)
        monkeypatch.setattr(bucket, "wait_for_interrupt", interrupted)
        return given

    def test_it_prints_the_environment_and_stops(
        self, cli: Cli, served: dict[str, Any], tmp_path: Path
    ) -> None:
        ran = cli("serve", tmp_path, "--port", 0)
        assert ran.code == 130
        assert "export S3_ENDPOINT_URL=http://127.0.0.1:1\n" in ran.out
        assert "export S3_BUCKET_NAME=checkpoints\n" in ran.out
        assert served == {"directory": tmp_path, "port": 0, "buckets": ["checkpoints"], "ended": True}
        assert cli("serve", tmp_path, "--json").data["AWS_ACCESS_KEY_ID"] == "key"

    def test_a_folder_that_is_in_use(self, cli: Cli, tmp_path: Path) -> None:
        with testing.local_s3(tmp_path):
            ran = cli("serve", tmp_path, "--port", 0)
        assert ran.code == 1
        assert f"{tmp_path} is in use by another server" in ran.err

    def test_a_port_that_is_taken(self, cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        def taken(*_: Any, **__: Any) -> Any:
            raise testing.ServerError("it ended: 127.0.0.1:9000: address already in use")

        monkeypatch.setattr(testing, "local_s3", taken)
        ran = cli("serve", tmp_path)
        assert (ran.code, ran.err) == (1, "Port 9000 is in use: choose another one with --port.\n")
