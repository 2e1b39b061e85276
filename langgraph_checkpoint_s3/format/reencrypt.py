"""Objects written again for another place: the contents stay, and so do the references between objects.

Encrypted objects are bound to their location, so they are encrypted again for the target. Where keys hold
only the hash of a thread's name, the objects hold the name, which is replaced by the target's.

An object becomes the same bytes each time. Its own frames stay at their offsets even if it was rewritten in
the meantime, so that copying again doesn't break what borrows from the first copy. For that, an encrypted
object keeps its data key, nonces are derived instead of random, and the header gets spare space in proportion
to the old one.
"""

from __future__ import annotations

from typing import Final

from langgraph_checkpoint_s3.errors import CorruptObjectError
from langgraph_checkpoint_s3.format.builder import Builder
from langgraph_checkpoint_s3.format.checkpoint import SECOND
from langgraph_checkpoint_s3.format.container import Container
from langgraph_checkpoint_s3.format.frames import Frame, Lender
from langgraph_checkpoint_s3.format.key_encoding import HashedName
from langgraph_checkpoint_s3.format.scope import NamespaceScope

_FRAME_BYTES: Final = 4
"""Bytes by which a frame's row may grow, with another offset and CRC."""
_THREAD_BYTES: Final = 16
"""Bytes that a thread's name needs in a header besides its characters."""


class Reencryptor:
    """Writes a thread's objects for another place. Lenders must come before their borrowers.

    A frame that is written again has other bytes or another offset. So the new place of each one is kept, for
    the objects that borrow it.

    Args:
        thread_id: The thread there. If only its hash is known, objects keep the name that they have.
    """

    def __init__(self, thread_id: str) -> None:
        self._thread_id = thread_id
        self._frames: dict[tuple[str, str, str, int], Frame] = {}

    def has_lenders(self, container: Container, scope: NamespaceScope) -> bool:
        """Return whether all lenders of an object were written to the target namespace before."""
        borrowed = (frame for frame in container.frames if frame.lender is not None)
        return all(_place(scope, frame) in self._frames for frame in borrowed)

    def reencrypt(self, container: Container, leaf: str, scope: NamespaceScope) -> bytes:
        """Return an object's bytes for the other place.

        Args:
            container: The whole object. All of its lenders were written before.
            leaf: The end of its key.
            scope: The target namespace.

        Raises:
            CorruptObjectError: It is damaged.
        """
        key = container.cipher.ref if container.cipher else None
        replaced = ("frames", "keys", "thread")
        fields = {name: value for name, value in container.fields.items() if name not in replaced}
        cipher = scope.cipher(key, fields["id"], leaf)
        assert (cipher is None) == (key is None), "the object was read with a key"  # noqa: S101  # for the types
        # The header's length must depend on nothing that a rewriting of the source changes: not on the table
        # of frames, which then has other offsets and CRCs, but on the space that the source's header has.
        space = container.header_bytes + _FRAME_BYTES * len(container.frames)
        if scope.hashes_thread:
            known = not isinstance(self._thread_id, HashedName)
            fields["thread"] = self._thread_id if known else container.fields["thread"]
            space += len(fields["thread"].encode()) + _THREAD_BYTES
        builder = Builder("none", cipher and cipher._replace(deterministic=True))
        for number, frame in enumerate(container.frames):
            if frame.lender is None:
                builder.add(frame.codec, container.packed(number), frame.raw)
            else:
                builder.borrow(self._frames[_place(scope, frame)])
        if len(builder.frames) != len(container.frames):
            raise CorruptObjectError("The object borrows a frame twice")
        is_checkpoint = leaf.startswith("checkpoint")
        body, base = builder.finish(fields, at_least=space if is_checkpoint else None)
        for old, new in zip(container.frames, builder.frames, strict=True):
            if old.lender is None and is_checkpoint:
                lender = Lender(fields["id"], leaf, fields["created"] // SECOND)
                place = scope.folder, lender.checkpoint_id, leaf, container.base + old.offset
                self._frames[place] = new.as_borrowed(base, lender, key)
        return body


def _place(scope: NamespaceScope, frame: Frame) -> tuple[str, str, str, int]:
    assert frame.lender is not None, "a borrowed frame"  # noqa: S101  # for the types
    return scope.folder, *frame.lender[:2], frame.offset
