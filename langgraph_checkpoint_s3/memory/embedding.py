"""Embedding of texts: those of items that are put, by a store's `index` setting, and queries."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from langgraph.store.base import (
    IndexConfig,
    Op,
    PutOp,
    SearchOp,
    ensure_embeddings,
    get_text_at_path,
    tokenize_path,
)

from langgraph_checkpoint_s3.errors import InvalidConfigError
from langgraph_checkpoint_s3.memory.items import Vectors, pack_vector
from langgraph_checkpoint_s3.memory.search import find_numpy

if TYPE_CHECKING:
    from langgraph_checkpoint_s3.memory.shelf import Namespace

_WHOLE: Final = "$"


class Embedded(NamedTuple):
    """Vectors of a batch: of each put's texts with their paths, by the put's number; and of the queries."""

    vectors: Mapping[int, Vectors] = MappingProxyType({})
    queries: Mapping[str, Sequence[float]] = MappingProxyType({})


class Embedder:
    """Embeds the texts of batches, by a store's `index` setting.

    Args:
        config: The setting.

    Raises:
        InvalidConfigError: It lacks `dims` or `embed`.
    """

    def __init__(self, config: IndexConfig) -> None:
        if not isinstance(config.get("dims"), int) or config.get("embed") is None:
            raise InvalidConfigError(
                "index needs dims, the length of the vectors, and embed, which makes them."
            )
        find_numpy()  # now, rather than in a search on an event loop
        self.dims = config["dims"]
        self._embeddings = ensure_embeddings(config["embed"])
        self._fields = [_path(each) for each in config.get("fields") or [_WHOLE]]

    def embed(self, ops: Sequence[Op]) -> Embedded:
        """Embed what a batch puts and searches for.

        Raises:
            InvalidConfigError: The vectors have another length than `dims`.
        """
        texts, queries = self._texts(ops)
        documents = list(dict.fromkeys(text for found in texts.values() for _, text in found))
        vectors = self._embeddings.embed_documents(documents) if documents else []
        return self._checked(
            texts, documents, vectors, {each: self._embeddings.embed_query(each) for each in queries}
        )

    async def aembed(self, ops: Sequence[Op]) -> Embedded:
        """`embed`, as a coroutine."""
        texts, queries = self._texts(ops)
        documents = list(dict.fromkeys(text for found in texts.values() for _, text in found))
        vectors = await self._embeddings.aembed_documents(documents) if documents else []
        asked = await asyncio.gather(*map(self._embeddings.aembed_query, queries))
        return self._checked(texts, documents, vectors, dict(zip(queries, asked, strict=True)))

    def embed_values(self, values: Sequence[Mapping[str, Any]]) -> list[Vectors]:
        """Return the vectors of each of some values, as `S3Store.put` makes them."""
        return _of_each(self.embed(_puts(values)), len(values))

    async def aembed_values(self, values: Sequence[Mapping[str, Any]]) -> list[Vectors]:
        """`embed_values`, as a coroutine."""
        return _of_each(await self.aembed(_puts(values)), len(values))

    def _texts(self, ops: Sequence[Op]) -> tuple[dict[int, list[tuple[str, str]]], set[str]]:
        """Return the texts to embed of each put, with their paths, and the queries."""
        texts: dict[int, list[tuple[str, str]]] = {}
        for number, op in last_puts(ops).items():
            if op.value is None or op.index is False:
                continue
            paths = self._fields if op.index is None else [_path(each) for each in op.index]
            for path, tokens in paths:
                found = get_text_at_path(op.value, tokens)
                names = [path] if len(found) == 1 else [f"{path}.{place}" for place in range(len(found))]
                texts.setdefault(number, []).extend(zip(names, found, strict=True))
        return texts, {op.query for op in ops if isinstance(op, SearchOp) and op.query}

    def _checked(
        self,
        texts: Mapping[int, list[tuple[str, str]]],
        documents: Sequence[str],
        vectors: Sequence[Sequence[float]],
        queries: Mapping[str, Sequence[float]],
    ) -> Embedded:
        lengths = {len(vector) for vector in (*vectors, *queries.values())}
        if len(vectors) != len(documents) or not lengths <= {self.dims}:
            raise InvalidConfigError(
                f"embed returned {len(vectors)} vectors for {len(documents)} texts, of {sorted(lengths)} "
                f"numbers; index says dims={self.dims}."
            )
        packed = {text: pack_vector(vector) for text, vector in zip(documents, vectors, strict=True)}
        return Embedded(
            {number: tuple((path, packed[text]) for path, text in found) for number, found in texts.items()},
            queries,
        )


def last_puts(ops: Sequence[Op]) -> dict[int, PutOp]:
    """Return the puts of a batch by their numbers, the last of each key."""
    last: dict[tuple[Namespace, str], tuple[int, PutOp]] = {}
    for number, op in enumerate(ops):
        if isinstance(op, PutOp):
            last[tuple(op.namespace), op.key] = number, op
    return dict(last.values())


def _puts(values: Sequence[Mapping[str, Any]]) -> list[PutOp]:
    return [PutOp((), str(number), dict(value)) for number, value in enumerate(values)]


def _of_each(embedded: Embedded, count: int) -> list[Vectors]:
    return [embedded.vectors.get(number, ()) for number in range(count)]


def _path(path: str) -> tuple[str, str | list[str]]:
    return path, path if path == _WHOLE else tokenize_path(path)
