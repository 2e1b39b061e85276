"""Frees what stays from what is about to go: borrowers are rewritten, with what they borrow in them.

A rewritten object keeps its key, and its own frames keep their places in it, for others may
borrow those. A crash between any two requests leaves everything readable: nothing is deleted here.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import timedelta
from typing import Final

from langgraph_checkpoint_s3.errors import CorruptObjectError
from langgraph_checkpoint_s3.objects.borrow import MAX_HORIZON
from langgraph_checkpoint_s3.plans.address import Context
from langgraph_checkpoint_s3.plans.lenders import lender_key
from langgraph_checkpoint_s3.plans.plan import Plan, abreast, together
from langgraph_checkpoint_s3.plans.read import at, heads, load, open_body
from langgraph_checkpoint_s3.plans.scan import Folder, Scan
from langgraph_checkpoint_s3.plans.transfer import store
from langgraph_checkpoint_s3.s3.requests import Body, Entry, PutObject

_AT_ONCE: Final = 16
_HEADS_AT_ONCE: Final = 256
_ROUNDS: Final = 8
_LONGEST_LOAN: Final = timedelta(seconds=MAX_HORIZON) + timedelta(days=1)
"""How much younger a borrower can be than its lender, clocks that differ included."""


def release_all(context: Context, folders: Sequence[Folder], victims: Sequence[Folder]) -> Plan[None]:
    """Rewrite whatever stays and borrows from what is to go.

    While that takes its time, others may put checkpoints that borrow too: so as long as something
    had to be rewritten, the namespace is listed again.

    Args:
        context: The saver's.
        folders: All folders of the namespaces that the victims are in.
        victims: Those that are to go.
    """
    going = {id(folder) for folder in victims}
    stay: dict[str, list[Folder]] = {}
    go: dict[str, list[Folder]] = {}
    for folder in folders:
        (go if id(folder) in going else stay).setdefault(folder.namespace, []).append(folder)
    for namespace, goers in go.items():
        lenders = [entry for folder in goers for entry in folder.checkpoints]
        suspects = stay.get(namespace, [])
        seen = {entry.key for folder in [*suspects, *goers] for entry in folder.checkpoints}
        for _ in range(_ROUNDS):
            if not (yield from _release(context, suspects, lenders, seen)):
                break
            listed = yield from Scan(context.layout, namespace).rest()
            suspects = [
                folder for folder in listed if any(entry.key not in seen for entry in folder.checkpoints)
            ]
            seen |= {entry.key for folder in listed for entry in folder.checkpoints}


def _release(
    context: Context, suspects: Sequence[Folder], lenders: Sequence[Entry], listed: AbstractSet[str]
) -> Plan[bool]:
    """Rewrite those that borrow from what is to go; whether there were any.

    And those whose lenders are gone already: they live from their parents, which may be to go.

    Args:
        context: The saver's.
        suspects: Those that stay.
        lenders: The checkpoints' objects that are to go.
        listed: The keys of all of the namespace's checkpoints.
    """
    if not lenders:
        return False
    going = {entry.key for entry in lenders}
    until = max(entry.modified for entry in lenders) + _LONGEST_LOAN
    candidates = [
        (folder, entry) for folder in suspects for entry in folder.checkpoints if entry.modified <= until
    ]
    borrowers: list[Plan[PutObject | None]] = []
    for start in range(0, len(candidates), _HEADS_AT_ONCE):
        some = candidates[start : start + _HEADS_AT_ONCE]
        bodies = yield from heads([entry for _, entry in some])
        for folder, entry in some:
            body = bodies[entry.key]
            if isinstance(body, Body):
                with at(entry.key):
                    frames = open_body(folder, body).container.frames
                keys = {lender_key(folder.namespace, frame) for frame in frames} - {None}
                if not keys <= listed - going:
                    borrowers.append(_whole(context, folder, entry, lost=keys.isdisjoint(going)))
    for start in range(0, len(borrowers), _AT_ONCE):
        puts = [put for put in (yield from abreast(borrowers[start : start + _AT_ONCE])) if put is not None]
        small = [put for put in puts if len(put.body) < context.sizes.multipart_threshold]
        yield from together(small)
        for put in puts:
            if put not in small:
                yield from store(put.key, put.body, context.sizes)
    return bool(borrowers)


def _whole(context: Context, folder: Folder, entry: Entry, *, lost: bool) -> Plan[PutObject | None]:
    """An object with what it borrows in it, to be written; `None` where there is nothing to write.

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
        return PutObject(entry.key, loaded.checkpoint.whole(context.compression))
