"""Deletions in which single keys fail: only those keys are tried again."""

from __future__ import annotations

import pytest

from langgraph_checkpoint_s3 import AccessDeniedError, StorageUnavailableError
from langgraph_checkpoint_s3.plans.delete import delete_keys, delete_versions
from langgraph_checkpoint_s3.testing.faults import Reply
from tests.contract.support import MakeCalls, Place
from tests.contract.worlds import run_plan

DELETED = "<Deleted><Key>{}</Key></Deleted>"
FAILED = "<Error><Key>{}</Key><Code>{}</Code><Message>m</Message></Error>"


def deletion(*results: str) -> Reply:
    return Reply(f"<DeleteResult>{''.join(results)}</DeleteResult>".encode())


class TestSingleKeys:
    @pytest.mark.parametrize("code", ["InternalError", "SlowDown", "ServiceUnavailable", "RequestTimeout"])
    def test_what_passes_is_tried_again_for_just_those_keys(
        self, code: str, place: Place, make_calls: MakeCalls
    ) -> None:
        for key in ("a", "b", "c"):
            place.write(key, b"")
        place.front.fail("DeleteObjects", deletion(DELETED.format("a"), FAILED.format("b", code)))
        run_plan(make_calls(), delete_keys(["a", "b", "c"]))
        # The first answer was false: what it called deleted is there still, for it wasn't asked for again.
        assert place.listing() == ["a"]
        assert place.front.counts() == {"DeleteObjects": 2}

    def test_a_lasting_failure_is_an_error(self, place: Place, make_calls: MakeCalls) -> None:
        results = (DELETED.format("a"), FAILED.format("b", "SlowDown"))
        place.front.fail("DeleteObjects", deletion(*results), times=None)
        with pytest.raises(StorageUnavailableError, match=r"1 of 2 objects .*SlowDown") as caught:
            run_plan(make_calls(max_attempts=3), delete_keys(["a", "b"]))
        assert caught.value.key == "b"
        assert place.front.counts() == {"DeleteObjects": 3}

    def test_a_permanent_failure_is_raised_at_once(self, place: Place, make_calls: MakeCalls) -> None:
        results = (DELETED.format("a"), FAILED.format("b", "AccessDenied"))
        place.front.fail("DeleteObjects", deletion(*results), times=None)
        with pytest.raises(AccessDeniedError, match="1 of 2 objects"):
            run_plan(make_calls(max_attempts=3), delete_keys(["a", "b"]))
        assert place.front.counts() == {"DeleteObjects": 1}

    def test_both_at_once(self, place: Place, make_calls: MakeCalls) -> None:
        for key in ("a", "b"):
            place.write(key, b"")
        results = (FAILED.format("a", "AccessDenied"), FAILED.format("b", "SlowDown"))
        place.front.fail("DeleteObjects", deletion(*results))
        with pytest.raises(AccessDeniedError, match="1 of 2 objects") as caught:
            run_plan(make_calls(), delete_keys(["a", "b"]))
        assert caught.value.key == "a"
        assert place.listing() == ["a"]

    def test_versions_too(self, place: Place, make_calls: MakeCalls) -> None:
        place.client.put_bucket_versioning(Bucket=place.bucket, VersioningConfiguration={"Status": "Enabled"})
        for key in ("a", "b"):
            place.write(key, b"")
        found = place.client.list_object_versions(Bucket=place.bucket)["Versions"]
        ids = [(each["Key"], each["VersionId"]) for each in found]
        gone = f"<Deleted><Key>a</Key><VersionId>{ids[0][1]}</VersionId></Deleted>"
        place.front.fail("DeleteObjects", deletion(gone, FAILED.format("b", "InternalError")))
        run_plan(make_calls(), delete_versions(ids))
        assert place.listing() == ["a"]
