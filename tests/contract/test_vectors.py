"""Searches by Amazon S3 Vectors with real clients: threads, event loops, and moto's index."""

from __future__ import annotations

import asyncio
from typing import Any

import boto3
import pytest
from langgraph.store.base import PutOp, SearchOp
from moto import mock_aws

from langgraph_checkpoint_s3.memory import RebuiltVectors, S3Store, S3Vectors
from tests.contract.support import MakeSaver, guarded
from tests.memory.support import DIMS, index
from tests.support.fake_vectors import FakeVectors

NS = ("users", "ada")
MANY = 20
PUTS = [PutOp(NS, str(number), {"text": f"red {number}"}) for number in range(MANY)]
SEARCHES = [SearchOp(NS, query=f"red {number}", limit=3) for number in range(5)]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_clients_that_really_send(make_saver: MakeSaver, *, asynchronous: bool) -> None:
    vectors = FakeVectors()
    settings: Any = {"index": index(), "vectors": vectors.vectors_of(DIMS)}
    saver = make_saver()
    exact = S3Store(saver=make_saver(), index=index())

    def script() -> list[Any]:
        store = S3Store(saver=saver, **settings)
        store.batch(PUTS)
        return store.batch(SEARCHES)

    async def coroutine() -> list[Any]:
        store = S3Store(saver=saver, **settings)
        await store.abatch(PUTS)
        found = await asyncio.gather(*(store.abatch([search]) for search in SEARCHES))
        assert await store.arebuild_vectors() == RebuiltVectors(MANY, 0, 0)
        await store.adelete(NS, "0")
        await store.aput(NS, "0", PUTS[0].value or {})
        await saver.aclose()
        return [answers[0] for answers in found]

    found = guarded(coroutine()) if asynchronous else script()
    assert len(vectors.vectors) == MANY
    answers: Any = zip(found, exact.batch(SEARCHES), strict=True)
    for one, other in answers:
        assert [each.key for each in one] == [each.key for each in other]
        assert [each.score for each in one] == pytest.approx([each.score for each in other])


def test_requests_are_as_moto_reads_them() -> None:
    """Moto knows no QueryVectors. It reads the others as it understands the service's model."""
    with mock_aws():
        named = {"vectorBucketName": "my-vectors", "indexName": "memories"}
        session = boto3.Session("key", "secret", region_name="eu-west-1")
        vectors = S3Vectors("my-vectors", "memories", session=session)
        store = S3Store(
            "bucket", prefix="agents/", session=session, index=index(), vectors=vectors, region="eu-west-1"
        )
        store.setup()
        store.setup()
        asyncio.run(store.aput(NS, "a", {"text": "red"}))
        store.batch(PUTS)
        store.delete(NS, "7")
        client = session.client("s3vectors")
        kept = client.list_vectors(**named, returnMetadata=True, returnData=True)["vectors"]
        assert len(kept) == MANY
        assert {len(each["data"]["float32"]) for each in kept} == {DIMS}
        assert {each["key"].partition("#")[0] for each in kept} == {
            f"agents/.store/users/ada/{key}" for key in ("a", *map(str, range(MANY))) if key != "7"
        }
        client.delete_vectors(**named, keys=[kept[0]["key"]])
        assert store.rebuild_vectors() == RebuiltVectors(MANY, 0, 0)
        assert len(client.list_vectors(**named)["vectors"]) == MANY
        store.close()
