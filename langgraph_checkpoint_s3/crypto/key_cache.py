"""The keys that a saver has at hand: what its provider gave, for as long as it may be kept.

It asks nobody: plans do that (`plans/data_keys.py`), since a provider may have to ask a network.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, Final

from langgraph_checkpoint_s3.crypto.aead import Cipher, DataKey, KeyRef, ObjectCipher, cipher
from langgraph_checkpoint_s3.errors import DecryptionError
from langgraph_checkpoint_s3.fork_safety import renew_after_fork

_MOST_KEYS: Final = 4096
_MOST_CIPHERS: Final = 4096


class KeyCache:
    """Data keys by their references.

    Args:
        provider: Where keys come from, a `KeyProvider`.
        required: Whether what isn't encrypted is refused.
        clock: Seconds that only grow.
    """

    def __init__(
        self, provider: Any, *, required: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.provider = provider
        self.required = required
        self._clock = clock
        self._keys: OrderedDict[KeyRef, tuple[float, DataKey | str]] = OrderedDict()
        self._ciphers: OrderedDict[tuple[KeyRef, str], Cipher] = OrderedDict()
        self._current: tuple[float, DataKey] | None = None
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Keep the keys."""
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.provider!r}, required={self.required})"

    @property
    def current(self) -> DataKey | None:
        """The key to write with, if it may still be used."""
        with self._lock:
            if self._current is not None and self._is_fresh(self._current[0]):
                return self._current[1]
        return None

    def lacking(self, refs: Iterable[KeyRef]) -> list[KeyRef]:
        """Those of the references whose keys are to be asked for."""
        with self._lock:
            return [
                ref
                for ref in dict.fromkeys(refs)
                if ref not in self._keys
                or isinstance(self._keys[ref][1], str)
                or not self._is_fresh(self._keys[ref][0])
            ]

    def keep(self, key: DataKey, *, current: bool = False) -> None:
        """Remember a key, perhaps as the one to write with."""
        cipher(key.secret, "")  # tells at once what is wrong with it
        with self._lock:
            now = self._clock()
            self._remember(key.ref, (now, key))
            if current:
                self._current = (now, key)

    def keep_failure(self, ref: KeyRef, why: str) -> None:
        """Remember why there is no key, for who is about to need it."""
        with self._lock:
            for each in [each for each in self._ciphers if each[0] == ref]:
                del self._ciphers[each]
            self._remember(ref, (self._clock(), why))

    def seal(self, ref: KeyRef, place: str, namespace: str, checkpoint_id: str, leaf: str) -> ObjectCipher:
        """Return what an object is sealed with.

        Args:
            ref: The data key.
            place: Its bucket and prefix.
            namespace: The folder of its namespace.
            checkpoint_id: The checkpoint.
            leaf: The end of its key.
        """
        thread, folder = namespace.rstrip("/").split("/")[-2:]
        return ObjectCipher(ref, place, thread, folder, checkpoint_id, leaf, self._cipher)

    def _cipher(self, ref: KeyRef, thread: str) -> Cipher:
        """A thread's cipher. A key that was there when a plan began is used until it ends."""
        with self._lock:
            found = self._ciphers.get((ref, thread))
            if found is not None:
                self._ciphers.move_to_end((ref, thread))
                return found
            _, key = self._keys.get(ref, (0.0, "it wasn't asked for"))
        if isinstance(key, str):
            raise DecryptionError(f"The key {ref.id!r} isn't there: {key}")
        made = cipher(key.secret, thread)
        with self._lock:
            self._ciphers[ref, thread] = made
            if len(self._ciphers) > _MOST_CIPHERS:
                self._ciphers.popitem(last=False)
        return made

    def _remember(self, ref: KeyRef, known: tuple[float, DataKey | str]) -> None:
        self._keys[ref] = known
        self._keys.move_to_end(ref)
        if len(self._keys) > _MOST_KEYS:
            self._keys.popitem(last=False)

    def _is_fresh(self, since: float) -> bool:
        return self._clock() - since < float(self.provider.cache_seconds)
