"""Plans of the store and of the node cache: reading, writing, deleting and listing items."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from langgraph_checkpoint_s3.errors import ConflictError
from langgraph_checkpoint_s3.format.pieces import Pieces
from langgraph_checkpoint_s3.memory.index import Row
from langgraph_checkpoint_s3.memory.items import ItemRecord, encode_item, open_item
from langgraph_checkpoint_s3.memory.shelf import ITEM, Namespace, Shelf
from langgraph_checkpoint_s3.memory.view import ItemCache
from langgraph_checkpoint_s3.plans.data_keys import key_to_write, unlock
from langgraph_checkpoint_s3.plans.delete import delete_keys
from langgraph_checkpoint_s3.plans.plan import Plan, gather, return_errors
from langgraph_checkpoint_s3.plans.scan import Pages
from langgraph_checkpoint_s3.plans.transfer import fetch_now, store, write_all
from langgraph_checkpoint_s3.s3.requests import Body, GetObject, Stored

_RENEW_SHARE: Final = 10
"""An item's time to live is renewed by a read once one part in so many of it has passed."""


@dataclass(frozen=True, slots=True)
class ItemPut:
    """An item to be written.

    Attributes:
        record: The item.
        if_match: The ETag that its object must have; `""` if there must be none; `None` for any.
        token: Random bytes for the object, so that no other one is the same. If the condition isn't met, they
            tell whether an earlier attempt, whose answer was lost, has written it.
    """

    record: ItemRecord
    if_match: str | None = None
    token: bytes = b""


def read_items(shelf: Shelf, keys: Sequence[str]) -> Plan[dict[str, Row]]:
    """Read items by the keys of their objects, in one round trip. Absent ones are left out."""
    distinct = list(dict.fromkeys(keys))
    bodies = yield from gather(fetch_now(GetObject(key, keep=False), shelf.context.sizes) for key in distinct)
    yield from unlock(shelf.context, bodies)
    return {
        key: Row(body.etag, open_item(shelf, key, body.data))
        for key, body in zip(distinct, bodies, strict=True)
        if isinstance(body, Body)
    }


def write_items(
    shelf: Shelf, cache: ItemCache, puts: Sequence[ItemPut], deletions: Sequence[str] = ()
) -> Plan[list[str]]:
    """Write and delete items, in one round trip.

    Returns:
        The ETag of each item that was written.

    Raises:
        ConflictError: An item isn't the expected one. The others were written.
    """
    key_ref = (yield from key_to_write(shelf.context)) if puts else None
    etags = [""] * len(puts)
    conflicts: list[ConflictError] = []

    def write(number: int, put: ItemPut, key: str, body: bytes) -> Plan[None]:
        etag = etags[number] = yield from _write(shelf, put, key, body)
        if etag:
            cache.add(key, Row(etag, put.record))
        elif put.if_match is not None:
            conflicts.append(_conflict(put, key))

    plans: list[tuple[int, Plan[None]]] = []
    for number, put in enumerate(puts):
        key = shelf.key(put.record.namespace, put.record.key)
        cache.drop(key)  # a put whose answer is lost may have changed it
        body = encode_item(shelf, put.record, key_ref, put.token)
        plans.append((len(body), write(number, put, key, body)))
    for key in deletions:
        cache.drop(key)
    yield from gather([write_all(plans, shelf.context.sizes), delete_keys(list(dict.fromkeys(deletions)))])
    if conflicts:
        raise conflicts[0]
    return etags


def _write(shelf: Shelf, put: ItemPut, key: str, body: bytes) -> Plan[str]:
    """Write an item. Return its ETag, empty if its condition isn't met."""
    sizes = shelf.context.sizes
    expected = put.if_match
    while True:
        outcome, _ = yield from store(
            key,
            body,
            sizes,
            only_new=expected == "",
            expected=expected or None,
            raw=len(put.record.raw),
            strict=expected is not None,
        )
        if isinstance(outcome, Stored):
            return outcome.etag
        if not put.token:
            return ""
        found = yield from fetch_now(GetObject(key, keep=False), sizes)
        if not isinstance(found, Body):
            return ""
        if Pieces([body]).equals(found.data):
            return found.etag  # of an attempt whose answer was lost
        yield from unlock(shelf.context, [found])
        if expected or not open_item(shelf, key, found.data).expired(put.record.updated):
            return ""
        expected = found.etag  # an expired item is as good as none


def _conflict(put: ItemPut, key: str) -> ConflictError:
    there = "it was changed or deleted meanwhile" if put.if_match else "it is there already"
    return ConflictError(
        f"The item {put.record.key!r} of {put.record.namespace!r} was not written: {there}, or the store has "
        "no conditional writes. Read it, and decide again",
        key=key,
    )


def renew(shelf: Shelf, cache: ItemCache, rows: Iterable[Row], now: int) -> Plan[dict[str, str]]:
    """Renew the time to live of items that were read.

    An item that was changed meanwhile keeps its change. A reader that may not write reads all the same.

    Returns:
        The new ETags of those that were renewed, by the keys of their objects.
    """
    due = {
        shelf.key(row.record.namespace, row.record.key): row
        for row in rows
        if row.record.ttl
        and row.record.expires is not None
        and row.record.expires < now + row.record.ttl - row.record.ttl // _RENEW_SHARE
    }
    puts = [ItemPut(row.record.renewed(now), row.etag) for row in due.values()]
    written = yield from gather(return_errors(write_items(shelf, cache, [put])) for put in puts)
    return {key: etags[0] for key, etags in zip(due, written, strict=True) if isinstance(etags, list)}


def list_namespaces(shelf: Shelf, prefix: Sequence[str]) -> Plan[set[Namespace]]:
    """Return the namespaces that have items and begin with these labels.

    Takes a LIST per 1,000 items. Where keys have hashes, one item of each namespace is read.
    """
    entries = yield from Pages(shelf.folder(prefix)).rest()
    found: set[Namespace] = set()
    hashed: dict[str, str] = {}
    for entry in entries:
        if entry.key.endswith(ITEM):
            folder = entry.key.rpartition("/")[0]
            namespace = shelf.namespace(entry.key)
            if namespace is None:
                hashed.setdefault(folder, entry.key)
            else:
                found.add(namespace)
    rows = yield from read_items(shelf, list(hashed.values()))
    return found | {row.record.namespace for row in rows.values()}


def clear(shelf: Shelf, namespaces: Sequence[Namespace] | None) -> Plan[int]:
    """Delete the items of namespaces, but not of longer ones; or all items. Return their number."""
    folders = [shelf.root] if namespaces is None else list(dict.fromkeys(map(shelf.folder, namespaces)))
    listed = yield from gather(Pages(folder).rest() for folder in folders)
    keys = [
        entry.key
        for folder, entries in zip(folders, listed, strict=True)
        for entry in entries
        if namespaces is None or "/" not in entry.key[len(folder) :]
    ]
    yield from delete_keys(keys)
    return len(keys)
