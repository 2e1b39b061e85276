"""Bucket policy statement that denies requests without TLS, and its merge into an existing policy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from langgraph_checkpoint_s3.admin.bucket.arns import Arns
from langgraph_checkpoint_s3.errors import NotSupportedError

TLS_ONLY: Final = "LanggraphCheckpointS3TlsOnly"
"""Sid of the statement. It covers the whole bucket, so all savers of a bucket share it."""

_VERSION: Final = "2012-10-17"


def tls_statement(arns: Arns) -> dict[str, Any]:
    """Return the statement that denies everything over plain HTTP.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/security-best-practices.html
    """
    return {
        "Sid": TLS_ONLY,
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arns.bucket, f"{arns.objects}*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def merge(policy: str | None, statement: Mapping[str, Any]) -> str | None:
    """Return a bucket policy with a statement added, or replaced by its Sid. Keep all else, in order.

    Return the same text if an equivalent statement exists.
    """
    document, statements = _parse(policy)
    if any(_normalized(each) == _normalized(statement) for each in statements):
        return policy
    others = [each for each in statements if each.get("Sid") != statement["Sid"]]
    return json.dumps({**document, "Statement": [*others, statement]}, ensure_ascii=False)


def without(policy: str | None, sid: str) -> str | None:
    """Return a bucket policy without the statement of a Sid; `None` if no statement is left."""
    document, statements = _parse(policy)
    others = [each for each in statements if each.get("Sid") != sid]
    if len(others) == len(statements):
        return policy
    return json.dumps({**document, "Statement": others}, ensure_ascii=False) if others else None


def _parse(policy: str | None) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return a policy's document and its statements. Raise `NotSupportedError` if it isn't a policy."""
    try:
        document = {"Version": _VERSION} if policy is None else json.loads(policy)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise NotSupportedError(
            "The store answers the question for the bucket's policy with something that isn't one"
        )
    statements = document.get("Statement", [])
    return document, [statements] if isinstance(statements, dict) else list(statements)


def _normalized(statement: Mapping[str, Any]) -> dict[str, Any]:
    """Return a statement for comparison: without its Sid, in one of the spellings that IAM takes."""
    found = {name: value for name, value in statement.items() if name != "Sid"}
    if found.get("Principal") in ({"AWS": "*"}, {"AWS": ["*"]}):
        found["Principal"] = "*"
    for name in ("Action", "Resource"):
        if name in found:
            found[name] = frozenset(_as_list(found[name]))
    if "Condition" in found:
        found["Condition"] = {
            operator: {key: frozenset(map(_text, _as_list(values))) for key, values in keys.items()}
            for operator, keys in found["Condition"].items()
        }
    return found


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
