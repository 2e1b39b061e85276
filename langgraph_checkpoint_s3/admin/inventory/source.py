"""Plans that find a report, in a bucket or a local folder, and copy and check its files."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from langgraph_checkpoint_s3.admin.calls import in_thread
from langgraph_checkpoint_s3.admin.inventory.manifest import DataFile, Manifest, parse_manifest
from langgraph_checkpoint_s3.admin.inventory.report import Report
from langgraph_checkpoint_s3.admin.inventory.rows import SortedRows, import_duckdb
from langgraph_checkpoint_s3.errors import CorruptObjectError, InvalidConfigError, S3CheckpointError
from langgraph_checkpoint_s3.plans.plan import Plan, ask_all, batched
from langgraph_checkpoint_s3.plans.scan import Pages
from langgraph_checkpoint_s3.plans.transfer import Sizes, fetch_now
from langgraph_checkpoint_s3.s3.requests import Body, GetObject

_MANIFEST: Final = "manifest.json"
_CHECKSUM: Final = "manifest.checksum"
_MADE: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\dZ")
"""The folder of a report, named by the time at which S3 began to make it."""
_PARTS: Final = 4
"""Parts of a file that are read at once."""
_CHUNK: Final = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Location:
    """The place of a report.

    Attributes:
        bucket: Its bucket; `None` for a local path.
        path: The key or path: of a `manifest.json`, of its folder, or of the folder of an inventory's
            reports, of which the newest is meant.
    """

    bucket: str | None
    path: str

    @classmethod
    def of(cls, inventory: object) -> Location:
        """Return the location that a user named.

        Raises:
            InvalidConfigError: It is none.
        """
        if not isinstance(inventory, (str, os.PathLike)) or not (text := os.fspath(inventory)):
            raise InvalidConfigError(
                f"inventory={inventory!r} must be the path of a report, or s3://bucket/…/manifest.json."
            )
        if not isinstance(text, str) or not text.startswith("s3://"):
            return cls(None, os.fsdecode(text))
        bucket, _, key = text.removeprefix("s3://").partition("/")
        if not bucket or not key:
            raise InvalidConfigError(
                f"inventory={text!r} must name a manifest.json, or the folder of an inventory's reports: "
                "s3://inventory-bucket/prefix/source-bucket/configuration/."
            )
        return cls(bucket, key if key.endswith(".json") else f"{key.rstrip('/')}/")


def open_report(location: Location, bucket: str, prefix: str, sizes: Sizes) -> Plan[Report]:
    """Find a report, check it, and sort what it says of a saver's prefix.

    The plan runs on the report's bucket.

    Args:
        location: Where it is.
        bucket: The saver's bucket.
        prefix: The saver's prefix.
        sizes: The size of parts.

    Raises:
        InvalidConfigError: There is no report, it is about another bucket, or DuckDB isn't installed.
        NotSupportedError: Its format isn't read, or it lacks a field.
        CorruptObjectError: It is damaged.
    """
    try:
        return (yield from _open_report(location, bucket, prefix, sizes))
    except S3CheckpointError as error:
        if error.bucket is None:
            error.bucket = location.bucket or ""  # errors about a file name no bucket
        raise


def _open_report(location: Location, bucket: str, prefix: str, sizes: Sizes) -> Plan[Report]:
    yield from in_thread(import_duckdb)
    files: _Bucket | _Folder = (
        _Folder(location.path) if location.bucket is None else _Bucket(location.path, sizes)
    )
    key, manifest = yield from _read_manifest(files)
    manifest.check_source(bucket)
    folder = Path((yield from in_thread(tempfile.mkdtemp, "", "langgraph-checkpoint-s3-")))
    try:
        paths: list[Path] = []
        for number, file in enumerate(manifest.files):
            paths.append(folder / f"{number}.{'csv.gz' if manifest.is_csv else 'parquet'}")
            yield from _copy(files.parts(key, file), file, paths[-1])
        rows = yield from in_thread(SortedRows, folder, paths, manifest, prefix)
    except GeneratorExit:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    except BaseException as error:
        if isinstance(error, CorruptObjectError) and error.key is None:
            error.bucket, error.key = location.bucket or "", key
        yield from in_thread(shutil.rmtree, folder, True)
        raise
    return Report(rows, prefix, manifest.created)


class _Bucket:
    """The files of reports in a bucket."""

    def __init__(self, path: str, sizes: Sizes) -> None:
        self.path = path
        self._sizes = sizes

    def manifests(self) -> Plan[list[str]]:
        """Return the keys of the manifests that may be meant, the newest first."""
        if not self.path.endswith("/"):
            return [self.path]
        pages = Pages(self.path, delimiter="/")
        found: list[str] = []
        while not pages.done:
            page = yield from pages.more()
            if any(entry.key == self.path + _MANIFEST for entry in page.entries):
                return [self.path + _MANIFEST]
            found += (each for each in page.prefixes if _MADE.fullmatch(each[len(self.path) : -1]))
        return [each + _MANIFEST for each in reversed(found)]

    def read(self, key: str) -> Plan[bytes | None]:
        """Return a small file; `None` if there is none."""
        body = yield from fetch_now(GetObject(key, keep=False), self._sizes)
        return body.data if isinstance(body, Body) else None

    def beside(self, manifest: str, name: str) -> str:
        """Return the key of a file in a manifest's folder."""
        return manifest.rpartition("/")[0] + "/" + name

    def parts(self, manifest: str, file: DataFile) -> Iterator[Plan[list[bytes]]]:
        """Return plans that read a file of a manifest, part after part."""
        size = self._sizes.part_size
        requests = [
            GetObject(file.key, first=first, length=min(size, file.size - first), keep=False)
            for first in range(0, file.size, size)
        ]
        return (self._part(file, some) for some in batched(requests, _PARTS))

    def _part(self, file: DataFile, requests: Iterable[GetObject]) -> Plan[list[bytes]]:
        bodies = yield from ask_all(requests)
        found = [body.data for body in bodies if isinstance(body, Body) and body.size == file.size]
        if len(found) < len(bodies):
            raise _damaged(file, "is missing, or has another size")
        return found


class _Folder:
    """The files of reports in a local folder."""

    def __init__(self, path: str) -> None:
        self.path = path

    def manifests(self) -> Plan[list[str]]:
        """Return the paths of the manifests that may be meant, the newest first."""
        return (yield from in_thread(self._manifests))

    def read(self, key: str) -> Plan[bytes | None]:
        """Return a small file; `None` if there is none."""
        return (yield from in_thread(_read, Path(key)))

    def beside(self, manifest: str, name: str) -> str:
        """Return the path of a file in a manifest's folder."""
        return str(Path(manifest).parent / name)

    def parts(self, manifest: str, file: DataFile) -> Iterator[Plan[list[bytes]]]:
        """Return plans that read a file of a manifest, part after part."""
        folder, name = Path(manifest).parent, file.key.rpartition("/")[2]
        places = (folder / name, folder / "data" / name, folder.parent / "data" / name)
        return (in_thread(self._part, file, places, first) for first in range(0, file.size, _CHUNK))

    def _manifests(self) -> list[str]:
        path = Path(self.path)
        if not path.is_dir():
            return [str(path)]
        if (path / _MANIFEST).is_file():
            return [str(path / _MANIFEST)]
        made = sorted((each.name for each in path.iterdir() if _MADE.fullmatch(each.name)), reverse=True)
        return [str(path / name / _MANIFEST) for name in made]

    @staticmethod
    def _part(file: DataFile, places: Iterable[Path], first: int) -> list[bytes]:
        path = next((each for each in places if each.is_file()), None)
        if path is None or path.stat().st_size != file.size:
            raise _damaged(file, f"isn't in {path or 'data/'} with its {file.size:,} bytes")
        with path.open("rb") as opened:
            opened.seek(first)
            return [opened.read(_CHUNK)]


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _read_manifest(files: _Bucket | _Folder) -> Plan[tuple[str, Manifest]]:
    """Return the manifest, or the newest one, with its key or path."""
    for key in (yield from files.manifests()):
        data = yield from files.read(key)
        if data is None:
            continue  # S3 is still making this report
        checksum = yield from files.read(files.beside(key, _CHECKSUM))
        # S3 writes it beside each manifest. A copy may lack it.
        if checksum is not None and checksum.decode("ascii", "replace").strip().lower() != _md5(data):
            raise CorruptObjectError(
                "The MD5 of the inventory's manifest isn't that of its checksum", key=key
            )
        return key, parse_manifest(data, key)
    raise InvalidConfigError(
        f"There is no inventory report at {files.path}: name its manifest.json, or the folder that has "
        "reports named by time, such as 2026-11-30T01-00Z. The first one comes within 48 hours."
    )


def _copy(parts: Iterable[Plan[list[bytes]]], file: DataFile, target: Path) -> Plan[None]:
    """Copy a file of the report, and check its MD5.

    Raises:
        CorruptObjectError: It is missing, or damaged.
    """
    digest = hashlib.md5(usedforsecurity=False)
    opened: IO[bytes] = yield from in_thread(_open, target)
    try:
        for part in parts:
            data = yield from part
            yield from in_thread(_append, opened, digest, data)
    except GeneratorExit:
        opened.close()
        raise
    except BaseException:
        yield from in_thread(opened.close)
        raise
    yield from in_thread(opened.close)
    if digest.hexdigest() != file.md5:
        raise _damaged(file, "has another MD5 than its manifest says")


def _open(path: Path) -> IO[bytes]:
    return path.open("wb")


def _append(file: IO[bytes], digest: Any, data: Iterable[bytes]) -> None:
    for each in data:
        digest.update(each)
        file.write(each)


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _damaged(file: DataFile, reason: str) -> CorruptObjectError:
    return CorruptObjectError(f"A file of the inventory report {reason}", key=file.key)
