"""Signed URLs: reading and uploading checkpoints without credentials."""

from __future__ import annotations

import uuid
import warnings
from datetime import timedelta
from typing import Final

from langgraph_checkpoint_s3.admin.base import BaseAdmin
from langgraph_checkpoint_s3.admin.calls import Progress
from langgraph_checkpoint_s3.admin.setting_changes import Change, check_days
from langgraph_checkpoint_s3.admin.signed_urls import signing
from langgraph_checkpoint_s3.admin.signed_urls.signing import SignedUpload, seconds_of, thread_of
from langgraph_checkpoint_s3.admin.transfer.dumps import MAX_BYTES
from langgraph_checkpoint_s3.admin.transfer.export_import import Imported
from langgraph_checkpoint_s3.admin.versions.versions import address_of
from langgraph_checkpoint_s3.format.ids import thread_name
from langgraph_checkpoint_s3.format.key_encoding import HashedName
from langgraph_checkpoint_s3.plans.plan import Plan
from langgraph_checkpoint_s3.s3.admin_requests import Signed

_HOUR: Final = timedelta(hours=1)


class SignedUrlWarning(UserWarning):
    """A signed URL may stop working before it expires, when the credentials that signed it end."""


class Signing(BaseAdmin):
    """Signed URLs."""

    def signed_url(
        self,
        thread_id: str,
        checkpoint_id: str,
        expires_in: float | timedelta = _HOUR,
        checkpoint_ns: str = "",
    ) -> str:
        """Sign a URL for reading one checkpoint without credentials.

        `load_signed_url(url)` reads it, and so do `curl` and `loads`. The URL is for one object that has all
        of the checkpoint, including pending writes, as it is now. This is the checkpoint's own object, if it
        borrows nothing and has no writes; deleting the checkpoint then ends the URL. Otherwise the checkpoint
        is first exported as a portable file under `{prefix}.exports/`, with the saver's settings for
        encryption, storage class and tags; equal checkpoints share one. `set_exports_expiry`, `purge_thread`
        and `remove_orphans` delete exports. Delta channels are rebuilt from a checkpoint's ancestors, which
        the object doesn't have: share such threads with `export_thread`.

        Anyone who has the URL can read the checkpoint until it expires; only deleting the object or the
        signer's permissions revokes it. Treat it like a password. This package doesn't log it or put it in
        errors; botocore's own logging at DEBUG shows signatures.

        Takes one LIST and the checkpoint's GETs, and one PUT if it is exported. Needs `s3:ListBucket`,
        `s3:GetObject` and `s3:PutObject`; the URL works as long as the signer has `s3:GetObject` (and
        `kms:Decrypt` with a KMS key).

        Args:
            thread_id: The thread.
            checkpoint_id: The checkpoint.
            expires_in: The URL's validity, in seconds or as a timedelta: 1 second to 7 days, S3's limit
                (https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-presigned-url.html).
            checkpoint_ns: The namespace; the root by default.

        Returns:
            The URL.

        Raises:
            InvalidConfigError: `expires_in` is out of range, or the given client doesn't sign with version
                4. Nothing was written.
            InvalidKeyError: There is no such checkpoint.
            CorruptObjectError: It can't be read.
            CheckpointArchivedError: It is in an offline archive class: `restore_archived` first.

        Warns:
            SignedUrlWarning: The credentials expire before the URL does, or, being temporary, may.
        """
        address = address_of(thread_id, checkpoint_id, checkpoint_ns)
        plan = signing.signed_url(self._context, address, seconds_of(expires_in), self._now())
        return self._url(self._run(plan, "admin.signed_url"))

    async def asigned_url(
        self,
        thread_id: str,
        checkpoint_id: str,
        expires_in: float | timedelta = _HOUR,
        checkpoint_ns: str = "",
    ) -> str:
        """`signed_url`, as a coroutine."""
        address = address_of(thread_id, checkpoint_id, checkpoint_ns)
        plan = signing.signed_url(self._context, address, seconds_of(expires_in), self._now())
        return self._url(await self._arun(plan, "admin.signed_url"))

    def set_exports_expiry(self, days: int | None = 8) -> list[Change]:
        """Set the number of days after which S3 deletes exports and uploads.

        Sets one lifecycle rule for `{prefix}.exports/`; the bucket's other rules aren't changed. Signing an
        export again resets its age. With versioning on, the versions are removed a day later. Needs
        `s3:GetLifecycleConfiguration` and `s3:PutLifecycleConfiguration`.

        Args:
            days: The number of days, 1 to 36,500; 8 exceeds the longest validity of a URL. `None` removes
                the rule.

        Returns:
            The changed lifecycle configuration; empty if it was so already.

        Raises:
            InvalidConfigError: `days` is out of range.
            NotSupportedError: The store has no lifecycle rules; `remove_orphans` deletes old exports.
        """
        return self._run(self._expiry(days), "admin.set_exports_expiry")

    async def aset_exports_expiry(self, days: int | None = 8) -> list[Change]:
        """`set_exports_expiry`, as a coroutine."""
        return await self._arun(self._expiry(days), "admin.set_exports_expiry")

    def signed_upload_url(self, thread_id: str, expires_in: float | timedelta = _HOUR) -> SignedUpload:
        """Sign a URL for uploading a checkpoint without credentials.

        It takes one plain HTTP PUT of a file of `dumps` or `export_thread`:

            curl --upload-file state.zip "$URL"

        `accept_upload` then imports it; until then it isn't in any thread. S3 limits neither the size of the
        upload (up to 5 GB) nor the number of uploads: `accept_upload` checks the size first. The bucket's
        default encryption applies, since the URL has no headers. No request is sent; the signer needs
        `s3:PutObject`.

        Args:
            thread_id: The thread that it is for. It need not exist.
            expires_in: The URL's validity, in seconds or as a timedelta: 1 second to 7 days.

        Returns:
            The URL, which its repr doesn't show, and the key for `accept_upload`.

        Raises:
            InvalidConfigError: `expires_in` is out of range, or the given client doesn't sign with version 4.
            InvalidKeyError: The thread_id is empty or too long.

        Warns:
            SignedUrlWarning: As for `signed_url`.
        """
        return self._upload(self._run(self._signed_upload(thread_id, expires_in), "admin.signed_upload_url"))

    async def asigned_upload_url(self, thread_id: str, expires_in: float | timedelta = _HOUR) -> SignedUpload:
        """`signed_upload_url`, as a coroutine."""
        plan = self._signed_upload(thread_id, expires_in)
        return self._upload(await self._arun(plan, "admin.signed_upload_url"))

    def accept_upload(
        self,
        upload: SignedUpload | str,
        thread_id: str | None = None,
        *,
        max_bytes: int = MAX_BYTES,
        progress: Progress | None = None,
    ) -> Imported:
        """Import a file that was uploaded by a signed URL, as `import_thread` does, and delete the upload.

        It is imported into the thread that the URL was signed for, or the given one, whatever thread it
        names. Nothing that the thread holds is overwritten. If the upload is refused, it stays for
        inspection.

        The uploader controls what the serializer will load: use LangGraph's strict msgpack, and no pickle.
        The upload takes a temporary file. Needs `s3:GetObject`, `s3:ListBucket`, `s3:PutObject` and
        `s3:DeleteObject`.

        Args:
            upload: The result of `signed_upload_url`, or its key.
            thread_id: The thread to import into. Default: that which the URL was signed for.
            max_bytes: The maximal size of the upload.
            progress: Called with the number of objects done and the total.

        Returns:
            What was written, and what was kept.

        Raises:
            InvalidKeyError: The key isn't an upload's, or nothing was uploaded yet.
            CorruptObjectError: The upload is too large, damaged, or no portable file. Nothing was written.
            ConflictError: It was uploaded again while it was read.
            NotSupportedError: It is encrypted for another thread, prefix or bucket, or isn't encrypted and
                this saver encrypts. Nothing was written.
        """
        plan = self._accept_upload(upload, thread_id, max_bytes, progress)
        return self._run(plan, "admin.accept_upload")

    async def aaccept_upload(
        self,
        upload: SignedUpload | str,
        thread_id: str | None = None,
        *,
        max_bytes: int = MAX_BYTES,
        progress: Progress | None = None,
    ) -> Imported:
        """`accept_upload`, as a coroutine."""
        plan = self._accept_upload(upload, thread_id, max_bytes, progress)
        return await self._arun(plan, "admin.accept_upload")

    def _signed_upload(
        self, thread_id: str, expires_in: float | timedelta
    ) -> Plan[tuple[SignedUpload, Signed]]:
        name, seconds = thread_name(thread_id), seconds_of(expires_in)
        return signing.signed_upload(self._context, name, seconds, self._now(), uuid.uuid4().hex)

    def _expiry(self, days: int | None) -> Plan[list[Change]]:
        check_days("days", days)
        return signing.set_expiry(self._context, days)

    def _accept_upload(
        self, upload: SignedUpload | str, thread_id: str | None, max_bytes: int, progress: Progress | None
    ) -> Plan[Imported]:
        key = upload.key if isinstance(upload, SignedUpload) else upload
        target = None if thread_id is None else thread_name(thread_id)
        signed_for = thread_of(self._context.layout, key)
        if isinstance(signed_for, HashedName) and isinstance(upload, SignedUpload):
            signed_for = upload.thread_id  # the key has only the hash of a long name
        return signing.accept_upload(
            self._context, key, target or signed_for, max_bytes, progress, self._now()
        )

    def _upload(self, found: tuple[SignedUpload, Signed]) -> SignedUpload:
        upload, signed = found
        self._url(signed, stacklevel=4)
        return upload

    @staticmethod
    def _url(signed: Signed, stacklevel: int = 3) -> str:
        message = ""
        if signed.outlives_credentials:
            message = (
                "The credentials end before the signed URL does, and it with them: sign with ones that last."
            )
        elif signed.temporary:
            message = (
                "The signed URL ends with the credentials, which are temporary: maybe before it expires."
            )
        if message:
            warnings.warn(message, SignedUrlWarning, stacklevel=stacklevel)
        return signed.url
