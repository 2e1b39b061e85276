"""Amazon S3 Vectors: its settings, and the requests to an index of a store's vectors."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar, Final, NamedTuple

from langgraph_checkpoint_s3.aws_client import AwsClient
from langgraph_checkpoint_s3.errors import (
    BucketNotFoundError,
    ConflictError,
    InvalidConfigError,
    InvalidKeyError,
    S3CheckpointError,
)
from langgraph_checkpoint_s3.memory.items import ItemRecord, unpack_vector
from langgraph_checkpoint_s3.memory.shelf import ITEM, Shelf
from langgraph_checkpoint_s3.plans.plan import Plan, ask, ask_all, batched
from langgraph_checkpoint_s3.s3.requests import Call

MOST_HITS: Final = 10_000
"""The most vectors that a query returns."""
_MAX_DIMS: Final = 4096
_MAX_LABELS: Final = 64
"""Most labels of a namespace. A vector's metadata has a hash for each, and S3 Vectors takes 2 kB of it."""
_MAX_KEY: Final = 1024
_BATCH: Final = 500
"""The most vectors that one request writes or deletes."""
_PAYLOAD: Final = 16 * 1024 * 1024
"""Bytes of a request's body. S3 Vectors takes 20 * 2**20."""
_NUMBER_BYTES: Final = 25
"""The most bytes of a float32 as JSON, with what separates it from the next."""
_VECTOR_BYTES: Final = 4096
"""The most bytes of a vector's key and metadata."""
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class S3Vectors:
    """An index of Amazon S3 Vectors for the semantic searches of an `S3Store`.

        store = S3Store("my-bucket", index={…}, vectors=S3Vectors("my-vectors", "memories"))
        store.setup()  # once: creates the vector bucket and the index

    An index may serve several stores of one bucket, with other prefixes, if their vectors are of one model.
    It can't serve stores of several buckets: a rebuild for one would delete the vectors of another's items.

    Needs, on `arn:aws:s3vectors:REGION:ACCOUNT:bucket/BUCKET/index/INDEX`: `s3vectors:QueryVectors` and
    `s3vectors:GetVectors` to search; `s3vectors:PutVectors` and `s3vectors:DeleteVectors` to write;
    `s3vectors:ListVectors` for `rebuild_vectors`; `s3vectors:GetIndex`, and `s3vectors:CreateIndex` and
    `s3vectors:CreateVectorBucket` for what doesn't exist, for `setup`.

    Args:
        bucket: The vector bucket's name.
        index: The index's name.
        client: A boto3 client of `s3vectors` to use as it is. Default: one made on first use.
        session: A `boto3.Session` to make the client from.
        region: The vector bucket's region. Default: that of AWS's own chain.
        endpoint_url: Another address for S3 Vectors, such as a VPC endpoint's.
        allow_unencrypted: Whether a store with client-side encryption may write its vectors here. S3 Vectors
            must read them, so they aren't encrypted by the store; and a vector tells much of the text that it
            was made from. Such a store is refused otherwise.

    Raises:
        InvalidConfigError: A name is none of a vector bucket or an index.
    """

    def __init__(
        self,
        bucket: str,
        index: str,
        *,
        client: Any = None,
        session: Any = None,
        region: str | None = None,
        endpoint_url: str | None = None,
        allow_unencrypted: bool = False,
    ) -> None:
        names: tuple[tuple[str, Any], ...] = (("bucket", bucket), ("index", index))
        for what, name in names:
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise InvalidConfigError(
                    f"{what}={name!r} must have 3 to 63 lower-case letters, digits, hyphens and dots."
                )
        self.bucket = bucket
        self.index = index
        self.client = client
        self.session = session
        self.region = region
        self.endpoint_url = endpoint_url
        self.allow_unencrypted = allow_unencrypted

    def __repr__(self) -> str:
        return f"S3Vectors({self.bucket!r}, {self.index!r})"


class _Client(AwsClient):
    """Client of Amazon S3 Vectors, with its errors."""

    service = "s3vectors"
    title = "Amazon S3 Vectors"
    settings = "region and endpoint_url, and whether this boto3 knows s3vectors"
    actions: ClassVar = {
        "create_index": "s3vectors:CreateIndex",
        "create_vector_bucket": "s3vectors:CreateVectorBucket",
        "delete_vectors": "s3vectors:DeleteVectors",
        "get_index": "s3vectors:GetIndex",
        "list_vectors": "s3vectors:ListVectors and s3vectors:GetVectors",
        "put_vectors": "s3vectors:PutVectors",
        "query_vectors": "s3vectors:QueryVectors and s3vectors:GetVectors",
    }
    read_timeout = 30.0

    def refusal(self, operation: str, target: str, code: str, status: int) -> S3CheckpointError | None:
        """Return the error of a request that isn't valid, or of what doesn't exist."""
        if code == "NotFoundException":
            return BucketNotFoundError(
                f"There is no {target}. setup() creates it; or check the names, the account and the region"
            )
        if code == "ConflictException":
            return ConflictError(f"The {target} is there already, or is being changed")
        if code == "ValidationException":
            return InvalidConfigError(f"The request to the {target} isn't valid. setup() checks its settings")
        return None


class Vector(NamedTuple):
    """A vector with its metadata.

    Attributes:
        folders: The hash of each folder that the item is below, the store's own first.
        packed: Its numbers, as float32 bytes.
    """

    folders: list[str]
    packed: bytes


class VectorIndex:
    """The vectors of one store in an index of Amazon S3 Vectors.

    Args:
        settings: The index.
        dims: The length of the vectors.

    Raises:
        InvalidConfigError: S3 Vectors has no vectors of that length.
    """

    def __init__(self, settings: S3Vectors, dims: int) -> None:
        if not 1 <= dims <= _MAX_DIMS:
            raise InvalidConfigError(f"dims={dims}: Amazon S3 Vectors takes 1 to {_MAX_DIMS:,}.")
        self._settings = settings
        self._dims = dims
        self._client = _Client(settings.region, settings.endpoint_url, settings.client, settings.session)

    def vectors_of(self, shelf: Shelf, record: ItemRecord) -> dict[str, Vector]:
        """Return those of an item's vectors that S3 Vectors takes, by their keys.

        A key has the item's key, the time of its put and a hash of the vector. So no put overwrites a vector
        of another put, and the vectors of an item that was replaced are never those of one that is there.
        Renewing an item's time to live leaves them as they are.
        """
        usable = {packed for _, packed in record.vectors if len(packed) == 4 * self._dims}
        if not usable or len(record.namespace) > _MAX_LABELS:
            return {}
        depths = range(len(record.namespace) + 1)
        folders = [_hash(shelf.folder(record.namespace[:depth]).encode()) for depth in depths]
        name = shelf.key(record.namespace, record.key).removesuffix(ITEM)
        found = {
            f"{name}#{record.updated:x}.{_hash(packed)}": Vector(folders, packed)
            for packed in usable
            if has_direction(unpack_vector(packed))
        }
        return {key: vector for key, vector in found.items() if len(key) <= _MAX_KEY}

    def new_vectors_of(self, shelf: Shelf, record: ItemRecord) -> dict[str, Vector]:
        """Return all vectors of an item that is to be put, by their keys.

        Raises:
            InvalidConfigError: One is all zeros, or has numbers that aren't finite.
            InvalidKeyError: The key or the namespace is too long.
        """
        found, vectors = self.vectors_of(shelf, record), {packed for _, packed in record.vectors}
        if len(found) < len(vectors):
            check_directions(map(unpack_vector, vectors))
            raise InvalidKeyError(
                f"The item {record.key!r} of {record.namespace!r} can't have vectors in Amazon S3 Vectors, "
                f"which takes {_MAX_LABELS} labels, and keys that are 30 bytes shorter than an object's: "
                "shorten the namespace or the prefix."
            )
        return found

    def put(self, vectors: Mapping[str, Vector]) -> Plan[None]:
        """Write vectors: a request for up to 500, all of them in one round trip."""
        some = min(_BATCH, _PAYLOAD // (self._dims * _NUMBER_BYTES + _VECTOR_BYTES))
        yield from ask_all(Call(partial(self._put, batch)) for batch in batched(list(vectors.items()), some))

    def delete(self, keys: Iterable[str]) -> Plan[None]:
        """Delete vectors: a request for up to 500, all of them in one round trip."""
        yield from ask_all(
            Call(partial(self._call, "delete_vectors", keys=list(batch)))
            for batch in batched(list(keys), _BATCH)
        )

    def query(self, vector: Sequence[float], folder: str, most: int) -> Plan[list[str]]:
        """Return the keys of the vectors that are nearest to one, of the items below a folder, in order.

        A request for each page of the answer. Their order is only approximately right: so is the search.
        """
        return (yield from ask(Call(partial(self._query, vector, folder, most))))

    def page(self, shelf: Shelf, token: str | None) -> Plan[tuple[list[str], str | None]]:
        """Return the keys of a page of the store's vectors, and the next page's token."""
        more: dict[str, Any] = {} if token is None else {"nextToken": token}
        listing = partial(self._call, "list_vectors", returnMetadata=True, maxResults=_BATCH, **more)
        answer = yield from ask(Call(listing))
        own = _hash(shelf.root.encode())
        keys = [
            each["key"] for each in answer["vectors"] if own in each.get("metadata", {}).get("folders", ())
        ]
        return keys, answer.get("nextToken") or None

    def setup(self) -> None:
        """Create the bucket and the index where they are missing, and check the index. Blocking."""
        call = self._call
        try:
            found = call("get_index")["index"]
        except BucketNotFoundError:
            self._create()
            found = call("get_index")["index"]
        wanted = {"dimension": self._dims, "distanceMetric": "cosine", "dataType": "float32"}
        differs = {name: found.get(name) for name, value in wanted.items() if found.get(name) != value}
        if differs:
            raise InvalidConfigError(
                f"{self._settings!r} has {differs}, and the store needs {wanted}: these can't be changed. "
                "Name another index, and call rebuild_vectors()."
            )

    def close(self) -> None:
        """Close the connections, unless the client was passed in. The next use makes new ones."""
        self._client.close()

    def _create(self) -> None:
        create = partial(self._call, "create_index", dataType="float32", distanceMetric="cosine")
        try:
            create(dimension=self._dims)
        except BucketNotFoundError:
            with suppress(ConflictError):  # another process creates it, too
                self._call("create_vector_bucket", of_index=False)
            with suppress(ConflictError):
                create(dimension=self._dims)
        except ConflictError:
            pass

    def _put(self, vectors: Sequence[tuple[str, Vector]]) -> None:
        self._call(
            "put_vectors",
            vectors=[
                {
                    "key": key,
                    "data": {"float32": unpack_vector(vector.packed).tolist()},
                    "metadata": {"folders": vector.folders},
                }
                for key, vector in vectors
            ],
        )

    def _query(self, vector: Sequence[float], folder: str, most: int) -> list[str]:
        arguments: dict[str, Any] = {
            "topK": most,
            "queryVector": {"float32": list(map(float, vector))},
            "filter": {"folders": {"$eq": _hash(folder.encode())}},
            "returnDistance": True,
            # Filters before it searches, so that a small namespace in a large index loses no neighbours.
            "if_known": {"queryMode": "ENHANCED"},
        }
        found: list[tuple[float, str]] = []
        while True:
            answer = self._call("query_vectors", **arguments)
            found += [(each["distance"], each["key"]) for each in answer["vectors"]]
            if not answer.get("nextToken"):
                return [key for _, key in sorted(found)]
            arguments["nextToken"] = answer["nextToken"]

    def _call(self, operation: str, *, of_index: bool = True, **arguments: Any) -> Mapping[str, Any]:
        """Send a request about the index, or about the bucket."""
        settings = self._settings
        target = f"index {settings.index!r} of vector bucket {settings.bucket!r}"
        arguments |= {"indexName": settings.index} if of_index else {}
        try:
            return self._client.call(operation, target, vectorBucketName=settings.bucket, **arguments)
        except S3CheckpointError as error:
            error.bucket = ""  # it isn't about the store's
            raise


def item_of(key: str) -> str:
    """Return the key of the object of a vector's item."""
    return key.rpartition("#")[0] + ITEM


def has_direction(vector: Collection[float]) -> bool:
    """Return whether a vector can be compared by its direction: S3 Vectors takes no others."""
    return any(vector) and math.isfinite(sum(vector))


def check_directions(vectors: Iterable[Collection[float]]) -> None:
    """Check that vectors have a direction.

    Raises:
        InvalidConfigError: One is all zeros, or has numbers that aren't finite.
    """
    if not all(map(has_direction, vectors)):
        raise InvalidConfigError(
            "embed returned a vector of zeros, or with numbers that aren't finite, as some models do for "
            "empty texts. Amazon S3 Vectors takes none such: leave the text out, with put(…, index=False)."
        )


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
