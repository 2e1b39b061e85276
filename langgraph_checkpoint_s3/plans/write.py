"""`put` and `put_writes`: one object each, one PUT, one round trip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from langgraph.checkpoint.base import Checkpoint, CheckpointMetadata, get_checkpoint_metadata

from langgraph_checkpoint_s3.objects.keys import CheckpointLeaf, WritesLeaf
from langgraph_checkpoint_s3.objects.records import (
    Origin,
    encode_checkpoint,
    encode_writes,
    number_writes,
)
from langgraph_checkpoint_s3.plans.address import Address, Context, required_id
from langgraph_checkpoint_s3.plans.plan import Plan
from langgraph_checkpoint_s3.plans.transfer import store
from langgraph_checkpoint_s3.s3.requests import Refused

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig


def put(
    context: Context,
    config: RunnableConfig,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    now: int,
) -> Plan[RunnableConfig]:
    """Write a checkpoint, whole: a single PUT is atomic, so the object is its own commit.

    Args:
        context: The saver's.
        config: Where to; its checkpoint_id is the parent.
        checkpoint: The checkpoint with all of its channel values.
        metadata: Completed from the config, as LangGraph's other savers do.
        now: The time, in ns since 1970.

    Returns:
        The config that points at it.
    """
    parent = Address.of(config)
    address = Address(parent.thread_id, parent.namespace, required_id(checkpoint.get("id")))
    complete = get_checkpoint_metadata(config, metadata)
    key = context.layout.key(
        parent.thread_id,
        parent.namespace,
        required_id(address.checkpoint_id),
        CheckpointLeaf.of(complete, parent.checkpoint_id),
    )
    body = encode_checkpoint(
        context.serde,
        context.compression,
        Origin(parent.namespace, checkpoint["id"], now, context.writer),
        checkpoint,
        complete,
        parent.checkpoint_id,
    )
    yield from store(key, body, context.sizes)
    return address.config()


def put_writes(
    context: Context,
    config: RunnableConfig,
    writes: Sequence[tuple[str, Any]],
    task_id: str,
    task_path: str,
    now: int,
) -> Plan[None]:
    """Write what a task wrote, as one object.

    Regular slots are first-wins, so the object is written only if no equal set of slots is there
    yet; special ones are last-wins and overwrite. In a call with both, the object's being there
    already leaves the special ones still to be written.
    """
    address = Address.of(config)
    checkpoint_id = required_id(address.checkpoint_id)
    numbered = number_writes(writes)
    special = {slot: write for slot, write in numbered.items() if slot < 0}
    if not numbered:
        return
    outcome = yield from _store_writes(
        context,
        address,
        checkpoint_id,
        numbered,
        task_id,
        task_path,
        now,
        only_new=len(special) < len(numbered),
    )
    if isinstance(outcome, Refused) and special:
        yield from _store_writes(
            context, address, checkpoint_id, special, task_id, task_path, now, only_new=False
        )


def _store_writes(
    context: Context,
    address: Address,
    checkpoint_id: str,
    writes: dict[int, tuple[str, Any]],
    task_id: str,
    task_path: str,
    now: int,
    *,
    only_new: bool,
) -> Plan[object]:
    key = context.layout.key(
        address.thread_id, address.namespace, checkpoint_id, WritesLeaf.of(task_id, writes)
    )
    origin = Origin(address.namespace, checkpoint_id, now, context.writer)
    body = encode_writes(context.serde, context.compression, origin, writes, task_id, task_path)
    return (yield from store(key, body, context.sizes, only_new=only_new))
