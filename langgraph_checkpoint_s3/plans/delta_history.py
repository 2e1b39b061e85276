"""`get_delta_channel_history`: the writes and values from which delta channels are rebuilt.

The keys of a listing tell the ancestors. Their heads and writes are read in windows that double, so a depth
of d costs about log2(d) round trips. Where pruning has gathered the writes of deleted ancestors beside a
checkpoint (`gather.py`), that one object takes the place of the rest of the way.

LangGraph's `get_state_history` walks from the newest checkpoint to the oldest, and asks for the history of
each. So the listing is kept for a moment: the history of an older checkpoint goes on with it. It isn't used
for the same or a newer checkpoint, nor after this process has changed the thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Generic, TypeVar

from langgraph.checkpoint.base import DeltaChannelHistory

from langgraph_checkpoint_s3.errors import ConflictError
from langgraph_checkpoint_s3.format.container import Container
from langgraph_checkpoint_s3.format.frames import Value
from langgraph_checkpoint_s3.format.gathered import GatheredRecord
from langgraph_checkpoint_s3.format.keys import AFTER_SLASH, encode_rank
from langgraph_checkpoint_s3.format.serialization import load as load_value
from langgraph_checkpoint_s3.format.writes import resolve_rows
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.data_keys import unlock
from langgraph_checkpoint_s3.plans.load import (
    Loaded,
    error_context,
    load,
    load_heads,
    open_folder,
    open_object,
    read_heads,
)
from langgraph_checkpoint_s3.plans.parent_cache import Walk
from langgraph_checkpoint_s3.plans.place import Place
from langgraph_checkpoint_s3.plans.plan import Plan, ask, gather, return_errors
from langgraph_checkpoint_s3.plans.scan import Folder, Scan
from langgraph_checkpoint_s3.plans.transfer import fetch
from langgraph_checkpoint_s3.s3.requests import Body, NotFound, Tick

T = TypeVar("T")

DELETED: Final = "An ancestor was deleted while a delta channel was being rebuilt; try again"
_FIRST_WINDOW: Final = 8
_LAST_WINDOW: Final = 256
_FIRST_PAGE: Final = 128
_TRIES: Final = 4
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


def _keys(folder: Folder) -> list[str]:
    return [entry.key for entry in folder.gathered]


class Chain:
    """A checkpoint and its ancestors, nearest first.

    Attributes:
        done: Whether there are no more ancestors.
        rooted: Whether the last one has no parent.
        cut: Whether the last one names a parent that isn't there.

    Args:
        context: The saver's.
        namespace: The namespace's folder.
        listed: Folders that are known already.
    """

    def __init__(self, context: Context, namespace: str, listed: _Listed | None = None) -> None:
        self._context = context
        self._namespace = namespace
        self._target: str | None = None
        self._path: dict[str, Folder] = {}
        self._last: Folder | None = None
        self.done = self.rooted = self.cut = False
        # Every folder with a rank from `_low` to `_high` is in `_listed`, if it exists.
        self._listed: dict[str, Folder] = {}
        self._low = self._high = ""
        self._scan: Scan | None = None
        if listed is not None:
            self._listed |= listed.folders
            self._low, self._high = listed.low, listed.high
            if self._high != _END:
                self._scan = self._scan_from(self._high + AFTER_SLASH)

    @classmethod
    def within(cls, context: Context, namespace: str, folders: Mapping[str, Folder]) -> Chain:
        """Return a chain of a namespace that has just been listed, given its folders by checkpoint id."""
        return cls(context, namespace, _Listed(namespace, "", 0.0, folders, "", _END))

    @property
    def empty(self) -> bool:
        """True if there is no such checkpoint."""
        return not self._path

    def begin(self, checkpoint_id: str | None) -> Plan[list[Folder]]:
        """Find the checkpoint, or the latest one, and return it. If there is none, the chain is done."""
        if checkpoint_id is None:
            found = yield from self._latest()
        else:
            found = yield from self._folder(checkpoint_id)
        folders = self._append(found)
        for folder in folders:
            self._target = folder.checkpoint_id
        return folders

    def next(self, count: int) -> Plan[list[Folder]]:
        """Return up to `count` further ancestors. The chain ends at a checkpoint that doesn't exist."""
        folders: list[Folder] = []
        while len(folders) < count and self._last is not None and not self.done:
            parent_id = yield from self.parent_id(self._last)
            if parent_id is None:
                self.done = self.rooted = True
                break
            found = self._append((yield from self._folder(parent_id)))
            self.cut = not found and parent_id not in self._path
            folders += found
        return folders

    def check(self) -> Plan[None]:
        """Make sure that ancestors are missing because there are none.

        Pruning gathers the writes of ancestors before it deletes these. But a listing takes several requests,
        and an early page may lack what was gathered, where a later one lacks the ancestors already. So if a
        parent is missing, the chain is listed again.

        Raises:
            ConflictError: Something of the chain was deleted or gathered meanwhile.
        """
        if not self.cut:
            return
        left = dict(self._path)
        ranks = sorted(map(encode_rank, left))
        scan = self._scan_from(ranks[0])
        passed = False
        while left and not passed and not scan.done:
            for folder in (yield from scan.more()):
                known = left.get(folder.checkpoint_id)
                if known is not None and folder.checkpoints and _keys(known) == _keys(folder):
                    del left[folder.checkpoint_id]
                passed = encode_rank(folder.checkpoint_id) >= ranks[-1]
        if left:
            raise ConflictError(DELETED, key=next(iter(left.values())).key)

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
        if folder is None or not folder.checkpoints or folder.checkpoint_id in self._path:
            self.done = True
            return []
        self._path[folder.checkpoint_id] = self._last = folder
        return [folder]

    def parent_id(self, folder: Folder) -> Plan[str | None]:
        """Return a checkpoint's parent."""
        if folder.leaf is not None:
            return folder.leaf.parent
        # The id was put twice with different content. The objects tell which one counts.
        [record] = yield from load_heads(self._context, [folder])
        if record is None:  # one of them is gone since the listing
            raise ConflictError(DELETED, key=folder.key)
        return record.parent

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


@dataclass(slots=True)
class _Found(Generic[T]):
    """History of some channels, as far as it was found.

    Attributes:
        writes: Of each channel, the task and the value of each write, newest first.
        seeds: The stored values.
        open: The channels for which the walk goes on.
        gathered: Whether some were gathered. Then the others are none of LangGraph's, or were never written.
    """

    writes: dict[str, list[tuple[str, T]]]
    seeds: dict[str, T]
    open: set[str]
    gathered: bool = False


def delta_history(
    context: Context, place: Place, channels: Sequence[str], *, strict: bool = False
) -> Plan[Mapping[str, DeltaChannelHistory]]:
    """Return the ancestors' writes of each channel, oldest first, back to the nearest stored value.

    Args:
        context: The saver's.
        place: The checkpoint, or the namespace for its latest one.
        channels: The channels.
        strict: Whether a checkpoint that isn't there is an error. By default it has no history, as in
            LangGraph's own savers.

    Raises:
        ConflictError: An ancestor was deleted meanwhile, in each of several attempts.
    """
    if not channels:
        return {}
    namespace, thread = place.namespace(context.layout), context.layout.thread(place.thread_id)
    walk = context.parent_cache.walk(thread)
    found, listed = yield from _collect(context, walk, place, namespace, channels)
    _keep(context, thread, walk, listed)
    if strict and listed is None and place.checkpoint_id is not None:
        # LangGraph asks for what it has just read, and would go on with empty channels.
        raise ConflictError(
            "The checkpoint was superseded and deleted (keep_last) before its delta channels were read. Read "
            "the thread again",
            key=namespace,
        )
    history: dict[str, DeltaChannelHistory] = {}
    for channel in channels:
        writes = [(task, channel, value) for task, value in reversed(found.writes[channel])]
        history[channel] = {"writes": writes}
        if channel in found.seeds:
            history[channel]["seed"] = found.seeds[channel]
    return history


def _collect(
    context: Context, walk: Walk, place: Place, namespace: str, channels: Sequence[str]
) -> Plan[tuple[_Found[Any], _Listed | None]]:
    """Find what channels are rebuilt from. If that fails since others delete at the same time, try again.

    Returns:
        What was found, deserialized, and what was listed for it.
    """
    now = yield from ask(Tick())
    listed = walk.listed if isinstance(walk.listed, _Listed) and not walk.ended else None
    if listed is not None and not listed.covers(namespace, place.checkpoint_id, now):
        listed = None
    take = partial(load_value, context.serde)
    failed = False
    for _ in range(_TRIES):
        moment = now if listed is None else listed.moment
        chain = Chain(context, namespace, listed)
        plan = collect(context, chain, place.checkpoint_id, channels, take)
        found = yield from return_errors(plan, ConflictError)
        if isinstance(found, Exception):
            failed = failed or listed is None  # a listing that was kept may be out of date
            now, listed = (yield from ask(Tick())), None
        elif failed and found.open and not found.gathered and not chain.rooted:
            break  # the ancestors were deleted in another way
        else:
            return found, chain.listed(moment)
    raise ConflictError(DELETED, key=namespace)


def _keep(context: Context, thread: str, walk: Walk, listed: _Listed | None) -> None:
    """Keep a listing for the rest of a walk."""
    walk.listed = listed
    if listed is not None:
        objects = sum(len(folder.entries) for folder in listed.folders.values())
        context.parent_cache.keep_walk(thread, walk, objects * _OBJECT_BYTES)


def collect(
    context: Context,
    chain: Chain,
    checkpoint_id: str | None,
    channels: Iterable[str],
    take: Callable[[Container, Value], T],
) -> Plan[_Found[T]]:
    """Find what a checkpoint's channels are rebuilt from.

    Args:
        context: The saver's.
        chain: A new chain of the namespace.
        checkpoint_id: The checkpoint; `None` is the latest one.
        channels: The channels.
        take: Makes the result's values, of an object and a value in it.

    Raises:
        ConflictError: An ancestor was deleted meanwhile.
    """
    found: _Found[T] = _Found({channel: [] for channel in channels}, {}, set(channels))
    for folder in (yield from chain.begin(checkpoint_id)):
        _, gathered = yield from _read(context, [], [folder])
        yield from _add_gathered(context, chain, folder, gathered, found, take)
    window = _FIRST_WINDOW
    while found.open and not chain.done:
        folders = yield from chain.next(window)
        ancestors, gathered = yield from _read(context, folders, folders)
        for ancestor in ancestors:
            with error_context(ancestor.key):
                for record, row in reversed(resolve_rows(ancestor.writes, found.open)):
                    found.writes[row.channel].append((row.task_id, take(record.container, row.value)))
            yield from _add_stored(context, ancestor, found, take)
            yield from _add_gathered(context, chain, ancestor.folder, gathered, found, take)
            if not found.open:
                break
        window = min(2 * window, _LAST_WINDOW)
    if found.open:
        yield from chain.check()
    return found


def _read(
    context: Context, folders: Sequence[Folder], beside: Sequence[Folder]
) -> Plan[tuple[list[Loaded], dict[str, Body]]]:
    """Read ancestors' heads and all of their writes, and gathered writes, in one round trip.

    Returns:
        The ancestors, and the objects of gathered writes by key.
    """
    # Of a folder on two pages, the second may lack writes that were deleted since the first. Then its
    # checkpoint, which is deleted first, is gone as well; the store tells, and the cache doesn't.
    checkpoints = [
        replace(entry, etag="") if folder.split else entry
        for folder in folders
        for entry in folder.checkpoints
    ]
    pending = [entry for folder in folders for entry in folder.pending]
    collected = [entry for folder in beside for entry in folder.gathered]
    if not checkpoints and not pending and not collected:
        return [], {}
    plans: list[Plan[Any]] = [read_heads(context, checkpoints), fetch([*pending, *collected], context.sizes)]
    bodies, answers = yield from gather(plans)
    yield from unlock(context, answers)
    bodies |= zip((entry.key for entry in [*pending, *collected]), answers, strict=True)
    loaded = [open_folder(context, folder, bodies) for folder in folders]
    beside_them = {entry.key: bodies[entry.key] for entry in collected}
    if None in loaded or any(isinstance(body, NotFound) for body in beside_them.values()):
        raise ConflictError(DELETED)
    return [each for each in loaded if each is not None], beside_them


def _add_stored(
    context: Context, ancestor: Loaded, found: _Found[T], take: Callable[[Container, Value], T]
) -> Plan[None]:
    """Add the stored values of open channels that an ancestor has. That closes them."""
    names = found.open & ancestor.checkpoint.channels.keys()
    values = [ancestor.checkpoint.channels[channel] for channel in names]
    if ancestor.checkpoint.container.missing(values):
        [whole] = yield from load(context, [ancestor.folder])
        if not isinstance(whole, Loaded):
            raise ConflictError(DELETED)
        ancestor = whole
    record = ancestor.checkpoint
    with error_context(ancestor.key):
        found.seeds |= {name: take(record.container, record.channels[name]) for name in names}
    found.open -= names


def _add_gathered(
    context: Context,
    chain: Chain,
    folder: Folder,
    bodies: Mapping[str, Body],
    found: _Found[T],
    take: Callable[[Container, Value], T],
) -> Plan[None]:
    """Add what was gathered of open channels beside a checkpoint. That closes them."""
    for entry in folder.gathered:
        parent_id = yield from chain.parent_id(folder)
        with error_context(entry.key):
            record = open_object(context, entry.key, bodies[entry.key])
            assert isinstance(record, GatheredRecord), "gathered writes"  # noqa: S101  # for the types
            names = found.open & record.writes.keys() if record.parent == parent_id else set()
            for name in names:
                for task_id, value in reversed(record.writes[name]):
                    found.writes[name].append((task_id, take(record.container, value)))
                if name in record.seeds:
                    found.seeds[name] = take(record.container, record.seeds[name])
        found.open -= names
        found.gathered = found.gathered or bool(names)
