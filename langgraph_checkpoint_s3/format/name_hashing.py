"""Names as hashes: those that are secrets, by a key; and those that are too long for a bucket's keys.

A thread `customer@example.com` whose name is a secret lies in a folder `.hR0…q8.thread/`. The same name
always has the same hash, so what a saver is asked for it finds as ever; who lists the bucket learns how many
threads there are, and no more of them. The name is in the objects' headers. Checkpoint ids aren't hashed:
they carry the order.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

from langgraph_checkpoint_s3.format.key_encoding import HashedName, encode_component, utf8

_BYTES: Final = 24
_LONG: Final = b"langgraph-checkpoint-s3 1 long names\0"


class NameHasher:
    """Hashes names.

    Args:
        key: The secret, 32 bytes. With another one, nothing is found.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def hide(self, what: str, name: str) -> HashedName:
        """Return a name's hash.

        Args:
            what: What it is the name of. Equal names of different things have different hashes.
            name: The name; one that is a hash already stays.

        Raises:
            InvalidKeyError: The name holds a lone surrogate.
        """
        if isinstance(name, HashedName):
            return name
        return _hidden(hmac.digest(self._key, _said(what, name), hashlib.sha256))


@dataclass(frozen=True, slots=True)
class Short:
    """Hashes names that are longer than a part of a key may be, by no key, and leaves others as they are.

    Attributes:
        most: The most characters that a name may have, as keys write it.
    """

    most: int

    def hide(self, what: str, name: str) -> str:
        """Return a name, or its hash if it is too long.

        Args:
            what: What it is the name of. Equal names of different things have different hashes.
            name: The name; one that is a hash already stays.

        Raises:
            InvalidKeyError: The name holds a lone surrogate.
        """
        if isinstance(name, HashedName) or len(encode_component(name, what)) <= self.most:
            return name
        return _hidden(hashlib.sha256(_LONG + _said(what, name)).digest())


FOLDERS: Final = Short(200)
"""Threads and namespaces: with what follows in its segment, each is a file's name for some stores."""
FIELDS: Final = Short(40)
"""Fields of a leaf. All of them fit into a segment, beside a parent's id of 90 characters."""


def _said(what: str, name: str) -> bytes:
    return b"%b\0%b" % (what.encode(), utf8(name, what))


def _hidden(digest: bytes) -> HashedName:
    return HashedName(base64.urlsafe_b64encode(digest[:_BYTES]).decode())
