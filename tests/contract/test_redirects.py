"""Redirects are not followed: they would carry state and credentials to any host."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from langgraph_checkpoint_s3 import StorageUnavailableError
from langgraph_checkpoint_s3.s3.requests import (
    PutObject,
    Stored,
)
from langgraph_checkpoint_s3.testing import FaultServer
from langgraph_checkpoint_s3.testing.faults import Reply
from tests.contract.front import Front
from tests.contract.support import Place
from tests.contract.worlds import REQUESTS, Run


class TestRedirects:
    @pytest.fixture
    def elsewhere(self, place: Place) -> Iterator[FaultServer]:
        with FaultServer(place.server.endpoint_url) as server:
            yield server

    @pytest.mark.parametrize(
        "name", ["put", "get", "head", "list", "delete", "copy", "send a part", "inspect"]
    )
    def test_none_is_followed(self, name: str, run: Run, front: Front, elsewhere: FaultServer) -> None:
        target = f"{elsewhere.url}/bucket/k?X-Amz-Signature=secret"
        for status in (301, 302, 307, 308):
            front.reset()
            front.fail("*", Reply(b"", status, {"Location": target}), times=None)
            with pytest.raises(StorageUnavailableError, match="redirects are not followed") as caught:
                run(REQUESTS[name])
            assert elsewhere.log == [], status
            assert caught.value.status == status
            assert "to http://127.0.0.1, and" in str(caught.value)
            assert "secret" not in str(caught.value)
            assert len(front.log) <= 4, status  # two tries; botocore asks for the bucket's region at each

    @pytest.mark.parametrize("run", ["async"], indirect=True)  # urllib3 fails at it by itself
    def test_nor_is_one_to_another_method(self, run: Run, front: Front, elsewhere: FaultServer) -> None:
        front.fail("*", Reply(b"", 303, {"Location": f"{elsewhere.url}/bucket/k"}), times=None)
        with pytest.raises(StorageUnavailableError, match="redirects are not followed"):
            run(REQUESTS["put"])
        assert elsewhere.log == []

    def test_a_buckets_region_is_the_clients_own_business(self, run: Run, front: Front, place: Place) -> None:
        front.fail("PutObject", Reply(b"", 301, {"x-amz-bucket-region": "eu-west-1"}))
        assert isinstance(run(PutObject("k", b"data")), Stored)
        assert place.listing() == ["k"]
        assert ["eu-west-1" in seen.headers["authorization"] for seen in front.log] == [False, True]
