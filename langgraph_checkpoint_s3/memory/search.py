"""Filters, ranking and namespaces of searches, computed as LangGraph's `InMemoryStore` does."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final

from langgraph.store.base import MatchCondition

from langgraph_checkpoint_s3.errors import InvalidConfigError
from langgraph_checkpoint_s3.memory.items import ItemRecord, unpack_vector

_COMPARISONS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "$gt": lambda value, other: value > other,
    "$gte": lambda value, other: value >= other,
    "$lt": lambda value, other: value < other,
    "$lte": lambda value, other: value <= other,
}
_AT_ONCE: Final = 1024
"""Vectors that are compared at once."""
_OPERATORS: Final = ("$eq", "$ne", *_COMPARISONS)


def check_filter(conditions: Mapping[str, Any] | None) -> None:
    """Check the operators of a filter.

    Raises:
        InvalidConfigError: One is unknown.
    """
    for condition in (conditions or {}).values():
        if isinstance(condition, Mapping):
            for name, value in condition.items():
                if name.startswith("$") and name not in _OPERATORS:
                    raise InvalidConfigError(
                        f"The filter's operator {name!r} is none of {', '.join(_OPERATORS)}."
                    )
                check_filter({name: value} if isinstance(value, Mapping) else None)


def matches(value: Mapping[str, Any], conditions: Mapping[str, Any] | None) -> bool:
    """Return whether an item's value meets all conditions of a filter."""
    return all(_meets(value.get(name), condition) for name, condition in (conditions or {}).items())


def _meets(value: Any, condition: Any) -> bool:
    if isinstance(condition, Mapping):
        if any(name.startswith("$") for name in condition):
            return all(_compare(value, name, other) for name, other in condition.items())
        return isinstance(value, Mapping) and matches(value, condition)
    if isinstance(condition, (list, tuple)):
        return (
            isinstance(value, (list, tuple))
            and len(value) == len(condition)
            and all(_meets(*pair) for pair in zip(value, condition, strict=True))
        )
    return bool(value == condition)


def _compare(value: Any, operator: str, other: Any) -> bool:
    if operator == "$eq":
        return bool(value == other)
    if operator == "$ne":
        return bool(value != other)
    try:
        return _COMPARISONS[operator](float(value), float(other))
    except (TypeError, ValueError):  # one of them is no number, or the item lacks the field
        return False


def rank(
    query: Sequence[float], records: Sequence[ItemRecord], limit: int, offset: int
) -> list[tuple[float | None, ItemRecord]]:
    """Return the items most similar to a query, the best first, each with its score.

    The score is the best cosine similarity of the item's vectors. Items without vectors come last, without a
    score, if there are fewer than `limit` with one.
    """
    # Vectors of another model, with other dimensions, say nothing about this query.
    usable = {
        id(record): [vector for _, vector in record.vectors if len(vector) == 4 * len(query)]
        for record in records
    }
    scored = [(record, vector) for record in records for vector in usable[id(record)]]
    scores = _similarities(query, [vector for _, vector in scored])
    best: dict[tuple[tuple[str, ...], str], tuple[float, ItemRecord]] = {}
    for score, (record, _) in zip(scores, scored, strict=True):
        name = record.namespace, record.key
        if name not in best or score > best[name][0]:
            best[name] = score, record
    ranked: list[tuple[float | None, ItemRecord]] = [*sorted(best.values(), key=lambda each: -each[0])]
    found = ranked[offset : offset + limit]
    scoreless: list[tuple[float | None, ItemRecord]] = [
        (None, each) for each in records if not usable[id(each)]
    ]
    return found + scoreless[: max(0, limit - len(found))]


@cache
def find_numpy() -> Any:
    """Return numpy, or `None` without it. The first call imports it, which reads files."""
    try:
        import numpy as np
    except ImportError:
        return None
    return np


def _similarities(query: Sequence[float], vectors: Sequence[bytes]) -> Sequence[float]:
    if not vectors:
        return []
    np = find_numpy()
    if np is None:
        return [_cosine(query, unpack_vector(vector)) for vector in vectors]
    own = np.asarray(query, dtype=np.float64)
    found: list[float] = []
    for start in range(0, len(vectors), _AT_ONCE):  # all of them at once would be in memory three times
        some = vectors[start : start + _AT_ONCE]
        others = np.frombuffer(b"".join(some), dtype="<f4").reshape(len(some), -1).astype(np.float64)
        norms = np.linalg.norm(others, axis=1) * np.linalg.norm(own)
        products = others @ own
        found += np.divide(products, norms, out=np.zeros_like(products), where=norms != 0).tolist()
    return found


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    norm = math.hypot(*one) * math.hypot(*other)
    return sum(a * b for a, b in zip(one, other, strict=True)) / norm if norm else 0.0


def select_namespaces(
    namespaces: Iterable[tuple[str, ...]],
    conditions: Iterable[MatchCondition],
    max_depth: int | None,
) -> list[tuple[str, ...]]:
    """Return the namespaces that meet all conditions, cut to a depth, sorted, each once."""
    conditions = list(conditions)
    found = {each for each in namespaces if all(_does_match(condition, each) for condition in conditions)}
    return sorted({each[:max_depth] for each in found})


def _does_match(condition: MatchCondition, namespace: tuple[str, ...]) -> bool:
    path = condition.path
    if len(namespace) < len(path):
        return False
    if condition.match_type == "prefix":
        part = namespace[: len(path)]
    elif condition.match_type == "suffix":
        part = namespace[len(namespace) - len(path) :]
    else:
        raise InvalidConfigError(f"match_type={condition.match_type!r} is none of prefix, suffix.")
    return all(pattern in ("*", label) for pattern, label in zip(path, part, strict=True))
