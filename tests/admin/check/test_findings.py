"""Findings of `check()` on stores and settings with and without problems."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.admin.check.findings import SETTINGS
from langgraph_checkpoint_s3.plans.setup import PROBE
from langgraph_checkpoint_s3.s3.admin_requests import (
    DeleteVersions,
    GetTags,
    ListVersions,
    Sign,
    Signed,
)
from langgraph_checkpoint_s3.s3.bucket_settings import (
    ENCRYPTION,
    LIFECYCLE,
    POLICY,
    PUBLIC_ACCESS,
    Setting,
)
from langgraph_checkpoint_s3.s3.requests import (
    AbortUpload,
    Body,
    CompleteUpload,
    CopyObject,
    CreateUpload,
    DeleteObjects,
    GetObject,
    HeadObject,
    ListObjects,
    NotFound,
    Page,
    PutObject,
    Request,
    UploadPart,
)
from tests.admin.check.odd_s3 import ABORT, GOOD, OddS3, bad, nothing_left, run, run_and_leave
from tests.support import inside
from tests.support.fake_s3 import Moment, client_error
from tests.support.fake_store import make_saver


@pytest.fixture
def fake() -> OddS3:
    """A bucket without problems."""
    return OddS3()


class TestPermissions:
    @pytest.mark.parametrize(
        ("kind", "finding", "action"),
        [
            (PutObject, "writes", "s3:PutObject on fake-bucket/checkpoints/*"),
            (GetObject, "reads", "s3:GetObject on fake-bucket/checkpoints/*"),
            (ListObjects, "lists", "s3:ListBucket on fake-bucket"),
            (CopyObject, "copies", "s3:GetObject and s3:PutObject on fake-bucket/checkpoints/*"),
            (CreateUpload, "multipart", "s3:PutObject on fake-bucket/checkpoints/*"),
            (UploadPart, "multipart", "s3:PutObject on fake-bucket/checkpoints/*"),
            (CompleteUpload, "multipart", "s3:PutObject on fake-bucket/checkpoints/*"),
        ],
    )
    def test_a_denied_action_is_missing(
        self, fake: OddS3, kind: type[Request[Any]], finding: str, action: str
    ) -> None:
        fake.refuse(kind)
        report = run(fake)
        assert report[finding].status == "missing"
        assert report[finding].remedy == f"Allow {action}"
        assert not report.ok
        others = {name for name, status in bad(report).items() if status == "missing"} - {finding}
        assert others == ({"range reads"} if kind is GetObject else set())

    def test_a_refused_read_of_an_absent_object_is_a_finding(self, fake: OddS3) -> None:
        fake.refuse(HeadObject)
        report = run(fake)
        assert bad(report) == {"absence": "missing"}
        assert "whole_bucket=True" in report["absence"].remedy
        fake.refuse(HeadObject, GetObject)
        assert run(fake)["absence"].status == "unknown"
        fake.refuse(HeadObject, code="InternalError", status=500)
        assert run(fake)["absence"].status == "missing"

    def test_findings_that_depend_on_a_write_are_unknown(self, fake: OddS3) -> None:
        fake.refuse(PutObject)
        report = run(fake)
        assert {name for name, status in bad(report).items() if status == "unknown"} == {
            "reads",
            "range reads",
            "copies",
            "conditional writes",
            "conditional uploads",
        }
        assert report["multipart"].status == report["lists"].status == report["deletes"].status == "ok"

    def test_a_denied_deletion_names_the_remaining_objects(self, fake: OddS3) -> None:
        fake.refuse(DeleteObjects)
        report = run_and_leave(fake)
        assert report["deletes"].status == "missing"
        assert report["deletes"].remedy == "Allow s3:DeleteObject on fake-bucket/checkpoints/*"
        assert "checkpoints/.probe/" in report["deletes"].detail
        assert len(fake.keys(".probe/")) == 11

    def test_s3_denies_deletions_one_by_one(self, fake: OddS3) -> None:
        fake.undeletable["checkpoints/.probe/nonce/written"] = ("AccessDenied", "no")
        report = run_and_leave(fake)
        assert report["deletes"].status == "missing"
        assert report["deletes"].remedy == "Allow s3:DeleteObject on fake-bucket/checkpoints/*"
        fake.undeletable["checkpoints/.probe/nonce/written"] = ("InternalError", "no")
        report = run_and_leave(fake)
        assert "InternalError" in report["deletes"].detail
        assert "Allow" not in report["deletes"].remedy

    def test_a_denied_abort_is_missing(self, fake: OddS3) -> None:
        fake.refuse(AbortUpload)
        report = run_and_leave(fake)
        assert bad(report) == {"multipart": "missing"}
        assert "s3:AbortMultipartUpload" in report["multipart"].remedy
        assert ".probe/" in report["multipart"].detail
        assert fake.uploads

    @pytest.mark.parametrize("kind", [ListVersions, DeleteVersions])
    def test_versions_that_stay_are_mentioned(self, fake: OddS3, kind: type[Request[Any]]) -> None:
        fake.set_versioning("Enabled")
        fake.refuse(kind)
        report = run_and_leave(fake)
        assert report["deletes"].status == "ok"
        assert "the probe's versions stay" in report["deletes"].detail
        assert not fake.objects

    @pytest.mark.parametrize("setting", SETTINGS)
    def test_a_setting_that_may_not_be_seen_is_unknown(self, fake: OddS3, setting: Setting) -> None:
        fake.set_versioning("Enabled")
        expiry = {"NoncurrentVersionExpiration": {"NoncurrentDays": 3}}
        fake.settings[LIFECYCLE.name, None] = {"Rules": [ABORT | expiry]}
        fake.refuse_setting(setting)
        report = run(fake)
        [(name, status)] = bad(report).items()
        assert status == "unknown"
        assert report[name].remedy == f"Allow {setting.read_action} on fake-bucket to see it"
        assert report.ok

    def test_tags_and_keys_have_permissions_of_their_own(self, fake: OddS3) -> None:
        fake.refuse(PutObject)
        report = run(fake, object_tags={"team": "a"}, server_side_encryption="aws:kms", kms_key_id="key")
        assert "s3:PutObjectTagging" in report["writes"].remedy
        assert "kms:GenerateDataKey" in report["writes"].remedy

    def test_the_settings_of_a_write_are_reported(self, fake: OddS3) -> None:
        report = run(
            fake,
            object_tags={"team": "a"},
            server_side_encryption="aws:kms",
            storage_class="STANDARD_IA",
        )
        assert "1 tags, encryption aws:kms, storage class STANDARD_IA" in report["writes"].detail

    @pytest.mark.parametrize("code", ["InvalidStorageClass", "KMS.NotFoundException", "InvalidTag"])
    def test_a_setting_of_the_saver_that_the_store_refuses(self, fake: OddS3, code: str) -> None:
        fake.refuse(PutObject, CreateUpload, CopyObject, code=code, status=400)
        writes = run(fake)["writes"]
        assert (writes.status, code in writes.detail) == ("missing", True)
        assert "setting" in writes.remedy


class TestUnsupportedRequests:
    def test_one_that_ignores_conditions(self, fake: OddS3, caplog: pytest.LogCaptureFixture) -> None:
        fake.plain = True
        saver = make_saver(fake)
        S3Admin(saver).check()
        report = S3Admin(saver).check()
        assert report["conditional writes"].status == "not supported"
        assert report["conditional uploads"].status == "not supported"
        assert "versioning" not in report["conditional writes"].detail
        assert report.ok
        assert [record.levelname for record in caplog.records] == ["WARNING"], "it is said once"
        store: Any = inside.store(saver)
        assert not store.saver_state.conditional, "the saver asks for none any more, as after setup()"

    def test_one_that_refuses_conditions(self, fake: OddS3) -> None:
        def hook(moment: Moment, request: Request[Any]) -> None:
            if moment == "before" and getattr(request, "only_new", False) and store.saver_state.conditional:
                raise client_error("NotImplemented", 501, request)

        saver = make_saver(fake)
        store: Any = inside.store(saver)
        fake.hook = hook
        report = S3Admin(saver).check()
        assert report["writes"].status == "ok"
        assert report["conditional writes"].status == report["conditional uploads"].status == "not supported"
        assert nothing_left(fake)
        assert not store.saver_state.conditional

    def test_one_that_has_been_mended(self, fake: OddS3) -> None:
        fake.plain = True
        saver = make_saver(fake)
        admin = S3Admin(saver)
        assert admin.check()["conditional writes"].status == "not supported"
        fake.plain = False
        assert admin.check()["conditional writes"].status == "ok"
        store: Any = inside.store(saver)
        assert store.saver_state.conditional

    def test_one_that_ignores_them_in_a_bucket_with_versions(self, fake: OddS3) -> None:
        fake.set_versioning("Enabled")
        fake.plain = True
        assert "without versioning" in run(fake)["conditional writes"].detail

    def test_one_that_ignores_them_for_uploads_alone(self, fake: OddS3) -> None:
        def hook(moment: Moment, request: Request[Any]) -> None:
            fake.plain = isinstance(request, CompleteUpload) and moment == "before"

        fake.hook = hook
        assert bad(run(fake)) == {"conditional uploads": "not supported"}

    def test_without_a_copy_conditional_uploads_are_unknown(self, fake: OddS3) -> None:
        fake.refuse(CopyObject)
        assert run(fake)["conditional uploads"].status == "unknown"

    @pytest.mark.parametrize(
        ("kind", "finding"),
        [(CopyObject, "copies"), (CreateUpload, "multipart"), (UploadPart, "multipart")],
    )
    def test_unsupported_requests_that_a_saver_can_do_without(
        self, fake: OddS3, kind: type[Request[Any]], finding: str
    ) -> None:
        fake.refuse(kind, code="NotImplemented", status=501)
        report = run(fake)
        assert report[finding].status == "not supported"
        assert report[finding].remedy
        assert report.ok

    @pytest.mark.parametrize("kind", [GetObject, ListObjects, DeleteObjects])
    def test_unsupported_requests_that_a_saver_needs(self, fake: OddS3, kind: type[Request[Any]]) -> None:
        fake.refuse(kind, code="NotImplemented", status=501)
        assert not run_and_leave(fake).ok

    def test_one_without_settings(self, fake: OddS3) -> None:
        fake.unsupported = {setting.name for setting in SETTINGS}
        report = run(fake)
        names = ("versioning", "encryption", "public access", "TLS only", "lifecycle")
        assert bad(report) == dict.fromkeys(names, "not supported")
        assert report.ok

    def test_a_store_that_reports_off_and_has_no_versions(self, fake: OddS3) -> None:
        fake.refuse(ListVersions, code="NotImplemented", status=501)
        assert bad(run(fake)) == {"versioning": "not supported"}
        assert bad(run(fake, versioning=True)) == {"versioning": "missing"}

    def test_one_whose_policy_is_none(self, fake: OddS3) -> None:
        fake.settings[POLICY.name, None] = "<ListBucketResult/>"
        assert bad(run(fake)) == {"TLS only": "not supported"}


class TestWrongAnswers:
    def test_other_bytes(self, fake: OddS3) -> None:
        fake.odd[GetObject] = lambda request, body: (
            replace(body, data=b"other") if not request.first else body
        )
        report = run(fake)
        assert bad(report) == {"reads": "missing"}
        assert "5 other bytes" in report["reads"].detail

    def test_a_range_that_is_ignored(self, fake: OddS3) -> None:
        fake.odd[GetObject] = lambda _, body: Body(PROBE, body.etag, len(PROBE))
        report = run(fake)
        assert bad(report) == {"range reads": "missing"}
        assert not report.ok

    def test_an_object_that_is_not_there(self, fake: OddS3) -> None:
        fake.odd[GetObject] = lambda request, body: body if request.first else NotFound()
        fake.odd[CopyObject] = lambda _, stored: NotFound()
        assert bad(run(fake)) == {"reads": "missing", "copies": "missing"}

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda _, page: Page((), (), None), "doesn't list what was just written"),
            (lambda _, page: Page(page.entries[:1], (), None), "doesn't list what was just written"),
            (lambda _, page: Page(page.entries[::-1], (), page.token), "another order"),
        ],
    )
    def test_a_list_that_is_wrong(self, fake: OddS3, change: Any, words: str) -> None:
        fake.odd[ListObjects] = lambda asked, page: (
            page if asked.start_after or asked.delimiter else change(asked, page)
        )
        lists = run(fake)["lists"]
        assert (lists.status, words in lists.detail) == ("missing", True), lists

    def test_a_list_that_begins_elsewhere(self, fake: OddS3) -> None:
        fake.odd[ListObjects] = lambda request, page: (
            fake._list(replace(request, start_after=None)) if request.start_after else page
        )
        lists = run(fake)["lists"]
        assert (lists.status, "StartAfter" in lists.detail) == ("missing", True), lists

    @pytest.mark.parametrize(
        "change",
        [lambda page: Page((), (), None), lambda page: Page(page.entries, page.prefixes[:1], None)],
    )
    def test_a_store_that_knows_no_folders(self, fake: OddS3, change: Any) -> None:
        fake.odd[ListObjects] = lambda request, page: change(page) if request.delimiter else page
        lists = run(fake)["lists"]
        assert (lists.status, "threads()" in lists.detail) == ("warning", True), lists


class TestSettings:
    def test_versioning(self, fake: OddS3) -> None:
        assert run(fake)["versioning"].status == "ok"
        assert "enable_versioning" in run(fake)["versioning"].remedy
        assert run(fake, versioning=True)["versioning"].status == "missing"
        fake.set_versioning("Enabled")
        warned = run(fake)["versioning"]
        assert (warned.status, "noncurrent_version_days" in warned.remedy) == ("warning", True)
        fake.set_versioning("Suspended")
        assert "suspended" in run(fake)["versioning"].detail

    @pytest.mark.parametrize(
        ("rule", "status"),
        [
            ({"Filter": {"Prefix": "checkpoints/"}}, "ok"),
            ({"Prefix": ""}, "ok"),
            ({"Filter": {"Tag": {"Key": "team", "Value": "a"}}}, "ok"),
            ({"Filter": {"Tag": {"Key": "team", "Value": "b"}}}, "warning"),
            ({"Filter": {"Prefix": "checkpoints/x"}}, "warning"),
            ({"Filter": {"Prefix": ""}, "Status": "Disabled"}, "warning"),
            ({"Filter": {"And": {"Prefix": "", "ObjectSizeGreaterThan": 9}}}, "warning"),
        ],
    )
    def test_old_versions_expire_where_a_rule_says_so(self, fake: OddS3, rule: Any, status: str) -> None:
        fake.set_versioning("Enabled")
        expiry = {"Status": "Enabled", "NoncurrentVersionExpiration": {"NoncurrentDays": 3}, **rule}
        fake.settings[LIFECYCLE.name, None] = {"Rules": [ABORT, expiry]}
        assert run(fake, object_tags={"team": "a"})["versioning"].status == status

    def test_encryption(self, fake: OddS3) -> None:
        default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "key"}
        fake.settings[ENCRYPTION.name, None] = {
            "Rules": [{"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": True}]
        }
        detail = run(fake)["encryption"].detail
        assert "aws:kms with the key key, bucket key on" in detail
        del fake.settings[ENCRYPTION.name, None]
        found = run(fake)["encryption"]
        assert (found.status, "configure_bucket" in found.remedy) == ("warning", True)
        asked = run(fake, server_side_encryption="AES256")["encryption"]
        assert (asked.status, "the saver asks for AES256" in asked.detail) == ("ok", True)

    @pytest.mark.parametrize(
        ("default", "asked", "status"),
        [
            (("AES256", None), {"server_side_encryption": "AES256"}, "ok"),
            (("AES256", None), {"server_side_encryption": "aws:kms"}, "ok"),
            (("aws:kms", "key"), {}, "ok"),
            (("aws:kms", "key"), {"server_side_encryption": "off"}, "ok"),
            (("aws:kms", "key"), {"server_side_encryption": "AES256"}, "warning"),
            (("aws:kms", None), {"server_side_encryption": "AES256"}, "warning"),
            (("aws:kms:dsse", "key"), {"server_side_encryption": "AES256"}, "warning"),
            (("aws:kms", "key"), {"server_side_encryption": "aws:kms"}, "warning"),  # the account's aws/s3
            (("aws:kms", None), {"server_side_encryption": "aws:kms"}, "ok"),
            (("aws:kms", "key"), {"server_side_encryption": "aws:kms", "kms_key_id": "another"}, "ok"),
            (("aws:kms:dsse", "k"), {"server_side_encryption": "aws:kms", "kms_key_id": "k"}, "warning"),
        ],
    )
    def test_a_savers_own_encryption_that_weakens_the_buckets(
        self, fake: OddS3, default: tuple[str, str | None], asked: dict[str, Any], status: str
    ) -> None:
        algorithm, key = default
        rule = {"SSEAlgorithm": algorithm} | ({"KMSMasterKeyID": key} if key else {})
        fake.settings[ENCRYPTION.name, None] = {"Rules": [{"ApplyServerSideEncryptionByDefault": rule}]}
        found = run(fake, **asked)["encryption"]
        assert found.status == status
        assert ("overrides" in found.detail) == (status == "warning")
        assert ("Leave server_side_encryption out" in found.remedy) == (status == "warning")

    def test_public_access(self, fake: OddS3) -> None:
        fake.settings[PUBLIC_ACCESS.name, None] = GOOD[PUBLIC_ACCESS] | {"BlockPublicPolicy": False}
        found = run(fake)["public access"]
        assert (found.status, "BlockPublicPolicy" in found.detail) == ("warning", True)
        del fake.settings[PUBLIC_ACCESS.name, None]
        assert "all of it" in run(fake)["public access"].detail

    def test_plain_http(self, fake: OddS3) -> None:
        del fake.settings[POLICY.name, None]
        found = run(fake)["TLS only"]
        assert (found.status, found.remedy) == ("warning", "admin.configure_bucket(tls_only=True) sets one")
        fake.odd[Sign] = lambda _, signed: Signed("http://127.0.0.1:9/key?X-Amz-Signature=secret")
        report = run(fake)
        assert "https://" in report["TLS only"].remedy, "the policy would lock the saver out"
        assert report["connection"].detail == "The store answers at http://127.0.0.1:9"
        other = {
            "Statement": {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "*"}
        }
        fake.settings[POLICY.name, None] = json.dumps(other)
        assert run(fake)["TLS only"].status == "warning"

    def test_lifecycle(self, fake: OddS3) -> None:
        assert run(fake)["lifecycle"].status == "ok"
        del fake.settings[LIFECYCLE.name, None]
        assert "uploads" in run(fake)["lifecycle"].detail
        expiry = {"ID": "old", "Status": "Enabled", "Prefix": "", "Expiration": {"Days": 30}}
        fake.settings[LIFECYCLE.name, None] = {"Rules": [ABORT, expiry]}
        found = run(fake)["lifecycle"]
        assert found.status == "warning"
        assert "live threads" in found.detail
        assert "delta channels" in found.detail
        assert "horizon" in found.detail

    def test_retention_classes(self, fake: OddS3) -> None:
        classes: dict[str, Any] = {"default": timedelta(days=90), "trial": timedelta(days=7)}
        found = run(fake, retention=classes)["retention"]
        assert found.status == "warning"
        assert "'default' has no rule" in found.detail
        assert "set_lifecycle_policy()" in found.remedy
        S3Admin(make_saver(fake, retention=classes)).set_lifecycle_policy()
        report = run(fake, retention=classes)
        assert (report["retention"].status, report["lifecycle"].status) == ("ok", "ok")
        assert "trial 7 days" in report["retention"].detail
        changed = run(fake, retention={**classes, "trial": timedelta(days=8)})["retention"]
        assert "'trial' is of 8 days, and has a rule of 7 days" in changed.detail
        rules = fake.settings[LIFECYCLE.name, None]["Rules"]
        old = {"ID": "old", "Status": "Enabled", "Prefix": "", "Expiration": {"Days": 365}}
        fake.settings[LIFECYCLE.name, None] = {"Rules": [*rules, old]}
        found = run(fake, retention=classes)["retention"]
        assert (found.status, "'old'" in found.detail, "pinned threads" in found.detail) == (
            "warning",
            True,
            True,
        )
        broken = [{**rule, "Transitions": [{"Days": 1, "StorageClass": "X"}]} for rule in rules]
        fake.settings[LIFECYCLE.name, None] = {"Rules": broken}
        assert "somebody changed" in run(fake, retention=classes)["retention"].detail
        with pytest.raises(KeyError):
            run(fake)["retention"]

    def test_retention_classes_need_tags(self, fake: OddS3) -> None:
        classes: dict[str, Any] = {"default": timedelta(days=90)}
        fake.odd[GetTags] = lambda _, __: {"another": "tag"}
        found = run(fake, retention=classes)["retention"]
        assert (found.status, found.remedy) == ("not supported", "Make the saver without retention")
        fake.odd.clear()
        fake.refuse(GetTags)
        report = run(fake, retention=classes)
        assert (report["retention"].status, report.ok) == ("unknown", True)
        assert "s3:GetObjectTagging" in report["retention"].remedy
        fake.refuse(GetTags, code="NotImplemented", status=501)
        assert run(fake, retention=classes)["retention"].status == "not supported"
        fake.refuse(PutObject)
        report = run(fake, retention=classes)
        assert "s3:PutObjectTagging" in report["writes"].remedy
        assert report["retention"].detail.endswith("see writes")
        fake.hook = None
        fake.refuse_setting(LIFECYCLE)
        assert run(fake, retention=classes)["retention"].status == "unknown"
