"""Docstrings of public operations: IAM actions, parameters, errors."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

from langgraph_checkpoint_s3 import Lease, S3Config, S3Saver
from langgraph_checkpoint_s3.admin import S3Admin
from tests.site.settings import meanings
from tests.support.parameters import parameters_of

# They send nothing, or only close what is open.
SILENT = {
    "S3Saver": {"from_conn_string", "from_env", "get_next_version", "stats", "close", "aclose"},
    "S3Admin": {"iam_policy", "close"},
    "Lease": {"after_fork", "check"},
}
# A bucket that can't be used is what it is there to find.
NEVER_FAILS = {"check"}
# LangGraph's names them, and nothing more is to say.
KNOWN = {"self", "cls"}
_TWIN = re.compile(r"`(\w+)`, (?:as a coroutine|as an async iterator|for `async with`)")
_ACTION = re.compile(r"`(?:s3|kms):\w+…?`|what `\w+` needs")

OPERATIONS = [
    pytest.param(getattr(kind, name), kind, id=f"{kind.__name__}.{name}")
    for kind in (S3Saver, S3Admin, Lease)
    for name, function in inspect.getmembers(kind, callable)
    if not name.startswith("_") and function.__module__.startswith("langgraph_checkpoint_s3.")
]


@pytest.mark.parametrize(("operation", "kind"), OPERATIONS)
def test_it_names_its_actions_parameters_and_errors(operation: Any, kind: type) -> None:
    doc = inspect.getdoc(operation) or ""
    if twin := _TWIN.match(doc):
        assert operation.__name__ == f"a{twin[1]}"
        assert list(inspect.signature(getattr(kind, twin[1])).parameters) == list(
            inspect.signature(operation).parameters
        )
        return
    elsewhere = re.search(r"The keywords are those of `\w+`, with the same defaults", doc)
    # A saver's settings have their own documentation, that of `S3Config`.
    named = parameters_of(operation) if kind is S3Admin else inspect.signature(operation).parameters
    for name in set() if elsewhere else set(named) - KNOWN:
        assert re.search(rf"^    \*{{0,2}}{name}(?: \(.+\))?: |`{name}`", doc, flags=re.MULTILINE), name
    if operation.__name__ not in SILENT[kind.__name__]:
        assert _ACTION.search(doc), "It names no IAM action."
        assert "\nRaises:\n" in doc or operation.__name__ in NEVER_FAILS


def test_each_setting_has_a_meaning() -> None:
    assert list(meanings()) == list(S3Config.__dataclass_fields__)
