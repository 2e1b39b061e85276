"""The manifest of an S3 Inventory report: what it says, and what is refused. Pure.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory-location.html describes it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from langgraph_checkpoint_s3.errors import CorruptObjectError, InvalidConfigError, NotSupportedError

EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_VERSION: Final = "2016-11-30"
_NEEDED: Final = {
    "Size": "size",
    "LastModifiedDate": "lastmodifieddate",
    "ETag": "etag",
    "StorageClass": "storageclass",
}
"""The optional fields of an inventory that a LIST has as well, by S3's names of them."""
_PARQUET_FIELD: Final = re.compile(r"(?:required|optional)\s+\w+\s+(\w+)")
_MD5: Final = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file with a part of a report's rows.

    Attributes:
        key: Its key in the bucket that reports are delivered to.
        size: Its length in bytes.
        md5: The MD5 of its content, in lower-case hex.
    """

    key: str
    size: int
    md5: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The manifest of a report.

    Attributes:
        source: The bucket that the report is about.
        created: The time at which S3 began to make it.
        is_csv: Whether its files are CSV, compressed with gzip. Otherwise they are Parquet.
        columns: The names of their columns, in order.
        files: The files.
    """

    source: str
    created: datetime
    is_csv: bool
    columns: tuple[str, ...]
    files: tuple[DataFile, ...]

    def column(self, field: str) -> int | None:
        """Return the number of a field's column, given its name in lower case without `_`."""
        names = [name.replace("_", "").lower() for name in self.columns]
        return names.index(field) if field in names else None

    def check_source(self, bucket: str) -> None:
        """Check that the report is about a saver's bucket.

        Raises:
            InvalidConfigError: It is about another one.
        """
        if self.source == bucket:
            return
        hint = (
            " A report names the bucket itself, not an access point: make the saver with the bucket's name."
            if bucket.startswith("arn:") or bucket.endswith("-s3alias")
            else ""
        )
        raise InvalidConfigError(
            f"The inventory report is about the bucket {self.source!r}, and this saver's is {bucket!r}.{hint}"
        )


def parse_manifest(data: bytes, key: str) -> Manifest:
    """Parse a `manifest.json`.

    Args:
        data: Its content.
        key: Its key or path, for errors.

    Raises:
        CorruptObjectError: It isn't the manifest of an inventory report.
        NotSupportedError: The report is of a format or version that isn't read, or lacks a field.
    """
    try:
        fields = json.loads(data)
        version, file_format = str(fields["version"]), str(fields["fileFormat"]).lower()
        schema = str(fields["fileSchema"])
        created = EPOCH + timedelta(milliseconds=int(fields["creationTimestamp"]))
        files = tuple(map(_data_file, fields["files"]))
        source = str(fields["sourceBucket"])
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise CorruptObjectError(
            f"This isn't the manifest of an S3 Inventory report ({type(error).__name__}: {error})", key=key
        ) from error
    if version != _VERSION:
        raise NotSupportedError(
            f"The inventory report has the version {version}, and only {_VERSION} is known", key=key
        )
    if file_format not in ("csv", "parquet"):
        raise NotSupportedError(
            f"The inventory report's format is {fields['fileFormat']}, which isn't read: choose Parquet or "
            "CSV as the inventory's format",
            key=key,
        )
    is_csv = file_format == "csv"
    columns = (
        tuple(name.strip() for name in schema.split(",")) if is_csv else (*_PARQUET_FIELD.findall(schema),)
    )
    manifest = Manifest(source, created, is_csv, columns, files)
    missing = [name for name, field in _NEEDED.items() if manifest.column(field) is None]
    if manifest.column("key") is None:
        raise CorruptObjectError(f"The inventory report has no column of keys: {schema}", key=key)
    if missing:
        raise NotSupportedError(
            f"The inventory report lacks what a listing has: add {', '.join(missing)} to the inventory's "
            "optional fields, and use the next report",
            key=key,
        )
    if manifest.column("versionid") is not None and manifest.column("islatest") is None:
        raise NotSupportedError(
            "The inventory report has versions, and doesn't say which are current: it lacks IsLatest",
            key=key,
        )
    return manifest


def _data_file(fields: Any) -> DataFile:
    key, size, md5 = str(fields["key"]), int(fields["size"]), str(fields["MD5checksum"]).lower()
    if not key or size < 0 or not _MD5.fullmatch(md5):
        raise ValueError(f"{fields!r} is no file of a report")
    return DataFile(key, size, md5)
