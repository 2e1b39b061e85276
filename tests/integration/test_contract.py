"""The contract's tests on real servers. Those that need moto's insides, or a process for each, stay there."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from tests.contract.front import Front
from tests.contract.support import MIB, MakeCalls, Place, at, checkpoint, metadata, noise
from tests.contract.test_borrowing import TestAGraphThatGrows, TestBorrowing
from tests.contract.test_budgets import (
    TestBudgetOfADeltaChannel,
    TestBudgetOfAGraph,
    TestBudgetsOfALongThread,
    TestBudgetsOfASmallThread,
    TestStatistics,
)
from tests.contract.test_clients import TestClosing, TestForks, TestHandedIn
from tests.contract.test_conformance import TestConformance, TestParity
from tests.contract.test_damage import TestBadInput, TestDamage, TestDeletion
from tests.contract.test_encryption import TestEncryption
from tests.contract.test_errors import (
    TestConditions,
    TestOlderStores,
    TestPermissions,
    TestTheBucket,
    TestTheWayThere,
)
from tests.contract.test_graphs import TestGraphs
from tests.contract.test_keep_last import TestKeepLast
from tests.contract.test_large import TestLargeStates
from tests.contract.test_loops import TestCancellation, TestLoops, TestManyThreads
from tests.contract.test_memory import TestCache, TestStore, batch
from tests.contract.test_rewriting import TestRewriting
from tests.contract.test_settings import TestHowItIsTold, TestWhatTheStoreShows
from tests.contract.test_state import (
    TestBudgetsOfSaves,
    TestClocksOfSaves,
    TestConcurrentSaves,
    TestSavedDeltaChannels,
    TestSavedForGraphs,
    TestSavedValues,
)

__all__ = [
    "TestAGraphThatGrows",
    "TestBadInput",
    "TestBorrowing",
    "TestBudgetOfADeltaChannel",
    "TestBudgetOfAGraph",
    "TestBudgetsOfALongThread",
    "TestBudgetsOfASmallThread",
    "TestBudgetsOfSaves",
    "TestCache",
    "TestCancellation",
    "TestClocksOfSaves",
    "TestClosing",
    "TestConcurrentSaves",
    "TestConditions",
    "TestConformance",
    "TestDamage",
    "TestDeletion",
    "TestEncryption",
    "TestForks",
    "TestGraphs",
    "TestHandedIn",
    "TestHowItIsTold",
    "TestKeepLast",
    "TestLargeStates",
    "TestLoops",
    "TestManyThreads",
    "TestOlderStores",
    "TestParity",
    "TestPermissions",
    "TestRewriting",
    "TestSavedDeltaChannels",
    "TestSavedForGraphs",
    "TestSavedValues",
    "TestStatistics",
    "TestStore",
    "TestTheBucket",
    "TestTheWayThere",
    "TestWhatTheStoreShows",
    "batch",
]


def digest(data: bytes) -> str:
    return hashlib.blake2b(data).hexdigest()


class TestTwoHundredMegabytes:
    def test_a_state_of_200_mib(self, make_calls: MakeCalls, place: Place, front: Front) -> None:
        if place.server.name not in ("rclone", "ceph", "external"):
            pytest.skip("it is in memory there")
        state: dict[str, Any] = {f"raw-{number}": noise(50 * MIB, number) for number in range(4)}
        make_calls().put(at(), checkpoint(state), metadata(), {})
        assert front.counts() == {
            "CreateMultipartUpload": 1,
            "UploadPart": 26,
            "HeadObject": 1,
            "CompleteMultipartUpload": 1,
        }
        assert front.most_at_once("UploadPart") <= 16
        front.reset()
        found = make_calls().get_tuple(at()).checkpoint["channel_values"]
        assert {name: digest(data) for name, data in found.items()} == {
            name: digest(data) for name, data in state.items()
        }
        assert front.counts() == {"ListObjectsV2": 1, "GetObject": 26}
        assert front.most_at_once("GetObject") <= 16
        assert place.uploads() == []
