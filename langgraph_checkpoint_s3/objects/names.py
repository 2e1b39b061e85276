"""Names that are secrets: in the bucket's keys as keyed hashes, and in the encrypted headers as they are.

A thread `customer@example.com` lies in a folder `.hR0…q8.thread/`. The same name always has the same
hash, so what a saver is asked for it finds as ever; who lists the bucket learns how many threads there are,
and no more of them. Checkpoint ids aren't hashed: they carry the order.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any, Final

from langgraph_checkpoint_s3.errors import InvalidKeyError

HASHED: Final = ".h"
"""What a hash begins with in a key; no encoded name does."""

_BYTES: Final = 24


class Hidden(str):
    """A name of which but the hash is known. It goes wherever a name goes."""

    __slots__ = ()


class Names:
    """Hashes names.

    Args:
        key: The secret, 32 bytes. With another one, nothing is found.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def hide(self, what: str, name: str) -> Hidden:
        """A name's hash.

        Args:
            what: What it is the name of. Equal names of different things have different hashes.
            name: The name; one that is a hash already stays.
        """
        if isinstance(name, Hidden):
            return name
        try:
            said = f"{what}\0{name}".encode()
        except UnicodeEncodeError as error:
            raise InvalidKeyError(
                f"The {what} {name!r} holds a lone surrogate, which has no UTF-8 form."
            ) from error
        digest = hmac.digest(self._key, said, hashlib.sha256)[:_BYTES]
        return Hidden(base64.urlsafe_b64encode(digest).decode())

    def folder(self, thread_id: Any) -> str:
        """The end of a thread's folder, without the slash."""
        return f"{HASHED}{self.hide('thread_id', thread_id)}.thread" if isinstance(thread_id, str) else ""
