"""Lifecycle rules: IDs, filters, and comparison.

A rule is S3's own document, as botocore has it. Rules of this package have the IDs

    langgraph-checkpoint-s3:{prefix}:{kind}
    langgraph-checkpoint-s3:{prefix}:{kind}:{tag}={value}

with `:+{days}d` appended if days were added to those of the policy. No prefix contains a colon, and a tag is
encoded like a key's component. So different rules have different IDs, and nested prefixes (`a/` and `a/b/`)
are told apart.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from langgraph_checkpoint_s3.admin.setting_changes import normalized
from langgraph_checkpoint_s3.format.key_encoding import encode_component

Rule: TypeAlias = Mapping[str, Any]
"""A lifecycle rule, as botocore has it."""

_OWNER: Final = "langgraph-checkpoint-s3"
_MAX_PART: Final = 96
_EXTRA: Final = re.compile(r":\+([0-9]+)d$")


def rule_id(prefix: str, kind: str, tag: tuple[str, str] | None = None, *, extra_days: int = 0) -> str:
    """Return the ID of a rule. S3 allows 255 characters: long parts are cut, and end in a digest."""
    parts = [_OWNER, _short(prefix), kind]
    if tag is not None:
        parts.append(_short("=".join(encode_component(text, "object_tag") for text in tag)))
    if extra_days:
        parts.append(f"+{extra_days}d")
    return ":".join(parts)


def is_rule_of(prefix: str, kind: str, tag: tuple[str, str] | None = None) -> Callable[[Rule], bool]:
    """Return a test whether a rule is of this prefix, kind and tag, whatever days were added."""
    return lambda rule: extra_days(rule, prefix, kind, tag) is not None


def extra_days(rule: Rule, prefix: str, kind: str, tag: tuple[str, str] | None = None) -> int | None:
    """Return the days that were added to a rule of this prefix, kind and tag; `None` if it isn't one."""
    name, base = str(rule.get("ID", "")), rule_id(prefix, kind, tag)
    if name == base:
        return 0
    match = _EXTRA.fullmatch(name.removeprefix(base)) if name.startswith(base) else None
    return int(match[1]) if match else None


def added_days(rule: Rule) -> int:
    """Return the days that were added to any rule of this package; 0 for other rules."""
    name = str(rule.get("ID", ""))
    match = _EXTRA.search(name) if name.startswith(f"{_OWNER}:") else None
    return int(match[1]) if match else 0


@dataclass(frozen=True, slots=True)
class Reach:
    """The objects that a rule applies to, whether it has a bare prefix, a filter, or an `And` of filters.

    Attributes:
        prefix: Prefix of the keys.
        tags: Tags of the objects.
        above: Size in bytes that they exceed.
        below: Size in bytes that they stay below.
    """

    prefix: str = ""
    tags: frozenset[tuple[str, str]] = frozenset()
    above: int | None = None
    below: int | None = None

    @classmethod
    def of(cls, rule: Rule) -> Reach:
        """Return the reach of a rule."""
        filters = rule.get("Filter") or {}
        parts = {"Prefix": rule.get("Prefix"), **filters, **(filters.get("And") or {})}
        tags = [*parts.get("Tags", ()), *([parts["Tag"]] if parts.get("Tag") else ())]
        return cls(
            parts.get("Prefix") or "",
            frozenset((tag["Key"], tag.get("Value", "")) for tag in tags),
            parts.get("ObjectSizeGreaterThan"),
            parts.get("ObjectSizeLessThan"),
        )

    def filter(self) -> dict[str, Any]:
        """Return the rule's `Filter`, with an `And` around several conditions."""
        parts: dict[str, Any] = {"Prefix": self.prefix} if self.prefix else {}
        if self.tags:
            parts["Tags"] = [{"Key": key, "Value": value} for key, value in sorted(self.tags)]
        if self.above is not None:
            parts["ObjectSizeGreaterThan"] = self.above
        if self.below is not None:
            parts["ObjectSizeLessThan"] = self.below
        if not parts:
            return {"Prefix": ""}
        if len(parts) > 1 or len(self.tags) > 1:
            return {"And": parts}
        return {"Tag": parts["Tags"][0]} if self.tags else parts


def as_read(rule: Rule) -> Rule:
    """Return a rule as it can be written back.

    Ceph shows a filter's prefix beside its `And`, where S3 has it inside. Written back like that, Ceph drops
    the prefix, and the rule would apply to the whole bucket.
    """
    return {**rule, "Filter": Reach.of(rule).filter()} if len(rule.get("Filter") or ()) > 1 else rule


def same(one: Rule, other: Rule) -> bool:
    """Return whether two rules are equivalent, however a store spells them."""
    documents = [normalized({**rule, "Filter": None, "Prefix": None}) for rule in (one, other)]
    return Reach.of(one) == Reach.of(other) and bool(documents[0] == documents[1])


def _short(text: str) -> str:
    if len(text) <= _MAX_PART:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:32]
    return f"{text[: _MAX_PART - len(digest) - 1]}~{digest}"
