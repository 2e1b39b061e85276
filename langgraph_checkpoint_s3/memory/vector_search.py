"""Plans that keep the vectors of items in Amazon S3 Vectors, and search by them.

The items are the truth, and have their vectors in them; S3 Vectors only names the candidates of a search.
The search reads these, ignores what they are no longer, and computes their scores from what it has read.

A write changes the items first, and then the vectors. So what can go wrong between the requests is this:

- An item's new vectors are missing. The put isn't acknowledged. Searches find the item by its old vectors, if
  there are any, with its true score. Putting it again, or `rebuild`, writes the vectors.
- A vector is left over from an item that was replaced or deleted. Searches pass over it. `rebuild` deletes
  it.

Vectors are deleted only after their item was seen to be without them, and such an item never gets them back:
each put gives its vectors keys of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, NamedTuple

from langgraph_checkpoint_s3.errors import CorruptObjectError, DecryptionError, S3CheckpointError
from langgraph_checkpoint_s3.memory.index import Row
from langgraph_checkpoint_s3.memory.items import ItemRecord
from langgraph_checkpoint_s3.memory.plans import ItemPut, read_items, write_items
from langgraph_checkpoint_s3.memory.shelf import ITEM, Shelf
from langgraph_checkpoint_s3.memory.vectors import MOST_HITS, Vector, VectorIndex, item_of
from langgraph_checkpoint_s3.memory.view import ItemCache, read_listed
from langgraph_checkpoint_s3.plans.plan import Plan, gather, return_errors
from langgraph_checkpoint_s3.plans.scan import Pages

_FIRST_HITS: Final = 100
"""Vectors that are asked for at first; then ten times as many, and so on."""
_MOST_READS: Final = 256
"""Items that are read at once."""


class RebuiltVectors(NamedTuple):
    """Outcome of `rebuild_vectors`.

    Attributes:
        written: Vectors of items that are there. They were written, whether or not they were missing.
        deleted: Vectors that no item has any more.
        skipped: Items with vectors that S3 Vectors doesn't take: of another length, all zeros, or with too
            long a key. Searches with a query don't find them by these.
    """

    written: int
    deleted: int
    skipped: int


def find_nearest(
    index: VectorIndex,
    shelf: Shelf,
    query: Sequence[float],
    folder: str,
    wanted: int,
    accepts: Callable[[ItemRecord], bool],
) -> Plan[list[Row]]:
    """Read the items nearest to a query, of those below a folder that a search accepts.

    Args:
        index: The index.
        shelf: The store's items.
        query: The vector.
        folder: The folder.
        wanted: How many items are needed. More may be returned, and fewer if the 10,000 nearest vectors have
            no more.
        accepts: Returns whether an item has vectors that the query can be compared with, and matches.
    """
    read: dict[str, Row | None] = {}
    current: set[str] = set()  # keys of vectors that accepted items have
    most = min(max(_FIRST_HITS, 2 * wanted), MOST_HITS)
    while wanted:
        hits = yield from index.query(query, folder, most)
        unread = [name for name in dict.fromkeys(map(item_of, hits)) if name not in read]
        at_once = wanted
        while unread and not _has_nearest(hits, read, current, wanted):
            at_once = min(at_once, _MOST_READS)
            names, unread = unread[:at_once], unread[at_once:]
            found = yield from read_items(shelf, names)
            read.update(dict.fromkeys(names))
            for name, row in found.items():
                if accepts(row.record):
                    read[name] = row
                    current |= index.vectors_of(shelf, row.record).keys()
            at_once *= 2
        if _has_nearest(hits, read, current, wanted) or len(hits) < most or most == MOST_HITS:
            break
        most = min(most * 10, MOST_HITS)
    return [row for row in read.values() if row is not None]


def _has_nearest(hits: Sequence[str], read: Collection[str], current: Collection[str], wanted: int) -> bool:
    """Return whether the first vectors of an answer, all read, have as many items as are wanted."""
    items: set[str] = set()
    for hit in hits:
        if item_of(hit) not in read:
            return False
        if hit in current:  # otherwise it is left over, and its item may be far from the query
            items.add(item_of(hit))
            if len(items) == wanted:
                return True
    return False


def write_with_vectors(
    index: VectorIndex,
    shelf: Shelf,
    cache: ItemCache,
    puts: Sequence[ItemPut],
    deletions: Sequence[str],
    added: Mapping[str, Vector],
) -> Plan[None]:
    """Write and delete items, and then their vectors. Three round trips.

    What is replaced or deleted is read first, since its vectors have to go.

    Args:
        index: The index.
        shelf: The store's items.
        cache: The items that this process knows.
        puts: The items to write.
        deletions: The keys of the objects to delete.
        added: The vectors of the items to write.

    Raises:
        ConflictError: An item isn't the expected one.
    """
    keys = [*(shelf.key(put.record.namespace, put.record.key) for put in puts), *deletions]
    before = yield from gather(return_errors(read_items(shelf, [key])) for key in dict.fromkeys(keys))
    replaced: set[str] = set()
    for rows in before:
        if not isinstance(rows, S3CheckpointError):
            replaced.update(*(index.vectors_of(shelf, row.record) for row in rows.values()))
        elif not isinstance(rows, (CorruptObjectError, DecryptionError)):  # these may be replaced
            raise rows
    yield from write_items(shelf, cache, puts, deletions)
    yield from gather([index.put(added), index.delete(replaced - added.keys())])


def delete_left_over(index: VectorIndex, shelf: Shelf, keys: Collection[str]) -> Plan[int]:
    """Delete those of some vectors that no item has any more. Return their number."""
    rows = yield from read_items(shelf, list(map(item_of, keys)))
    current = {key for row in rows.values() for key in index.vectors_of(shelf, row.record)}
    left_over = set(keys) - current
    yield from index.delete(left_over)
    return len(left_over)


def rebuild(index: VectorIndex, shelf: Shelf) -> Plan[RebuiltVectors]:
    """Write the vectors of all items, page by page, and delete those that no item has."""
    written = deleted = skipped = 0
    pages = Pages(shelf.root)
    while not pages.done:
        page = yield from pages.more()
        rows = yield from read_listed(shelf, [entry for entry in page.entries if entry.key.endswith(ITEM)])
        vectors: dict[str, Vector] = {}
        for row in rows.values():
            own = index.vectors_of(shelf, row.record)
            vectors.update(own)
            skipped += len(own) < len({packed for _, packed in row.record.vectors})
        yield from index.put(vectors)
        written += len(vectors)
    token: str | None = None
    while True:
        keys, token = yield from index.page(shelf, token)
        deleted += yield from delete_left_over(index, shelf, keys)
        if token is None:
            return RebuiltVectors(written, deleted, skipped)
