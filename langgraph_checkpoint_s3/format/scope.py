"""A namespace as those see it who read and write its objects: where, by which keys, and under which names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from langgraph_checkpoint_s3.crypto.aead import KeyRef, ObjectCipher
from langgraph_checkpoint_s3.crypto.key_cache import KeyCache
from langgraph_checkpoint_s3.errors import CorruptObjectError, DecryptionError
from langgraph_checkpoint_s3.format.key_encoding import HASHED, HashedName, encode_component
from langgraph_checkpoint_s3.format.keys import THREAD_SUFFIX
from langgraph_checkpoint_s3.format.name_hashing import FOLDERS, NameHasher, Short

if TYPE_CHECKING:
    from langgraph_checkpoint_s3.format.container import Container


@dataclass(frozen=True, slots=True)
class NamespaceScope:
    """A namespace.

    Attributes:
        folder: The namespace's folder.
        key_cache: The keys at hand, if there are any.
        names: How names are hashed in the bucket's keys, if they are.
        place: The bucket and prefix that encrypted objects are bound to.
    """

    folder: str = ""
    key_cache: KeyCache | None = None
    names: NameHasher | None = None
    place: str = ""

    @property
    def hides_thread(self) -> bool:
        """Return if keys have only the thread's hash, so that its objects name the thread."""
        return self._thread.startswith(HASHED)

    @property
    def _thread(self) -> str:
        """The thread, as keys have it."""
        return self.folder.rpartition(THREAD_SUFFIX)[0].rpartition("/")[2]

    def seal(self, key: KeyRef | None, checkpoint_id: str, leaf: str) -> ObjectCipher | None:
        """What an object is encrypted with, if there is a key for it."""
        if key is None or self.key_cache is None:
            return None
        return self.key_cache.seal(key, self.place, self.folder, checkpoint_id, leaf)

    def seals(self, checkpoint_id: str, leaf: str) -> Callable[[KeyRef], ObjectCipher] | None:
        """Gives what an object is encrypted with, once its key is known."""
        key_cache = self.key_cache
        if key_cache is None:
            return None
        return lambda ref: key_cache.seal(ref, self.place, self.folder, checkpoint_id, leaf)

    def check(self, container: Container) -> None:
        """Check that an object may be as it is here.

        Raises:
            DecryptionError: It isn't encrypted, and must be.
            CorruptObjectError: It says another thread than its key.
        """
        if container.seal is None and self.key_cache is not None and self.key_cache.required:
            raise DecryptionError(
                "The object isn't encrypted, and require_encryption=True refuses it: somebody without a key "
                "wrote it. Read it without that setting, if you trust who did"
            )
        names = self._names(sealed=container.seal is not None)
        if names is None or (self.names is None and not self.hides_thread):
            return
        said = container.fields.get("thread")
        if not isinstance(said, str) or encode_component(names.hide("thread_id", said)) != self._thread:
            raise CorruptObjectError(
                "The object lies under another one's key: it is another thread's. copy_thread copies a thread"
            )

    def plain(self, name: str, said: Any, *, sealed: bool) -> str:
        """A namespace's name, where the bucket's key has but its hash.

        Args:
            name: What is known of it.
            said: What the object says, which is taken if its hash is right.
            sealed: Whether the object is encrypted.
        """
        if not isinstance(name, HashedName) or not isinstance(said, str):
            return name
        names = self._names(sealed=sealed)
        if names is None or encode_component(names.hide("checkpoint_ns", said)) == encode_component(name):
            return said
        return name

    def _names(self, *, sealed: bool) -> NameHasher | Short | None:
        """Return the hash by which an object's names are compared with its key.

        `None`: they aren't compared. Without the names' key nothing is lost, for what is sealed is sealed
        for this hash.
        """
        return self.names or (None if sealed else FOLDERS)


PLAIN: Final = NamespaceScope()
