"""Changes of bucket settings: read first, written only where they differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from langgraph_checkpoint_s3.errors import InvalidConfigError
from langgraph_checkpoint_s3.format.retention import MAX_DAYS
from langgraph_checkpoint_s3.plans.plan import Plan, ask
from langgraph_checkpoint_s3.s3.bucket_settings import DeleteSetting, PutSetting, Setting


@dataclass(frozen=True, slots=True)
class Change:
    """A setting of the bucket that was changed.

    Attributes:
        setting: Its name, such as `bucket policy`.
        before: S3's document of it before; `None` if there was none.
        after: S3's document of it now; `None` if it was removed.
    """

    setting: str
    before: Any
    after: Any


def replace_setting(
    setting: Setting,
    document: Any,
    name: str | None = None,
    *,
    before: Any = None,
    more: Mapping[str, Any] | None = None,
) -> Plan[list[Change]]:
    """Write a setting unless it equals `before`, the answer to `GetSetting`; with `None`, remove it.

    `name` is the configuration's ID, for settings of which a bucket may have several. `more` are further
    arguments of the PUT.
    """
    if document == before:
        return []
    if document is None:  # something was there, so this can't be taken for the bucket's own deletion
        yield from ask(DeleteSetting(setting, name))
    else:
        yield from ask(PutSetting(setting, document, name, more or {}))
    return [Change(setting.name if name is None else f"{setting.name} {name}", before, document)]


def normalized(document: Any) -> Any:
    """Return a document for comparison: without empty members, and with its lists sorted.

    Stores differ in the order of lists, and some write out what is off.
    """
    if isinstance(document, Mapping):
        members = ((name, normalized(value)) for name, value in sorted(document.items()))
        return {name: value for name, value in members if value is not False and value not in (None, {}, [])}
    if isinstance(document, list):
        return sorted(map(normalized, document), key=str)
    return document


def check_days(name: str, value: object, least: int = 1) -> None:
    """Raise `InvalidConfigError` unless an argument is days as lifecycle rules have them, or `None`."""
    check_number(name, value, least, MAX_DAYS)


def check_number(name: str, value: object, least: int, most: int, unit: str = "") -> None:
    """Raise `InvalidConfigError` unless an argument is a whole number in a range, or `None`."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidConfigError(f"{name}={value!r} must be a whole number{unit and f' of {unit}'}.")
    if not least <= value <= most:
        raise InvalidConfigError(f"{name}={value} must be from {least:,} to {most:,}{unit and f' {unit}'}.")
