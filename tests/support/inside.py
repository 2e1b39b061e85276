"""Access to a saver's internals. No other test module looks into an `S3Saver`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.crypto.key_cache import KeyCache
from langgraph_checkpoint_s3.format.keys import Layout
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.plan import Plan
from langgraph_checkpoint_s3.plans.transfer import Sizes
from langgraph_checkpoint_s3.s3.request_state import SaverState
from langgraph_checkpoint_s3.s3.store import Store


@contextmanager
def silent_keys() -> Iterator[None]:
    """Make `put` write keys that don't say if a checkpoint needs its ancestors, as without the field `v`."""
    unknown = frozenset({"unknown"})
    with mock.patch("langgraph_checkpoint_s3.plans.put.rebuilt_channels", return_value=unknown):
        yield


def store(saver: S3Saver) -> Store:
    """The store that runs the saver's plans."""
    return saver._store


def shared(saver: S3Saver) -> SaverState:
    """The state that all operations of the saver share."""
    return saver._store.saver_state


def context(saver: S3Saver) -> Context:
    """The context of the saver's plans."""
    return saver._context()


def layout(saver: S3Saver) -> Layout:
    """The names of the saver's keys."""
    return saver._layout


def key_cache(saver: S3Saver) -> KeyCache:
    """The data keys of a saver that encrypts."""
    assert saver._key_cache is not None
    return saver._key_cache


def clock(saver: S3Saver) -> Callable[[], int]:
    """The saver's time in ns since 1970."""
    return saver._now


def put_plan(saver: S3Saver, *arguments: Any) -> Plan[Any]:
    """The plan of `put`."""
    return saver._put(*arguments)


def set_clock(saver: S3Saver, now: Callable[[], int]) -> None:
    """Replace the saver's clock."""
    saver._now = now


def set_store(saver: S3Saver, replacement: Any) -> None:
    """Replace the store that runs the saver's plans."""
    saver._store = replacement


def set_sizes(saver: S3Saver, sizes: Sizes) -> None:
    """Replace the sizes from which objects are transferred in parts, also by ones that `S3Config` rejects."""
    saver._sizes = sizes


def set_borrowing(saver: S3Saver, **changes: int) -> None:
    """Change how eagerly the saver borrows."""
    saver._borrow_policy = saver._borrow_policy._replace(**changes)


def borrow_like(saver: S3Saver, other: S3Saver) -> None:
    """Have the saver borrow as eagerly as another one."""
    saver._borrow_policy = other._borrow_policy
