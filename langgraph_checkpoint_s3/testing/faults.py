"""Faults that a `FaultServer` injects, and its record of a request.

```python
faults.fail("PutObject", Answer(503, "SlowDown"), times=2)
faults.fail("GetObject", BreakOff(after=100), within="checkpoint")
```
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ._seen import Seen

__all__ = ["Answer", "BreakOff", "Fault", "Flip", "HangUp", "Hold", "Park", "Reply", "Schedule", "Seen"]


@dataclass(frozen=True, slots=True)
class Answer:
    """Respond with an S3 error instead of the server.

    Attributes:
        status: The HTTP status, such as 503.
        code: S3's error code, such as `SlowDown`, `AccessDenied` or `NoSuchKey`.
        message: The error's message.
        headers: Additional HTTP headers, such as `Retry-After`.
        details: XML elements to add to the error document.
        applied: Whether the request reaches the server first. Then it takes effect, although the client
            gets an error.
    """

    status: int
    code: str
    message: str = "said the fault server"
    headers: Mapping[str, str] = field(default_factory=dict)
    details: str = ""
    applied: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """Respond with this body instead of the server. The request doesn't reach the server.

    Attributes:
        body: The response's body.
        status: The HTTP status.
        headers: Additional HTTP headers, such as `ETag`.
    """

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BreakOff:
    """Forward the request, send part of the response's body, and close the connection.

    Attributes:
        after: Bytes of the body to send.
    """

    after: int


@dataclass(frozen=True, slots=True)
class HangUp:
    """Close the connection without a response.

    Attributes:
        applied: Whether the request reaches the server first.
    """

    applied: bool = False


@dataclass(frozen=True, slots=True)
class Flip:
    """Forward the request, and invert one byte of the response's body.

    Attributes:
        offset: Offset of the byte, modulo the length.
    """

    offset: int


@dataclass(frozen=True, slots=True)
class Hold:
    """Wait before forwarding the request.

    Attributes:
        seconds: The time to wait.
    """

    seconds: float


@dataclass(frozen=True, slots=True)
class Park:
    """Forward the request, and hold back its response until an event is set: a slow response without sleep.

    Attributes:
        until: The event to wait for.
        begun: Whether to send half of the response before.
    """

    until: threading.Event
    begun: bool = False


Fault = Answer | Reply | BreakOff | HangUp | Flip | Hold | Park
"""Any fault."""

Schedule = Callable[[Seen], Fault | None]
"""Returns the fault for a request; `None` forwards it. Called on the fault server's own thread."""
