"""Plans of the store and of the node cache: reading, writing, deleting and listing items."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from langgraph_checkpoint_s3.errors import ConflictError
from langgraph_checkpoint_s3.memory.index import Row
from langgraph_checkpoint_s3.memory.items import ItemRecord, Vectors, encode_item, open_item
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
    """

    record: ItemRecord
    if_match: str | None = None


class Embedding(NamedTuple):
    """A store's embedding of whole values, for items that are written without `put`.

    Attributes:
        dims: The length of its vectors.
        embed: Returns the packed vectors of each of some values, with the paths of their texts.
        aembed: The same, as a coroutine.
    """

    dims: int
    embed: Callable[[Sequence[Mapping[str, Any]]], list[Vectors]]
    aembed: Callable[[Sequence[Mapping[str, Any]]], Coroutine[Any, Any, list[Vectors]]]


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
        conditional = put.if_match is not None
        outcome, _ = yield from store(
            key,
            body,
            shelf.context.sizes,
            only_new=put.if_match == "",
            expected=put.if_match or None,
            raw=len(put.record.raw),
            strict=conditional,
        )
        if isinstance(outcome, Stored):
            etags[number] = outcome.etag
            cache.add(key, Row(outcome.etag, put.record))
        elif conditional:
            conflicts.append(_conflict(put, key))

    plans: list[tuple[int, Plan[None]]] = []
    for number, put in enumerate(puts):
        key = shelf.key(put.record.namespace, put.record.key)
        cache.drop(key)  # a put whose answer is lost may have changed it
        body = encode_item(shelf, put.record, key_ref)
        plans.append((len(body), write(number, put, key, body)))
    for key in deletions:
        cache.drop(key)
    yield from gather([write_all(plans, shelf.context.sizes), delete_keys(list(dict.fromkeys(deletions)))])
    if conflicts:
        raise conflicts[0]
    return etags


def _conflict(put: ItemPut, key: str) -> ConflictError:
    there = "it was changed or deleted meanwhile" if put.if_match else "it is there already"
    return ConflictError(
        f"The item {put.record.key!r} of {put.record.namespace!r} was not written: {there}, or the store has "
        "no conditional writes. Read it, and decide again",
        key=key,
    )


def renew(shelf: Shelf, cache: ItemCache, rows: Iterable[Row], now: int) -> Plan[None]:
    """Renew the time to live of items that were read.

    An item that was changed meanwhile keeps its change. A reader that may not write reads all the same.
    """
    due = {
        shelf.key(row.record.namespace, row.record.key): row
        for row in rows
        if row.record.ttl
        and row.record.expires is not None
        and row.record.expires < now + row.record.ttl - row.record.ttl // _RENEW_SHARE
    }
    puts = [ItemPut(row.record.renewed(now), row.etag) for row in due.values()]
    yield from gather(return_errors(write_items(shelf, cache, [put])) for put in puts)


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
