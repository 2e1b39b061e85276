"""`get_delta_channel_history`: the writes and values from which delta channels are rebuilt.

The keys of a listing tell the ancestors. Their heads and writes are read in windows that double, so a depth
of d costs about log2(d) round trips.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final

from langgraph.checkpoint.base import DeltaChannelHistory, PendingWrite

from langgraph_checkpoint_s3.errors import ConflictError
from langgraph_checkpoint_s3.format.keys import AFTER_SLASH, encode_rank
from langgraph_checkpoint_s3.format.writes import resolve_writes
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.data_keys import unlock
from langgraph_checkpoint_s3.plans.get_tuple import find_folder
from langgraph_checkpoint_s3.plans.load import (
    Loaded,
    error_context,
    load,
    load_heads,
    open_folder,
    read_heads,
)
from langgraph_checkpoint_s3.plans.place import Place
from langgraph_checkpoint_s3.plans.plan import Plan, gather
from langgraph_checkpoint_s3.plans.scan import Folder, Scan
from langgraph_checkpoint_s3.plans.transfer import fetch

_FIRST_WINDOW: Final = 8
_LAST_WINDOW: Final = 256
_FIRST_PAGE: Final = 128
_END: Final = "~"
"""Sorts after every rank."""


class Chain:
    """The ancestors of a checkpoint, nearest first.

    Args:
        context: The saver's.
        target: The checkpoint.
    """

    def __init__(self, context: Context, target: Folder) -> None:
        self._context = context
        self._namespace = target.namespace
        self._listed = {target.checkpoint_id: target}
        self._seen = {target.checkpoint_id}
        self._last = target
        self.done = False
        # Every folder with a rank from `_low` to `_high` is in `_listed`, if it exists.
        self._low = self._high = encode_rank(target.checkpoint_id)
        self._scan = self._scan_from(self._low + AFTER_SLASH)

    def next(self, count: int) -> Plan[list[Folder]]:
        """Return up to `count` further ancestors. The chain ends at a checkpoint that doesn't exist."""
        folders: list[Folder] = []
        while len(folders) < count and not self.done:
            parent_id = yield from self._parent_id(self._last)
            parent = (yield from self._folder(parent_id)) if parent_id else None
            if parent is None or not parent.checkpoints or parent.checkpoint_id in self._seen:
                self.done = True
                break
            self._seen.add(parent.checkpoint_id)
            self._last = parent
            folders.append(parent)
        return folders

    def _parent_id(self, folder: Folder) -> Plan[str | None]:
        if folder.leaf is not None:
            return folder.leaf.parent
        # The id was put twice with different content. The objects tell which one counts.
        [record] = yield from load_heads(self._context, [folder])
        return record.parent if record else None

    def _folder(self, checkpoint_id: str) -> Plan[Folder | None]:
        rank = encode_rank(checkpoint_id)
        if self._high < rank and not self._scan.done:
            yield from self._read_on()  # ancestors are normally close together
        if not self._low <= rank <= self._high:  # start a new listing at its key
            self._scan = self._scan_from(rank)
            self._low, self._high = rank, ""
            while self._high < rank and not self._scan.done:
                yield from self._read_on()
        return self._listed.get(checkpoint_id)

    def _read_on(self) -> Plan[None]:
        for folder in (yield from self._scan.more()):
            self._listed[folder.checkpoint_id] = folder
            self._high = encode_rank(folder.checkpoint_id)
        if self._scan.done:
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
    writes: dict[str, list[PendingWrite]] = {channel: [] for channel in channels}  # newest first
    seeds: dict[str, Any] = {}
    target = (yield from find_folder(context, place)) if channels else None
    if target is not None:
        chain = Chain(context, target)
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
