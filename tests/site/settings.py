"""Writes the table of docs/configuration.md from `S3Config`: `python -m tests.site.settings`."""

from __future__ import annotations

import inspect
import re
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

from langgraph_checkpoint_s3 import S3Config
from langgraph_checkpoint_s3.config import _ENVIRONMENT, MIB

DOCUMENT = Path(__file__).parents[2] / "docs" / "configuration.md"
_TABLE = re.compile(r"(?<=<!-- settings -->\n).*?(?=<!-- /settings -->)", flags=re.DOTALL)


def written(document: str) -> str:
    """The document, with today's table."""
    return _TABLE.sub(lambda _: table(), document)


def table() -> str:
    """Every setting: its default, its variable, and what it is."""
    described = meanings()
    variables = {setting: variable for variable, setting in _ENVIRONMENT.items()}
    lines = ["| setting | default | variable | |", "|---|---|---|---|"]
    for each in fields(S3Config):
        variable = f"`{variables[each.name]}`" if each.name in variables else ""
        cells = [f"`{each.name}`", default(each, described[each.name]), variable, described[each.name]]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n" + "\n".join(lines) + "\n\n"


def default(setting: Field[Any], meaning: str) -> str:
    """A setting's default, with its unit."""
    if setting.default_factory is not MISSING:
        return "none"
    value = setting.default
    if value is MISSING:
        return "(needed)"
    if isinstance(value, int) and not isinstance(value, bool) and value >= MIB:
        return f"`{value // MIB} * 2**20`"
    if isinstance(value, float) and meaning.startswith("Seconds"):
        return f"{value / 3600:g} h" if value >= 3600 else f"{value:g} s"
    return f"`{value}`"


def meanings() -> dict[str, str]:
    """Return each setting's description from the docstring."""
    document = inspect.cleandoc(S3Config.__doc__ or "")
    section = document.partition("\nAttributes:\n")[2].partition("\nRaises:\n")[0]
    described = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", section, flags=re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in described}


if __name__ == "__main__":
    DOCUMENT.write_text(written(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
