"""The protocol of a key provider, and the data keys that it gives.

A *data key* is 32 bytes that encrypt objects. Its `KeyRef` is stored in the open in each of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol, runtime_checkable

SECRET_BYTES: Final = 32
"""Length of a data key."""
MAX_KEY_ID: Final = 2048
"""Most characters of a key's id."""
MAX_WRAPPED_KEY: Final = 6 * 1024
"""Most bytes of a wrapped data key: the limit of KMS."""


class KeyRef(NamedTuple):
    """Reference to a data key. It is no secret.

    Attributes:
        id: The master key's name: one of a key ring, or a KMS key's ARN.
        wrapped: The data key as the master key has encrypted it; empty if the master key is the data key.
    """

    id: str
    wrapped: bytes = b""


@dataclass(frozen=True, slots=True)
class DataKey:
    """A key to encrypt with.

    Attributes:
        ref: How objects refer to it.
        secret: Its 32 bytes.
    """

    ref: KeyRef
    secret: bytes = field(repr=False)


@runtime_checkable
class KeyProvider(Protocol):
    """Source of a saver's keys. Any class with these four members is one.

    The methods may block: a saver calls `current` and `unlock` in a worker thread, never on an event loop,
    and `names_key` once, when it is made. They may be called from many threads at once.

    A data key needs no bound on how often it is used: each thread has an AES key of its own derived from it
    (`crypto/aead.py`), and no thread comes near the 2**32 random nonces that one may have.

    Attributes:
        cache_seconds: How long the saver may keep a key that it was given, in seconds; `math.inf`
            for ever. After access to a key is withdrawn, a running process still reads for that long.
    """

    cache_seconds: float

    def current(self) -> DataKey:
        """Return the key to write with now. Called again when `cache_seconds` have passed."""
        ...

    def unlock(self, ref: KeyRef) -> bytes:
        """Return the 32 bytes of the key that an object names.

        Args:
            ref: A reference that `current()` gave earlier, here or in another process. It can also be
                forged by anyone who can write to the bucket.

        Raises:
            DecryptionError: There is no such key. Names `ref.id`.
        """
        ...

    def names_key(self) -> bytes | None:
        """Return the 32 bytes that key the hashes of names (`private_keys`), or `None`. They never change."""
        ...
