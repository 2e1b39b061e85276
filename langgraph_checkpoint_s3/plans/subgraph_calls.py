"""Subgraph calls that have ended. Pruning deletes their namespaces with the checkpoints that called them.

LangGraph gives each call of a subgraph a namespace of its own, which ends in the id of the calling task:
`node:task`, and `node:task|inner:task` for a call within it. A call can only go on while the checkpoint that
it started from is the one to go on from. The call's checkpoints name it, and the callers of that, in their
metadata (`parents`). The namespace of a subgraph compiled with `checkpointer=True` has no task in it, since
its state outlives each call.

A caller that isn't there proves nothing: runs save in the background, so a call's checkpoints may come first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final

from langgraph_checkpoint_s3.errors import InvalidKeyError
from langgraph_checkpoint_s3.format.checkpoint import CheckpointRecord
from langgraph_checkpoint_s3.format.frames import text
from langgraph_checkpoint_s3.format.ids import text_of
from langgraph_checkpoint_s3.format.key_encoding import HashedName
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.load import error_context, load_heads
from langgraph_checkpoint_s3.plans.plan import Plan, batched
from langgraph_checkpoint_s3.plans.scan import Folder, latest

_TASK: Final = ":"
"""What stands before a task's id in the namespace of a call (LangGraph's `NS_END`)."""
_AT_ONCE: Final = 256


def ended_calls(context: Context, folders: Sequence[Folder], keep: Iterable[Folder]) -> Plan[set[str]]:
    """Return the namespaces (folders) of subgraph calls whose callers are listed, but not kept.

    The head of the latest checkpoint of each call is read, if anything that isn't kept may be a caller.

    Args:
        context: The saver's.
        folders: All folders of a thread.
        keep: The checkpoints to keep.
    """
    kept = {folder.path for folder in keep}
    going = {folder.path for folder in folders if folder.checkpoints} - kept
    calls = [folder for folder in latest(folders) if _may_be_call(context, folder)] if going else []
    ended: set[str] = set()
    for some in batched(calls, _AT_ONCE):
        for folder, record in zip(some, (yield from load_heads(context, some)), strict=True):
            if record is None or not _is_call(record):
                continue
            if not going.isdisjoint(_callers(context, folder, record)):
                ended.add(folder.namespace)
    return ended


def _may_be_call(context: Context, folder: Folder) -> bool:
    """Return whether a folder's namespace may be that of a call, judging by its key."""
    name = folder.place.checkpoint_ns
    if isinstance(name, HashedName):
        return folder.namespace != context.layout.namespace(folder.place.thread_id, "")
    return _TASK in name


def _is_call(record: CheckpointRecord) -> bool:
    return _TASK in text(record.container.fields["ns"])


def _callers(context: Context, folder: Folder, record: CheckpointRecord) -> AbstractSet[str]:
    """Return the folders of the checkpoints that a call was called from."""
    with error_context(folder.key):
        parents: Any = record.metadata(context.serde).get("parents")
    if not isinstance(parents, Mapping):
        return frozenset()
    layout, thread = context.layout, folder.place.thread_id
    found: set[str] = set()
    for namespace, checkpoint_id in parents.items():
        if isinstance(namespace, str) and (name := text_of(checkpoint_id)):
            try:
                found.add(layout.checkpoint(thread, namespace, name).removesuffix("/"))
            except InvalidKeyError:
                continue  # there is no such checkpoint
    return found
