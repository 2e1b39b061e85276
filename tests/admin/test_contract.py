"""The admin module's contract on the fake S3.

`tests/contract/admin` runs the same classes on moto, and `tests/integration/admin` on real servers.
"""

from __future__ import annotations

import pytest

from tests.contract.admin.test_bucket import (
    TestConfigureBucket,
    TestCreateBucket,
    TestReplication,
    TestThePolicy,
)
from tests.contract.admin.test_bulk import TestBatches
from tests.contract.admin.test_history import TestHistory
from tests.contract.admin.test_inventory import TestInventory, reports
from tests.contract.admin.test_lifecycle import TestLifecyclePolicies, TestRestoring
from tests.contract.admin.test_migration import TestMigration, sqlite
from tests.contract.admin.test_retention import TestOrphans, TestPruning
from tests.contract.admin.test_transfer import TestMoving, other_bucket
from tests.contract.admin.test_usage import TestThreads, TestUsage
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
from tests.contract.support import Place

__all__ = [
    "TestBatches",
    "TestConfigureBucket",
    "TestCreateBucket",
    "TestHistory",
    "TestInventory",
    "TestLifecyclePolicies",
    "TestMigration",
    "TestMixedVersions",
    "TestMoving",
    "TestOrphans",
    "TestPruning",
    "TestPurging",
    "TestReplication",
    "TestRestoring",
    "TestSwitching",
    "TestThePolicy",
    "TestThreads",
    "TestUndeleting",
    "TestUsage",
    "TestVersions",
    "TestWithoutVersions",
    "admin",
    "other_bucket",
    "reader",
    "reports",
    "sqlite",
    "versioned",
    "writer",
]


@pytest.fixture
def tls(place: Place) -> str:
    """The fake's address: it signs URLs of https."""
    return place.front.url
