"""A key provider for tests, which counts what it is asked for."""

from __future__ import annotations

import hashlib
import math
from collections import Counter

from langgraph_checkpoint_s3.crypto.provider import DataKey, KeyRef


def secret(name: str) -> bytes:
    """A key that is always the same for a name."""
    return hashlib.sha256(name.encode()).digest()


class Keys:
    """Gives keys by their names.

    Args:
        *ids: Those that it has; the first is written with.
        wrapped: Whether each `current` is a new data key, as with KMS.
        names: What names are hashed with.
    """

    def __init__(self, *ids: str, wrapped: bool = False, names: str | None = None) -> None:
        self.ids = ids or ("k1",)
        self.cache_seconds = math.inf
        self.asked: Counter[str] = Counter()
        self._wrapped = wrapped
        self._names = names

    def current(self) -> DataKey:
        self.asked["current"] += 1
        wrap = b"%d" % self.asked["current"] if self._wrapped else b""
        ref = KeyRef(self.ids[0], wrap and f"{id(self):x}-".encode() + wrap)
        return DataKey(ref, self._secret(ref))

    def unlock(self, ref: KeyRef) -> bytes:
        self.asked["unlock"] += 1
        if ref.id not in self.ids:
            raise KeyError(ref.id)
        return self._secret(ref)

    def names_key(self) -> bytes | None:
        return None if self._names is None else secret(self._names)

    @staticmethod
    def _secret(ref: KeyRef) -> bytes:
        return secret(f"{ref.id}/{ref.wrapped.hex()}")
