"""The interface of a saver's clients: each sends a request once, and reads its response."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import Any, Protocol, TypeAlias

from langgraph_checkpoint_s3.s3.deadline import Attempt
from langgraph_checkpoint_s3.s3.translate import Translator

Fetched: TypeAlias = "tuple[Any, bytes | memoryview]"
"""A response's fields, as botocore names them, and an object's body: `Attempt.into`, if it came there."""


class Client(Protocol):
    """A blocking client.

    Attributes:
        translator: Translates requests for it.
        retries: Whether it sends a request again by itself. Only a client that a user passed in does.
    """

    translator: Translator
    retries: bool

    def fetch(self, operation: str, arguments: Mapping[str, Any], attempt: Attempt) -> Fetched:
        """Send a request, and read the body of its response."""

    def refused(self) -> None:
        """Look for other credentials before the next request: these were refused, or there are none."""


class AsyncClient(Protocol):
    """A client of one event loop.

    Attributes:
        translator: Translates requests for it.
        retries: Whether it sends a request again by itself. Only a client that a user passed in does.
    """

    translator: Translator
    retries: bool

    def fetch(
        self, operation: str, arguments: Mapping[str, Any], attempt: Attempt
    ) -> Coroutine[Any, Any, Fetched]:
        """Send a request, and read the body of its response."""

    def refused(self) -> Coroutine[Any, Any, None]:
        """Look for other credentials before the next request: these were refused, or there are none."""
