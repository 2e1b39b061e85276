"""A key ring: keys that you keep yourself, of which one writes and all read."""

from __future__ import annotations

import base64
import binascii
import math
import os
import secrets
from collections.abc import Mapping
from typing import Any, Final

from langgraph_checkpoint_s3.crypto.provider import SECRET_BYTES, DataKey, KeyRef
from langgraph_checkpoint_s3.errors import DecryptionError, InvalidConfigError

_MAX_ID: Final = 200
_HINT: Final = "Make keys with KeyRing.new_key(), or `openssl rand -base64 32`. Values aren't repeated here"


class KeyRing:
    """Keys that you keep yourself: all of them read, and one writes.

    To rotate without downtime:

    1. Add the new key to every process that reads, and go on writing with the old one.
    2. Write with the new one (`write_with`).
    3. Rewrite the old objects, or let them age out.
    4. Remove the old key. Objects still encrypted with it can't be read from then on.

    Args:
        keys: Each key by its id: 32 bytes, or their base64 (standard or URL-safe, 43 or 44
            characters). An id is printable text of 1 to 200 characters. It isn't secret: every object has
            it in plaintext.
        write_with: The id of the key to write with. Default: the only key; required if there are several.
        names_key: 32 bytes, or their base64, for `private_keys`. It must never change for a prefix.
            Default: none.

    Raises:
        InvalidConfigError: A key, an id or `write_with` is invalid.

    Attributes:
        cache_seconds: Infinite.
    """

    __slots__ = ("_keys", "_names_key", "_write_with", "cache_seconds")

    def __init__(
        self,
        keys: Mapping[str, bytes | str],
        *,
        write_with: str | None = None,
        names_key: bytes | str | None = None,
    ) -> None:
        self.cache_seconds = math.inf
        ring = _decoded_keys(keys)
        names = None if names_key is None else _decoded(names_key)
        problem = _problem(ring, write_with)
        if problem is None and names is None and names_key is not None:
            problem = f"names_key isn't {SECRET_BYTES} bytes, or their base64. {_HINT}"
        if problem is not None:
            del keys, write_with, names_key, ring, names  # error reporters show a frame's variables
            raise InvalidConfigError(problem)
        self._keys: dict[str, bytes] = {name: key for name, key in ring.items() if key is not None}
        self._write_with = write_with if write_with is not None else next(iter(ring))
        self._names_key = names

    @classmethod
    def from_env(
        cls, variable: str = "LANGGRAPH_S3_KEYS", *, names_variable: str = "LANGGRAPH_S3_NAMES_KEY"
    ) -> KeyRing:
        """Read a key ring from the environment: `id:base64,id:base64`, of which the first writes.

        To rotate, append the new key; when all processes have it, move it to the front.

        Args:
            variable: The variable with the keys.
            names_variable: The variable with the names key, in base64. It may be unset.

        Raises:
            InvalidConfigError: The variable is unset, or isn't in this format. The message doesn't repeat it.
        """
        return cls(**_from_environment(variable, names_variable))

    @staticmethod
    def new_key() -> bytes:
        """Return a new key: 32 random bytes. Keep it where only your agents have access."""
        return secrets.token_bytes(SECRET_BYTES)

    def current(self) -> DataKey:
        """Return the key that `write_with` names."""
        return DataKey(KeyRef(self._write_with), self._keys[self._write_with])

    def unlock(self, ref: KeyRef) -> bytes:
        """Return the key of that id.

        Raises:
            DecryptionError: It isn't on the ring.
        """
        key = self._keys.get(ref.id)
        if key is None or ref.wrapped:
            kind = "by a key service such as AWS KMS" if ref.wrapped else "with a key that isn't on the ring"
            raise DecryptionError(
                f"The object is sealed {kind}: {ref.id[:_MAX_ID]!r}. The ring has {_join_ids(self._keys)}. "
                "Add the key that the object names, or read it with its own provider"
            )
        return key

    def names_key(self) -> bytes | None:
        """Return the names key."""
        return self._names_key

    def __repr__(self) -> str:
        if not hasattr(self, "_names_key"):  # __init__ failed
            return "KeyRing()"
        private = ", names_key=…" if self._names_key else ""
        return f"KeyRing({{{_join_ids(self._keys)}}}, write_with={self._write_with!r}{private})"

    def __reduce__(self) -> Any:
        raise TypeError("A KeyRing can't be pickled: it holds secrets. Make one in each process.")

    def __copy__(self) -> KeyRing:
        return self

    def __deepcopy__(self, memo: Any) -> KeyRing:
        return self  # copying settings, as `dataclasses.asdict` does, doesn't copy secrets


def from_base64(text: str) -> bytes | None:
    """Decode base64, standard or URL-safe, with or without padding; `None` if it isn't that."""
    plain = text.strip().rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def _decoded(key: object) -> bytes | None:
    """Return a key's bytes, given as such or in base64; `None` if it is something else."""
    decoded = from_base64(key) if isinstance(key, str) else key
    return decoded if isinstance(decoded, bytes) and len(decoded) == SECRET_BYTES else None


def _decoded_keys(keys: Any) -> dict[Any, bytes | None]:
    return {name: _decoded(key) for name, key in keys.items()} if isinstance(keys, Mapping) else {}


def _problem(ring: Mapping[Any, bytes | None], write_with: str | None) -> str | None:
    """Return what is wrong with a key ring, as a message without secrets; `None` if nothing is.

    It names keys by their position: where a key and its id were swapped, the id is the secret.
    """
    if not ring:
        return "A key ring needs a mapping of at least one id to its key"
    for number, (name, key) in enumerate(ring.items(), start=1):
        place = f"Key {number} of {len(ring)}"
        if not isinstance(name, str) or not 0 < len(name) <= _MAX_ID or not name.isprintable():
            return f"{place} has no id of 1 to {_MAX_ID} printable characters. {_HINT}"
        if _looks_like_key(name):
            return (
                f"{place} has an id that looks like a key. Ids stand in plaintext in every object: did id "
                "and key change places?"
            )
        if key is None:
            return f"{place} isn't {SECRET_BYTES} bytes, or their base64 ({_LENGTHS}). {_HINT}"
    if write_with is None and len(ring) > 1:
        return f"With several keys, write_with must say which one writes: one of {_join_ids(ring)}"
    if write_with is not None and write_with not in ring:
        return f"write_with isn't the id of one of the keys: {_join_ids(ring)}"
    return None


_LENGTHS: Final = "44 characters, or 43 without the ="


def _looks_like_key(text: str) -> bool:
    if _decoded(text) is not None:
        return True
    try:
        return len(binascii.unhexlify(text)) == SECRET_BYTES
    except ValueError:
        return False


def _join_ids(ids: Mapping[str, object]) -> str:
    return ", ".join(map(repr, ids))


def _from_environment(variable: str, names_variable: str) -> dict[str, Any]:
    """Return the arguments of a key ring, from the environment."""
    keys: dict[str, str] = {}
    problem = None
    entries = [entry.strip() for entry in os.environ.get(variable, "").split(",")]
    if entries == [""]:
        problem = f"The environment variable {variable} is unset or empty"
    for number, entry in enumerate(entries, start=1):
        name, _, key = (part.strip() for part in entry.rpartition(":"))
        if problem is None and not (name and key):
            problem = f"Entry {number} of {variable} isn't id:key"
        if problem is None and name in keys:
            problem = f"Entry {number} of {variable} has the id of an earlier one"
        keys[name] = key
    if problem is not None:
        keys, entries, entry, name, key = {}, [], "", "", ""  # error reporters show a frame's variables
        raise InvalidConfigError(
            f"{problem}. It looks like 2026-11:BASE64,2025-11:BASE64, and the first key writes. {_HINT}"
        )
    return {
        "keys": keys,
        "write_with": next(iter(keys)),
        "names_key": os.environ.get(names_variable) or None,
    }
