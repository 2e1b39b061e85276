"""A portable file's objects, written anew for the thread that they come into, where that must be.

What is encrypted is bound to its place, and sealed for the new one. A thread whose name is too long for keys
is named by its objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from langgraph_checkpoint_s3.admin.transfer.portable_file import Loan, Member, PortableFile, loans_of
from langgraph_checkpoint_s3.errors import CorruptObjectError, InvalidKeyError, NotSupportedError
from langgraph_checkpoint_s3.format.key_encoding import HashedName
from langgraph_checkpoint_s3.format.reencrypt import Reencryptor
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.load import error_context, open_object
from langgraph_checkpoint_s3.plans.place import leaf_of, namespace_of
from langgraph_checkpoint_s3.s3.requests import Body


def target_of(context: Context, file: PortableFile, thread_id: str | None) -> str:
    """Return the thread that a file goes into.

    Args:
        context: The saver's that takes it.
        file: The file.
        thread_id: The thread, or the hash of its name; by default, that of the file.

    Raises:
        InvalidKeyError: Only its name's hash is known, and the file is of another thread.
    """
    said = file.manifest.thread
    if thread_id is None or (isinstance(thread_id, HashedName) and _same_folder(context, said, thread_id)):
        return said
    if isinstance(thread_id, HashedName):
        raise InvalidKeyError(
            "Keys have but the hash of the thread's name, and objects name their thread: pass its thread_id. "
            "Nothing was written."
        )
    return thread_id


def must_be_rehoused(
    context: Context, file: PortableFile, thread_id: str, *, handed_in: bool = False
) -> bool:
    """Return whether a file's objects can't go into a thread as they are.

    Args:
        context: The saver's that takes it.
        file: The file.
        thread_id: The thread that it goes into.
        handed_in: Whether it is from somebody who isn't trusted with what these keys decrypt: who has other
            people's encrypted objects, but no keys, isn't to have them sealed for a thread of their own.

    Raises:
        NotSupportedError: They can't go into it at all: the saver encrypts, or hashes names, and they aren't
            so.
    """
    sealed = [member.parsed.leaf.encrypted for member in file.members]
    hashed = context.layout.names is not None
    if (context.key_cache is not None and not all(sealed)) or file.manifest.hashed != hashed:
        raise NotSupportedError(
            "The file's objects are not encrypted, or their names not hashed, as this saver's are: import it "
            "with a saver that is as the exporting one was, and migrate from that to this one. Nothing was "
            "written"
        )
    _check_names(context, file)
    there = _same_folder(context, file.manifest.thread, thread_id)
    if handed_in and any(sealed) and not (there and file.manifest.place in ("", context.location)):
        raise NotSupportedError(
            "What was handed in is encrypted for another thread, prefix or bucket, and isn't sealed anew for "
            "this one: if you know where it is from, fetch it and bring it in by import_thread. Nothing was "
            "written"
        )
    bound = any(sealed) and (file.manifest.place != context.location or not there)
    return bound or (context.layout.hashes_thread(thread_id) and not there)


def _check_names(context: Context, file: PortableFile) -> None:
    names = context.layout.names
    if names is None:
        return
    said = file.open(file.members[0])[1].container.fields.get("thread")
    if not isinstance(said, str) or names.hash("thread_id", said) != file.manifest.thread:
        raise NotSupportedError(
            "The file's names are hashed with another names_key than this saver's, by which nothing would be "
            "found: import it with the one that it was exported with, and migrate that. Nothing was written"
        )


def _same_folder(context: Context, one: str, other: str) -> bool:
    return context.layout.thread(one) == context.layout.thread(other)


class Rehoused:
    """Reads a portable file once, to know its objects as they will be, and then again, object by object.

    Args:
        file: The file, which was checked.
        context: The saver's that takes it.
        thread_id: The thread that it becomes a part of.

    Attributes:
        members: Its objects, by the length that they will have.
        loans: What they borrow from one another.

    Raises:
        CorruptObjectError: An object borrows from another one that isn't in the file.
    """

    def __init__(self, file: PortableFile, context: Context, thread_id: str) -> None:
        self._file = file
        self._context = context
        self._folder = context.layout.thread(thread_id)
        self._resealer = Reencryptor(thread_id)
        self.loans: list[Loan] = []
        self.members: Sequence[Member] = [self._look(member) for member in file.members]

    def read(self, member: Member) -> bytes:
        """Return an object's bytes, as they will be.

        Raises:
            CorruptObjectError: They aren't those that were written, or another object's.
        """
        _, record = self._file.open(member)
        container = record.container
        scope = self._context.scope(namespace_of(self._folder + member.name))
        with error_context(member.name):
            if not self._resealer.has_lenders(container, scope):
                raise CorruptObjectError(
                    "The object borrows from another one that isn't in the file before it, and can't be "
                    "written for another place"
                )
            return self._resealer.reencrypt(container, leaf_of(member.name), scope)

    def _look(self, member: Member) -> Member:
        body = self.read(member)
        record = open_object(self._context, self._folder + member.name, Body(body, "", len(body)))
        self.loans += loans_of(member, record.container)
        return replace(member, size=len(body))
