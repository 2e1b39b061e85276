"""Plans that sign URLs, and import what was uploaded by one.

A URL is for one object, which has the whole checkpoint. This is the checkpoint's own object, if that is
complete; if it borrows, or has pending writes, the checkpoint is first exported as a portable file:

    {prefix}.exports/{thread}/{digest}.zip             an export; equal checkpoints have equal names
    {prefix}.exports/{thread}/incoming-{nonce}.zip     an upload
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from langgraph_checkpoint_s3.admin.calls import Progress, in_thread, then_close
from langgraph_checkpoint_s3.admin.lifecycle.policy import Reach, is_rule_of, merge_rules, new_rule, rule_id
from langgraph_checkpoint_s3.admin.setting_changes import Change
from langgraph_checkpoint_s3.admin.transfer.archive import temporary_file
from langgraph_checkpoint_s3.admin.transfer.export_import import Imported, import_thread
from langgraph_checkpoint_s3.admin.transfer.portable_file import ImportFile, manifest_of, pack
from langgraph_checkpoint_s3.errors import (
    ConflictError,
    CorruptObjectError,
    InvalidConfigError,
    InvalidKeyError,
)
from langgraph_checkpoint_s3.format.key_encoding import decode_component
from langgraph_checkpoint_s3.format.keys import EXPORTS, MAX_KEY_BYTES, Layout
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.delete import delete_keys
from langgraph_checkpoint_s3.plans.get_tuple import load_place
from langgraph_checkpoint_s3.plans.load import Loaded, error_context
from langgraph_checkpoint_s3.plans.place import Place
from langgraph_checkpoint_s3.plans.plan import Plan, ask, ask_all
from langgraph_checkpoint_s3.plans.transfer import fetch, store
from langgraph_checkpoint_s3.s3.admin_requests import InspectObject, Sign, Signed, SignedMethod
from langgraph_checkpoint_s3.s3.requests import Body, GetObject, NotFound

MAX_EXPIRY: Final = timedelta(days=7)
"""The longest validity of a signature of version 4
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-presigned-url.html)."""

_AT_ONCE: Final = 4
_INCOMING: Final = re.compile(r"incoming-[0-9a-f]+\.zip")
_RULE: Final = "exports"
_DIGEST: Final = 32


@dataclass(frozen=True, slots=True)
class SignedUpload:
    """A URL for uploading a checkpoint without credentials, by one HTTP PUT.

    Attributes:
        url: The URL. It is a credential, so it is left out of reprs and logs.
        key: The key of the object that it writes.
        thread_id: The thread that it is for.
        expires: The time at which the URL expires.
    """

    url: str = field(repr=False)
    key: str
    thread_id: str
    expires: datetime


def seconds_of(expires_in: float | timedelta) -> int:
    """Return the validity of a URL in whole seconds, given in seconds or as a timedelta."""
    seconds: object = expires_in.total_seconds() if isinstance(expires_in, timedelta) else expires_in
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise InvalidConfigError(f"expires_in={expires_in!r} must be seconds, or a timedelta.")
    if not 1 <= seconds <= MAX_EXPIRY.total_seconds():
        raise InvalidConfigError(
            f"expires_in={expires_in} must be from 1 second to 7 days (604,800 seconds), which is S3's limit."
        )
    return int(seconds)


def signed_url(context: Context, place: Place, seconds: int, now: datetime) -> Plan[Signed]:
    """Sign a URL for a checkpoint, which is exported first if its object isn't complete."""
    yield from _sign("GET", context.layout.thread(place.thread_id), seconds)  # before anything is written
    loaded = yield from load_place(context, place)
    if loaded is None:
        raise InvalidKeyError(
            f"There is no checkpoint {place.checkpoint_id!r} in namespace {place.checkpoint_ns!r} of "
            f"thread {place.thread_id!r}: a URL to it would lead nowhere."
        )
    key = loaded.key
    borrows = any(frame.lender for frame in loaded.checkpoint.container.frames)
    encrypted = loaded.checkpoint.container.cipher is not None  # bound to its thread, which a file names
    if borrows or loaded.folder.writes or encrypted:
        gathered = yield from fetch(loaded.folder.gathered, context.sizes)
        with error_context(key):
            objects = _objects(context, loaded, gathered, borrows=borrows)
        manifest = manifest_of(context, place.thread_id, now, 1, len(objects) - 1)
        key = _in_exports(context.layout, place.thread_id, f"{_digest(objects)}.zip")
        yield from store(key, pack(manifest, objects), context.sizes)
    return (yield from _sign("GET", key, seconds))


def signed_upload(
    context: Context, thread_id: str, seconds: int, now: datetime, nonce: str
) -> Plan[tuple[SignedUpload, Signed]]:
    """Sign a URL for uploading a checkpoint."""
    key = _in_exports(context.layout, thread_id, f"incoming-{nonce}.zip")
    signed = yield from _sign("PUT", key, seconds)
    return SignedUpload(signed.url, key, thread_id, now + timedelta(seconds=seconds)), signed


def thread_of(layout: Layout, key: str) -> str:
    """Return the thread of an upload's key. Refuse all other keys: no other object is imported or deleted."""
    folder, _, name = key.removeprefix(layout.prefix + EXPORTS).partition("/")
    try:
        thread_id = decode_component(folder)
        if key != f"{layout.exports(thread_id)}{name}" or not thread_id or not _INCOMING.fullmatch(name):
            raise ValueError(f"{name!r} is not a name of an upload")
    except ValueError as error:
        raise InvalidKeyError(
            "This isn't the key of an upload to this prefix: pass what signed_upload_url gave, or its key.",
            key=key,
        ) from error
    return thread_id


def accept_upload(
    context: Context, key: str, thread_id: str, max_bytes: int, progress: Progress | None, now: datetime
) -> Plan[Imported]:
    """Import an upload into a thread, and delete it."""
    info = yield from ask(InspectObject(key))
    if isinstance(info, NotFound):
        raise InvalidKeyError(
            "There is no upload under this key: none was made yet, or it was accepted already.", key=key
        )
    if info.size > max_bytes:
        raise CorruptObjectError(
            f"The upload has {info.size} bytes, and max_bytes is {max_bytes}: it was neither read nor "
            "deleted",
            key=key,
        )
    file = yield from in_thread(temporary_file)

    def read_and_import() -> Plan[Imported]:
        step = _AT_ONCE * context.sizes.part_size
        for start in range(0, info.size, step):
            end = min(start + step, info.size)
            yield from in_thread(file.write, (yield from _read(context, key, info.etag, start, end)))
        return (yield from import_thread(context, ImportFile(file), thread_id, progress, now, untrusted=True))

    imported = yield from then_close(read_and_import(), file.close)
    yield from delete_keys([key])
    return imported


def _read(context: Context, key: str, etag: str, start: int, end: int) -> Plan[bytes]:
    """Read a range of an upload, part by part."""
    size = context.sizes.part_size
    answers = yield from ask_all(
        GetObject(key, first=first, length=min(size, end - first), keep=False)
        for first in range(start, end, size)
    )
    parts = [answer.data for answer in answers if isinstance(answer, Body) and answer.etag == etag]
    if len(parts) < len(answers):
        raise ConflictError(
            "The upload was replaced while it was read: call accept_upload again: accept it again", key=key
        )
    return b"".join(parts)


def set_expiry(context: Context, days: int | None) -> Plan[list[Change]]:
    """Set the lifecycle rule that deletes exports after some days, or (`None`) remove it."""
    prefix = context.layout.prefix
    actions = {"Expiration": {"Days": days}, "NoncurrentVersionExpiration": {"NoncurrentDays": 1}}
    exports = new_rule(rule_id(prefix, _RULE), Reach(prefix + EXPORTS), actions)
    return (yield from merge_rules(is_rule_of(prefix, _RULE), [] if days is None else [exports]))


def _objects(
    context: Context, loaded: Loaded, gathered: Sequence[Body | NotFound], *, borrows: bool
) -> list[tuple[str, bytes]]:
    """Return a checkpoint's objects, writes first, by their keys below the thread's folder."""
    thread = context.layout.thread(loaded.folder.place.thread_id)
    record = loaded.checkpoint
    body = record.materialized(context.compression) if borrows else record.container.whole()
    objects = [
        (entry.key, writes.container.whole())
        for entry, writes in zip(loaded.folder.pending, loaded.writes, strict=True)
    ]
    for entry, found in zip(loaded.folder.gathered, gathered, strict=True):
        if isinstance(found, NotFound):
            raise ConflictError("The checkpoint was deleted while it was being exported", key=entry.key)
        objects.append((entry.key, found.data))
    return [(key.removeprefix(thread), data) for key, data in (*objects, (loaded.key, body))]


def _digest(objects: Sequence[tuple[str, bytes]]) -> str:
    digest = hashlib.sha256()
    for name, body in objects:
        digest.update(f"{len(name)}:{name}{len(body)}:".encode())
        digest.update(body)
    return digest.hexdigest()[:_DIGEST]


def _in_exports(layout: Layout, thread_id: str, name: str) -> str:
    key = layout.exports(thread_id) + name
    if len(key) > MAX_KEY_BYTES:
        raise InvalidKeyError(
            f"The export's key would have {len(key)} bytes, and S3 takes {MAX_KEY_BYTES}: the thread_id or "
            "the prefix must be shorter."
        )
    return key


def _sign(method: SignedMethod, key: str, seconds: int) -> Plan[Signed]:
    signed = yield from ask(Sign(method, key, seconds))
    if "X-Amz-Signature=" not in signed.url:
        raise InvalidConfigError(
            "The S3 client that was handed in signs URLs with version 2, which S3 is giving up, or not at "
            'all: make it with botocore.config.Config(signature_version="s3v4") and with credentials.'
        )
    return signed
