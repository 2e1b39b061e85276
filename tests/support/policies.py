"""Judges requests by an IAM policy, as far as the policies of this package go."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from langgraph_checkpoint_s3.s3.admin_requests import DeleteVersions, ListVersions
from langgraph_checkpoint_s3.s3.requests import (
    CopyObject,
    DeleteObjects,
    GetObject,
    ListObjects,
    Request,
)

ROLE = "arn:aws:iam::123456789012:role/replication"
"""The role that requests for replication pass."""


@dataclass(frozen=True)
class Question:
    """An action on a resource; `context` holds the request's condition keys."""

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)


def allowed(policy: Mapping[str, Any], question: Question) -> bool:
    """Return whether a statement allows it. Only Allow statements are supported."""
    return any(_allows(statement, question) for statement in policy["Statement"])


def questions(request: Request[Any], bucket: str) -> Iterator[Question]:
    """Yield the permissions that IAM checks for a request to a bucket, given by its ARN."""
    context = {"s3:prefix": request.prefix} if isinstance(request, (ListObjects, ListVersions)) else {}
    for action in request.action.split(" and "):
        if action == "iam:PassRole":
            yield Question(action, ROLE, {"iam:PassedToService": "s3.amazonaws.com"})
            continue
        for key in _keys(request, action):
            resource = bucket if key is None else f"{bucket}/{key}"
            yield Question(_of_version(request, action), resource, context)


def _keys(request: Request[Any], action: str) -> list[str | None]:
    match request:
        case CopyObject(source, target):
            return [source if action == "s3:GetObject" else target]
        case DeleteObjects(keys):
            return list(keys)
        case DeleteVersions(versions):
            return [key for key, _ in versions]
    return [getattr(request, "key", None)]


def _of_version(request: Request[Any], action: str) -> str:
    """Old versions have an action of their own."""
    if isinstance(request, (GetObject, CopyObject)) and request.version:
        return {"s3:GetObject": "s3:GetObjectVersion"}.get(action, action)
    return action


def _allows(statement: Mapping[str, Any], question: Question) -> bool:
    assert statement["Effect"] == "Allow"
    return (
        any(_like(pattern, question.action) for pattern in _listed(statement["Action"]))
        and any(_like(pattern, question.resource) for pattern in _listed(statement["Resource"]))
        and all(
            _holds(operator, question.context.get(key), _listed(values))
            for operator, keys in statement.get("Condition", {}).items()
            for key, values in keys.items()
        )
    )


def _holds(operator: str, value: str | None, patterns: list[str]) -> bool:
    if value is None:
        return False
    if operator == "StringLike":
        return any(_like(pattern, value) for pattern in patterns)
    assert operator in ("StringEquals", "ForAnyValue:StringEquals")
    return value in patterns


def _like(pattern: str, text: str) -> bool:
    parts = (".*" if part == "*" else "." if part == "?" else re.escape(part) for part in pattern)
    return re.fullmatch("".join(parts), text, re.DOTALL) is not None


def _listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]
