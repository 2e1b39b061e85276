"""docs/cli.md has every command, and its examples print what it shows."""

from __future__ import annotations

import re

from langgraph_checkpoint_s3.cli.app import COMMANDS
from tests.cli.document import DOCUMENT, answered, comparable


def test_the_examples_answer_what_the_document_shows() -> None:
    shown = DOCUMENT.read_text(encoding="utf-8")
    assert comparable(answered(shown)) == comparable(shown), "python -m tests.cli.document writes it anew"


def test_every_command_has_its_place() -> None:
    headings = " ".join(re.findall(r"^### (.*)$", DOCUMENT.read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert sorted(headings.replace(",", "").split()) == sorted(COMMANDS)
