"""Choice of the checkpoints to delete: all but the kept ones, and the ancestors that those need.

LangGraph counts, for each delta channel, the updates since its last stored value. A channel with a count
and a version, but no value of its own, is rebuilt from the writes of the checkpoint's ancestors, back to the
nearest one with a value. All of these ancestors must stay. So the search for each kept checkpoint's channels
goes from child to parent until it has found their values. A key with `.v` says that there are no such
channels.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from langgraph_checkpoint_s3.errors import ConflictError
from langgraph_checkpoint_s3.format.checkpoint import CheckpointRecord, rebuilt_channels
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.load import error_context, load_heads
from langgraph_checkpoint_s3.plans.place import Place
from langgraph_checkpoint_s3.plans.plan import Plan, batched
from langgraph_checkpoint_s3.plans.scan import Folder

_AT_ONCE: Final = 256
_FIRST_WINDOW: Final = 8
_LAST_WINDOW: Final = 256


def deletable(context: Context, folders: Sequence[Folder], keep: Iterable[Folder]) -> Plan[list[Folder]]:
    """Return the checkpoints that can be deleted, in the listing's order, without folders of writes alone.

    Nothing is read of a kept checkpoint whose key says that it needs no ancestors. Of others, the heads are
    read if they descend from what may go, and those of the ancestors they need.

    Args:
        context: The saver's.
        folders: All folders of the namespaces concerned.
        keep: The folders to keep in any case.

    Raises:
        ConflictError: One of them was deleted meanwhile.
    """
    there = {folder.place: folder for folder in folders if folder.checkpoints}
    kept = {folder.place for folder in keep} & there.keys()
    needed = (yield from _needed(context, there, kept)) if 0 < len(kept) < len(there) else set()
    return [folder for place, folder in there.items() if place not in kept and place not in needed]


def _needed(
    context: Context, there: Mapping[Place, Folder], kept: AbstractSet[Place]
) -> Plan[AbstractSet[Place]]:
    """Return the checkpoints that the delta channels of the kept ones are rebuilt from."""
    unclear = {place for place in kept if any(leaf.needs_ancestors for leaf in there[place].leaves)}
    if not unclear:
        return frozenset()
    parents = yield from _parents(context, there)
    stored: dict[Place, AbstractSet[str]] = {}
    wanted: dict[Place, set[str]] = {}
    # Channels whose values are still to be found, each set with the ancestor at which to go on.
    paths: list[tuple[Place | None, AbstractSet[str]]] = []
    concerned = [place for place in _descendants(parents, there.keys() - kept) if place in unclear]
    for places in batched(concerned, _AT_ONCE):
        some = [there[place] for place in places]
        for place, record in zip(places, (yield from _heads(context, some, versions=True)), strict=True):
            stored[place] = frozenset(record.channels)
            with error_context(there[place].key):
                rebuilt = rebuilt_channels(
                    record.metadata(context.serde), record.versions(context.serde), stored[place]
                )
            paths.append((parents[place], rebuilt))
    window = _FIRST_WINDOW
    while paths:
        unread: list[Place] = []
        while paths:
            ancestor, channels = paths.pop()
            if ancestor is None or ancestor not in there:
                continue
            new = channels - wanted.get(ancestor, set())
            if not new:
                continue
            wanted.setdefault(ancestor, set()).update(new)
            if ancestor in stored:
                paths.append((parents[ancestor], new - stored[ancestor]))
            else:
                unread.append(ancestor)
        # Values are usually many steps up, so the next ancestors are read in the same round trip.
        for part in batched(_upwards(parents, unread, there.keys() - stored.keys(), window), _AT_ONCE):
            records = yield from _heads(context, [there[place] for place in part])
            stored |= {place: frozenset(record.channels) for place, record in zip(part, records, strict=True)}
        paths = [(parents[place], wanted[place] - stored[place]) for place in unread]
        window = min(2 * window, _LAST_WINDOW)
    return wanted.keys()


def _parents(context: Context, there: Mapping[Place, Folder]) -> Plan[dict[Place, Place | None]]:
    """Return each checkpoint's parent. If an id was put twice, the objects tell which one counts."""
    parents: dict[Place, Place | None] = {}
    unclear: list[Place] = []
    for place, folder in there.items():
        named = {leaf.parent for leaf in folder.leaves}
        if len(named) == 1:
            parents[place] = _parent(place, named.pop())
        else:
            unclear.append(place)
    for places in batched(unclear, _AT_ONCE):
        records = yield from _heads(context, [there[place] for place in places])
        for place, record in zip(places, records, strict=True):
            parents[place] = _parent(place, record.parent)
    return parents


def _heads(
    context: Context, folders: Sequence[Folder], *, versions: bool = False
) -> Plan[list[CheckpointRecord]]:
    records = yield from load_heads(context, folders, versions=versions)
    found = [record for record in records if record is not None]
    if len(found) < len(folders):
        key = folders[records.index(None)].key
        raise ConflictError("The thread changed while it was being pruned; nothing was deleted", key=key)
    return found


def _parent(child: Place, parent_id: str | None) -> Place | None:
    return None if parent_id is None else child.with_id(parent_id)


def _descendants(parents: Mapping[Place, Place | None], ancestors: Iterable[Place]) -> list[Place]:
    children: dict[Place, list[Place]] = {}
    for place, parent in parents.items():
        if parent is not None:
            children.setdefault(parent, []).append(place)
    found: dict[Place, None] = {}
    left = list(ancestors)
    while left:
        for child in children.get(left.pop(), ()):
            if child not in found:
                found[child] = None
                left.append(child)
    return list(found)


def _upwards(
    parents: Mapping[Place, Place | None], starts: Iterable[Place], among: Collection[Place], count: int
) -> list[Place]:
    """Return the starts and, for each, its next ancestors: at most `count` checkpoints per start."""
    found: dict[Place, None] = {}
    for start in starts:
        place: Place | None = start
        for _ in range(count):
            if place is None or place not in among or place in found:
                break
            found[place] = None
            place = parents[place]
    return list(found)
