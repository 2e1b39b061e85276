"""Pinned threads: their marks, and the tags of their objects.

`set_pinned` writes or deletes the mark before it tags. Whoever reads the mark afterwards writes what is right
from the start, and what was written before is in the listing that follows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from langgraph_checkpoint_s3.format.retention import DEFAULT, PINNED, TAG, longest
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.delete import delete_keys
from langgraph_checkpoint_s3.plans.plan import Plan, ask, ask_all, batched
from langgraph_checkpoint_s3.plans.retention import class_of, pin_request
from langgraph_checkpoint_s3.plans.scan import Folder, list_thread
from langgraph_checkpoint_s3.s3.admin_requests import GetTags, PutTags
from langgraph_checkpoint_s3.s3.requests import Entry, ListObjects, NotFound, PutObject, Request

MARK: Final = b"langgraph-checkpoint-s3: this thread is pinned; unpin_thread() removes this\n"
"""Content of a mark. Only its presence counts."""
_AT_ONCE: Final = 256
_ROUNDS: Final = 8


def set_tags(wanted: Mapping[str, str]) -> Plan[int]:
    """Give objects a retention tag, in this order. Their other tags stay.

    Costs a GET for each, and a PUT for each whose tag differs.

    Returns:
        How many were changed. Those that are gone aren't counted.

    Raises:
        NotSupportedError: The store has no tags.
    """
    changed = 0
    for keys in batched(list(wanted), _AT_ONCE):
        answers = yield from ask_all(GetTags(key) for key in keys)
        puts = [
            PutTags(key, tuple({**tags, TAG: wanted[key]}.items()))
            for key, tags in zip(keys, answers, strict=True)
            if not isinstance(tags, NotFound) and tags.get(TAG) != wanted[key]
        ]
        done = yield from ask_all(puts)
        changed += sum(not isinstance(each, NotFound) for each in done)
    return changed


@dataclass(frozen=True, slots=True)
class Pinned:
    """The outcome of pinning or unpinning a thread.

    Attributes:
        thread_id: The thread.
        pinned: Whether it is pinned now.
        objects: The number of its objects.
        tagged: How many of them got another tag.
    """

    thread_id: str
    pinned: bool
    objects: int
    tagged: int


def set_pinned(context: Context, thread_id: str, *, pinned: bool) -> Plan[Pinned]:
    """Write or delete a thread's mark, then tag all of its objects, until a listing shows none that is new.

    Lenders are pinned before their borrowers, and unpinned after them. An interrupted call can be repeated.
    """
    layout, thread = context.layout, context.layout.thread(thread_id)
    both: list[Request[Any]] = [ListObjects(thread, 1), pin_request(context, thread)]
    first, found = yield from ask_all(both)
    if first.entries:
        # A store without tags may take their PUT for one of the object, so it is found out before.
        yield from ask(GetTags(first.entries[0].key))
    if pinned and isinstance(found, NotFound):
        yield from ask(PutObject(layout.pin(thread), MARK))
    elif not pinned and not isinstance(found, NotFound):
        yield from delete_keys([layout.pin(thread)])
    context.parent_cache.lives.drop(thread)  # the next put of this process asks
    tagged, entries, done = 0, dict[str, Entry](), set[Entry]()
    for _ in range(_ROUNDS):
        folders = yield from list_thread(layout, thread)
        entries = {entry.key: entry for folder in folders for entry in folder.entries}
        new = {
            key: tag
            for key, tag in _tags(context, folders, pinned=pinned).items()
            if entries[key] not in done
        }
        if not new:
            break
        tagged += yield from set_tags(new)
        done.update(entries.values())
    return Pinned(thread_id, pinned, len(entries), tagged)


def _tags(context: Context, folders: Sequence[Folder], *, pinned: bool) -> dict[str, str]:
    """Return the tag of each object of a thread, in the order in which to set them."""
    if pinned:
        oldest_first = (entry.key for folder in reversed(folders) for entry in folder.entries)
        return dict.fromkeys(oldest_first, PINNED)
    # Of writes whose checkpoint isn't there, and may come yet, the class isn't known.
    every = longest(context.retention, *(class_of(context, folder) for folder in folders)) or DEFAULT
    return {
        entry.key: (class_of(context, folder) or DEFAULT) if folder.checkpoints else every
        for folder in folders
        for entry in folder.entries
    }
