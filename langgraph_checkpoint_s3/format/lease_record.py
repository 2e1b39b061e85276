"""The record of a thread's lease: its holder, its fencing token, and its time to live. Pure.

It is a small JSON document, so that an operator can read it. When the lease is released, the record stays and
is marked as released, so that the next token continues from it.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from langgraph_checkpoint_s3.errors import CorruptObjectError

_VERSION: Final = 1
_MAX_TEXT: Final = 256
_MAX_NUMBER: Final = 2**63


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """Contents of a lease's object.

    Attributes:
        owner: A random id of this acquisition.
        holder: The holder's name, for people.
        token: The fencing token, greater than that of every earlier holder.
        ttl: Seconds for which the lease is valid from this write on.
        write: The number of this write by the owner, which recognizes its own write after a lost response.
        renewed: The time of this write by the holder's clock, in ns since 1970. For information only.
        released: Whether the holder has released the lease.
    """

    owner: str
    holder: str
    token: int
    ttl: float
    write: int
    renewed: int
    released: bool = False

    def encode(self) -> bytes:
        """Return the document."""
        return json.dumps({"v": _VERSION, **asdict(self)}, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, data: bytes, key: str) -> LeaseRecord:
        """Parse a document. Unknown fields, which a later version may add, are ignored.

        Raises:
            CorruptObjectError: It isn't one.
        """
        try:
            document: Any = json.loads(data)
            if document["v"] != _VERSION:
                raise ValueError("another version")
            record = cls(**{name: document[name] for name in _FIELDS})
            numbers = (record.token, record.write, record.renewed)
            valid = (
                all(type(text) is str and len(text) <= _MAX_TEXT for text in (record.owner, record.holder))
                and all(type(number) is int and 0 <= number < _MAX_NUMBER for number in numbers)
                and type(record.ttl) in (int, float)
                and math.isfinite(record.ttl)
                and record.ttl > 0
                and type(record.released) is bool
            )
            if not valid:
                raise ValueError("a value out of range")
        except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
            raise CorruptObjectError(
                "This isn't a lease, or it is damaged. If nobody runs the thread, delete the object", key=key
            ) from error
        return record


_FIELDS: Final = tuple(each.name for each in fields(LeaseRecord))
