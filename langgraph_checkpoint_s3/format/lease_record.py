"""What a lease's object says: who holds the thread, under which fencing token, and for how long. Pure.

A small JSON document, so that an operator can read it. It stays when the lease is released, marked as
such, so that tokens go on from it.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from langgraph_checkpoint_s3.errors import CorruptObjectError

_VERSION: Final = 1
_MOST_TEXT: Final = 256
_MOST_NUMBER: Final = 2**63


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """One writing of a lease's object.

    Attributes:
        owner: A random id of this taking of the lease.
        holder: Who that is, for people.
        token: The fencing token: greater than that of each earlier holder.
        ttl: Seconds for which it holds from this writing on.
        write: The number of this writing among the owner's: a reader of a lost reply knows its own by it.
        renewed: When it was written, by the holder's clock, in ns since 1970. Nobody reckons with it.
        released: Whether the holder has given it up.
    """

    owner: str
    holder: str
    token: int
    ttl: float
    write: int
    renewed: int
    released: bool = False

    def encode(self) -> bytes:
        """The document."""
        return json.dumps({"v": _VERSION, **asdict(self)}, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, data: bytes, key: str) -> LeaseRecord:
        """Read a document back. Fields that a later writer adds are passed over.

        Raises:
            CorruptObjectError: It isn't one.
        """
        try:
            said: Any = json.loads(data)
            if said["v"] != _VERSION:
                raise ValueError("another version")
            note = cls(**{name: said[name] for name in _FIELDS})
            numbers = (note.token, note.write, note.renewed)
            fits = (
                all(type(text) is str and len(text) <= _MOST_TEXT for text in (note.owner, note.holder))
                and all(type(number) is int and 0 <= number < _MOST_NUMBER for number in numbers)
                and type(note.ttl) in (int, float)
                and math.isfinite(note.ttl)
                and note.ttl > 0
                and type(note.released) is bool
            )
            if not fits:
                raise ValueError("a value out of range")
        except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
            raise CorruptObjectError(
                "This isn't a lease, or it is damaged. If nobody runs the thread, delete the object", key=key
            ) from error
        return note


_FIELDS: Final = tuple(each.name for each in fields(LeaseRecord))
