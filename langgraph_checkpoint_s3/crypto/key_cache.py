"""In-memory cache of data keys. Entries expire after the provider's `cache_seconds`.

The cache never calls the provider for a key: plans do (`plans/data_keys.py`), since a provider may use the
network.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final

from langgraph_checkpoint_s3.crypto.aead import ObjectCipher, ThreadCipher, make_thread_cipher
from langgraph_checkpoint_s3.crypto.provider import DataKey, KeyProvider, KeyRef
from langgraph_checkpoint_s3.errors import DecryptionError
from langgraph_checkpoint_s3.fork_safety import renew_after_fork

_MAX_KEYS: Final = 4096
_MAX_CIPHERS: Final = 4096


class KeyCache:
    """Data keys by their references.

    Args:
        provider: Source of the keys.
        required: Whether objects that aren't encrypted are refused.
        clock: Monotonic time in seconds.
    """

    def __init__(
        self, provider: KeyProvider, *, required: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.provider = provider
        self.required = required
        self._clock = clock
        self._keys: OrderedDict[KeyRef, tuple[float, DataKey | str]] = OrderedDict()
        self._ciphers: OrderedDict[tuple[KeyRef, str], ThreadCipher] = OrderedDict()
        self._current: tuple[float, DataKey] | None = None
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Replace the lock, which another thread may have held. The keys are kept."""
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.provider!r}, required={self.required})"

    @property
    def current(self) -> DataKey | None:
        """The key to write with, unless it has expired."""
        oldest = self._oldest_valid()
        with self._lock:
            if self._current is not None and self._current[0] > oldest:
                return self._current[1]
        return None

    def missing(self, refs: Iterable[KeyRef]) -> list[KeyRef]:
        """Return the references whose keys must be fetched: unknown, expired, or failed the last time."""
        oldest = self._oldest_valid()
        with self._lock:
            found = {ref: self._keys.get(ref) for ref in refs}
        return [
            ref
            for ref, entry in found.items()
            if entry is None or isinstance(entry[1], str) or not entry[0] > oldest
        ]

    def add(self, key: DataKey, *, current: bool = False) -> None:
        """Store a key, perhaps as the one to write with.

        Raises:
            InvalidConfigError: It can't be a key, or `cryptography` isn't installed.
        """
        make_thread_cipher(key.secret, "")  # raises if the key isn't one, before anything uses it
        with self._lock:
            now = self._clock()
            self._store(key.ref, (now, key))
            if current:
                self._current = (now, key)

    def add_failure(self, ref: KeyRef, reason: str) -> None:
        """Store why a key couldn't be fetched. Ciphers that were made of it earlier are dropped."""
        with self._lock:
            for each in [each for each in self._ciphers if each[0] == ref]:
                del self._ciphers[each]
            self._store(ref, (self._clock(), reason))

    def object_cipher(
        self, ref: KeyRef, place: str, namespace: str, checkpoint_id: str, leaf: str
    ) -> ObjectCipher:
        """Return the cipher of an object in a place (bucket and prefix) and a namespace's folder."""
        thread, folder = namespace.rstrip("/").split("/")[-2:]
        return ObjectCipher(ref, place, thread, folder, checkpoint_id, leaf, self._thread_cipher)

    def _thread_cipher(self, ref: KeyRef, thread: str) -> ThreadCipher:
        # Expiry isn't checked here: a plan that began with a key ends with it.
        with self._lock:
            found = self._ciphers.get((ref, thread))
            if found is not None:
                self._ciphers.move_to_end((ref, thread))
                return found
            _, key = self._keys.get(ref, (0.0, "it wasn't asked for"))
        if isinstance(key, str):
            raise DecryptionError(f"The key {ref.id!r} isn't there: {key}")
        made = make_thread_cipher(key.secret, thread)
        with self._lock:
            self._ciphers[ref, thread] = made
            if len(self._ciphers) > _MAX_CIPHERS:
                self._ciphers.popitem(last=False)
        return made

    def _store(self, ref: KeyRef, entry: tuple[float, DataKey | str]) -> None:
        self._keys[ref] = entry
        self._keys.move_to_end(ref)
        if len(self._keys) > _MAX_KEYS:
            self._keys.popitem(last=False)

    def _oldest_valid(self) -> float:
        """Return the time before which entries have expired.

        Never called under the lock: `cache_seconds` may be a property of the user's own, of any behaviour.
        """
        return self._clock() - float(self.provider.cache_seconds)
