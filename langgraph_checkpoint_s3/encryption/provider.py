"""What the saver asks for keys: the one to write with, and the one that an object names."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from langgraph_checkpoint_s3.objects.seal import DataKey, KeyRef


@runtime_checkable
class KeyProvider(Protocol):
    """Where the saver gets its keys from. Any class with these four members is one.

    The methods may block: the saver calls them in a worker thread, never on an event loop. They
    may be called from many threads at once.

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
