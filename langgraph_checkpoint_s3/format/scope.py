"""Encryption and name-hashing settings for the objects of one namespace."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from langgraph_checkpoint_s3.crypto.aead import ObjectCipher
from langgraph_checkpoint_s3.crypto.key_cache import KeyCache
from langgraph_checkpoint_s3.crypto.provider import KeyRef
from langgraph_checkpoint_s3.errors import CorruptObjectError, DecryptionError
from langgraph_checkpoint_s3.format.key_encoding import HASHED, HashedName, encode_component
from langgraph_checkpoint_s3.format.keys import THREAD_SUFFIX
from langgraph_checkpoint_s3.format.name_hashing import LONG_FOLDERS, LongNameHasher, NameHasher

if TYPE_CHECKING:
    from langgraph_checkpoint_s3.format.container import Container


class NamespaceScope(NamedTuple):
    """Settings for the objects of one namespace: its folder, keys, and hashed names.

    Attributes:
        folder: The namespace's folder.
        key_cache: The cache of data keys, if there are keys.
        names: The hasher of names in the bucket's keys, if they are secret.
        place: The bucket and prefix that encrypted objects are bound to.
    """

    folder: str = ""
    key_cache: KeyCache | None = None
    names: NameHasher | None = None
    place: str = ""

    @property
    def hashes_thread(self) -> bool:
        """True if keys have only the thread's hash, so that its objects name the thread."""
        return self._thread.startswith(HASHED)

    @property
    def _thread(self) -> str:
        return self.folder.rpartition(THREAD_SUFFIX)[0].rpartition("/")[2]

    def cipher(self, key: KeyRef | None, checkpoint_id: str, leaf: str) -> ObjectCipher | None:
        """Return the cipher of an object; `None` without a key."""
        if key is None or self.key_cache is None:
            return None
        return self.key_cache.object_cipher(key, self.place, self.folder, checkpoint_id, leaf)

    def cipher_factory(self, checkpoint_id: str, leaf: str) -> Callable[[KeyRef], ObjectCipher] | None:
        """Return a function from a key to an object's cipher; `None` if there are no keys."""
        key_cache = self.key_cache
        if key_cache is None:
            return None
        return lambda key: key_cache.object_cipher(key, self.place, self.folder, checkpoint_id, leaf)

    def check(self, container: Container) -> None:
        """Check that an object is encrypted if it must be, and belongs to the thread of this folder.

        Raises:
            DecryptionError: It isn't encrypted, and must be.
            CorruptObjectError: It names another thread than its key.
        """
        encrypted = container.cipher is not None
        if not encrypted and self.key_cache is not None and self.key_cache.required:
            raise DecryptionError(
                "The object isn't encrypted, and require_encryption=True refuses it: somebody without a key "
                "wrote it. Read it without that setting, if you trust who did"
            )
        names = self._names(encrypted=encrypted)
        if names is None or (self.names is None and not self.hashes_thread):
            return
        said = container.fields.get("thread")
        if not isinstance(said, str) or encode_component(names.hash("thread_id", said)) != self._thread:
            raise CorruptObjectError(
                "The object lies under another one's key: it is another thread's. copy_thread copies a thread"
            )

    def namespace_name(self, name: str, said: Any, *, encrypted: bool) -> str:
        """Return a namespace's name. Where the key has only its hash, the object is asked for it.

        Args:
            name: The name, or its hash.
            said: The name that the object gives. It is used if it has that hash.
            encrypted: Whether the object is encrypted.
        """
        if not isinstance(name, HashedName) or not isinstance(said, str):
            return name
        names = self._names(encrypted=encrypted)
        if names is None or encode_component(names.hash("checkpoint_ns", said)) == encode_component(name):
            return said
        return name

    def _names(self, *, encrypted: bool) -> NameHasher | LongNameHasher | None:
        """Return the hasher with which an object's names are compared with its key.

        `None` skips the comparison, where the hasher's key is unknown. Nothing is lost: an encrypted object
        is bound to the hash in its key.
        """
        return self.names or (None if encrypted else LONG_FOLDERS)


PLAIN: Final = NamespaceScope()
