"""Where the keys of the client-side encryption come from: a key ring, AWS KMS, or a class of your own.

    KeyProvider   what the saver asks for: the key to write with, and the one that an object names
    KeyRing       keys that you keep yourself (ring.py)
    KmsKeys       keys that AWS KMS makes and unwraps (kms.py)

Nothing here encrypts anything, which `crypto/aead.py` does. No secret reaches a repr, a message, a log line
or a pickle.
"""

from __future__ import annotations

from langgraph_checkpoint_s3.crypto.aead import DataKey, KeyRef
from langgraph_checkpoint_s3.crypto.provider import KeyProvider
from langgraph_checkpoint_s3.encryption.kms import KmsKeys
from langgraph_checkpoint_s3.encryption.ring import KeyRing

__all__ = ["DataKey", "KeyProvider", "KeyRef", "KeyRing", "KmsKeys"]
