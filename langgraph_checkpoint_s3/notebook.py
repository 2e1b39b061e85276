"""HTML table of a saver, for notebooks."""

from __future__ import annotations

import html
from dataclasses import fields

from langgraph_checkpoint_s3.config import S3Config
from langgraph_checkpoint_s3.s3.stats import Stats

_SHOWN_FIRST = ("bucket", "prefix", "endpoint_url")


def saver_table(name: str, config: S3Config, stats: Stats) -> str:
    """Return a table of the bucket, the settings that aren't default, and the counters that aren't zero.

    Args:
        name: The caption: the saver's class.
        config: The saver's settings.
        stats: The saver's counters.
    """
    default = S3Config(bucket=config.bucket)
    rows: list[tuple[str, object]] = [
        ("bucket", config.bucket),
        ("prefix", config.prefix),
        ("endpoint", config.endpoint_url or "AWS's, or what the environment says"),
    ]
    for setting in fields(S3Config):
        value = getattr(config, setting.name)
        if setting.name not in _SHOWN_FIRST and value != getattr(default, setting.name):
            rows.append((setting.name, repr(value)))
    for setting in fields(Stats):
        value = getattr(stats, setting.name)
        if isinstance(value, str):
            shown = "" if value == "off" else value
        elif isinstance(value, int):
            shown = f"{value:,}" if value else ""
        else:
            shown = ", ".join(f"{count:,} {kind}" for kind, count in sorted(value.items()))
        if shown:
            rows.append((setting.name.replace("_", " "), shown))
    body = "".join(
        f'<tr><th scope="row">{html.escape(label)}</th><td>{html.escape(str(value))}</td></tr>'
        for label, value in rows
    )
    return f"<table><caption>{html.escape(name)}</caption><tbody>{body}</tbody></table>"
