"""`get_delta_channel_history`: the writes and values from which delta channels are rebuilt.

The keys of a listing tell the ancestors. Their heads and writes are read in windows that double, so a depth
of d costs about log2(d) round trips.

LangGraph's `get_state_history` walks from the newest checkpoint to the oldest, and asks for the history of
each. So the listing is kept for a moment: the history of an older checkpoint goes on with it. It isn't used
for the same or a newer checkpoint, nor after this process has changed the thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final

from langgraph.checkpoint.base import DeltaChannelHistory, PendingWrite

from langgraph_checkpoint_s3.errors import ConflictError
from langgraph_checkpoint_s3.format.keys import AFTER_SLASH, encode_rank
from langgraph_checkpoint_s3.format.writes import resolve_writes
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.data_keys import unlock
from langgraph_checkpoint_s3.plans.load import (
    Loaded,
    error_context,
    load,
    load_heads,
    open_folder,
    read_heads,
)
from langgraph_checkpoint_s3.plans.parent_cache import Walk
from langgraph_checkpoint_s3.plans.place import Place
from langgraph_checkpoint_s3.plans.plan import Plan, ask, gather
from langgraph_checkpoint_s3.plans.scan import Folder, Scan
from langgraph_checkpoint_s3.plans.transfer import fetch
from langgraph_checkpoint_s3.s3.requests import Tick

_FIRST_WINDOW: Final = 8
_LAST_WINDOW: Final = 256
_FIRST_PAGE: Final = 128
_END: Final = "~"
"""Sorts after every rank."""
_WALK_SECONDS: Final = 2.0
"""For how long a walk goes on with a listing. Then changes by other processes show."""
_OBJECT_BYTES: Final = 1000
"""About how many bytes of memory an object of a listing takes."""


@dataclass(frozen=True, slots=True)
class _Listed:
    """Consecutive folders of a namespace, as they were listed for the history of a checkpoint.

    Attributes:
        namespace: The namespace's folder.
        target: The checkpoint's rank.
        moment: The time before they were listed, in seconds.
        folders: The folders from `low` to `high`, by checkpoint id. There may be others.
        low: The first rank.
        high: The last rank.
    """

    namespace: str
    target: str
    moment: float
    folders: Mapping[str, Folder]
    low: str
    high: str

    def covers(self, namespace: str, checkpoint_id: str | None, now: float) -> bool:
        """Return whether the history of a checkpoint may go on with this listing."""
        if checkpoint_id is None or checkpoint_id not in self.folders or self.namespace != namespace:
            return False
        rank = encode_rank(checkpoint_id)
        older = max(self.target + AFTER_SLASH, self.low) <= rank <= self.high
        return older and now - self.moment <= _WALK_SECONDS


class Chain:
    """A checkpoint and its ancestors, nearest first.

    Args:
        context: The saver's.
        namespace: The namespace's folder.
        listed: Folders that are known already.
    """

    def __init__(self, context: Context, namespace: str, listed: _Listed | None = None) -> None:
        self._context = context
        self._namespace = namespace
        self._target: str | None = None
        self._seen: set[str] = set()
        self._last: Folder | None = None
        self.done = False
        # Every folder with a rank from `_low` to `_high` is in `_listed`, if it exists.
        self._listed: dict[str, Folder] = {}
        self._low = self._high = ""
        self._scan: Scan | None = None
        if listed is not None:
            self._listed |= listed.folders
            self._low, self._high = listed.low, listed.high
            if self._high != _END:
                self._scan = self._scan_from(self._high + AFTER_SLASH)

    def begin(self, checkpoint_id: str | None) -> Plan[None]:
        """Find the checkpoint, or the latest one. If there is none, the chain is done."""
        if checkpoint_id is None:
            found = yield from self._latest()
        else:
            found = yield from self._folder(checkpoint_id)
        for folder in self._append(found):
            self._target = folder.checkpoint_id

    def next(self, count: int) -> Plan[list[Folder]]:
        """Return up to `count` further ancestors. The chain ends at a checkpoint that doesn't exist."""
        folders: list[Folder] = []
        while len(folders) < count and self._last is not None and not self.done:
            parent_id = yield from self._parent_id(self._last)
            folders += self._append((yield from self._folder(parent_id)) if parent_id else None)
        return folders

    def listed(self, moment: float) -> _Listed | None:
        """Return what was listed at that time or later, from the first checkpoint of the chain on."""
        if self._target is None:
            return None
        target = encode_rank(self._target)
        low = max(self._low, target)
        folders = {name: each for name, each in self._listed.items() if low <= encode_rank(name)}
        return _Listed(self._namespace, target, moment, folders, low, self._high)

    def _append(self, folder: Folder | None) -> list[Folder]:
        """Go on to a checkpoint, and return it. If it doesn't exist, or is in the chain, that ends there."""
        if folder is None or not folder.checkpoints or folder.checkpoint_id in self._seen:
            self.done = True
            return []
        self._seen.add(folder.checkpoint_id)
        self._last = folder
        return [folder]

    def _parent_id(self, folder: Folder) -> Plan[str | None]:
        if folder.leaf is not None:
            return folder.leaf.parent
        # The id was put twice with different content. The objects tell which one counts.
        [record] = yield from load_heads(self._context, [folder])
        return record.parent if record else None

    def _latest(self) -> Plan[Folder | None]:
        self._scan = self._scan_from("")
        while True:
            found = next((each for each in self._listed.values() if each.checkpoints), None)
            if found is not None or self._scan.done:
                return found
            yield from self._read_on(self._scan)

    def _folder(self, checkpoint_id: str) -> Plan[Folder | None]:
        rank = encode_rank(checkpoint_id)
        if self._scan is not None and self._high < rank and not self._scan.done:
            yield from self._read_on(self._scan)  # ancestors are normally close together
        if not self._low <= rank <= self._high:  # start a new listing at its key
            self._scan = self._scan_from(rank)
            self._low, self._high = rank, ""
            while self._high < rank and not self._scan.done:
                yield from self._read_on(self._scan)
        return self._listed.get(checkpoint_id)

    def _read_on(self, scan: Scan) -> Plan[None]:
        for folder in (yield from scan.more()):
            self._listed[folder.checkpoint_id] = folder
            self._high = encode_rank(folder.checkpoint_id)
        if scan.done:
            self._high = _END

    def _scan_from(self, start: str) -> Scan:
        return Scan(
            self._context.layout, self._namespace, start_after=self._namespace + start, page=_FIRST_PAGE
        )


def delta_history(
    context: Context, place: Place, channels: Sequence[str]
) -> Plan[Mapping[str, DeltaChannelHistory]]:
    """Return the ancestors' writes of each channel, oldest first, back to the nearest stored value.

    Raises:
        ConflictError: An ancestor was deleted meanwhile.
    """
    if not channels:
        return {}
    namespace, thread = place.namespace(context.layout), context.layout.thread(place.thread_id)
    walk = context.parent_cache.walk(thread)
    now = yield from ask(Tick())
    listed = walk.listed
    if isinstance(listed, _Listed) and not walk.ended and listed.covers(namespace, place.checkpoint_id, now):
        chain = Chain(context, namespace, listed)
        try:
            history = yield from _history(context, chain, place, channels)
        except ConflictError:
            pass  # another process has deleted something since: list again
        else:
            _keep(context, thread, walk, chain.listed(listed.moment))
            return history
    chain = Chain(context, namespace)
    history = yield from _history(context, chain, place, channels)
    _keep(context, thread, walk, chain.listed(now))
    return history


def _keep(context: Context, thread: str, walk: Walk, listed: _Listed | None) -> None:
    """Keep a listing for the rest of a walk."""
    walk.listed = listed
    if listed is not None:
        objects = sum(len(folder.entries) for folder in listed.folders.values())
        context.parent_cache.keep_walk(thread, walk, objects * _OBJECT_BYTES)


def _history(
    context: Context, chain: Chain, place: Place, channels: Sequence[str]
) -> Plan[Mapping[str, DeltaChannelHistory]]:
    writes: dict[str, list[PendingWrite]] = {channel: [] for channel in channels}  # newest first
    seeds: dict[str, Any] = {}
    yield from chain.begin(place.checkpoint_id)
    window = _FIRST_WINDOW
    while len(seeds) < len(writes) and not chain.done:
        folders = yield from chain.next(window)
        for ancestor in (yield from _read(context, folders)):
            wanted = writes.keys() - seeds.keys()
            if not wanted:
                break
            with error_context(ancestor.key):
                for write in reversed(resolve_writes(context.serde, ancestor.writes, wanted)):
                    writes[write[1]].append(write)
            seeds |= yield from _seeds(context, ancestor, wanted)
        window = min(2 * window, _LAST_WINDOW)
    history: dict[str, DeltaChannelHistory] = {}
    for channel in channels:
        history[channel] = {"writes": writes[channel][::-1]}
        if channel in seeds:
            history[channel]["seed"] = seeds[channel]
    return history


def _read(context: Context, folders: Sequence[Folder]) -> Plan[list[Loaded]]:
    """Read ancestors' heads and all of their writes, in one round trip."""
    checkpoints = [entry for folder in folders for entry in folder.checkpoints]
    pending = [entry for folder in folders for entry in folder.writes]
    plans: list[Plan[Any]] = [read_heads(context, checkpoints), fetch(pending, context.sizes)]
    bodies, answers = yield from gather(plans)
    yield from unlock(context, answers)
    bodies |= zip((entry.key for entry in pending), answers, strict=True)
    loaded = [open_folder(context, folder, bodies) for folder in folders]
    if None in loaded:
        raise ConflictError("An ancestor was deleted while a delta channel was being rebuilt; try again")
    return [each for each in loaded if each is not None]


def _seeds(context: Context, ancestor: Loaded, channels: AbstractSet[str]) -> Plan[dict[str, Any]]:
    """Return the stored values of channels that an ancestor has."""
    found = channels & ancestor.checkpoint.channels.keys()
    values = [ancestor.checkpoint.channels[channel] for channel in found]
    if ancestor.checkpoint.container.missing(values):
        [whole] = yield from load(context, [ancestor.folder])
        if not isinstance(whole, Loaded):
            raise ConflictError("An ancestor was deleted while a delta channel was being rebuilt; try again")
        ancestor = whole
    with error_context(ancestor.key):
        return {channel: ancestor.checkpoint.channel(context.serde, channel) for channel in found}
