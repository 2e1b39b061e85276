"""Changes a bucket's settings: reads each first, writes it only if it differs, and says what changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from langgraph_checkpoint_s3.plans.plan import Plan, ask
from langgraph_checkpoint_s3.s3.bucket_settings import DeleteSetting, GetSetting, PutSetting, Setting


@dataclass(frozen=True, slots=True)
class Change:
    """A setting of the bucket that was changed.

    Attributes:
        setting: What it is called, such as `bucket policy`.
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
    """Write a setting that was read before, unless it is so already; with `None`, remove it.

    Args:
        setting: The setting.
        document: Its document, as S3 has it.
        name: Which one, of those that a bucket may have several of.
        before: What `GetSetting` answered.
        more: Further arguments of the operation.
    """
    if document == before:
        return []
    if document is None:  # something was there, so this can't be taken for the bucket's own deletion
        yield from ask(DeleteSetting(setting, name))
    else:
        yield from ask(PutSetting(setting, document, name, more or {}))
    return [Change(setting.name if name is None else f"{setting.name} {name}", before, document)]


def set_setting(setting: Setting, document: Any, name: str | None = None) -> Plan[list[Change]]:
    """Make a setting just so; nothing is sent but a read where it is so already."""
    before = yield from ask(GetSetting(setting, name))
    return (yield from replace_setting(setting, document, name, before=before))
