"""The error tree is the one that its docstring draws, and each error says and keeps what it knows."""

from __future__ import annotations

import copy
import pickle
import re
from concurrent.futures import Future
from typing import Any, get_args

import pytest

import langgraph_checkpoint_s3
from langgraph_checkpoint_s3 import errors
from langgraph_checkpoint_s3.admin import MigrationError
from langgraph_checkpoint_s3.errors import AccessDeniedError, S3CheckpointError, StorageUnavailableError

KINDS = {
    "S3CheckpointError": "error",
    "InvalidConfigError": "invalid_config",
    "InvalidKeyError": "invalid_key",
    "BucketNotFoundError": "bucket_not_found",
    "AccessDeniedError": "access_denied",
    "CheckpointArchivedError": "archived",
    "CorruptObjectError": "corrupt_object",
    "DecryptionError": "decryption",
    "ConflictError": "conflict",
    "NotSupportedError": "not_supported",
    "StorageUnavailableError": "unavailable",
}
"""Users match on these: a kind never changes."""
ALL: list[type[S3CheckpointError]] = [getattr(errors, name) for name in KINDS]
PLACE: dict[str, Any] = {"bucket": "bucket", "key": "a/key", "request_ids": ("ID1", "ID2")}
MORE: dict[type[S3CheckpointError], dict[str, Any]] = {
    AccessDeniedError: {"action": "s3:GetObject"},
    StorageUnavailableError: {"attempts": 3, "status": 503},
}


def drawn() -> dict[str, str | None]:
    """The classes in the module's docstring, and the built-in that each also is."""
    lines = re.findall(r"[├└]── (\w+)(?: +also (\w+))?", errors.__doc__ or "")
    return {name: builtin or None for name, builtin in lines}


def test_the_tree_is_as_drawn() -> None:
    found = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, S3CheckpointError) and value is not S3CheckpointError
    }
    assert found == drawn().keys() == KINDS.keys() - {"S3CheckpointError"}


@pytest.mark.parametrize(("name", "builtin"), drawn().items())
def test_an_error_is_also_the_builtin_that_is_drawn(name: str, builtin: str | None) -> None:
    bases = getattr(errors, name).__bases__
    assert [base.__name__ for base in bases] == ["S3CheckpointError", *([builtin] if builtin else [])]


def test_kinds_are_stable_and_unique() -> None:
    assert {error.__name__: error.kind for error in ALL} == KINDS
    assert get_args(errors.ErrorKind) == (*KINDS.values(), MigrationError.kind)
    assert len(set(KINDS.values())) == len(KINDS)


def test_every_error_is_exported() -> None:
    assert set(KINDS) <= set(langgraph_checkpoint_s3.__all__)
    assert all(getattr(langgraph_checkpoint_s3, name) is getattr(errors, name) for name in KINDS)


@pytest.mark.parametrize("error", ALL)
def test_an_error_says_where_and_which_request(error: type[S3CheckpointError]) -> None:
    assert str(error("It broke", **PLACE)) == "It broke (at s3://bucket/a/key; request ID1 ID2)"
    assert str(error("It broke", bucket="bucket")) == "It broke (at s3://bucket/)"
    assert str(error("It broke", key="a/key")) == "It broke (at a/key)"
    assert str(error("It broke", request_ids=["ID1"])) == "It broke (request ID1)"
    assert str(error("It broke")) == "It broke"
    assert repr(error("It broke", **PLACE)) == f"{error.__name__}('It broke')"


@pytest.mark.parametrize("error", ALL)
def test_an_error_keeps_what_it_knows(error: type[S3CheckpointError]) -> None:
    made = error("It broke", **PLACE, **MORE.get(error, {}))
    expected = {"reason": "It broke", **PLACE, **MORE.get(error, {})}
    assert {name: getattr(made, name) for name in expected} == expected
    assert made.args == ("It broke",)
    made.bucket = "named later"
    assert "s3://named later/a/key" in str(made)


@pytest.mark.parametrize("error", ALL)
def test_an_error_survives_another_process(error: type[S3CheckpointError]) -> None:
    made = error("It broke", **PLACE, **MORE.get(error, {}))
    if hasattr(made, "add_note"):
        made.add_note("and more")
    for copied in (pickle.loads(pickle.dumps(made)), copy.copy(made), copy.deepcopy(made)):
        assert type(copied) is error
        assert str(copied) == str(made)
        assert vars(copied) == vars(made)


def test_an_error_goes_through_a_future() -> None:
    future: Future[None] = Future()
    future.set_exception(AccessDeniedError("No", action="s3:PutObject"))
    with pytest.raises(PermissionError, match="No"):
        future.result()


@pytest.mark.parametrize("error", ALL)
def test_what_is_not_given_is_absent(error: type[S3CheckpointError]) -> None:
    made = error("It broke")
    assert (made.bucket, made.key, made.request_ids) == (None, None, ())
    assert all(getattr(made, name) is None for name in MORE.get(error, {}))
