"""Key providers for client-side encryption: a key ring, AWS KMS, or a class of your own.

    KeyProvider   the protocol: the key to write with, and the key that an object names
    KeyRing       keys that you keep yourself (ring.py)
    KmsKeys       keys that AWS KMS makes and unwraps (kms.py)

The encryption itself is in `crypto/aead.py`. No secret reaches a repr, a message, a log line or a pickle.
"""

from __future__ import annotations

from langgraph_checkpoint_s3.crypto.provider import DataKey, KeyProvider, KeyRef
from langgraph_checkpoint_s3.encryption.kms import KmsKeys
from langgraph_checkpoint_s3.encryption.ring import KeyRing

__all__ = ["DataKey", "KeyProvider", "KeyRef", "KeyRing", "KmsKeys"]
