"""Bucket configuration on real servers."""

from __future__ import annotations

from tests.contract.admin.test_bucket import (
    TestConfigureBucket,
    TestCreateBucket,
    TestPlainHttp,
    TestReplication,
    TestThePolicy,
    tls,
)

__all__ = [
    "TestConfigureBucket",
    "TestCreateBucket",
    "TestPlainHttp",
    "TestReplication",
    "TestThePolicy",
    "tls",
]
