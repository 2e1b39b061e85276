"""Tenants in one bucket: what is done to one (prefix, thread, namespace) doesn't touch another's objects."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, NamedTuple

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from langgraph_checkpoint_s3 import S3CheckpointError, S3Saver
from langgraph_checkpoint_s3.admin import RetentionPolicy, S3Admin
from langgraph_checkpoint_s3.format.keys import Layout
from langgraph_checkpoint_s3.s3.admin_requests import DeleteVersions, ListUploads, ListVersions
from langgraph_checkpoint_s3.s3.requests import Attempted, CopyObject, DeleteObjects, ListObjects, Request
from tests.format.strategies import HOSTILE
from tests.plans.borrowers import noise
from tests.support import inside
from tests.support.checkpoints import make_checkpoint, place
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver

OURS, THEIRS = "only-in-ours", "only-in-theirs"
RUN = "a-run"
LARGE = noise(9000)
DAY = timedelta(days=1)
Level = Literal["namespace", "thread", "prefix"]


def layout_of(prefix: str) -> Layout:
    return inside.layout(make_saver(FakeS3(), prefix=prefix))


class Tenant(NamedTuple):
    prefix: str
    thread: str
    ns: str

    def folder(self, level: Level) -> str:
        layout = layout_of(self.prefix)
        if level == "namespace":
            return layout.namespace(self.thread, self.ns)
        return layout.thread(self.thread) if level == "thread" else self.prefix

    def part(self, level: Level) -> tuple[str, ...]:
        return self[: {"prefix": 1, "thread": 2, "namespace": 3}[level]]


@dataclass
class At:
    """One tenant's means."""

    saver: S3Saver
    admin: S3Admin
    tenant: Tenant

    @property
    def thread(self) -> str:
        return self.tenant.thread

    def where(self, checkpoint_id: str | None = None) -> Any:
        return place(self.tenant.thread, checkpoint_id, self.tenant.ns)


Do = Callable[[At], Any]


def moved(at: At) -> Any:
    file = io.BytesIO()
    at.admin.export_thread(at.thread, file)
    at.saver.delete_thread(at.thread)
    file.seek(0)
    return at.admin.import_thread(file, at.thread)


def undeleted(at: At) -> Any:
    at.saver.delete_thread(at.thread)
    return at.admin.undelete_thread(at.thread)


def restored(at: At) -> Any:
    [version, *_] = at.admin.list_checkpoint_versions(at.thread, "1", at.tenant.ns)
    at.saver.delete_thread(at.thread)
    found = at.admin.get_checkpoint_version(at.thread, "1", version.version_id, at.tenant.ns)
    return found, at.admin.restore_checkpoint_version(at.thread, "1", version.version_id, at.tenant.ns)


def put(at: At, checkpoint_id: str, parent: str | None, value: str) -> Any:
    checkpoint = make_checkpoint(checkpoint_id, {"large": LARGE, "mark": value})
    metadata: Any = {"source": "loop", "step": int(checkpoint_id), "run_id": RUN}
    config = at.saver.put(at.where(parent), checkpoint, metadata, checkpoint["channel_versions"])
    at.saver.put_writes(config, [("d", value)], "task")
    return config


def history(at: At) -> Any:
    return at.saver.get_delta_channel_history(config=at.where(), channels=["d", "mark"])


OPERATIONS: dict[str, tuple[Level, Do]] = {
    "get_tuple": ("namespace", lambda at: at.saver.get_tuple(at.where())),
    "get one": ("namespace", lambda at: at.saver.get_tuple(at.where("1"))),
    "list": ("namespace", lambda at: list(at.saver.list(at.where(), before=at.where("3")))),
    "history": ("namespace", history),
    "put": ("namespace", lambda at: put(at, "4", "3", OURS)),
    "batch_get": ("namespace", lambda at: list(at.admin.batch_get([at.where(), at.where("2")]))),
    "batch_delete one": ("namespace", lambda at: at.admin.batch_delete([at.where("1"), at.where("3")])),
    "versions": ("namespace", lambda at: at.admin.list_checkpoint_versions(at.thread, "1", at.tenant.ns)),
    "list thread": ("thread", lambda at: list(at.saver.list({"configurable": {"thread_id": at.thread}}))),
    "prune": ("thread", lambda at: at.saver.prune([at.thread])),
    "prune delete": ("thread", lambda at: at.saver.prune([at.thread], strategy="delete")),
    "delete_thread": ("thread", lambda at: at.saver.delete_thread(at.thread)),
    "copy_thread": ("prefix", lambda at: at.saver.copy_thread(at.thread, "a copy of it")),
    "batch_delete": ("thread", lambda at: at.admin.batch_delete([at.thread])),
    "usage": ("thread", lambda at: at.admin.usage(at.thread)),
    "pin_thread": ("thread", lambda at: at.admin.pin_thread(at.thread)),
    "unpin_thread": ("thread", lambda at: (at.admin.pin_thread(at.thread), at.admin.unpin_thread(at.thread))),
    "pinned_threads": ("prefix", lambda at: (at.admin.pin_thread(at.thread), at.admin.pinned_threads())),
    "prune_threads": ("thread", lambda at: at.admin.prune_threads(1, thread_ids=[at.thread], dry_run=False)),
    "prune_older_than": (
        "thread",
        lambda at: at.admin.prune_older_than(DAY, keep_latest=False, thread_ids=[at.thread], dry_run=False),
    ),
    "prune by policy": (
        "thread",
        lambda at: at.admin.prune_threads(
            RetentionPolicy(metadata={"user": "1"}), thread_ids=[at.thread], dry_run=False
        ),
    ),
    "changes": ("thread", lambda at: at.admin.changes(thread_id=at.thread)),
    "purge_thread": ("thread", lambda at: at.admin.purge_thread(at.thread, dry_run=False)),
    "export and import": ("thread", moved),
    "undelete_thread": ("thread", undeleted),
    "restore version": ("thread", restored),
    "restore_archived": ("thread", lambda at: at.admin.restore_archived(at.thread)),
    "signed_url": ("thread", lambda at: at.admin.signed_url(at.thread, "2", checkpoint_ns=at.tenant.ns)),
    "signed_upload_url": ("thread", lambda at: at.admin.signed_upload_url(at.thread)),
    "list all": ("prefix", lambda at: list(at.saver.list(None))),
    "delete_for_runs": ("prefix", lambda at: at.saver.delete_for_runs([RUN])),
    "threads": ("prefix", lambda at: list(at.admin.threads())),
    "usage of all": ("prefix", lambda at: at.admin.usage()),
    "prune all": ("prefix", lambda at: at.admin.prune_threads(1, dry_run=False)),
    "prune all by age": (
        "prefix",
        lambda at: at.admin.prune_older_than(DAY, keep_latest=False, dry_run=False),
    ),
    "prune idle": ("prefix", lambda at: at.admin.prune_idle(DAY, dry_run=False)),
    "threads by metadata": ("prefix", lambda at: list(at.admin.threads(metadata={"user": "1"}))),
    "changes of all": ("prefix", lambda at: at.admin.changes()),
    "orphans": ("prefix", lambda at: at.admin.remove_orphans(DAY, dry_run=False)),
}
LISTS = (ListObjects, ListVersions, ListUploads)


def named(request: Request[Any]) -> Iterator[str]:
    """The keys that a request is about."""
    match request:
        case Attempted(inner):
            yield from named(inner)
        case DeleteObjects(keys):
            yield from keys
        case DeleteVersions(versions):
            yield from (key for key, _ in versions)
        case CopyObject(source, target):
            yield from (source, target)
        case _:
            if (key := getattr(request, "key", None)) is not None:
                yield key


def at(fake: FakeS3, tenant: Tenant) -> At:
    saver = make_saver(fake, prefix=tenant.prefix)
    admin = S3Admin(saver)
    admin._now = lambda: fake.now + 3 * DAY  # type: ignore[method-assign]  # the test's own
    return At(saver, admin, tenant)


def fill(fake: FakeS3, tenant: Tenant, mark: str) -> None:
    """A line that borrows, writes without a checkpoint, an export, an upload and a deleted object."""
    here = at(fake, tenant)
    for number in (1, 2, 3):
        put(here, str(number), str(number - 1) if number > 1 else None, mark)
    here.saver.put_writes(here.where("9"), [("d", mark)], "early")
    here.admin.pin_thread(tenant.thread)
    here.admin.signed_url(tenant.thread, "2", checkpoint_ns=tenant.ns)
    here.saver.delete_thread(tenant.thread)
    here.admin.undelete_thread(tenant.thread)


def kept(fake: FakeS3, keys: set[str]) -> Any:
    return {key: (fake.objects.get(key), list(fake.versions.get(key, []))) for key in keys}


TENANTS = st.builds(
    Tenant,
    st.sampled_from(["", "a/", "a/b/", "a.b/", "b/", ".exports/", "a/.exports/", ".pinned/", "-/"]),
    st.sampled_from([name for name in HOSTILE if name]),
    st.sampled_from(HOSTILE),
)


@pytest.mark.modes("plain", "private")
@settings(max_examples=6)  # beside those below; each is 38 operations
@given(TENANTS, TENANTS, st.sampled_from(["thread", "namespace", "prefix", ""]))
@example(Tenant("", "a", ""), Tenant("a/", "a", ""), "")
@example(Tenant("a/", "a", ""), Tenant("", "a", ""), "")
@example(Tenant("", "a", ""), Tenant("", "a.thread/b", ""), "")
@example(Tenant("", "a", ""), Tenant("", "a", "a"), "")
@example(Tenant("a/", "t", "x"), Tenant("a/", "t", "x/y"), "")
@example(Tenant("", ".exports", ""), Tenant(".exports/", "a", ""), "")
@example(Tenant("", "a", ""), Tenant(".pinned/", "a", ""), "")
def test_no_operation_touches_another_tenant(ours: Tenant, theirs: Tenant, same: str) -> None:
    if same in ("thread", "namespace"):  # neighbours: they differ in the rest alone
        theirs = Tenant(ours.prefix, ours.thread if same == "namespace" else theirs.thread, theirs.ns)
    elif same == "prefix":
        theirs = Tenant(theirs.prefix, ours.thread, ours.ns)
    assume(ours != theirs)
    fake = FakeS3()
    fake.set_versioning("Enabled")
    fill(fake, theirs, THEIRS)
    layout = layout_of(theirs.prefix)
    owned = set(fake.versions)
    if ours.part("thread") == theirs.part("thread"):  # a thread's namespaces share its tombstones
        owned.discard(layout.tombstones(layout.thread(theirs.thread)))
    fill(fake, ours, OURS)
    for name, (level, do) in OPERATIONS.items():
        if ours.part(level) == theirs.part(level):
            continue  # it is theirs as well
        copy = fake.snapshot()
        copy.set_versioning("Enabled")
        before = kept(copy, owned)
        with copy.counted() as count:
            result: Any = None
            with suppress(S3CheckpointError):
                result = do(at(copy, ours))
        assert kept(copy, owned) == before, name
        assert THEIRS not in repr(result), name
        for request in count.requests:
            asked = request.request if isinstance(request, Attempted) else request
            assert not owned & set(named(asked)), (name, asked)
            if isinstance(asked, LISTS) and level != "prefix":
                layout = layout_of(ours.prefix)
                thread = layout.thread(ours.thread)
                folders = (
                    *(ours.folder(level), layout.exports(ours.thread), layout.lease(ours.thread)),
                    *(layout.tombstones(thread), layout.pin(thread)),
                )
                assert asked.prefix.startswith(folders), (name, asked)


def test_the_operations_do_what_they_are_called() -> None:
    """Else they would touch nobody's objects."""
    ours = Tenant("a/", "t", "x")
    for name, (_, do) in OPERATIONS.items():
        fake = FakeS3()
        fake.set_versioning("Enabled")
        fill(fake, ours, OURS)
        with fake.counted() as count:
            do(at(fake, ours))
        assert count.requests, name
