"""`keep_last`: after each put, the thread is pruned to the latest checkpoints of each namespace.

Nobody has to remember what to delete, since a listing tells: what another process has left, or a crash, goes
with the next put. Whatever is deleted was superseded by what is acknowledged already, so a crash at any
request loses nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from langgraph_checkpoint_s3.errors import ConflictError, S3CheckpointError
from langgraph_checkpoint_s3.format.keys import Layout
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.delete import choose_victims, delete_some, delete_victims
from langgraph_checkpoint_s3.plans.place import Place
from langgraph_checkpoint_s3.plans.plan import Plan, return_errors
from langgraph_checkpoint_s3.plans.scan import Folder, latest, list_thread

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig


def put_and_prune(context: Context, put: Plan[RunnableConfig], count: int) -> Plan[RunnableConfig]:
    """Write a checkpoint, and delete all but the latest ones of each namespace of its thread.

    A PUT, a LIST and a DeleteObjects, one after the other. A thread with delta channels also takes GETs of
    writes that this process doesn't know, a PUT, and another DeleteObjects.

    Args:
        context: The saver's.
        put: The plan that writes the checkpoint.
        count: How many checkpoints of each namespace to keep.

    Raises:
        ConflictError: Another run has deleted what the checkpoint's delta channels are rebuilt from.
        S3CheckpointError: It wasn't written, or the others couldn't be deleted; the message says which.
    """
    config = yield from put
    place = Place.of(config)
    own = place.folder(context.layout).removesuffix("/")
    plan = list_thread(context.layout, context.layout.thread(place.thread_id))
    listed = yield from return_errors(plan)
    failure: object = listed
    if not isinstance(listed, S3CheckpointError):
        yield from _check_parent(context, own, listed)
        failure = yield from return_errors(_prune(context, listed, own, count))
    # If others change the thread at the same time, what is left goes with the next put.
    if isinstance(failure, S3CheckpointError) and not isinstance(failure, ConflictError):
        failure.reason = (
            "The checkpoint is stored, but older ones could not be deleted (keep_last). The next put tries "
            f"it again. {failure.reason}"
        )
        raise failure
    return config


def _prune(context: Context, listed: list[Folder], own: str, count: int) -> Plan[None]:
    def stay(folders: Sequence[Folder]) -> list[Folder]:
        # The run goes on from its own checkpoint, even if one with a later id is there.
        return [*latest(folders, count), *(folder for folder in folders if folder.path == own)]

    yield from delete_victims(context, (yield from choose_victims(context, listed, stay)))


def _check_parent(context: Context, own: str, listed: Sequence[Folder]) -> Plan[None]:
    """Delete the checkpoint again if its delta channels are rebuilt from a parent that is gone.

    Raises:
        ConflictError: It is, so another run has deleted the parent.
    """
    folders = {folder.path: folder for folder in listed if folder.checkpoints}
    folder = folders.get(own)
    leaf = folder.leaf if folder else None
    if folder is None or leaf is None or leaf.parent is None or not leaf.needs_ancestors or folder.gathered:
        return
    if Layout.sibling(folder.namespace, leaf.parent, "").removesuffix("/") in folders:
        return
    yield from delete_some(context, [folder.only(*folder.checkpoints)])
    raise ConflictError(
        "Another run of this thread has put a checkpoint, and the one that this run went on from was deleted "
        "(keep_last), with the writes from which delta channels are rebuilt. So the new one was not kept. "
        "End this run, and begin anew from the thread's latest checkpoint. A lease keeps runs of a thread "
        "apart",
        key=folder.key,
    )
