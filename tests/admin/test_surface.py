"""Every public method of an admin has an async variant with the same parameters, and a complete docstring."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest

from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.admin.base import BaseAdmin
from tests.support.parameters import parameters_of

WITHOUT_A_TWIN = {"iam_policy"}
"""Methods that send no request."""


def operations() -> dict[str, Callable[..., Any]]:
    """Return an admin's public methods, without those for closing and settings."""
    return {
        name: member
        for name, member in inspect.getmembers(S3Admin, inspect.isfunction)
        if not name.startswith("_") and not hasattr(BaseAdmin, name)
    }


OPERATIONS = operations()
BLOCKING = {
    name: member
    for name, member in OPERATIONS.items()
    if not (name.startswith("a") and name[1:] in OPERATIONS)
}


def test_there_are_operations() -> None:
    assert {"enable_versioning", "set_lifecycle_policy", "signed_url", "check", "batch_put", "usage"} <= set(
        BLOCKING
    )


@pytest.mark.parametrize("name", BLOCKING)
def test_every_operation_has_a_twin_with_the_same_parameters(name: str) -> None:
    if name in WITHOUT_A_TWIN:
        assert f"a{name}" not in OPERATIONS
        return
    twin = OPERATIONS[f"a{name}"]
    assert inspect.iscoroutinefunction(twin) or inspect.isasyncgenfunction(twin)
    ours, theirs = inspect.signature(OPERATIONS[name]), inspect.signature(twin)
    assert ours.parameters == theirs.parameters
    docstring = inspect.getdoc(twin) or ""
    assert docstring.startswith(f"`{name}`, as a")


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_has_its_name_in_counts_and_telemetry(name: str) -> None:
    blocking = name if name in BLOCKING else name[1:]
    named = set(re.findall(r'"admin\.(\w+)"', inspect.getsource(OPERATIONS[name])))
    assert named <= {blocking}
    assert named or OPERATIONS[name].__module__.split(".")[2] in ("bucket", "check", "lifecycle")


@pytest.mark.parametrize("name", BLOCKING)
def test_every_operation_says_which_iam_actions_it_needs(name: str) -> None:
    docstring = inspect.getdoc(OPERATIONS[name]) or ""
    assert name in WITHOUT_A_TWIN or "s3:" in docstring, docstring


@pytest.mark.parametrize("name", BLOCKING)
def test_every_operation_describes_its_parameters(name: str) -> None:
    docstring = inspect.getdoc(OPERATIONS[name]) or ""
    parameters = parameters_of(OPERATIONS[name])
    if len(parameters) > 1:
        _, _, described = docstring.partition("Args:")
        if referred := re.search(r"The keywords are those of `(\w+)`, with the same defaults", docstring):
            assert parameters == parameters_of(OPERATIONS[referred[1]])
            _, _, described = (inspect.getdoc(OPERATIONS[referred[1]]) or "").partition("Args:")
        missing = [each for each in parameters if not re.search(rf"\b{each}(?:[:,]| \()", described)]
        assert not missing, missing
