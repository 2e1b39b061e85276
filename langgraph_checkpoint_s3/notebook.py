"""HTML tables of savers, settings, counters and reports, for notebooks.

Whatever they show is escaped. Notebooks are shared: settings are shown without account numbers and the
values of tags.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from langgraph_checkpoint_s3.text.humanize import format_size

if TYPE_CHECKING:
    from langgraph_checkpoint_s3.config import S3Config
    from langgraph_checkpoint_s3.s3.stats import Stats

_SHOWN_FIRST: Final = ("bucket", "prefix", "endpoint_url")
_ACCOUNT: Final = re.compile(r"(?<!\d)\d{12}(?!\d)")


def table(caption: str, rows: Iterable[Sequence[object]], styles: Mapping[str, str] | None = None) -> str:
    """Return an HTML table.

    Args:
        caption: Its caption.
        rows: Its rows, each with a heading first.
        styles: CSS of cells that have exactly this text.
    """
    body = "".join(
        f'<tr><th scope="row">{html.escape(str(heading))}</th>'
        f"{''.join(_cell(str(each), (styles or {}).get(str(each), '')) for each in rest)}</tr>"
        for heading, *rest in rows
    )
    return f"<table><caption>{html.escape(caption)}</caption><tbody>{body}</tbody></table>"


def _cell(text: str, style: str) -> str:
    return f'<td style="text-align:left{style and f";{style}"}">{html.escape(text)}</td>'


def setting_rows(config: S3Config) -> list[tuple[str, str]]:
    """Return the bucket, and the settings that aren't default."""
    default = type(config)(bucket=config.bucket)
    rows = [
        ("bucket", config.bucket),
        ("prefix", config.prefix),
        ("endpoint", config.endpoint_url or "AWS's, or what the environment says"),
    ]
    for setting in fields(config):
        value = getattr(config, setting.name)
        if setting.name not in _SHOWN_FIRST and value != getattr(default, setting.name):
            shown = ", ".join(value) if setting.name == "object_tags" else repr(value)
            rows.append((setting.name, shown))
    return [(name, _ACCOUNT.sub("…", value)) for name, value in rows]


def stats_rows(stats: Stats) -> list[tuple[str, str]]:
    """Return the counters that aren't zero."""
    rows = ((each.name, _counter(each.name, getattr(stats, each.name))) for each in fields(stats))
    return [(name.replace("_", " "), shown) for name, shown in rows if shown]


def _counter(name: str, value: Any) -> str:
    if isinstance(value, str):
        return "" if value == "off" else value
    if not isinstance(value, int):
        return ", ".join(f"{count:,} {kind}" for kind, count in sorted(value.items()))
    if not value:
        return ""
    return format_size(value) if name.startswith("bytes_") else f"{value:,}"
