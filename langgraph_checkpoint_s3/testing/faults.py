"""What a `FaultServer` can do to a request, and what it saw of one.

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
    """Answer with an S3 error in the server's place.

    Attributes:
        status: The HTTP status, such as 503.
        code: S3's name of the error, such as `SlowDown`, `AccessDenied` or `NoSuchKey`.
        message: S3's text for it.
        headers: HTTP headers besides, such as `Retry-After`.
        details: XML elements to put into the error's document.
        applied: Whether the request reaches the server first: what was asked for is then done, and only
            the caller doesn't know.
    """

    status: int
    code: str
    message: str = "said the fault server"
    headers: Mapping[str, str] = field(default_factory=dict)
    details: str = ""
    applied: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer with this document in the server's place, which the request doesn't reach.

    Attributes:
        body: The document.
        status: The HTTP status.
        headers: HTTP headers besides, such as `ETag`.
    """

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BreakOff:
    """Let the request through, send a part of the answer's body, and hang up.

    Attributes:
        after: How many bytes of the body to send.
    """

    after: int


@dataclass(frozen=True, slots=True)
class HangUp:
    """Hang up without an answer.

    Attributes:
        applied: Whether the request reaches the server first.
    """

    applied: bool = False


@dataclass(frozen=True, slots=True)
class Flip:
    """Let the request through and invert one byte of the answer's body.

    Attributes:
        offset: Which byte; beyond the end it goes round.
    """

    offset: int


@dataclass(frozen=True, slots=True)
class Hold:
    """Wait before the request is let through.

    Attributes:
        seconds: How long.
    """

    seconds: float


@dataclass(frozen=True, slots=True)
class Park:
    """Let the request through, and answer when the test says so: what a slow answer meets, without sleeping.

    Attributes:
        until: The answer is sent when this is set.
        begun: Whether half of the answer is sent before.
    """

    until: threading.Event
    begun: bool = False


Fault = Answer | Reply | BreakOff | HangUp | Flip | Hold | Park
"""Any of them."""

Schedule = Callable[[Seen], Fault | None]
"""Says what to do to a request; `None` lets it through. Called on the fault server's own thread."""
