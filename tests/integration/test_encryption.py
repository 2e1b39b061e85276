"""Keys by a KMS that runs as a server of its own."""

from __future__ import annotations

from tests.contract.test_kms import TestKms, keys, kms

__all__ = ["TestKms", "keys", "kms"]
