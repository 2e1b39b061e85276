"""Retention classes: what life a new object gets.

A pinned thread has a mark, an object below the prefix (`pins.py`). It is read when a checkpoint is loaded.
The process goes by that until it loads one again.

What is written outside of a run (a rewrite in its place, a copy, an import) reads the mark before it writes,
and again afterwards. If that differs, it tags its objects again. If it doesn't, they were written before the
mark changed, and so are in the listing that follows that change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from langgraph_checkpoint_s3.errors import InvalidConfigError
from langgraph_checkpoint_s3.format.keys import CheckpointLeaf
from langgraph_checkpoint_s3.format.retention import DEFAULT, PINNED, Life, longest
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.place import Place, configurable_of
from langgraph_checkpoint_s3.plans.plan import Plan, ask, ask_all
from langgraph_checkpoint_s3.plans.scan import Folder
from langgraph_checkpoint_s3.s3.requests import Body, GetObject, ListObjects, NotFound, Request

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import CheckpointTuple

_KEY: Final = "retention"


def class_in(context: Context, config: Mapping[str, Any] | RunnableConfig) -> str | None:
    """Return the class that a run's config names; `None` if it names none, or there are no classes.

    Raises:
        InvalidConfigError: There is no such class.
    """
    if not context.retention:
        return None
    name = configurable_of(config).get(_KEY)
    if name is None or (isinstance(name, str) and name in context.retention):
        return name
    hint = " S3Admin.pin_thread pins a thread." if name == PINNED else ""
    raise InvalidConfigError(
        f"The config says retention={name!r}, and the saver's setting has the classes "
        f"{', '.join(sorted(context.retention))}.{hint}"
    )


def with_class(context: Context, where: RunnableConfig, found: CheckpointTuple) -> RunnableConfig:
    """Return a config for putting a checkpoint tuple, with the class that its own config or metadata names.

    LangGraph saves a run's config in the metadata. There, a name that isn't a class's may be something else.

    Raises:
        InvalidConfigError: The tuple's config names a class that there isn't.
    """
    said = (found.metadata or {}).get(_KEY)
    name = class_in(context, found.config) or (said if said in [*context.retention] else None)
    return where if name is None else {"configurable": {**where["configurable"], _KEY: name}}


def life_of_checkpoint(context: Context, parent: Place, checkpoint_id: str, named: str | None) -> Plan[Life]:
    """Return the life of a checkpoint that is about to be put.

    Its class is the run's, else its parent's, else that of what this process last saw of the thread. Nothing
    is asked if this process has loaded the thread, as LangGraph does before each run.

    Args:
        context: The saver's.
        parent: Its parent; without an id, it has none.
        checkpoint_id: The checkpoint.
        named: The class that the run's config names.
    """
    cache, namespace = context.parent_cache, parent.namespace(context.layout)
    thread = yield from _thread_life(context, parent, named)
    before = cache.life((namespace, parent.checkpoint_id))
    retention = named or (before and before.retention) or thread.retention or DEFAULT
    life = Life(retention, thread.pinned)
    cache.keep_life((namespace, checkpoint_id), life)
    cache.keep_life(context.layout.thread(parent.thread_id), life)
    return life


def life_of_writes(context: Context, place: Place, named: str | None) -> Plan[Life]:
    """Return the life of a task's writes: their checkpoint's class, so that they aren't gone before it.

    What was written without classes stays, and so do its writes.

    Args:
        context: The saver's.
        place: The checkpoint, which may be put later.
        named: The class that the run's config names.
    """
    thread = yield from _thread_life(context, place, None)
    known = context.parent_cache.life((place.namespace(context.layout), place.checkpoint_id))
    if known is not None:
        return Life(known.retention, thread.pinned)
    return Life(longest(context.retention, named, thread.retention) or DEFAULT, thread.pinned)


def _thread_life(context: Context, place: Place, named: str | None) -> Plan[Life]:
    """Return what this process knows of a thread. If it knows nothing, ask, in one round trip.

    Args:
        context: The saver's.
        place: A checkpoint whose class is wanted.
        named: A class, if it makes that one irrelevant.
    """
    thread = context.layout.thread(place.thread_id)
    known = context.parent_cache.life(thread)
    if known is not None:
        return known
    requests: list[Request[Any]] = [pin_request(context, thread)]
    if named is None and place.checkpoint_id is not None:
        # A checkpoint's own objects come first in its folder.
        requests.append(ListObjects(place.folder(context.layout), 2))
    mark, *pages = yield from ask_all(requests)
    leaves = [context.layout.parse(entry.key).leaf for page in pages for entry in page.entries]
    classes = [leaf.retention for leaf in leaves if isinstance(leaf, CheckpointLeaf)]
    life = Life(longest(context.retention, *classes), isinstance(mark, Body))
    if classes:
        context.parent_cache.keep_life((place.namespace(context.layout), place.checkpoint_id), life)
    context.parent_cache.keep_life(thread, life)
    return life


def note_loaded(context: Context, place: Place, found: Life | None, mark: Body | NotFound) -> None:
    """Remember the life of a checkpoint that was loaded, and whether its thread is pinned.

    Args:
        context: The saver's.
        place: The checkpoint, or what was looked for.
        found: The life in its key; `None` if there is no such checkpoint.
        mark: The answer to `pin_request`.
    """
    cache, thread = context.parent_cache, context.layout.thread(place.thread_id)
    # A thread that is empty is a new one, whatever it was. A new namespace tells nothing of its thread.
    before = cache.life(thread) if found is None and place.checkpoint_ns else found
    life = Life(before.retention if before else None, isinstance(mark, Body))
    if found is not None:
        cache.keep_life((place.namespace(context.layout), place.checkpoint_id), life)
    cache.keep_life(thread, life)


def pin_request(context: Context, thread: str) -> GetObject:
    """Return the request for the mark of a thread (a folder). It is pinned if the answer is a body."""
    return GetObject(context.layout.pin(thread), keep=False)


def may_be_pinned(context: Context, folders: Iterable[Folder]) -> bool:
    """Return whether a thread with these folders may have a mark: only where there are retention classes."""
    return bool(context.retention) or any(
        leaf.retention is not None for folder in folders for leaf in folder.leaves
    )


def is_pinned(context: Context, thread: str) -> Plan[bool]:
    """Return whether a thread (a folder) has its mark."""
    return isinstance((yield from ask(pin_request(context, thread))), Body)


def tag_in(context: Context, key: str) -> str | None:
    """Return the tag with which a checkpoint's object was written, by its key."""
    leaf = context.layout.parse(key).leaf
    return leaf.life.tag if isinstance(leaf, CheckpointLeaf) else None


def class_in_key(context: Context, key: str) -> dict[str, str]:
    """Return the class of a checkpoint's object by its key, if it has one."""
    leaf = context.layout.parse(key).leaf
    named = leaf.retention if isinstance(leaf, CheckpointLeaf) else None
    return {} if named is None else {key: named}


def class_of(context: Context, folder: Folder) -> str | None:
    """Return the class of a checkpoint's objects. `None` is that of what was written without classes."""
    return longest(context.retention, *(leaf.retention for leaf in folder.leaves))


def classes_among(context: Context, folders: Iterable[Folder]) -> dict[str, str]:
    """Return the class of each object that has one, by its key. Writes have their checkpoint's."""
    found = ((entry.key, class_of(context, folder)) for folder in folders for entry in folder.entries)
    return {key: name for key, name in found if name is not None}


class Tagging(NamedTuple):
    """The tags for objects that are written outside of a run.

    Attributes:
        thread: The thread's folder.
        classes: The class of each object that has one, by its key.
        pinned: Whether the thread was pinned before they were written.
    """

    thread: str
    classes: Mapping[str, str]
    pinned: bool

    def of(self, key: str) -> str | None:
        """Return the tag to write an object with."""
        name = self.classes.get(key)
        return PINNED if self.pinned and name is not None else name


def begin_tagging(context: Context, thread: str, classes: Mapping[str, str]) -> Plan[Tagging]:
    """Return the tags for objects that are about to be written: a GET, if any has a class."""
    pinned = bool(classes) and (yield from is_pinned(context, thread))
    return Tagging(thread, classes, pinned)


def end_tagging(context: Context, tagging: Tagging, written: Iterable[str]) -> Plan[None]:
    """Tag objects again if their thread was pinned or unpinned while they were written: else a GET.

    Args:
        context: The saver's.
        tagging: The tags that they were written with.
        written: Their keys.
    """
    classes = {key: tagging.classes[key] for key in written if key in tagging.classes}
    if not classes or (yield from is_pinned(context, tagging.thread)) == tagging.pinned:
        return
    from langgraph_checkpoint_s3.plans.pins import set_tags  # unused in most processes

    yield from set_tags({key: name if tagging.pinned else PINNED for key, name in classes.items()})
