"""Manifests of inventory reports: what is read, and what is refused."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest

from langgraph_checkpoint_s3 import CorruptObjectError, InvalidConfigError, NotSupportedError
from langgraph_checkpoint_s3.admin.inventory.manifest import DataFile, Manifest, parse_manifest
from langgraph_checkpoint_s3.s3.requests import Entry
from tests.support.reports import FOLDER, MADE, OPTIONAL, Listed, make_report

CREATED = datetime(2026, 11, 30, 1, tzinfo=timezone.utc)
ROWS = [Listed(Entry("checkpoints/a", 3, "etag", CREATED))]
KEY = f"{FOLDER}{MADE}/manifest.json"


def document(**changes: Any) -> bytes:
    """A manifest with some members changed."""
    return json.dumps({**json.loads(unchanged()), **changes}).encode()


@functools.cache
def unchanged() -> bytes:
    return make_report(ROWS, created=CREATED, parts=1)[KEY]


@pytest.mark.parametrize("file_format", ["Parquet", "CSV", "PARQUET"])
def test_a_manifest_is_read(file_format: str) -> None:
    files = make_report(ROWS, created=CREATED, file_format=file_format, parts=1, versions=True)
    manifest = parse_manifest(files.pop(KEY), KEY)
    [data] = [key for key in files if "/data/" in key]
    assert (manifest.source, manifest.created) == ("fake-bucket", CREATED)
    assert manifest.is_csv == (file_format == "CSV")
    assert [(each.key, each.size) for each in manifest.files] == [(data, len(files[data]))]
    names = ["key", "versionid", "islatest", "isdeletemarker", "size", "lastmodifieddate", "etag"]
    assert [manifest.column(name) for name in names] == list(range(1, 8))
    assert manifest.column("replicationstatus") is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'"manifest"',
        {"files": [{"key": "x", "size": 1}]},
        {"files": [{"key": "x", "size": -1, "MD5checksum": "0" * 32}]},
        {"files": [{"key": "x", "size": 1, "MD5checksum": "none"}]},
        {"files": [{"key": "", "size": 1, "MD5checksum": "0" * 32}]},
        {"files": {"key": "x"}},
        {"files": None},
        {"creationTimestamp": "yesterday"},
        {"creationTimestamp": 10**30},
        {"fileSchema": "message s3.inventory { }"},
    ],
)
def test_anything_else_is_corrupt(data: bytes | dict[str, Any]) -> None:
    """Bytes that are no manifest, or members that no manifest has."""
    with pytest.raises(CorruptObjectError) as error:
        parse_manifest(data if isinstance(data, bytes) else document(**data), "where it is")
    assert error.value.key == "where it is"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fileFormat": "ORC"}, "ORC, which isn't read: choose Parquet or CSV"),
        ({"fileFormat": "Avro"}, "choose Parquet or CSV"),
        ({"version": "2030-01-01"}, "2030-01-01"),
        (
            {"fileFormat": "CSV", "fileSchema": "Bucket, Key"},
            "add Size, LastModifiedDate, ETag, StorageClass",
        ),
        (
            {
                "fileFormat": "CSV",
                "fileSchema": "Bucket, Key, VersionId, Size, LastModifiedDate, ETag, StorageClass",
            },
            "it lacks IsLatest",
        ),
    ],
)
def test_what_is_not_supported_says_what_to_do(changes: dict[str, str], said: str) -> None:
    with pytest.raises(NotSupportedError, match=said):
        parse_manifest(document(**changes), KEY)


@pytest.mark.parametrize("file_format", ["Parquet", "CSV"])
@pytest.mark.parametrize("missing", OPTIONAL)
def test_a_missing_field_is_named(file_format: str, missing: str) -> None:
    fields = [name for name in OPTIONAL if name != missing]
    files = make_report(ROWS, created=CREATED, file_format=file_format, fields=fields)
    with pytest.raises(NotSupportedError, match=f"add {missing} to the inventory's optional fields"):
        parse_manifest(files[KEY], KEY)


def test_another_bucket_is_refused() -> None:
    check: Callable[[str], None] = Manifest("mine", CREATED, False, (), (DataFile("x", 1, ""),)).check_source
    check("mine")
    with pytest.raises(InvalidConfigError, match="about the bucket 'mine', and this saver's is 'yours'"):
        check("yours")
    for name in ("arn:aws:s3:eu-west-1:123456789012:accesspoint/mine", "mine-abc-s3alias"):
        with pytest.raises(InvalidConfigError, match="make the saver with the bucket's name"):
            check(name)
