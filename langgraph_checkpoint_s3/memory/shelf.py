"""Keys of items, and the encryption settings of their objects.

    {prefix}.store/{label}/{label}/{key}.item      an item of the store
    {prefix}.store/{label}/-.index                 copies of all items below that folder, for searches
    {prefix}.cache/{label}/{label}/{key}.item      a value of the node cache

Labels and keys are encoded as threads are (`format/key_encoding.py`): hashed where names are secret, or too
long. No thread's folder begins with a dot and a lower-case letter other than `.h`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from langgraph_checkpoint_s3.errors import InvalidKeyError
from langgraph_checkpoint_s3.format.key_encoding import HASHED, decode_component, encode_component
from langgraph_checkpoint_s3.format.keys import MAX_KEY_BYTES
from langgraph_checkpoint_s3.format.name_hashing import LONG_FOLDERS, NameHasher
from langgraph_checkpoint_s3.format.scope import NamespaceScope
from langgraph_checkpoint_s3.plans.context import Context

STORE: Final = ".store/"
"""The folder, below the prefix, of the store's items."""
CACHE: Final = ".cache/"
"""The folder, below the prefix, of the node cache's values."""
ITEM: Final = ".item"
"""The end of an item's key."""
INDEX: Final = "-.index"
"""The index of a folder. It sorts before nearly all keys, so that the first page of a listing has it."""

Namespace = tuple[str, ...]


def checked_namespace(namespace: Sequence[str]) -> Namespace:
    """Return a namespace, or the beginning of some, as a tuple.

    Raises:
        InvalidKeyError: It is a single text, or one of its labels is empty or no text.
    """
    labels: Sequence[object] = namespace
    if isinstance(namespace, str) or not all(isinstance(label, str) and label for label in labels):
        raise InvalidKeyError(
            f"The namespace {namespace!r} must be labels in a tuple, such as ('users', 'ada')."
        )
    return tuple(namespace)


@dataclass(frozen=True, slots=True)
class Shelf:
    """A folder of items below a saver's prefix.

    Attributes:
        context: The saver's settings and caches.
        name: `STORE` or `CACHE`.
    """

    context: Context
    name: str

    @property
    def root(self) -> str:
        """The folder."""
        return self.context.layout.prefix + self.name

    def folder(self, namespace: Sequence[str]) -> str:
        """Return a namespace's folder, which has those of longer namespaces."""
        return self.root + "".join(f"{self._component(label, 'label')}/" for label in namespace)

    def key(self, namespace: Sequence[str], key: str) -> str:
        """Return the key of an item's object.

        Raises:
            InvalidKeyError: It would be longer than S3 takes, or a name isn't text.
        """
        found = f"{self.folder(namespace)}{self._component(key, 'key')}{ITEM}"
        if len(found) > MAX_KEY_BYTES:
            raise InvalidKeyError(
                f"The item's key would have {len(found)} bytes, and S3 takes {MAX_KEY_BYTES}: shorten its "
                f"namespace {tuple(namespace)!r}, or the prefix."
            )
        return found

    def namespace(self, key: str) -> Namespace | None:
        """Return the namespace of an item's key; `None` if the key has hashes in it.

        Raises:
            ValueError: It isn't the key of an item.
        """
        labels = key[len(self.root) :].split("/")[:-1]
        if any(label.startswith(HASHED) for label in labels):
            return None
        return tuple(map(decode_component, labels))

    def scope(self, key: str) -> NamespaceScope:
        """Return the encryption settings of an object."""
        # Ciphers are bound to the last two folders. So the whole path goes into one of them.
        path = key[len(self.context.layout.prefix) :].rpartition("/")[0].replace("/", "|")
        return NamespaceScope(f"{self.name}{path}/", self.context.key_cache, None, self.context.location)

    def _component(self, name: str, kind: str) -> str:
        if not isinstance(name, str):
            raise InvalidKeyError(f"The {kind} {name!r} must be text, not {type(name).__name__}.")
        names: NameHasher | None = self.context.layout.names
        return encode_component((names or LONG_FOLDERS).hash(f"store {kind}", name), kind)
