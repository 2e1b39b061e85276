"""Finding reports in a bucket or a folder, and the errors if there is none."""

from __future__ import annotations

import asyncio
import builtins
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from langgraph_checkpoint_s3 import (
    BucketNotFoundError,
    CorruptObjectError,
    InvalidConfigError,
    NotSupportedError,
    S3Saver,
    StorageUnavailableError,
)
from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.plans.transfer import Sizes
from langgraph_checkpoint_s3.s3.requests import GetObject, ListObjects, Request
from tests.support import inside
from tests.support.checkpoints import put_chain
from tests.support.fake_s3 import FakeS3, Moment
from tests.support.fake_store import make_saver
from tests.support.hooks import failing
from tests.support.reports import FOLDER, MADE, make_report, rows_of, with_checksum, write_files

DAY = timedelta(days=1)
INVENTORY = f"s3://inventory-bucket/{FOLDER}"
MANIFEST = f"{FOLDER}{MADE}/manifest.json"


@pytest.fixture
def fake() -> FakeS3:
    """A bucket with two threads, and its reports' bucket beside it."""
    fake = FakeS3()
    saver = make_saver(fake)
    put_chain(saver, "t", 3)
    put_chain(saver, "u", 2)
    fake.age(5 * DAY)
    fake.beside["inventory-bucket"] = FakeS3()
    return fake


def deliver(fake: FakeS3, **how: Any) -> dict[str, bytes]:
    """Put a report of the bucket into the reports' bucket, and return its files."""
    files = make_report(rows_of(fake), **{"created": fake.now, **how})
    for key, data in files.items():
        fake.beside["inventory-bucket"].put(key, data)
    return files


def admin_on(fake: FakeS3, **settings: Any) -> S3Admin:
    return S3Admin(make_saver(fake, **settings))


def test_a_report_in_a_bucket_takes_three_gets_and_two_lists(fake: FakeS3) -> None:
    deliver(fake, parts=1)
    reports = fake.beside["inventory-bucket"]
    with fake.counted() as own, reports.counted() as count:
        used = admin_on(fake).usage(inventory=f"s3://inventory-bucket/{MANIFEST}")
    assert used.threads == 2
    assert count.kinds == {"GetObject": 3}  # manifest, checksum and one file
    assert own.kinds == {"ListObjects": 1}  # whether the report covers the prefix
    with reports.counted() as count:
        assert admin_on(fake).usage(inventory=INVENTORY) == used
    assert count.kinds == {"GetObject": 3, "ListObjects": 1}


@pytest.mark.parametrize(
    "where", [MANIFEST, f"{FOLDER}{MADE}/", f"{FOLDER}{MADE}", FOLDER, FOLDER.removesuffix("/")]
)
def test_a_manifest_or_its_folder_or_that_of_all_reports(fake: FakeS3, tmp_path: Path, where: str) -> None:
    files = deliver(fake)
    write_files(files, tmp_path)
    expected = replace(admin_on(fake).usage(), as_of=fake.now)
    assert admin_on(fake).usage(inventory=f"s3://inventory-bucket/{where}") == expected
    assert admin_on(fake).usage(inventory=str(tmp_path / where)) == expected
    assert asyncio.run(admin_on(fake).ausage(inventory=tmp_path / where)) == expected


def test_the_newest_report_that_is_whole(fake: FakeS3, tmp_path: Path) -> None:
    """S3 puts a manifest last: a folder without one is a report that is being made."""
    for day, seed in (("2026-11-28T01-00Z", 1), ("2026-11-29T01-00Z", 2)):
        write_files(deliver(fake, made=day, seed=seed), tmp_path)
        put_chain(make_saver(fake), f"new-{seed}", 1)
    for name in ("2026-11-30T01-00Z/", "hive/dt=2026-12-01-01-00/", "zoo/"):
        fake.beside["inventory-bucket"].put(f"{FOLDER}{name}other", b"")
        (tmp_path / FOLDER / name).mkdir(parents=True)
    for where in (INVENTORY, str(tmp_path / FOLDER)):
        assert admin_on(fake).usage(inventory=where).threads == 3


def test_data_beside_the_manifest(fake: FakeS3, tmp_path: Path) -> None:
    files = deliver(fake)
    for number, inner in enumerate(("", "data/")):
        flat = tmp_path / f"{number}"
        for key, data in files.items():
            name = key.rpartition("/")[2]
            path = flat / (name if name.startswith("manifest") else inner + name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        assert admin_on(fake).usage(inventory=flat).threads == 2
        (flat / "manifest.checksum").unlink()
        assert admin_on(fake).usage(inventory=flat).threads == 2


def test_large_files_are_read_in_parts(fake: FakeS3) -> None:
    files = deliver(fake, parts=1)
    [size] = [len(data) for key, data in files.items() if "/data/" in key]
    admin = S3Admin(make_saver(fake, sizes=Sizes(500, 200)))
    with fake.beside["inventory-bucket"].counted() as count:
        assert admin.usage(inventory=f"s3://inventory-bucket/{MANIFEST}").threads == 2
    ranges = [each for each in count.requests if isinstance(each, GetObject) and "/data/" in each.key]
    assert sum(each.length or 0 for each in ranges) == size
    assert all((each.length or 0) <= 200 and not each.keep for each in ranges)
    assert max(len(batch) for batch in count.batches) == 4


@pytest.mark.parametrize(
    ("inventory", "said"),
    [
        ("", "must be the path of a report"),
        (5, "must be the path of a report"),
        ("s3://", "must name a manifest.json"),
        ("s3://bucket", "must name a manifest.json"),
        ("s3:///key", "must name a manifest.json"),
        ("s3://Not_A_Bucket!/key", "bucket="),
        ("/nowhere/at/all", "There is no inventory report at /nowhere/at/all"),
        ("/dev/null/manifest.json", "There is no inventory report"),
        ("s3://inventory-bucket/elsewhere", "There is no inventory report at elsewhere/"),
        ("s3://inventory-bucket/elsewhere/manifest.json", "There is no inventory report at elsewhere/man"),
    ],
)
def test_no_report_is_an_invalid_setting(fake: FakeS3, inventory: Any, said: str) -> None:
    with pytest.raises(InvalidConfigError, match=said):
        admin_on(fake).usage(inventory=inventory)
    with pytest.raises(InvalidConfigError, match=said):
        asyncio.run(admin_on(fake).ausage(inventory=inventory))


def test_no_bucket_of_reports(fake: FakeS3) -> None:
    with pytest.raises(BucketNotFoundError) as error:
        admin_on(fake).usage(inventory="s3://no-such-bucket/manifest.json")
    assert error.value.bucket == "no-such-bucket"


def test_a_report_of_another_bucket(fake: FakeS3) -> None:
    deliver(fake, bucket="another-bucket")
    with pytest.raises(InvalidConfigError, match="'another-bucket', and this saver's is 'fake-bucket'"):
        admin_on(fake).usage(inventory=INVENTORY)


def test_orc(fake: FakeS3) -> None:
    files = deliver(fake)
    manifest = files[MANIFEST].replace(b'"Parquet"', b'"ORC"')
    for key, data in with_checksum(f"{FOLDER}{MADE}/", manifest).items():
        fake.beside["inventory-bucket"].put(key, data)
    with pytest.raises(NotSupportedError, match="ORC") as error:
        admin_on(fake).usage(inventory=INVENTORY)
    assert (error.value.bucket, error.value.key) == ("inventory-bucket", MANIFEST)


@pytest.mark.parametrize("where", ["bucket", "folder"])
@pytest.mark.parametrize("damage", ["manifest", "checksum", "flip", "cut", "gone", "longer"])
def test_damage_is_found_before_anything_is_answered(
    fake: FakeS3, tmp_path: Path, damage: str, where: str
) -> None:
    files = deliver(fake)
    data = min(key for key in files if "/data/" in key)
    if damage == "manifest":
        files[MANIFEST] += b" "
    elif damage == "checksum":
        files[MANIFEST.replace("json", "checksum")] = b"\xff"
    elif damage == "flip":
        files[data] = files[data][:9] + bytes([files[data][9] ^ 1]) + files[data][10:]
    elif damage == "cut":
        files[data] = files[data][:-1]
    elif damage == "longer":
        files[data] += b"x"
    else:
        del files[data]
        fake.beside["inventory-bucket"].delete(data)
    for key, content in files.items():
        fake.beside["inventory-bucket"].put(key, content)
    inventory = INVENTORY if where == "bucket" else str(write_files(files, tmp_path))
    with pytest.raises(CorruptObjectError) as error:
        admin_on(fake).usage(inventory=inventory)
    named = MANIFEST if damage in ("manifest", "checksum") else data
    assert str(error.value.key).endswith(named)
    assert error.value.bucket == ("inventory-bucket" if where == "bucket" else "")


@pytest.mark.parametrize("number", range(5))
def test_whatever_fails_leaves_nothing_behind(fake: FakeS3, number: int) -> None:
    """The fixture `temporary` checks that no files stay."""
    deliver(fake)
    seen: list[Request[Any]] = []

    def hook(moment: Moment, request: Request[Any]) -> None:
        if moment == "before":
            seen.append(request)
            if len(seen) > number:
                raise KeyboardInterrupt

    fake.beside["inventory-bucket"].hook = hook
    with pytest.raises(KeyboardInterrupt):
        admin_on(fake).usage(inventory=INVENTORY)


def test_a_listing_that_fails_leaves_nothing_behind(fake: FakeS3) -> None:
    deliver(fake)
    fake.hook = failing(ListObjects)
    with pytest.raises(StorageUnavailableError):
        admin_on(fake).usage(inventory=INVENTORY)
    with pytest.raises(StorageUnavailableError):
        list(admin_on(fake).threads(inventory=INVENTORY))


def test_an_iteration_that_is_given_up_leaves_nothing_behind(fake: FakeS3) -> None:
    deliver(fake)
    threads = admin_on(fake).threads(inventory=INVENTORY)
    assert next(threads) == "t"
    del threads

    async def first() -> str:
        found = admin_on(fake).athreads(inventory=INVENTORY)
        each = await found.__anext__()
        await found.aclose()  # type: ignore[attr-defined]  # it is a generator
        return each

    assert asyncio.run(first()) == "t"


def test_without_duckdb_the_extra_is_named(fake: FakeS3, monkeypatch: pytest.MonkeyPatch) -> None:
    deliver(fake)
    real = builtins.__import__

    def lacking(name: str, *rest: Any) -> Any:
        if name == "duckdb":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", lacking)
    with (
        fake.beside["inventory-bucket"].counted() as count,
        pytest.raises(InvalidConfigError, match="pip install duckdb"),
    ):
        admin_on(fake).usage(inventory=INVENTORY)
    assert not count.requests


# The prefix


def report_below(fake: FakeS3, prefix: str, created: datetime | None = None) -> None:
    """Deliver a report whose filter is this prefix."""
    rows = [each for each in rows_of(fake) if each.entry.key.startswith(prefix)]
    for key, data in make_report(rows, created=created or fake.now).items():
        fake.beside["inventory-bucket"].put(key, data)


@pytest.mark.parametrize("prefix", ["", "c", "checkpoints/"])
def test_a_filter_that_covers_the_prefix(fake: FakeS3, prefix: str) -> None:
    fake.put("other/1", b"")
    fake.put("checkpoints-of-others/1", b"")
    report_below(fake, prefix)
    assert admin_on(fake).usage(inventory=INVENTORY).threads == 2


@pytest.mark.parametrize("prefix", ["checkpoints/t", "checkpoints/u", "checkpoints/u.thread/", "zoo/", "x"])
def test_a_filter_that_does_not_is_an_error(fake: FakeS3, prefix: str) -> None:
    report_below(fake, prefix)
    with pytest.raises(InvalidConfigError, match="it seems to be about another prefix"):
        admin_on(fake).usage(inventory=INVENTORY)


def test_threads_with_names_alike_cost_two_lists(fake: FakeS3) -> None:
    for key in fake.keys("/u.thread/"):
        fake.delete(key)
    deliver(fake)
    with fake.counted() as count:
        assert admin_on(fake).usage(inventory=INVENTORY).threads == 1
    assert count.kinds == {"ListObjects": 2}
    assert count.round_trips == 2


def test_what_is_newer_than_the_report_is_no_sign_of_another_prefix(fake: FakeS3) -> None:
    report_below(fake, "checkpoints/t", created=fake.now - 10 * DAY)
    assert admin_on(fake).usage(inventory=INVENTORY).threads == 1


def test_an_empty_prefix_and_an_empty_report() -> None:
    fake = FakeS3()
    fake.beside["inventory-bucket"] = FakeS3()
    deliver(fake)
    used = admin_on(fake).usage(inventory=INVENTORY)
    assert (used.threads, used.bytes, used.as_of) == (0, 0, fake.now)
    assert str(used).endswith("as of 2026-01-01 00:00 UTC")
    assert list(admin_on(fake).threads(inventory=INVENTORY)) == []


def test_the_savers_own_settings_go_with_it(fake: FakeS3) -> None:
    saver = S3Saver(
        "my-bucket", region="eu-west-1", expected_bucket_owner="123456789012", use_accelerate=True
    )
    other = inside.store(saver).for_bucket("inventory-bucket")
    assert other.config == saver.config.replace(
        bucket="inventory-bucket", expected_bucket_owner=None, use_accelerate=False
    )
