"""`check()` on real servers: its report agrees with their `Features`, and it changes nothing."""

from __future__ import annotations

import pytest

from tests.contract.admin.test_check import TestCheck, TestConnection, TestFindings, TestProbe
from tests.contract.support import MakeCalls, Place, build_thread

__all__ = ["TestCheck", "TestConnection", "TestFindings", "TestProbe"]


def test_repeated_checks_say_the_same(make_admin: MakeCalls, place: Place, driver: str) -> None:
    """Concurrent requests of a check don't affect each other."""
    if driver == "async":
        pytest.skip("once is enough")
    admin = make_admin()
    reports = {tuple((each.name, each.status) for each in admin.check()) for _ in range(25)}
    assert len(reports) == 1
    assert place.listing() == []


def test_threads_beside_it_are_untouched(make_admin: MakeCalls, make_calls: MakeCalls, place: Place) -> None:
    build_thread(make_calls())
    before = place.objects()
    make_admin().check()
    assert place.objects() == before


def test_conditions_come_back_when_versioning_goes(make_admin: MakeCalls, place: Place) -> None:
    features = place.server.features
    if features.conditional_versioned or not (features.versioning and features.conditional_put):
        pytest.skip("versioning changes nothing here")
    admin = make_admin()
    admin.enable_versioning()
    assert admin.check()["conditional writes"].status == "not supported"
    admin.suspend_versioning()
    assert admin.check()["conditional writes"].status == "ok"
    assert "DeleteMarkers" not in place.client.list_object_versions(Bucket=place.bucket)
