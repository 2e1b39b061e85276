"""Choice of the checkpoints to delete, and of what to gather first for the delta channels of those that stay.

LangGraph counts, for each delta channel, the updates since its last stored value. A channel with a count
and a version, but no value of its own, is rebuilt from the writes of the checkpoint's ancestors, back to the
nearest one with a value. The search for it goes from child to parent, through checkpoints that stay. Where it
leaves these, the last of them gets an object with all that comes before (`gather.py`). A key with `.v` says
that there are no such channels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from langgraph_checkpoint_s3.errors import ConflictError
from langgraph_checkpoint_s3.format.checkpoint import CheckpointRecord, Origin, rebuilt_channels
from langgraph_checkpoint_s3.format.frames import text
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.gather import Gathering
from langgraph_checkpoint_s3.plans.load import error_context, load_heads
from langgraph_checkpoint_s3.plans.place import Place
from langgraph_checkpoint_s3.plans.plan import Plan, batched
from langgraph_checkpoint_s3.plans.scan import Folder

_AT_ONCE: Final = 256


def deletable(
    context: Context, folders: Sequence[Folder], keep: Iterable[Folder]
) -> Plan[tuple[list[Folder], list[Gathering]]]:
    """Return the checkpoints that can be deleted, and what must be gathered before.

    Nothing is read of kept checkpoints whose keys say that they need no ancestors. Of others, the heads are
    read if they descend from what goes.

    Args:
        context: The saver's.
        folders: All folders of the namespaces concerned.
        keep: The folders to keep.

    Returns:
        All other checkpoints, in the listing's order, without folders of writes alone.

    Raises:
        ConflictError: One of them was deleted meanwhile.
    """
    there = {folder.place: folder for folder in folders if folder.checkpoints}
    kept = {folder.place for folder in keep} & there.keys()
    gatherings = (yield from _gatherings(context, there, kept)) if 0 < len(kept) < len(there) else []
    return [folder for place, folder in there.items() if place not in kept], gatherings


def _gatherings(
    context: Context, there: Mapping[Place, Folder], kept: AbstractSet[Place]
) -> Plan[list[Gathering]]:
    """Return what the delta channels of kept checkpoints need of the others."""
    unclear = {place for place in kept if any(leaf.needs_ancestors for leaf in there[place].leaves)}
    if not unclear:
        return []
    parents = yield from _parents(context, there)
    concerned = {place for place in _descendants(parents, there.keys() - kept) if place in kept}
    stored: dict[Place, AbstractSet[str]] = {}
    origins: dict[Place, Origin] = {}
    wanted: dict[Place, set[str]] = {}
    # Channels whose values are still to be found, each set with the checkpoint in which to look next.
    waiting: list[tuple[Place, AbstractSet[str]]] = []
    unread = [place for place in parents if place in concerned and place in unclear]
    while unread:
        paths: list[tuple[Place, AbstractSet[str]]] = []
        for places in batched(unread, _AT_ONCE):
            records = yield from _heads(context, [there[place] for place in places], versions=True)
            for place, record in zip(places, records, strict=True):
                stored[place] = frozenset(record.channels)
                with error_context(there[place].key):
                    origins[place] = _origin(context, record)
                    rebuilt = rebuilt_channels(
                        record.metadata(context.serde), record.versions(context.serde), stored[place]
                    )
                paths.append((place, rebuilt))
        paths += [(place, channels - stored[place]) for place, channels in waiting]
        waiting = []
        while paths:
            place, channels = paths.pop()
            parent = parents[place]
            new = channels - wanted.get(place, set())
            if not new or parent is None or parent not in there:
                continue
            wanted.setdefault(place, set()).update(new)
            if parent in stored:
                paths.append((parent, new - stored[parent]))
            elif parent in concerned:
                waiting.append((parent, new))
        unread = list(dict.fromkeys(place for place, _ in waiting))
    listed: dict[str, dict[str, Folder]] = {}
    for folder in there.values() if wanted else ():
        listed.setdefault(folder.namespace, {})[folder.checkpoint_id] = folder
    return [
        Gathering(there[place], origins[place], parent.id, sorted(channels), listed[there[place].namespace])
        for place, channels in wanted.items()
        if (parent := parents[place]) is not None and parent not in kept
    ]


def _origin(context: Context, record: CheckpointRecord) -> Origin:
    """Return the origin of an object beside a checkpoint, with the checkpoint's own time."""
    fields = record.container.fields
    thread_id = text(fields["thread"]) if "thread" in fields else None
    return Origin(text(fields["ns"]), text(fields["id"]), record.created, context.writer, thread_id)


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
