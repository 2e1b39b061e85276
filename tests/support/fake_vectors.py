"""An Amazon S3 Vectors in memory, behind a real boto3 client: requests and answers are of its service model.

    fake = FakeVectors()
    vectors = fake.vectors_of(dims)             # an S3Vectors whose bucket and index are there
    with fake.counted() as count: …
    assert count == {"QueryVectors": 1}

Its searches are exact. What AWS documents as limits is an error here.
"""

from __future__ import annotations

import io
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Literal, TypeAlias

import boto3
from botocore.awsrequest import AWSResponse, HeadersDict
from botocore.config import Config

from langgraph_checkpoint_s3.memory import S3Vectors

Moment: TypeAlias = Literal["before", "after"]
Hook: TypeAlias = Callable[[Moment, str], None]
"""Called before and after each request's effect, with the operation's name. It may raise."""

BUCKET, INDEX = "fake-vectors", "fake-index"


class ResponseError(Exception):
    """An error response."""

    def __init__(self, code: str, status: int = 400) -> None:
        super().__init__(code)
        self.code = code
        self.status = status


class FakeVectors:
    """One vector bucket with one index.

    Attributes:
        client: The client.
        buckets: The names of the vector buckets.
        index: The index's settings; `None` if there is none.
        vectors: The vectors with their metadata, by their keys.
        page: Vectors in a page of an answer.
        hook: See `Hook`.
        refusal: The error of all requests; `None` for answers.
        queries: The parameters of the queries.
    """

    def __init__(self) -> None:
        self.client = _client()
        self.client.meta.events.register("before-send.s3vectors", self._answer)
        self.buckets: set[str] = set()
        self.index: dict[str, Any] | None = None
        self.vectors: dict[str, dict[str, Any]] = {}
        self.page = 1000
        self.hook: Hook | None = None
        self.refusal: ResponseError | None = None
        self.queries: list[dict[str, Any]] = []
        self._counts: list[Counter[str]] = []
        self._hits: list[tuple[float, str]] = []  # of the last query

    def vectors_of(self, dims: int, **settings: Any) -> S3Vectors:
        """Return the index for a store, after creating it."""
        self.buckets.add(BUCKET)
        if self.index is None:
            self.index = {"dimension": dims, "distanceMetric": "cosine", "dataType": "float32"}
        return S3Vectors(BUCKET, INDEX, client=self.client, **settings)

    @contextmanager
    def counted(self) -> Iterator[Counter[str]]:
        """Count all requests meanwhile."""
        count: Counter[str] = Counter()
        self._counts.append(count)
        try:
            yield count
        finally:
            self._counts.remove(count)

    def _answer(self, request: Any, **_: Any) -> AWSResponse:
        operation = request.url.rpartition("/")[2]
        for count in self._counts:
            count[operation] += 1
        if self.hook is not None:
            self.hook("before", operation)
        status = 200
        headers: Any = HeadersDict({"content-type": "application/json"})
        try:
            if self.refusal is not None:
                raise self.refusal
            if len(request.body) > 20 * 1024 * 1024:
                raise ResponseError("ValidationException")
            answer = self._effect(operation, json.loads(request.body))
        except ResponseError as refusal:
            status, answer = refusal.status, {"message": "the reason"}
            headers.update({"x-amzn-errortype": refusal.code, "x-amzn-requestid": "request-1"})
        if self.hook is not None:
            self.hook("after", operation)
        body: Any = _Raw(json.dumps(answer).encode())
        return AWSResponse(request.url, status, headers, body)

    def _effect(self, operation: str, asked: dict[str, Any]) -> dict[str, Any]:
        bucket, name = asked.pop("vectorBucketName"), asked.pop("indexName", None)
        if operation == "CreateVectorBucket":
            if bucket in self.buckets:
                raise ResponseError("ConflictException", 409)
            self.buckets.add(bucket)
            return {"vectorBucketArn": "arn"}
        if bucket not in self.buckets or name != INDEX or (self.index is None and operation != "CreateIndex"):
            raise ResponseError("NotFoundException", 404)
        match operation:
            case "CreateIndex":
                if self.index is not None:
                    raise ResponseError("ConflictException", 409)
                self.index = asked
                return {"indexArn": "arn"}
            case "GetIndex":
                fixed = {
                    "vectorBucketName": bucket,
                    "indexName": name,
                    "indexArn": "arn",
                    "creationTime": 1.0,
                }
                return {"index": {**(self.index or {}), **fixed}}
            case "PutVectors":
                self._put(asked["vectors"])
                return {}
            case "DeleteVectors":
                if not 1 <= len(asked["keys"]) <= 500:
                    raise ResponseError("ValidationException")
                for key in asked["keys"]:
                    self.vectors.pop(key, None)
                return {}
            case "ListVectors":
                assert asked["returnMetadata"]
                rest = sorted(key for key in self.vectors if key > asked.get("nextToken", ""))
                page = rest[: min(asked["maxResults"], self.page)]
                vectors = [{"key": key, "metadata": self.vectors[key]["metadata"]} for key in page]
                return {"vectors": vectors, **({"nextToken": page[-1]} if len(page) < len(rest) else {})}
        return self._query(asked)

    def _put(self, vectors: list[dict[str, Any]]) -> None:
        assert self.index is not None
        if not 1 <= len(vectors) <= 500:
            raise ResponseError("ValidationException")
        for each in vectors:
            values = each["data"]["float32"]
            right = len(values) == self.index["dimension"] and 0 < math.hypot(*values) < math.inf
            if not right or len(each["key"]) > 1024 or len(json.dumps(each["metadata"])) > 2048:
                raise ResponseError("ValidationException")
        self.vectors.update({each["key"]: each for each in vectors})

    def _query(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.queries.append(asked)
        if not 1 <= asked["topK"] <= 10_000:
            raise ResponseError("ValidationException")
        [(field, condition)] = asked["filter"].items()
        query = asked["queryVector"]["float32"]
        start = int(asked.get("nextToken", "0"))
        if not start:
            self._hits = sorted(
                (1 - _cosine(query, each["data"]["float32"]), key)
                for key, each in self.vectors.items()
                if condition["$eq"] in each["metadata"][field]
            )[: asked["topK"]]
        end = start + self.page
        page = [{"key": key, "distance": distance} for distance, key in self._hits[start:end]]
        more = {"nextToken": str(end)} if end < len(self._hits) else {}
        return {"vectors": page, "distanceMetric": "cosine", **more}


class _Raw(io.BytesIO):
    """A response's body, as botocore reads it."""

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.read()


@cache
def _session() -> Any:
    return boto3.Session("key", "secret", region_name="eu-west-1")  # its cache has the parsed service model


def _client() -> Any:
    return _session().client("s3vectors", config=Config(retries={"total_max_attempts": 1}))


def _cosine(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True)) / (math.hypot(*one) * math.hypot(*other))
