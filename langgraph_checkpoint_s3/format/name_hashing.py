"""Hashes of names: keyed ones for secret names, and unkeyed ones for names that are too long for a key.

A thread `customer@example.com` whose name is secret lies in a folder `.hR0…q8.thread/`. A name always has the
same hash, so everything is found as before; a listing of the bucket shows how many threads there are, but not
their names. The name is in the objects' headers. Checkpoint ids aren't hashed, since they carry the order.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Final

from langgraph_checkpoint_s3.format.key_encoding import HashedName, encode_component, utf8

_BYTES: Final = 24
_LONG: Final = b"langgraph-checkpoint-s3 1 long names\0"


class NameHasher:
    """Hashes names with a key.

    Args:
        key: The secret, 32 bytes. With another one, nothing is found.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def hash(self, kind: str, name: str) -> HashedName:
        """Return a name's hash.

        Args:
            kind: The kind of name. Equal names of different kinds have different hashes.
            name: The name. A hash is returned as it is.

        Raises:
            InvalidKeyError: The name holds a lone surrogate.
        """
        if isinstance(name, HashedName):
            return name
        return _hashed_name(hmac.digest(self._key, _message(kind, name), hashlib.sha256))


class LongNameHasher:
    """Hashes long names, without a key, and leaves others as they are.

    Args:
        max_length: The most characters that a name may have, as keys encode it.
    """

    def __init__(self, max_length: int) -> None:
        self._max_length = max_length

    def hash(self, kind: str, name: str) -> str:
        """Return a name, or its hash if it is too long. Otherwise it is like `NameHasher.hash`."""
        if isinstance(name, HashedName) or len(encode_component(name, kind)) <= self._max_length:
            return name
        return _hashed_name(hashlib.sha256(_LONG + _message(kind, name)).digest())


LONG_FOLDERS: Final = LongNameHasher(200)
"""For threads and namespaces. With its suffix, each is a file's name for some stores: 255 bytes at most."""
LONG_FIELDS: Final = LongNameHasher(40)
"""For fields of a leaf. All of them fit into 255 bytes, beside a parent's id of 90 characters."""


def _message(kind: str, name: str) -> bytes:
    return b"%b\0%b" % (kind.encode(), utf8(name, kind))


def _hashed_name(digest: bytes) -> HashedName:
    return HashedName(base64.urlsafe_b64encode(digest[:_BYTES]).decode())
