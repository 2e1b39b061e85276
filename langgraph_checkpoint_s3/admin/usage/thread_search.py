"""Finding threads by their metadata, by keys where these have it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from langgraph_checkpoint_s3.admin.usage.threads import read_name, thread_in
from langgraph_checkpoint_s3.errors import InvalidConfigError
from langgraph_checkpoint_s3.format.key_encoding import HashedName
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.list_checkpoints import IN_THE_KEY, has_metadata
from langgraph_checkpoint_s3.plans.load import error_context, load_heads
from langgraph_checkpoint_s3.plans.plan import Plan, batched, gather
from langgraph_checkpoint_s3.plans.scan import Folder, ListedThread, ThreadScan, group, list_thread

_THREADS_AT_ONCE: Final = 64
_HEADS_AT_ONCE: Final = 64


class ThreadSearch:
    """A listing of the ids of threads with a checkpoint that has some metadata, a window at a time.

    Args:
        context: The saver's.
        metadata: The metadata, as for `list(filter=…)`.
        prefix: The beginning of the ids.
        limit: The most ids.

    Raises:
        InvalidConfigError: The metadata isn't a mapping, or empty.
    """

    def __init__(self, context: Context, metadata: object, prefix: str, limit: int | None) -> None:
        if (
            not isinstance(metadata, Mapping)
            or not metadata
            or not all(type(each) is str for each in metadata)
        ):
            raise InvalidConfigError(
                f"metadata must be names with values, such as {{'user_id': '42'}}, not {metadata!r}."
            )
        layout = context.layout
        self._context = context
        self._wanted: dict[str, Any] = dict(metadata)
        self._indexed = layout.index_filter(self._wanted)
        others = {name: value for name, value in self._wanted.items() if name not in IN_THE_KEY}
        self._tags = layout.index_tags(others)
        self._prefix = prefix
        self._left = limit
        self._scan = ThreadScan(layout)

    @property
    def done(self) -> bool:
        """True if the listing is complete."""
        return self._scan.done or (self._left is not None and self._left <= 0)

    def page(self) -> Plan[list[str]]:
        """Return the next ids, which may be none, also before `done`."""
        threads = [
            (name, each)
            for each in (yield from self._scan.more(_THREADS_AT_ONCE))
            if (name := thread_in(self._context.layout, each.folder)) is not None
            and (isinstance(name, HashedName) or name.startswith(self._prefix))
        ]
        found = yield from gather(self._find(name, each) for name, each in threads)
        names = [name for name in found if name is not None and name.startswith(self._prefix)]
        if self._left is not None:
            names = names[: self._left]
            self._left -= len(names)
        return names

    def _find(self, name: str, thread: ListedThread) -> Plan[str | None]:
        """Return the name of a thread, if a checkpoint of it has the metadata."""
        layout = self._context.layout
        folders = group(layout, thread.entries if thread.entries is not None else thread.first)
        found = any(map(self._must_match, folders))
        if not found:
            if thread.entries is None:
                folders = yield from list_thread(layout, thread.folder)
            found = any(map(self._must_match, folders)) or (yield from self._read(folders))
        if not found:
            return None
        if isinstance(name, HashedName):
            entries = [entry for folder in folders for entry in folder.entries]
            return (yield from read_name(self._context, name, entries))
        return name

    def _must_match(self, folder: Folder) -> bool:
        leaf = folder.leaf
        return leaf is not None and leaf.must_match(self._indexed, self._tags, len(self._wanted))

    def _read(self, folders: Sequence[Folder]) -> Plan[bool]:
        """Return whether one of these checkpoints, which keys can't rule out, has the metadata."""
        possible = [
            folder
            for folder in folders
            if folder.checkpoints
            and (folder.leaf is None or folder.leaf.may_match(self._indexed, self._tags))
        ]
        for some in batched(possible, _HEADS_AT_ONCE):
            for folder, record in zip(some, (yield from load_heads(self._context, some)), strict=True):
                with error_context(folder.key):
                    if record is not None and has_metadata(
                        record.metadata(self._context.serde), self._wanted
                    ):
                        return True
        return False
