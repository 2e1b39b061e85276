"""Rebasing a portable file's objects to the thread that they are imported into.

Encrypted objects are bound to their location, and are encrypted again for the target. If a thread's name is
too long for keys, its objects hold it, and are rewritten too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from langgraph_checkpoint_s3.admin.transfer.portable_file import (
    Borrowing,
    Member,
    PortableFile,
    borrowings_of,
)
from langgraph_checkpoint_s3.errors import CorruptObjectError, InvalidKeyError, NotSupportedError
from langgraph_checkpoint_s3.format.key_encoding import HashedName
from langgraph_checkpoint_s3.format.reencrypt import Reencryptor
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.load import error_context, open_object
from langgraph_checkpoint_s3.plans.place import leaf_of, namespace_of
from langgraph_checkpoint_s3.s3.requests import Body


def target_thread(context: Context, file: PortableFile, thread_id: str | None) -> str:
    """Return the thread that a file is imported into: a given one, or its hash, or the file's own."""
    own = file.manifest.thread
    if thread_id is None or (isinstance(thread_id, HashedName) and _same_folder(context, own, thread_id)):
        return own
    if isinstance(thread_id, HashedName):
        raise InvalidKeyError(
            "Keys have but the hash of the thread's name, and objects name their thread: pass its thread_id. "
            "Nothing was written."
        )
    return thread_id


def needs_rebase(context: Context, file: PortableFile, thread_id: str, *, untrusted: bool) -> bool:
    """Return whether a file's objects must be rewritten to be imported into a thread.

    An `untrusted` file may be from someone who doesn't have the keys. Then encrypted objects aren't rebased:
    someone who has other people's objects, but no keys, must not get them into a thread of their own.
    """
    encrypted = [member.parsed.leaf.encrypted for member in file.members]
    hashed = context.layout.names is not None
    if (context.key_cache is not None and not all(encrypted)) or file.manifest.hashed != hashed:
        raise NotSupportedError(
            "The file's objects are not encrypted, or their names not hashed, as this saver's are: import it "
            "with a saver that has the exporting saver's settings, then migrate that to this one. Nothing "
            "was written"
        )
    _check_names(context, file)
    same = _same_folder(context, file.manifest.thread, thread_id)
    if untrusted and any(encrypted) and not (same and file.manifest.place in ("", context.location)):
        raise NotSupportedError(
            "The upload is encrypted for another thread, prefix or bucket, and isn't re-encrypted for this "
            "one: if you trust its origin, download it and call import_thread. Nothing was written"
        )
    must_reencrypt = any(encrypted) and (file.manifest.place != context.location or not same)
    return must_reencrypt or (context.layout.hashes_thread(thread_id) and not same)


def _check_names(context: Context, file: PortableFile) -> None:
    names = context.layout.names
    if names is None:
        return
    name = file.open(file.members[0])[1].container.fields.get("thread")
    if not isinstance(name, str) or names.hash("thread_id", name) != file.manifest.thread:
        raise NotSupportedError(
            "The file's names are hashed with another names_key than this saver's, so nothing in it would be "
            "found: import it with the one that it was exported with, and migrate that. Nothing was written"
        )


def _same_folder(context: Context, one: str, other: str) -> bool:
    return context.layout.thread(one) == context.layout.thread(other)


class RebasedFile:
    """A checked portable file whose objects are rebased, one at a time, when they are read.

    Attributes:
        members: Its objects, with their sizes after rebasing.
        borrowings: What they borrow from one another.

    Raises:
        CorruptObjectError: An object borrows from another one that isn't in the file.
    """

    def __init__(self, file: PortableFile, context: Context, thread_id: str) -> None:
        self._file = file
        self._context = context
        self._folder = context.layout.thread(thread_id)
        self._reencryptor = Reencryptor(thread_id)
        self.borrowings: list[Borrowing] = []
        self.members: Sequence[Member] = [self._measure(member) for member in file.members]

    def read(self, member: Member) -> bytes:
        """Return an object's rebased bytes."""
        _, record = self._file.open(member)
        container = record.container
        scope = self._context.scope(namespace_of(self._folder + member.name))
        with error_context(member.name):
            if not self._reencryptor.has_lenders(container, scope):
                raise CorruptObjectError(
                    "The object borrows from another one that isn't in the file before it, and can't be "
                    "written for another place"
                )
            return self._reencryptor.reencrypt(container, leaf_of(member.name), scope)

    def _measure(self, member: Member) -> Member:
        body = self.read(member)
        record = open_object(self._context, self._folder + member.name, Body(body, "", len(body)))
        self.borrowings += borrowings_of(member, record.container)
        return replace(member, size=len(body))
