"""The admin module's contract on the fake S3, as `tests/contract/admin` runs it on moto, and
`tests/integration/admin` on real servers."""

from __future__ import annotations

from tests.contract.admin.test_versions import (
    TestMixedVersions,
    TestPurging,
    TestSwitching,
    TestUndeleting,
    TestVersions,
    TestWithoutVersions,
    admin,
    reader,
    versioned,
    writer,
)

__all__ = [
    "TestMixedVersions",
    "TestPurging",
    "TestSwitching",
    "TestUndeleting",
    "TestVersions",
    "TestWithoutVersions",
    "admin",
    "reader",
    "versioned",
    "writer",
]
