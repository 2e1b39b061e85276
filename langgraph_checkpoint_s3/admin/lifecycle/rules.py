"""What a lifecycle rule of S3 says: whose it is, what it acts on, whether two say the same. Pure.

A rule is S3's own document, as botocore has it. Those that this package makes are named

    langgraph-checkpoint-s3:{prefix}:{kind}
    langgraph-checkpoint-s3:{prefix}:{kind}:{tag}={value}

and, where days were added to what was asked for, `:+{days}d` behind that. No prefix holds a colon, and a
tag is written as a key's component: so names that differ are of different rules, and prefixes
that nest (`a/` and `a/b/`) are never taken for one another.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from langgraph_checkpoint_s3.format.key_encoding import encode_component

Rule: TypeAlias = Mapping[str, Any]
"""A lifecycle rule, as botocore has it."""

_OWNER: Final = "langgraph-checkpoint-s3"
_LONGEST: Final = 96
_EXTRA: Final = re.compile(r":\+([0-9]+)d$")


def rule_id(prefix: str, kind: str, tag: tuple[str, str] | None = None, *, extra_days: int = 0) -> str:
    """The name of a rule of ours. S3 takes 255 characters: what is long is cut, and a digest put behind it.

    Args:
        prefix: The saver's prefix.
        kind: What the rule is for: a short word.
        tag: The tag that it is narrowed to.
        extra_days: How many days it adds to what was asked for.
    """
    parts = [_OWNER, _short(prefix), kind]
    if tag is not None:
        parts.append(_short("=".join(encode_component(text, "object_tag") for text in tag)))
    if extra_days:
        parts.append(f"+{extra_days}d")
    return ":".join(parts)


def is_rule_of(prefix: str, kind: str, tag: tuple[str, str] | None = None) -> Callable[[Rule], bool]:
    """Tells whether a rule is ours: of this prefix, kind and tag, whatever days were added."""
    return lambda rule: extra_days(rule, prefix, kind, tag) is not None


def extra_days(rule: Rule, prefix: str, kind: str, tag: tuple[str, str] | None = None) -> int | None:
    """How many days a rule of ours adds to what was asked for; `None` if it isn't ours."""
    name, base = str(rule.get("ID", "")), rule_id(prefix, kind, tag)
    if name == base:
        return 0
    match = _EXTRA.fullmatch(name.removeprefix(base)) if name.startswith(base) else None
    return int(match[1]) if match else None


def added_days(rule: Rule) -> int:
    """How many days a rule adds, if this package made it, whatever its prefix and kind; else 0."""
    name = str(rule.get("ID", ""))
    match = _EXTRA.search(name) if name.startswith(f"{_OWNER}:") else None
    return int(match[1]) if match else 0


@dataclass(frozen=True, slots=True)
class Reach:
    """What a rule acts on, in whichever of its spellings: a bare prefix, a filter, or an `And` of filters.

    Attributes:
        prefix: What the keys begin with.
        tags: The tags that the objects have.
        above: The size in bytes that they are larger than.
        below: The size in bytes that they are smaller than.
    """

    prefix: str = ""
    tags: frozenset[tuple[str, str]] = frozenset()
    above: int | None = None
    below: int | None = None

    @classmethod
    def of(cls, rule: Rule) -> Reach:
        """What a rule acts on."""
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
        """It as a rule's `Filter`, which has an `And` around more than one condition."""
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
    """A rule as it can be written back.

    Ceph shows a filter's prefix beside its `And`, where S3 has it within; written back like that, it
    drops the prefix, and the rule would act on the whole bucket.
    """
    return {**rule, "Filter": Reach.of(rule).filter()} if len(rule.get("Filter") or ()) > 1 else rule


def same(one: Rule, other: Rule) -> bool:
    """Whether two rules say the same: stores differ in how they spell one, and in the order of its lists."""
    return _said(one) == _said(other)


def _said(rule: Rule) -> dict[str, Any]:
    said: dict[str, Any] = _without_nothing({**rule, "Filter": None, "Prefix": None})
    for name in ("Transitions", "NoncurrentVersionTransitions"):
        if name in said:
            said[name] = sorted(said[name], key=lambda step: str(sorted(step.items())))
    return {**said, "Filter": Reach.of(rule)}


def _without_nothing(value: Any) -> Any:
    """A document without what says nothing: some stores write out what is off."""
    if isinstance(value, Mapping):
        kept = {name: _without_nothing(part) for name, part in value.items()}
        return {name: part for name, part in kept.items() if part is not False and part not in (None, {}, [])}
    return [_without_nothing(part) for part in value] if isinstance(value, list) else value


def _short(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:32]
    return f"{text[: _LONGEST - len(digest) - 1]}~{digest}"
