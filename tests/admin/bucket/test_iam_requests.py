"""Each role's policy allows the requests that the admin's operations send."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from langgraph.store.memory import InMemoryStore

from langgraph_checkpoint_s3.admin import RetentionPolicy, S3Admin
from langgraph_checkpoint_s3.admin.bucket.configure import IntelligentTieringArchive
from langgraph_checkpoint_s3.admin.bucket.policies import Role
from langgraph_checkpoint_s3.admin.lifecycle.policy import LifecyclePolicy
from langgraph_checkpoint_s3.plans.transfer import Sizes
from langgraph_checkpoint_s3.s3.admin_requests import Sign
from langgraph_checkpoint_s3.s3.requests import CreateUpload, Request
from tests.support.checkpoints import place, put_chain
from tests.support.fake_s3 import BUCKET, FakeS3, Moment
from tests.support.fake_store import make_saver
from tests.support.policies import ROLE, Question, allowed, questions

ARN = f"arn:aws:s3:::{BUCKET}"
SOON = timedelta(microseconds=1)
ARCHIVE = IntelligentTieringArchive(archive_after_days=90, allow_offline_archive=True)
Operation = Callable[[S3Admin], Any]


def latest_version(admin: S3Admin) -> tuple[str, str, str]:
    [version] = admin.list_checkpoint_versions("t", "00000001")
    return "t", "00000001", version.version_id


def deleted_and_back(admin: S3Admin) -> None:
    admin.batch_delete(["t"])
    admin.undelete_thread("t")


def exported_and_back(admin: S3Admin) -> None:
    file = io.BytesIO()
    admin.export_thread("t", file)
    file.seek(0)
    admin.import_thread(file, "other")


def notes() -> InMemoryStore:
    store = InMemoryStore()
    store.put(("users", "ada"), "a", {})
    return store


OPERATIONS: dict[str, tuple[Role, Operation]] = {
    "threads": ("read-only", lambda admin: list(admin.threads())),
    "usage": ("read-only", lambda admin: admin.usage()),
    "batch_get": ("read-only", lambda admin: list(admin.batch_get([place("t")]))),
    "batch_put": ("runtime", lambda admin: admin.batch_put(list(admin.saver.list(None)))),
    "batch_delete": ("runtime", lambda admin: admin.batch_delete(["t"])),
    "signed_url": ("runtime", lambda admin: admin.signed_url("t", "00000002")),
    "signed_upload_url": ("runtime", lambda admin: admin.signed_upload_url("t")),
    "export_thread, import_thread": ("runtime", exported_and_back),
    "prune_threads": ("runtime", lambda admin: admin.prune_threads(1, dry_run=False)),
    "prune_threads by policy": (
        "runtime",
        lambda admin: admin.prune_threads(RetentionPolicy(metadata={"tag": "gold"}), dry_run=False),
    ),
    "prune_idle": ("runtime", lambda admin: admin.prune_idle(SOON, dry_run=False)),
    "changes": ("retention", lambda admin: admin.changes()),
    "prune_older_than": ("runtime", lambda admin: admin.prune_older_than(SOON, dry_run=False)),
    "list_checkpoint_versions": ("retention", latest_version),
    "get_checkpoint_version": (
        "retention",
        lambda admin: admin.get_checkpoint_version(*latest_version(admin)),
    ),
    "restore_checkpoint_version": (
        "retention",
        lambda admin: admin.restore_checkpoint_version(*latest_version(admin)),
    ),
    "undelete_thread": ("retention", deleted_and_back),
    "undelete_thread of none": ("retention", lambda admin: admin.undelete_thread("none")),
    "purge_thread": ("retention", lambda admin: admin.purge_thread("t", dry_run=False)),
    "purge_memories": ("retention", lambda admin: admin.purge_memories(("users",), dry_run=False)),
    "migrate_memories": ("memory", lambda admin: admin.migrate_memories(notes())),
    "find_orphans": ("retention", lambda admin: admin.find_orphans(SOON)),
    "remove_orphans": ("retention", lambda admin: admin.remove_orphans(SOON, dry_run=False)),
    "restore_status": ("retention", lambda admin: admin.restore_status("t")),
    "versioning_status": ("administration", lambda admin: admin.versioning_status()),
    "enable_versioning": ("administration", lambda admin: admin.enable_versioning()),
    "suspend_versioning": ("administration", lambda admin: admin.suspend_versioning()),
    "set_lifecycle_policy": (
        "administration",
        lambda admin: admin.set_lifecycle_policy(LifecyclePolicy(days_until_deletion=30)),
    ),
    "get_lifecycle_policy": ("administration", lambda admin: admin.get_lifecycle_policy()),
    "remove_lifecycle_policy": ("administration", lambda admin: admin.remove_lifecycle_policy()),
    "create_bucket": (
        "administration",
        lambda admin: admin.create_bucket(
            block_public_access=True,
            request_metrics=True,
            accelerate=True,
            intelligent_tiering=ARCHIVE,
        ),
    ),
    "enable_replication": ("administration", lambda admin: admin.enable_replication("other-bucket", ROLE)),
    "disable_replication": ("administration", lambda admin: admin.disable_replication()),
}


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.filterwarnings("ignore::langgraph_checkpoint_s3.admin.lifecycle.policy.LifecycleWarning")
def test_an_operation_needs_no_more_than_its_role_has(fake: FakeS3, name: str) -> None:
    role, operation = OPERATIONS[name]
    admin = S3Admin(make_saver(fake, sizes=Sizes(10_000, 5_000)))
    admin.enable_versioning()
    put_chain(admin.saver, "t", 3)
    fake.execute(CreateUpload("checkpoints/t.thread/abandoned"))
    policy = admin.iam_policy((role,), replication_role=ROLE)
    refused: list[Question] = []

    def hook(moment: Moment, request: Request[Any]) -> None:
        sent = not isinstance(request, Sign) or role != "administration"  # which only reads the URL's address
        if moment == "before" and sent:
            refused.extend(each for each in questions(request, ARN) if not allowed(policy, each))

    with fake.counted() as count:
        fake.hook = hook
        operation(S3Admin(make_saver(fake, sizes=Sizes(10_000, 5_000))))
    assert count.requests
    assert refused == []
