"""Makes S3 Inventory reports as AWS writes them, with DuckDB, of what a bucket holds."""

from __future__ import annotations

import functools
import hashlib
import json
import random
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, quote_plus

import duckdb

from langgraph_checkpoint_s3.s3.requests import Entry
from tests.support.fake_s3 import FakeS3

FOLDER: Final = "inventories/fake-bucket/nightly/"
MADE: Final = "2026-11-30T01-00Z"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)

OPTIONAL: Final = ("Size", "LastModifiedDate", "ETag", "StorageClass")
_PARQUET: Final = {
    "Bucket": "bucket",
    "Key": "key",
    "VersionId": "version_id",
    "IsLatest": "is_latest",
    "IsDeleteMarker": "is_delete_marker",
    "Size": "size",
    "LastModifiedDate": "last_modified_date",
    "ETag": "e_tag",
    "StorageClass": "storage_class",
    "IsMultipartUploaded": "is_multipart_uploaded",
}
_PARQUET_TYPES: Final = {
    "Bucket": "required binary {} (UTF8)",
    "Key": "required binary {} (UTF8)",
    "IsLatest": "optional boolean {}",
    "IsDeleteMarker": "optional boolean {}",
    "Size": "optional int64 {}",
    "LastModifiedDate": "optional int64 {} (TIMESTAMP_MILLIS)",
    "IsMultipartUploaded": "optional boolean {}",
}
_SQL_TYPES: Final = {
    "IsLatest": "BOOLEAN",
    "IsDeleteMarker": "BOOLEAN",
    "Size": "BIGINT",
    "LastModifiedDate": "TIMESTAMP_MS",
    "IsMultipartUploaded": "BOOLEAN",
}


@dataclass(frozen=True)
class Listed:
    """A row of a report: an object, an old version of one, or a delete marker."""

    entry: Entry
    version_id: str = ""
    latest: bool = True
    marker: bool = False


def rows_of(fake: FakeS3) -> list[Listed]:
    """Return the rows of the fake's objects, as a report of the current versions has them."""
    return [
        Listed(Entry(key, len(found.data), found.etag, found.modified, found.storage_class))
        for key, found in fake.objects.items()
    ]


def make_report(
    rows: Iterable[Listed],
    *,
    created: datetime,
    bucket: str = "fake-bucket",
    file_format: str = "Parquet",
    versions: bool = False,
    fields: Sequence[str] = OPTIONAL,
    parts: int = 2,
    seed: int = 0,
    folder: str = FOLDER,
    made: str = MADE,
) -> dict[str, bytes]:
    """Return the files of a report by their keys: a manifest, its checksum, and data in no order.

    Args:
        rows: What it lists.
        created: When S3 began to make it.
        bucket: The bucket that it is about.
        file_format: `Parquet`, `CSV`, or what the manifest shall say.
        versions: Whether it has the columns of versions.
        fields: The optional fields, in their order.
        parts: How many files the rows are in.
        seed: The seed of their order.
        folder: The folder of the inventory's reports.
        made: The name of the report's folder.
    """
    names = ["Bucket", "Key", *(("VersionId", "IsLatest", "IsDeleteMarker") if versions else ()), *fields]
    mixed = list(rows)
    random.Random(seed).shuffle(mixed)
    is_csv = file_format.lower() == "csv"
    files: dict[str, bytes] = {}
    listed: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as temporary:
        for part in range(parts if mixed else 0):
            some = [_values(row, bucket, is_csv=is_csv) for row in mixed[part::parts]]
            path = Path(temporary) / f"{part}"
            _write(path, names, some, is_csv=is_csv)
            data = path.read_bytes()
            key = f"{folder}data/{seed}-{part}.{'csv.gz' if is_csv else 'parquet'}"
            files[key] = data
            listed.append({"key": key, "size": len(data), "MD5checksum": md5(data)})
    schema = ", ".join(names) if is_csv else _parquet_schema(names)
    manifest = {
        "sourceBucket": bucket,
        "destinationBucket": "arn:aws:s3:::inventory-bucket",
        "version": "2016-11-30",
        "creationTimestamp": str((created - _EPOCH) // timedelta(milliseconds=1)),
        "fileFormat": file_format,
        "fileSchema": schema,
        "files": listed,
    }
    return files | with_checksum(f"{folder}{made}/", json.dumps(manifest, indent=2).encode())


def with_checksum(folder: str, manifest: bytes) -> dict[str, bytes]:
    """A manifest and its checksum."""
    return {
        f"{folder}manifest.json": manifest,
        f"{folder}manifest.checksum": md5(manifest).encode(),
    }


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def write_files(files: Mapping[str, bytes], root: Path) -> Path:
    """Write a report's files below a folder, as `aws s3 sync` does. Return the inventory's folder."""
    for key, data in files.items():
        path = root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root / FOLDER


def _values(row: Listed, bucket: str, *, is_csv: bool) -> dict[str, Any]:
    entry = row.entry
    number = len(entry.key) % 3  # S3 may encode a key in any of these ways
    encoded = (quote_plus(entry.key), quote_plus(entry.key, safe="/"), quote(entry.key))[number]
    if is_csv and number == 2:
        encoded = encoded.replace("+", "%2B")
    return {
        "Bucket": bucket,
        "Key": encoded if is_csv else entry.key,
        "VersionId": row.version_id,
        "IsLatest": row.latest,
        "IsDeleteMarker": row.marker,
        "Size": None if row.marker else entry.size,
        "LastModifiedDate": (entry.modified - _EPOCH) // timedelta(milliseconds=1),
        "ETag": None if row.marker else entry.etag,
        "StorageClass": None if row.marker else entry.storage_class,
        "IsMultipartUploaded": False,
    }


@functools.cache
def _connection() -> duckdb.DuckDBPyConnection:
    """DuckDB, which takes long to begin. With one thread it has none beside the test's, which may fork."""
    return duckdb.connect(config={"threads": 1})


def _write(
    path: Path,
    names: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    *,
    is_csv: bool,
) -> None:
    columns = []
    for number, name in enumerate(names, start=1):
        value = f"unnest(${number})"
        if name == "LastModifiedDate":
            value = f"make_timestamp({value}::BIGINT * 1000)"
            value = f"strftime({value}, '%Y-%m-%dT%H:%M:%S.%gZ')" if is_csv else f"{value}::TIMESTAMP_MS"
        elif is_csv:
            value = f"coalesce({value}::VARCHAR, '')"
        else:
            value = f"{value}::{_SQL_TYPES.get(name, 'VARCHAR')}"
        columns.append(f'{value} AS "{_PARQUET[name]}"')
    options = "FORMAT csv, HEADER false, FORCE_QUOTE *, COMPRESSION gzip" if is_csv else "FORMAT parquet"
    _connection().execute(
        f"COPY (SELECT {', '.join(columns)}) TO '{path}' ({options})",
        [[row[name] for row in rows] for name in names],
    )


def _parquet_schema(names: Sequence[str]) -> str:
    default = "optional binary {} (UTF8)"
    fields = (_PARQUET_TYPES.get(name, default).format(_PARQUET[name]) for name in names)
    return f"message s3.inventory {{ {'; '.join(fields)}; }}"
