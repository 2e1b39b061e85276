"""Gathering of writes: whatever a checkpoint's delta channels are rebuilt from becomes one object beside it.

Then its ancestors can be deleted, and reading it takes one GET in place of a walk through them. The object is
written before anything is deleted, so a crash between any two requests leaves a checkpoint that can be
rebuilt, in one way or the other. It is the same whoever makes it: so it is never overwritten.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from langgraph_checkpoint_s3.errors import ConflictError
from langgraph_checkpoint_s3.format.checkpoint import Origin
from langgraph_checkpoint_s3.format.container import Container
from langgraph_checkpoint_s3.format.frames import Value
from langgraph_checkpoint_s3.format.gathered import ChannelHistory, encode_gathered
from langgraph_checkpoint_s3.format.keys import WritesLeaf
from langgraph_checkpoint_s3.format.retention import NO_LIFE
from langgraph_checkpoint_s3.format.serialization import Dumped, dump
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.data_keys import key_to_write
from langgraph_checkpoint_s3.plans.delta_history import Chain, collect
from langgraph_checkpoint_s3.plans.place import Place, leaf_of, namespace_of
from langgraph_checkpoint_s3.plans.plan import Plan, batched, gather, return_errors
from langgraph_checkpoint_s3.plans.retention import begin_tagging, class_of, end_tagging, life_of_writes
from langgraph_checkpoint_s3.plans.scan import Folder
from langgraph_checkpoint_s3.plans.transfer import store, write_all

if TYPE_CHECKING:
    from langgraph.checkpoint.base import DeltaChannelHistory

_AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True)
class Gathering:
    """Request to gather writes beside a checkpoint.

    Attributes:
        folder: The checkpoint's folder.
        origin: The origin of the object, which has the checkpoint's own time: so it is always the same.
        parent: The checkpoint's parent.
        channels: The channels that are rebuilt from ancestors.
        listed: The namespace's checkpoints as they were listed, by id.
    """

    folder: Folder
    origin: Origin
    parent: str
    channels: Sequence[str]
    listed: Mapping[str, Folder]

    def key(self, context: Context) -> str:
        """Return the object's key."""
        encrypted = context.key_cache is not None
        leaf = WritesLeaf.gathered(self.parent, self.channels, encrypted=encrypted)
        return self.folder.place.key(context.layout, leaf)


def gather_writes(context: Context, gatherings: Sequence[Gathering]) -> Plan[None]:
    """Write the objects of gathered writes that aren't there yet.

    Each takes GETs of the ancestors' heads and writes, and a PUT. If others delete some of them at the same
    time, it also takes a LIST.

    Raises:
        ConflictError: An ancestor was deleted meanwhile.
        NotSupportedError: There are too many writes for one object.
    """
    known = {entry.key for each in gatherings for entry in each.folder.gathered}
    lacking = [each for each in gatherings if each.key(context) not in known]
    named = ((each.key(context), class_of(context, each.folder)) for each in lacking)
    classes = {key: name for key, name in named if name is not None}
    tagging = yield from begin_tagging(context, lacking[0].folder.thread if lacking else "", classes)
    for some in batched(lacking, _AT_ONCE):
        bodies = yield from gather(_gathered(context, each) for each in some)
        writes: list[tuple[int, Plan[Any]]] = []
        for each, body in zip(some, bodies, strict=True):
            if body is not None:
                key = each.key(context)
                plan = store(key, body, context.sizes, only_new=True, tag=tagging.of(key))
                writes.append((len(body), plan))
        yield from write_all(writes, context.sizes)
    yield from end_tagging(context, tagging, classes)


def put_gathered(
    context: Context, place: Place, parent: str, channels: Mapping[str, DeltaChannelHistory], now: int
) -> Plan[None]:
    """Write what a checkpoint's delta channels are rebuilt from, as another saver gives it.

    Args:
        context: The saver's.
        place: The checkpoint.
        parent: Its parent.
        channels: The channels' histories.
        now: The time, in ns since 1970.
    """
    dumped = {
        name: ChannelHistory(
            [(task_id, dump(context.serde, value)) for task_id, _, value in each["writes"]],
            dump(context.serde, each["seed"]) if "seed" in each else None,
        )
        for name, each in channels.items()
    }
    leaf = WritesLeaf.gathered(parent, dumped, encrypted=context.key_cache is not None)
    key = place.key(context.layout, leaf)
    body = yield from _encode(context, key, context.origin(place, now), parent, dumped)
    life = (yield from life_of_writes(context, place, None)) if context.retention else NO_LIFE
    yield from store(key, body, context.sizes, only_new=True, tag=life.tag)


def _gathered(context: Context, each: Gathering) -> Plan[bytes | None]:
    """Return the bytes of the object; `None` if the checkpoint is gone."""
    namespace, checkpoint_id = each.folder.namespace, each.origin.checkpoint_id
    chain = Chain.within(context, namespace, each.listed)
    found = yield from return_errors(
        collect(context, chain, checkpoint_id, each.channels, _dumped), ConflictError
    )
    if isinstance(found, ConflictError):  # others have pruned the thread since it was listed
        chain = Chain(context, namespace)
        found = yield from collect(context, chain, checkpoint_id, each.channels, _dumped)
    if chain.empty:
        return None
    channels = {
        name: ChannelHistory(found.writes[name][::-1], found.seeds.get(name)) for name in each.channels
    }
    return (yield from _encode(context, each.key(context), each.origin, each.parent, channels))


def _encode(
    context: Context, key: str, origin: Origin, parent: str, channels: Mapping[str, ChannelHistory]
) -> Plan[bytes]:
    """Return the bytes of an object of gathered writes."""
    leaf, scope = leaf_of(key), context.scope(namespace_of(key))
    cipher = scope.cipher((yield from key_to_write(context)), origin.checkpoint_id, leaf)
    return encode_gathered(context.compression, origin, leaf, parent, channels, cipher)


def _dumped(container: Container, value: Value) -> Dumped:
    return value.type, container.bytes_of(value)
