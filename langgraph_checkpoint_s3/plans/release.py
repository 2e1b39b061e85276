"""Frees what stays from what is about to go: borrowers are rewritten, with what they borrow in them.

A rewritten object keeps its key, and its own frames keep their places in it, for others may
borrow those. A crash between any two requests leaves everything readable: nothing is deleted here.
Each is written in the place of what was listed only (`If-Match`): what somebody deletes meanwhile stays
deleted, and what somebody else rewrites is looked at again.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import timedelta
from typing import Final

from langgraph_checkpoint_s3.errors import ConflictError, CorruptObjectError
from langgraph_checkpoint_s3.objects.borrow import MAX_HORIZON
from langgraph_checkpoint_s3.plans.address import Context
from langgraph_checkpoint_s3.plans.lenders import lender_key
from langgraph_checkpoint_s3.plans.plan import Plan, abreast
from langgraph_checkpoint_s3.plans.read import at, heads, load, open_body
from langgraph_checkpoint_s3.plans.scan import Folder, Scan
from langgraph_checkpoint_s3.plans.transfer import overwrite
from langgraph_checkpoint_s3.s3.requests import Body, Entry

_AT_ONCE: Final = 16
_HEADS_AT_ONCE: Final = 256
_ROUNDS: Final = 8
_LONGEST_LOAN: Final = timedelta(seconds=MAX_HORIZON) + timedelta(days=1)
"""How much younger a borrower can be than its lender, clocks that differ included."""


def release_all(context: Context, folders: Sequence[Folder], victims: Sequence[Folder]) -> Plan[None]:
    """Rewrite whatever stays and borrows from what is to go, or has its parent there.

    Its parent is what it lives from if its lenders go: somebody else may be deleting those at this moment,
    who hasn't seen it. While that takes its time, others may put checkpoints that borrow too: so as long as
    something had to be rewritten, the namespace is listed again.

    Args:
        context: The saver's.
        folders: All folders of the namespaces that the victims are in.
        victims: Those that are to go.

    Raises:
        ConflictError: Somebody else rewrites it too, again and again.
    """
    going = {id(folder) for folder in victims}
    stay: dict[str, list[Folder]] = {}
    go: dict[str, list[Folder]] = {}
    for folder in folders:
        (go if id(folder) in going else stay).setdefault(folder.namespace, []).append(folder)
    for namespace, goers in go.items():
        lenders = [entry for folder in goers for entry in folder.checkpoints]
        parents = {folder.checkpoint_id for folder in goers}
        suspects = stay.get(namespace, [])
        seen = {entry.key for folder in [*suspects, *goers] for entry in folder.checkpoints}
        changed: AbstractSet[str] = frozenset()
        for _ in range(_ROUNDS):
            found, changed = yield from _release(context, suspects, lenders, parents, seen)
            if not found:
                break
            seen -= changed
            listed = yield from Scan(context.layout, namespace).rest()
            suspects = [
                folder for folder in listed if any(entry.key not in seen for entry in folder.checkpoints)
            ]
            seen |= {entry.key for folder in listed for entry in folder.checkpoints}
        else:
            if changed:
                raise ConflictError(
                    "A checkpoint that borrows from what is to be deleted changed each time that it was "
                    "about to be rewritten; nothing was deleted. Try again",
                    key=min(changed),
                )


def _release(
    context: Context,
    suspects: Sequence[Folder],
    lenders: Sequence[Entry],
    parents: AbstractSet[str],
    listed: AbstractSet[str],
) -> Plan[tuple[bool, set[str]]]:
    """Rewrite those that borrow from what is to go.

    And those whose lenders are gone already: they live from their parents, which may be to go.

    Args:
        context: The saver's.
        suspects: Those that stay.
        lenders: The checkpoints' objects that are to go.
        parents: The ids of the checkpoints that are to go.
        listed: The keys of all of the namespace's checkpoints.

    Returns:
        Whether there were any, and the keys of those that aren't what was listed any more.
    """
    changed: set[str] = set()
    if not lenders:
        return False, changed
    going = {entry.key for entry in lenders}
    until = max(entry.modified for entry in lenders) + _LONGEST_LOAN
    candidates = [
        (folder, entry) for folder in suspects for entry in folder.checkpoints if entry.modified <= until
    ]
    borrowers: list[Plan[tuple[Entry, bytes] | None]] = []
    for start in range(0, len(candidates), _HEADS_AT_ONCE):
        some = candidates[start : start + _HEADS_AT_ONCE]
        bodies = yield from heads(context, [entry for _, entry in some])
        for folder, entry in some:
            body = bodies[entry.key]
            if isinstance(body, Body):
                with at(entry.key):
                    record = open_body(context, folder, entry.key, body)
                keys = {lender_key(folder.namespace, frame) for frame in record.container.frames} - {None}
                if not keys <= listed - going or (keys and record.parent in parents):
                    borrowers.append(_whole(context, folder, entry, lost=keys.isdisjoint(going)))
    for start in range(0, len(borrowers), _AT_ONCE):
        made = [
            each for each in (yield from abreast(borrowers[start : start + _AT_ONCE])) if each is not None
        ]
        small = [each for each in made if len(each[1]) < context.sizes.multipart_threshold]
        large = [each for each in made if len(each[1]) >= context.sizes.multipart_threshold]
        for few in (small, *([each] for each in large)):  # a large one's parts go side by side
            written = yield from abreast(
                overwrite(entry.key, body, context.sizes, entry.etag) for entry, body in few
            )
            changed |= {entry.key for (entry, _), done in zip(few, written, strict=True) if not done}
    return bool(borrowers), changed


def _whole(context: Context, folder: Folder, entry: Entry, *, lost: bool) -> Plan[tuple[Entry, bytes] | None]:
    """An object, and its bytes with what it borrows in it; `None` where there is nothing to write.

    Args:
        context: The saver's.
        folder: Its folder.
        entry: The object.
        lost: Whether it borrows nothing from what is to go. If it can't be read then, that changes nothing.
    """
    try:
        [loaded] = yield from load(context, [folder.only(entry)])
    except CorruptObjectError:
        if lost:
            return None
        raise
    if loaded is None:
        return None
    with at(entry.key):
        return entry, loaded.checkpoint.whole(context.compression)
