"""How an object's bytes are encrypted: AES-256-GCM, bound to the place that the object has.

Each frame is sealed after it was compressed, and the header as a whole. What is sealed is twelve bytes
(the nonce), the ciphertext and its tag of sixteen bytes. The place (bucket and prefix, thread, namespace,
checkpoint, the end of the key) and the format's version are its associated data: moved to another key, an
object doesn't decrypt. Every thread of a place has an AES key of its own, derived from the data key, so that
however much is written nowhere do random nonces become too many for one key. Where the same bytes must come
out again, in copies and what is rewritten in its place, the nonce is made of what is encrypted, with a key of
its own.

A *data key* is what a key provider gives, 32 bytes; its `KeyRef` stands in the open in each object.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgpack

from langgraph_checkpoint_s3.errors import DecryptionError, InvalidConfigError, NotSupportedError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SECRET_BYTES: Final = 32
OVERHEAD: Final = 12 + 16
"""Bytes that sealing adds."""

MOST_NAME: Final = 2048
"""Characters of a key's name."""
MOST_WRAPPED: Final = 6 * 1024
"""Bytes of a wrapped data key, which is KMS's limit."""

_NONCE_BYTES: Final = 12
_MOST: Final = 2**31 - 1
"""Bytes that `cryptography` encrypts at once."""


class KeyRef(NamedTuple):
    """Which data key something is encrypted with. It is no secret.

    Attributes:
        id: The master key's name: one of a key ring, or a KMS key's ARN.
        wrapped: The data key as the master key has encrypted it; empty if the master key is the data key.
    """

    id: str
    wrapped: bytes = b""


@dataclass(frozen=True, slots=True)
class DataKey:
    """A key to encrypt with.

    Attributes:
        ref: How objects refer to it.
        secret: Its 32 bytes.
    """

    ref: KeyRef
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Cipher:
    """A thread's cipher for a data key.

    Attributes:
        aead: Encrypts and decrypts.
        nonces: The key of nonces that aren't drawn.
    """

    aead: AESGCM
    nonces: bytes = field(repr=False)

    def nonce(self, plain: bytes | memoryview, bound: bytes) -> bytes:
        """The nonce of bytes and of what they are bound to: as good as drawn, and the same each time.

        With it the ciphertext shows that the same was encrypted again in the same place, and nothing else.
        """
        made = hmac.new(self.nonces, len(bound).to_bytes(8, "big") + bound, hashlib.sha256)
        made.update(plain)
        return made.digest()[:_NONCE_BYTES]


@dataclass(frozen=True, slots=True)
class ObjectCipher:
    """What one object is sealed with.

    Attributes:
        ref: The data key.
        place: The bucket and prefix, `s3://bucket/prefix/`.
        thread: The thread, as the key has it.
        namespace: The namespace, as the key has it.
        checkpoint_id: The checkpoint.
        leaf: The end of the key.
        ciphers: Gives a thread's cipher for a data key, and the key of its repeatable nonces.
        repeatable: Whether the same bytes become the same each time.
    """

    ref: KeyRef
    place: str
    thread: str
    namespace: str
    checkpoint_id: str
    leaf: str
    ciphers: Callable[[KeyRef, str], Cipher] = field(repr=False)
    repeatable: bool = False

    def close(self, plain: bytes | memoryview, *more: Any) -> bytes:
        """Encrypt.

        Args:
            plain: The bytes.
            *more: What else they are bound to.

        Raises:
            NotSupportedError: They are too many.
        """
        if len(plain) > _MOST:
            raise NotSupportedError(
                f"A value of {len(plain)} bytes, compressed, can't be encrypted: {_MOST} are the most. "
                "Nothing was written"
            )
        cipher, bound = self._cipher(), self._bound(more)
        nonce = cipher.nonce(plain, bound) if self.repeatable else os.urandom(_NONCE_BYTES)
        return nonce + cipher.aead.encrypt(nonce, plain, bound)

    def open(self, sealed: bytes | memoryview, *more: Any) -> bytes:
        """Decrypt.

        Args:
            sealed: What `close` made.
            *more: As for `close`.

        Raises:
            DecryptionError: The key is missing, or they aren't what `close` made in this place.
        """
        cipher = self._cipher()
        view = memoryview(sealed)
        try:
            return cipher.aead.decrypt(bytes(view[:_NONCE_BYTES]), view[_NONCE_BYTES:], self._bound(more))
        except Exception as error:  # noqa: BLE001  # InvalidTag, and ValueError where it is short
            raise DecryptionError(
                f"The object doesn't decrypt with the key {self.ref.id!r} ({type(error).__name__}) as one of "
                f"{self.place}: it was changed, or moved here from another place, or the key of this name is "
                "another one. If the bucket is a replica, or is reached by another name than when it was "
                "written, say which by the setting encrypted_for"
            ) from None

    def lender(self, checkpoint_id: str, leaf: str, ref: KeyRef) -> ObjectCipher:
        """Return what the frames of another checkpoint of the namespace are sealed with."""
        return replace(self, checkpoint_id=checkpoint_id, leaf=leaf, ref=ref)

    def _cipher(self) -> Cipher:
        return self.ciphers(self.ref, self.place + self.thread)

    def _bound(self, more: tuple[Any, ...]) -> bytes:
        place = (self.place, self.thread, self.namespace, self.checkpoint_id, self.leaf)
        bound: bytes = msgpack.packb(("LGS3", 1, *place, *more), use_bin_type=True)
        return bound


def derive(secret: bytes, purpose: str, name: str = "") -> bytes:
    """A key for one purpose, from another one (HKDF-SHA256).

    Raises:
        InvalidConfigError: `cryptography` isn't installed, or the secret hasn't 32 bytes.
    """
    given: object = secret
    if not isinstance(given, bytes) or len(given) != SECRET_BYTES:
        raise InvalidConfigError(f"A key provider gave something else than {SECRET_BYTES} bytes for a key.")
    try:
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF
    except ImportError as error:
        raise InvalidConfigError(
            "Encryption needs `cryptography`: install this package with its extra `crypto`, or "
            "pip install cryptography."
        ) from error
    info = b"langgraph-checkpoint-s3 1 " + purpose.encode() + b"\0" + name.encode()
    return HKDF(SHA256(), SECRET_BYTES, salt=None, info=info).derive(secret)


def cipher(secret: bytes, thread: str) -> Cipher:
    """Return a thread's cipher for a data key.

    Args:
        secret: The data key.
        thread: The thread's folder, with its bucket and prefix.
    """
    key, nonces = derive(secret, "thread", thread), derive(secret, "nonces", thread)
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return Cipher(AESGCM(key), nonces)


def pack_ref(ref: KeyRef) -> list[Any]:
    """A reference as headers write it."""
    return [ref.id, ref.wrapped]


def unpack_ref(row: Any) -> KeyRef:
    """A reference as headers write it, checked.

    Raises:
        ValueError: It isn't one.
    """
    name, wrapped = row
    if not isinstance(name, str) or not isinstance(wrapped, bytes):
        raise ValueError("something else where a key's name belongs")
    if len(name) > MOST_NAME or len(wrapped) > MOST_WRAPPED:
        raise ValueError("a key's name that is too long")
    return KeyRef(name, wrapped)
