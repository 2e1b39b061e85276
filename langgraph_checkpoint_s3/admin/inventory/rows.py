"""The rows of a report, sorted by key with DuckDB in bounded memory."""

from __future__ import annotations

import shutil
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from langgraph_checkpoint_s3.admin.inventory.manifest import Manifest
from langgraph_checkpoint_s3.errors import CorruptObjectError, InvalidConfigError, S3CheckpointError

if TYPE_CHECKING:
    from types import ModuleType

BLOCK: Final = 4096
"""Rows that are read at once."""
_BLOCKS: Final = 8
"""Blocks that stay in memory: some MB."""
_MEMORY: Final = "512MB"
"""DuckDB's memory. Beyond it, it sorts on disk."""

Row: TypeAlias = tuple[str, int, int, str, str]
"""Key, size, time of the last modification in µs since 1970, ETag and storage class."""


class SortedRows:
    """The objects below a prefix that a report lists, in the order of their keys. For one thread at a time.

    Args:
        folder: A folder for the sorted rows, which `close` removes.
        files: The report's files, as copied into it.
        manifest: The report's manifest.
        prefix: The prefix.

    Raises:
        CorruptObjectError: A file isn't what the manifest says.
        S3CheckpointError: There isn't enough room to sort the rows.
    """

    def __init__(self, folder: Path, files: Sequence[Path], manifest: Manifest, prefix: str) -> None:
        self._folder = folder
        self._blocks: OrderedDict[int, list[Row]] = OrderedDict()
        self._duckdb = import_duckdb()
        try:
            self._connection = self._duckdb.connect(
                str(folder / "rows.duckdb"),
                config={
                    "memory_limit": _MEMORY,
                    "temp_directory": str(folder / "spilled"),
                    # What the files say must not make it load code, or reach anything else.
                    "autoload_known_extensions": "false",
                    "autoinstall_known_extensions": "false",
                },
            )
            try:
                self._load(files, manifest, prefix)
            except BaseException:
                self._connection.close()
                raise
        except self._duckdb.Error as error:
            raise self._mapped(error) from error
        for file in files:
            file.unlink()

    def block(self, number: int) -> list[Row]:
        """Return the rows from `number * BLOCK` on, at most `BLOCK` of them."""
        found = self._blocks.get(number)
        if found is None:
            try:
                found = self._query(
                    "SELECT key, size, modified, etag, class FROM objects WHERE number >= ? AND number < ? "
                    "ORDER BY number",
                    [number * BLOCK, (number + 1) * BLOCK],
                )
            except self._duckdb.Error as error:
                raise self._mapped(error) from error
            self._blocks[number] = found
            if len(self._blocks) > _BLOCKS:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(number)
        return found

    def close(self) -> None:
        """Close and remove the sorted rows."""
        self._connection.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _load(self, files: Sequence[Path], manifest: Manifest, prefix: str) -> None:
        self._connection.execute(
            "CREATE TABLE objects (number BIGINT, key VARCHAR, size BIGINT, modified BIGINT, etag VARCHAR, "
            "class VARCHAR)"
        )
        if files:
            self._connection.execute(_select_rows(files, manifest, prefix))
        [(self.count, incomplete)] = self._query(
            "SELECT count(*), count(*) FILTER (WHERE size IS NULL OR modified IS NULL) FROM objects"
        )
        if incomplete:
            raise CorruptObjectError(f"{incomplete} objects in the inventory report have no size or no time")
        # The key of each block's first row tells which block has a key.
        firsts = self._query("SELECT key FROM objects WHERE number % ? = 0 ORDER BY number", [BLOCK])
        self.firsts: list[str] = [key for (key,) in firsts]

    def _query(self, text: str, values: Sequence[int] = ()) -> list[Any]:
        found: list[Any] = self._connection.execute(text, list(values)).fetchall()
        return found

    def _mapped(self, error: Exception) -> S3CheckpointError:
        """Return what an error of DuckDB means."""
        duckdb = self._duckdb
        text = str(error).partition("\n")[0]
        if (
            isinstance(error, (duckdb.OutOfMemoryException, duckdb.IOException))
            and "gzip" not in text.lower()
        ):
            return S3CheckpointError(
                f"The inventory report can't be sorted in {self._folder}, which needs room for its files, "
                f"unpacked, twice (TMPDIR names another folder): {text}",
                bucket="",
            )
        return CorruptObjectError(f"The inventory report isn't as its manifest says: {text}")


def import_duckdb() -> ModuleType:
    """Import DuckDB.

    Raises:
        InvalidConfigError: It isn't installed.
    """
    try:
        import duckdb
    except ImportError as error:
        raise InvalidConfigError("An inventory report is read with DuckDB: pip install duckdb") from error
    return duckdb


def _select_rows(files: Sequence[Path], manifest: Manifest, prefix: str) -> str:
    """Return the statement that fills the table with what a LIST of the prefix would show."""
    paths = f"[{', '.join(_literal(str(path)) for path in files)}]"

    def column(field: str) -> str | None:
        number = manifest.column(field)
        if number is None:
            return None
        return f"c{number}" if manifest.is_csv else f'"{manifest.columns[number]}"'

    key, modified = column("key"), column("lastmodifieddate")
    if manifest.is_csv:
        # Without a header, and with keys as in a URL: a plus is a space, and %2B a plus.
        key, modified = f"url_decode(replace({key}, '+', ' '))", f"CAST({modified} AS TIMESTAMP)"
        types = ", ".join(f"'c{number}': 'VARCHAR'" for number in range(len(manifest.columns)))
        table = (
            f"read_csv({paths}, columns={{{types}}}, auto_detect=false, header=false, compression='gzip', "
            "delim=',', quote='\"', escape='\"')"
        )
    else:
        table = f"read_parquet({paths})"
    latest, marker = column("islatest"), column("isdeletemarker")
    # Values are converted only in rows that are kept: delete markers, for one, have no size.
    kept = [f"starts_with({key}, {_literal(prefix)})"]
    if latest is not None:
        kept.append(f"CAST({latest} AS BOOLEAN)")
    if marker is not None:
        kept.append(f"NOT coalesce(CAST({marker} AS BOOLEAN), false)")
    # Made of the package's own names, those of columns, which are words, and literals.
    return (
        "INSERT INTO objects SELECT row_number() OVER () - 1, * FROM ("  # noqa: S608  # see above
        f"SELECT {key} AS key, CAST({column('size')} AS BIGINT) AS size, epoch_us({modified}) AS modified, "
        f"coalesce(trim({column('etag')}, '\"'), '') AS etag, "
        f"coalesce(nullif({column('storageclass')}, ''), 'STANDARD') AS class "
        f"FROM {table} WHERE {' AND '.join(kept)} ORDER BY key, modified DESC)"
    )


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
