"""A namespace as those see it who read and write its objects: by which keys, and under which names.

Without encryption it is `PLAIN`: objects are as they are, and the names in the bucket's keys are the names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from langgraph_checkpoint_s3.errors import CorruptObjectError, DecryptionError
from langgraph_checkpoint_s3.objects.names import Hidden, Names
from langgraph_checkpoint_s3.objects.seal import KeyRef, Kind, Seal
from langgraph_checkpoint_s3.objects.vault import Vault

if TYPE_CHECKING:
    from langgraph_checkpoint_s3.objects.format import Container


@dataclass(frozen=True, slots=True)
class Room:
    """A namespace.

    Attributes:
        folder: The namespace's folder, which objects are bound to.
        vault: The keys at hand, if there are any.
        names: How names are hashed in the bucket's keys, if they are.
    """

    folder: str = ""
    vault: Vault | None = None
    names: Names | None = None

    def seal(self, key: KeyRef | None, kind: Kind, checkpoint_id: str) -> Seal | None:
        """What an object is encrypted with, if there is a key for it."""
        if key is None or self.vault is None:
            return None
        return self.vault.seal(key, self.folder, checkpoint_id, kind)

    def seals(self, kind: Kind, checkpoint_id: str) -> Callable[[KeyRef], Seal] | None:
        """Gives what an object is encrypted with, once its key is known."""
        vault = self.vault
        if vault is None:
            return None
        return lambda ref: vault.seal(ref, self.folder, checkpoint_id, kind)

    def check(self, container: Container) -> None:
        """Check that an object may be as it is here.

        Raises:
            DecryptionError: It isn't encrypted, and must be.
            CorruptObjectError: It says another thread than its key.
        """
        if container.seal is None:
            if self.vault is not None and self.vault.required:
                raise DecryptionError(
                    "The object isn't encrypted, and require_encryption=True refuses it: somebody without a "
                    "key wrote it. Read it without that setting, if you trust who did"
                )
            return
        thread = container.fields.get("thread")
        if self.names is not None and container.seal.thread != self.names.folder(thread):
            raise CorruptObjectError("The object lies under another one's key: it is another thread's")

    def plain(self, name: str, said: Any) -> str:
        """A namespace's name, where the bucket's key has but its hash.

        Args:
            name: What is known of it.
            said: What the object says, which is taken if its hash is right.
        """
        if not isinstance(name, Hidden) or not isinstance(said, str):
            return name
        # Without the names' key nothing is lost: the object is sealed for this hash.
        same = self.names is None or self.names.hide("checkpoint_ns", said) == name
        return said if same else name


PLAIN: Final = Room()
