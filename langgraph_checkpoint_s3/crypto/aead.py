"""AES-256-GCM for an object's bytes, bound to the place of the object.

Each frame is encrypted after it was compressed, and the header as a whole. The result is twelve bytes (the
nonce), the ciphertext and its tag of sixteen bytes. The associated data are the place (bucket and prefix,
thread, namespace, checkpoint, the end of the key) and the format's version: moved to another key, an object
doesn't decrypt.

Every thread of a place has an AES key of its own, derived from the data key. However much is written in a
bucket, no single AES key sees too many random nonces. Copies and objects rewritten in place must come out as
the same bytes again: their nonces are derived from the plaintext with a separate key.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgpack

from langgraph_checkpoint_s3.crypto.provider import MAX_KEY_ID, MAX_WRAPPED_KEY, SECRET_BYTES, KeyRef
from langgraph_checkpoint_s3.errors import DecryptionError, InvalidConfigError, NotSupportedError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
OVERHEAD: Final = _NONCE_BYTES + _TAG_BYTES
"""Bytes that encryption adds."""

_MAX_PLAINTEXT: Final = 2**31 - 1
"""Most bytes that `cryptography` encrypts at once."""


class ThreadCipher:
    """Cipher of one thread for one data key.

    Attributes:
        aead: The thread's AES key.
        nonce_key: The key of nonces that are derived rather than random.
    """

    def __init__(self, aead: AESGCM, nonce_key: bytes) -> None:
        self.aead = aead
        self.nonce_key = nonce_key

    def derive_nonce(self, plaintext: bytes | memoryview, associated_data: bytes) -> bytes:
        """Return a nonce that depends on the arguments alone, and is as good as a random one.

        With it, the ciphertext reveals that the same was encrypted again in the same place, and nothing else.
        """
        # The length keeps the two apart: else b"a" + b"bc" and b"ab" + b"c" would share a nonce.
        mac = hmac.new(self.nonce_key, len(associated_data).to_bytes(8, "big"), hashlib.sha256)
        mac.update(associated_data)
        mac.update(plaintext)
        return mac.digest()[:_NONCE_BYTES]


class ObjectCipher(NamedTuple):
    """Cipher of one object.

    Attributes:
        ref: The data key.
        place: The bucket and prefix, `s3://bucket/prefix/`.
        thread: The thread, as the key has it.
        namespace: The namespace, as the key has it.
        checkpoint_id: The checkpoint.
        leaf: The end of the key.
        get_thread_cipher: Returns the cipher for a data key and a thread (with its place).
        deterministic: Whether the same plaintext gives the same bytes each time.
    """

    ref: KeyRef
    place: str
    thread: str
    namespace: str
    checkpoint_id: str
    leaf: str
    get_thread_cipher: Callable[[KeyRef, str], ThreadCipher]
    deterministic: bool = False

    def encrypt(self, plaintext: bytes | memoryview, *context: str | int) -> bytes:
        """Encrypt bytes, with the context as further associated data.

        Raises:
            NotSupportedError: They are too many.
        """
        if len(plaintext) > _MAX_PLAINTEXT:
            raise NotSupportedError(
                f"A value of {len(plaintext)} bytes, compressed, can't be encrypted: {_MAX_PLAINTEXT} are "
                "the most. Nothing was written"
            )
        cipher, associated_data = self._thread_cipher(), self._associated_data(context)
        if self.deterministic:
            nonce = cipher.derive_nonce(plaintext, associated_data)
        else:
            nonce = os.urandom(_NONCE_BYTES)
        return nonce + cipher.aead.encrypt(nonce, plaintext, associated_data)

    def decrypt(self, encrypted: bytes | memoryview, *context: str | int) -> bytes:
        """Decrypt what `encrypt` returned for the same context.

        Raises:
            DecryptionError: The key is missing, or another key or place was used for `encrypt`.
        """
        cipher = self._thread_cipher()
        view = memoryview(encrypted)
        nonce, ciphertext = bytes(view[:_NONCE_BYTES]), view[_NONCE_BYTES:]
        try:
            return cipher.aead.decrypt(nonce, ciphertext, self._associated_data(context))
        except Exception as error:  # noqa: BLE001  # InvalidTag, and ValueError where it is short
            raise DecryptionError(
                f"The object doesn't decrypt with the key {self.ref.id!r} ({type(error).__name__}) as one of "
                f"{self.place}: it was changed, or moved here from another place, or the key of this name is "
                "another one. If the bucket is a replica, or is reached by another name than when it was "
                "written, say which by the setting encrypted_for"
            ) from None

    def for_lender(self, checkpoint_id: str, leaf: str, ref: KeyRef) -> ObjectCipher:
        """Return the cipher of another checkpoint of the same namespace, whose frames are borrowed."""
        return self._replace(checkpoint_id=checkpoint_id, leaf=leaf, ref=ref)

    def _thread_cipher(self) -> ThreadCipher:
        return self.get_thread_cipher(self.ref, self.place + self.thread)

    def _associated_data(self, context: Sequence[str | int]) -> bytes:
        place = (self.place, self.thread, self.namespace, self.checkpoint_id, self.leaf)
        packed: bytes = msgpack.packb(("LGS3", 1, *place, *context), use_bin_type=True)
        return packed


def derive_key(secret: bytes, purpose: str, name: str = "") -> bytes:
    """Derive a key for one purpose from another one (HKDF-SHA256).

    Raises:
        InvalidConfigError: `cryptography` isn't installed, or the secret hasn't 32 bytes.
    """
    given: object = secret  # a provider of the user's own may return anything
    if not isinstance(given, bytes) or len(given) != SECRET_BYTES:
        raise InvalidConfigError(f"A key provider gave something else than {SECRET_BYTES} bytes for a key.")
    try:
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF
    except ImportError as error:
        raise InvalidConfigError(
            "Encryption needs the library `cryptography`: pip install cryptography"
        ) from error
    info = b"langgraph-checkpoint-s3 1 " + purpose.encode() + b"\0" + name.encode()
    return HKDF(SHA256(), SECRET_BYTES, salt=None, info=info).derive(secret)


def make_thread_cipher(secret: bytes, thread: str) -> ThreadCipher:
    """Return a data key's cipher for a thread, given by its folder with bucket and prefix."""
    key, nonce_key = derive_key(secret, "thread", thread), derive_key(secret, "nonces", thread)
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return ThreadCipher(AESGCM(key), nonce_key)


def unpack_key_ref(row: Any) -> KeyRef:
    """Return a reference from a header, once it is checked.

    Raises:
        ValueError: It isn't one.
    """
    key_id, wrapped = row
    if not isinstance(key_id, str) or not isinstance(wrapped, bytes):
        raise ValueError("something else where a key's name belongs")
    if len(key_id) > MAX_KEY_ID or len(wrapped) > MAX_WRAPPED_KEY:
        raise ValueError("a key's name that is too long")
    return KeyRef(key_id, wrapped)
