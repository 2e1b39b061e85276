"""The tables of settings are complete, and say what the source says."""

from __future__ import annotations

import re
from dataclasses import fields

from langgraph_checkpoint_s3 import S3Config
from langgraph_checkpoint_s3.config import _ENVIRONMENT
from tests.site.settings import DOCUMENT, table, written

README = DOCUMENT.parents[1] / "README.md"


def test_the_table_is_todays() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    assert table() in document, "python -m tests.site.settings writes it anew"
    assert written(document) == document


def test_each_setting_has_a_row_with_its_default_and_variable() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\S.*?) \| (.*?) \| (\S.*) \|$", table(), flags=re.MULTILINE)
    assert [row[0] for row in rows] == [each.name for each in fields(S3Config)]
    found = {row[2].strip("` "): row[0] for row in rows if row[2].strip()}
    assert found == _ENVIRONMENT
    defaults = {row[0]: row[1] for row in rows}
    assert defaults["multipart_part_size"] == "`8 * 2**20`"
    assert defaults["borrow_horizon"] == "24 h"
    assert defaults["read_timeout"] == "20 s"
    assert defaults["max_concurrency"] == "`16`"


def test_the_readme_names_the_variables() -> None:
    text = README.read_text(encoding="utf-8")
    assert all(f"`{variable}`" in text for variable in _ENVIRONMENT)
