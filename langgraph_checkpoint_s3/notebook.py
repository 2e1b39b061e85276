"""A saver as a notebook shows it: a small table."""

from __future__ import annotations

import html
from dataclasses import fields

from langgraph_checkpoint_s3.config import S3Config
from langgraph_checkpoint_s3.s3.stats import Stats

_FIRST = ("bucket", "prefix", "endpoint_url")


def table(name: str, config: S3Config, stats: Stats) -> str:
    """Where a saver is, its settings that aren't default, and what it has done. Sends nothing.

    Args:
        name: The saver's class.
        config: Its settings.
        stats: What it has done in this process.
    """
    default = S3Config(bucket=config.bucket)
    rows: list[tuple[str, object]] = [
        ("bucket", config.bucket),
        ("prefix", config.prefix),
        ("endpoint", config.endpoint_url or "AWS's, or what the environment says"),
    ]
    for setting in fields(S3Config):
        value = getattr(config, setting.name)
        if setting.name not in _FIRST and value != getattr(default, setting.name):
            rows.append((setting.name, repr(value)))
    for setting in fields(Stats):
        value = getattr(stats, setting.name)
        if isinstance(value, str):
            done = "" if value == "off" else value
        elif isinstance(value, int):
            done = f"{value:,}" if value else ""
        else:
            done = ", ".join(f"{count:,} {what}" for what, count in sorted(value.items()))
        if done:
            rows.append((setting.name.replace("_", " "), done))
    body = "".join(
        f'<tr><th scope="row">{html.escape(what)}</th><td>{html.escape(str(value))}</td></tr>'
        for what, value in rows
    )
    return f"<table><caption>{html.escape(name)}</caption><tbody>{body}</tbody></table>"
