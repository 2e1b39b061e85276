"""What can go when some checkpoints stay: all others, but for what their delta channels are rebuilt from.

LangGraph counts, for each delta channel, the updates since its last stored value. A channel with a count
and a version, but no value of its own, is rebuilt from the writes of its ancestors, back to the nearest
one with a value. Each of those must stay, for every checkpoint that does: so what each wants goes up from
child to parent, through those that stay and those that then have to, until it is found.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final, TypeAlias

from langgraph_checkpoint_s3.errors import ConflictError
from langgraph_checkpoint_s3.format.checkpoint import CheckpointRecord
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.load import error_context, peek
from langgraph_checkpoint_s3.plans.plan import Plan
from langgraph_checkpoint_s3.plans.scan import Folder

_AT_ONCE: Final = 256
_FIRST_WINDOW: Final = 8
_LAST_WINDOW: Final = 256

_Name: TypeAlias = tuple[str, str]
"""A checkpoint: its namespace's folder and its id."""


def deletable(context: Context, folders: Sequence[Folder], stay: Iterable[Folder]) -> Plan[list[Folder]]:
    """The checkpoints that can go, in the listing's order. Writes without a checkpoint aren't among them.

    Reads the heads of those that stay and descend from one that may go, and of what they are rebuilt from.

    Args:
        context: The saver's.
        folders: All folders of the namespaces concerned.
        stay: Those of them that stay in any case.

    Raises:
        ConflictError: One of them was deleted meanwhile.
    """
    there = {_name(folder): folder for folder in folders if folder.checkpoints}
    kept = {_name(folder) for folder in stay} & there.keys()
    needed = (yield from _needed(context, there, kept)) if 0 < len(kept) < len(there) else set()
    return [folder for name, folder in there.items() if name not in kept and name not in needed]


def _needed(
    context: Context, there: Mapping[_Name, Folder], kept: AbstractSet[_Name]
) -> Plan[AbstractSet[_Name]]:
    """The checkpoints that the delta channels of the kept ones are rebuilt from."""
    parents = yield from _parents(context, there)
    stored: dict[_Name, AbstractSet[str]] = {}
    wanted: dict[_Name, set[str]] = {}
    # What is looked for, and where to go on looking for it.
    paths: list[tuple[_Name | None, AbstractSet[str]]] = []
    concerned = [name for name in _descendants(parents, there.keys() - kept) if name in kept]
    for start in range(0, len(concerned), _AT_ONCE):
        names = concerned[start : start + _AT_ONCE]
        some = [there[name] for name in names]
        for name, record in zip(names, (yield from _heads(context, some, versions=True)), strict=True):
            stored[name] = frozenset(record.channels)
            with error_context(there[name].key):
                paths.append((parents[name], _rebuilt(context, record)))
    window = _FIRST_WINDOW
    while paths:
        unread: list[_Name] = []
        while paths:
            place, channels = paths.pop()
            if place is None or place not in there:
                continue
            new = channels - wanted.get(place, set())
            if not new:
                continue
            wanted.setdefault(place, set()).update(new)
            if place in stored:
                paths.append((parents[place], new - stored[place]))
            else:
                unread.append(place)
        # The way is long, as a rule: the next ones up are read as well.
        names = _upwards(parents, unread, there.keys() - stored.keys(), window)
        for start in range(0, len(names), _AT_ONCE):
            part = names[start : start + _AT_ONCE]
            records = yield from _heads(context, [there[name] for name in part])
            stored |= {name: frozenset(record.channels) for name, record in zip(part, records, strict=True)}
        paths = [(parents[name], wanted[name] - stored[name]) for name in unread]
        window = min(2 * window, _LAST_WINDOW)
    return wanted.keys()


def _rebuilt(context: Context, record: CheckpointRecord) -> AbstractSet[str]:
    """The delta channels of a checkpoint that have no value of their own."""
    counters = record.metadata(context.serde).get("counters_since_delta_snapshot") or {}
    if not counters:
        return frozenset()
    return (record.versions(context.serde).keys() & counters) - record.channels.keys()


def _parents(context: Context, there: Mapping[_Name, Folder]) -> Plan[dict[_Name, _Name | None]]:
    """Each checkpoint's parent. Of one that was put twice, the objects say which one counts."""
    parents: dict[_Name, _Name | None] = {}
    unclear: list[_Name] = []
    for name, folder in there.items():
        named = {leaf.parent for leaf in folder.leaves}
        if len(named) == 1:
            parents[name] = _beside(name, named.pop())
        else:
            unclear.append(name)
    for start in range(0, len(unclear), _AT_ONCE):
        names = unclear[start : start + _AT_ONCE]
        records = yield from _heads(context, [there[name] for name in names])
        for name, record in zip(names, records, strict=True):
            parents[name] = _beside(name, record.parent)
    return parents


def _heads(
    context: Context, folders: Sequence[Folder], *, versions: bool = False
) -> Plan[list[CheckpointRecord]]:
    records = yield from peek(context, folders, versions=versions)
    found = [record for record in records if record is not None]
    if len(found) < len(folders):
        key = folders[records.index(None)].key
        raise ConflictError("The thread changed while it was being pruned; nothing was deleted", key=key)
    return found


def _name(folder: Folder) -> _Name:
    return folder.namespace, folder.checkpoint_id


def _beside(name: _Name, checkpoint_id: str | None) -> _Name | None:
    return None if checkpoint_id is None else (name[0], checkpoint_id)


def _descendants(parents: Mapping[_Name, _Name | None], ancestors: Iterable[_Name]) -> list[_Name]:
    children: dict[_Name, list[_Name]] = {}
    for name, parent in parents.items():
        if parent is not None:
            children.setdefault(parent, []).append(name)
    found: dict[_Name, None] = {}
    left = list(ancestors)
    while left:
        for child in children.get(left.pop(), ()):
            if child not in found:
                found[child] = None
                left.append(child)
    return list(found)


def _upwards(
    parents: Mapping[_Name, _Name | None], starts: Iterable[_Name], among: Collection[_Name], count: int
) -> list[_Name]:
    """These, and of each the next ancestors, so many in all."""
    found: dict[_Name, None] = {}
    for start in starts:
        name: _Name | None = start
        for _ in range(count):
            if name is None or name not in among or name in found:
                break
            found[name] = None
            name = parents[name]
    return list(found)
