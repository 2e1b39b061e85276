"""Hooks of the fake S3 that fail requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from langgraph_checkpoint_s3.s3.requests import Request
from tests.support.fake_s3 import Hook, Moment, client_error

Kinds: TypeAlias = type[Request[Any]] | tuple[type[Request[Any]], ...]


def failing(
    kinds: Kinds = Request,
    code: str = "SlowDown",
    status: int = 503,
    *,
    within: str = "",
    after: int = 0,
    times: int | None = None,
) -> Hook:
    """Return a hook that answers requests with an error of S3, before they take effect.

    Args:
        kinds: The kinds of requests.
        code: S3's error code.
        status: The HTTP status.
        within: A part of the key; by default any request is meant.
        after: How many requests succeed first.
        times: How many fail; by default all.
    """
    return _raising(lambda request: client_error(code, status, request), kinds, within, after, times)


def interrupting(kinds: Kinds = Request, *, within: str = "", after: int = 0) -> Hook:
    """Return a hook that raises KeyboardInterrupt before requests take effect."""
    return _raising(lambda _: KeyboardInterrupt(), kinds, within, after, None)


def _raising(
    error: Callable[[Request[Any]], BaseException], kinds: Kinds, within: str, after: int, times: int | None
) -> Hook:
    seen = 0

    def hook(moment: Moment, request: Request[Any]) -> None:
        nonlocal seen
        if moment == "before" and isinstance(request, kinds) and within in getattr(request, "key", ""):
            seen += 1
            if seen > after and (times is None or seen <= after + times):
                raise error(request)

    return hook
