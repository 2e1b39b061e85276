"""What a sealed object says of its key, and the key itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple


class KeyRef(NamedTuple):
    """Which key an object is sealed with. Nothing of it is secret: it stands in plaintext in every object.

    Attributes:
        id: The name of the master key, such as `2026-11`, or a KMS key's ARN.
        wrapped: The data key as the master key encrypted it, with AWS KMS; empty with a key ring.
    """

    id: str
    wrapped: bytes = b""


@dataclass(frozen=True, slots=True)
class DataKey:
    """A key to seal with, and what to write into the object to find it again.

    Attributes:
        ref: What stands in the object.
        secret: The key's 32 bytes. No repr shows them, and they can't be pickled.
    """

    ref: KeyRef
    secret: bytes = field(repr=False)

    def __reduce__(self) -> Any:
        raise TypeError("A DataKey can't be pickled or copied: it holds a secret.")
