"""What the saver asks for keys: the one to write with, and the one that an object names."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from langgraph_checkpoint_s3.crypto.aead import DataKey, KeyRef


@runtime_checkable
class KeyProvider(Protocol):
    """Where the saver gets its keys from. Any class with these four members is one.

    The methods may block: a saver calls `current` and `unlock` in a worker thread, never on an event loop,
    and `names_key` once, where it is made. They may be called from many threads at once.

    A data key needs no bound on how often it is used: each thread has an AES key of its own derived from it
    (`crypto/aead.py`), and no thread comes near the 2**32 random nonces that one may have.

    Attributes:
        cache_seconds: How long the saver may keep a key that it was given, in seconds; `math.inf`
            for ever. So long after access to a key is withdrawn, a running process still reads.
    """

    cache_seconds: float

    def current(self) -> DataKey:
        """The key to write with, now. Asked again when `cache_seconds` have passed."""
        ...

    def unlock(self, ref: KeyRef) -> bytes:
        """The 32 bytes of the key that an object names.

        Args:
            ref: As `current()` gave it once, here or in another process; or as whoever can write to
                the bucket made it up.

        Raises:
            DecryptionError: There is no such key. Names `ref.id`.
        """
        ...

    def names_key(self) -> bytes | None:
        """32 bytes that key the hashes of names (`private_keys`), the same for ever; or `None`."""
        ...
