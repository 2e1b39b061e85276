"""Writes objects anew for another place: what they say stays, and so does what borrows from what.

What is encrypted is bound to its place, and sealed for the new one. Where keys have but a thread's hash, the
object names the thread, and then the new one.

The same object becomes the same bytes each time, and its own frames stay at their places when it was
rewritten meanwhile: who copies again doesn't break what borrows from the first copy. So what is encrypted
keeps its data key; its nonces are made, not drawn; and room is left in the header, as much as in the other
one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from langgraph_checkpoint_s3.errors import CorruptObjectError
from langgraph_checkpoint_s3.format.builder import Builder
from langgraph_checkpoint_s3.format.checkpoint import SECOND
from langgraph_checkpoint_s3.format.container import Container
from langgraph_checkpoint_s3.format.frames import Frame, Lender
from langgraph_checkpoint_s3.format.key_encoding import HashedName
from langgraph_checkpoint_s3.format.scope import NamespaceScope

_FRAME_BYTES: Final = 4
"""What a frame's row may need more, lying elsewhere and with another CRC."""
_THREAD_BYTES: Final = 16
"""What a thread's name may need in a header besides its letters."""


class Reencryptor:
    """Writes a thread's objects for another place, lenders before those that borrow from them.

    A frame that is written anew has other bytes, or lies elsewhere. So it remembers each one.

    Args:
        thread_id: The thread there; a hash if nothing else is known, and then objects go on to name theirs.
    """

    def __init__(self, thread_id: str) -> None:
        self._thread_id = thread_id
        self._moved: dict[tuple[str, str, str, int], Frame] = {}

    def knows(self, container: Container, scope: NamespaceScope) -> bool:
        """Return whether all that lends to an object was written before.

        Args:
            container: The object.
            scope: The namespace that it goes to.
        """
        lent = (frame for frame in container.frames if frame.lender is not None)
        return all(_place(scope, frame) in self._moved for frame in lent)

    def seal(self, container: Container, leaf: str, scope: NamespaceScope) -> bytes:
        """Return an object, as it is written in the other place.

        Args:
            container: The object, all of it. All that lends to it was written before.
            leaf: The end of its key.
            scope: The namespace that it goes to.

        Raises:
            CorruptObjectError: It is damaged.
        """
        key = container.seal.ref if container.seal else None
        unlike = ("frames", "keys", "thread")
        fields = {name: value for name, value in container.fields.items() if name not in unlike}
        seal = scope.seal(key, fields["id"], leaf)
        assert (seal is None) == (key is None), "there was a key to read it"  # noqa: S101  # for the types
        space = container.header_bytes + _FRAME_BYTES * len(container.frames)
        if scope.hides_thread:
            known = not isinstance(self._thread_id, HashedName)
            fields["thread"] = self._thread_id if known else container.fields["thread"]
            space += len(fields["thread"].encode()) + _THREAD_BYTES
        builder = Builder("none", seal and replace(seal, repeatable=True))
        for number, frame in enumerate(container.frames):
            if frame.lender is None:
                builder.add(frame.codec, container.packed(number), frame.raw)
            else:
                builder.lend(self._moved[_place(scope, frame)])
        if len(builder.frames) != len(container.frames):
            raise CorruptObjectError("The object borrows a frame twice")
        is_checkpoint = leaf.startswith("checkpoint")
        body, base = builder.finish(fields, at_least=space if is_checkpoint else None)
        for old, new in zip(container.frames, builder.frames, strict=True):
            if old.lender is None and is_checkpoint:
                lender = Lender(fields["id"], leaf, fields["created"] // SECOND)
                place = scope.folder, lender.checkpoint_id, leaf, container.base + old.offset
                self._moved[place] = new.lent(base, lender, key)
        return body


def _place(scope: NamespaceScope, frame: Frame) -> tuple[str, str, str, int]:
    assert frame.lender is not None, "a lent frame"  # noqa: S101  # for the types
    return scope.folder, *frame.lender[:2], frame.offset
