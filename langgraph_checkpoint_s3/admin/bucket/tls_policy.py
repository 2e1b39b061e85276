"""The statement of a bucket policy that refuses requests without TLS, merged into what is there. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from langgraph_checkpoint_s3.admin.bucket.arns import Arns
from langgraph_checkpoint_s3.errors import NotSupportedError

TLS_ONLY: Final = "LanggraphCheckpointS3TlsOnly"
"""The Sid of our statement. It is about the whole bucket, so all savers of a bucket share it."""

_VERSION: Final = "2012-10-17"


def tls_statement(arns: Arns) -> dict[str, Any]:
    """Refuses everybody everything over plain HTTP.

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
    """A bucket policy with a statement in it, in the place of the one of its Sid. All else is kept, in order.

    It is the same text if some statement says just that already.

    Raises:
        NotSupportedError: What there is isn't a policy.
    """
    document = _read(policy)
    there = _statements(document)
    if any(_said(each) == _said(statement) for each in there):
        return policy
    others = [each for each in there if each.get("Sid") != statement["Sid"]]
    return _written({**document, "Statement": [*others, dict(statement)]})


def without(policy: str | None, sid: str) -> str | None:
    """A bucket policy without the statement of a Sid; `None` if that leaves none.

    Raises:
        NotSupportedError: What there is isn't a policy.
    """
    document = _read(policy)
    there = _statements(document)
    others = [each for each in there if each.get("Sid") != sid]
    if len(others) == len(there):
        return policy
    return _written({**document, "Statement": others}) if others else None


def _read(policy: str | None) -> dict[str, Any]:
    if policy is None:
        return {"Version": _VERSION}
    try:
        document = json.loads(policy)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise NotSupportedError(
            "The store answers the question for the bucket's policy with something that isn't one"
        )
    return document


def _written(document: Mapping[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False)


def _statements(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    there = document.get("Statement", [])
    return [there] if isinstance(there, dict) else list(there)


def _said(statement: Mapping[str, Any]) -> dict[str, Any]:
    """What a statement says, whatever it is called, in whichever of the spellings that IAM takes."""
    said = {name: value for name, value in statement.items() if name != "Sid"}
    if said.get("Principal") in ({"AWS": "*"}, {"AWS": ["*"]}):
        said["Principal"] = "*"
    for name in ("Action", "Resource"):
        if name in said:
            said[name] = frozenset(_listed(said[name]))
    if "Condition" in said:
        said["Condition"] = {
            operator: {key: frozenset(map(_text, _listed(values))) for key, values in keys.items()}
            for operator, keys in said["Condition"].items()
        }
    return said


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
