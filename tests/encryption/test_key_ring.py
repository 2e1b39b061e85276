"""Key rings: what is on them, which key writes, and what they say where something isn't right."""

from __future__ import annotations

import base64
import copy
import math
import pickle
import traceback
from typing import Any

import pytest

from langgraph_checkpoint_s3.encryption import DataKey, KeyProvider, KeyRef, KeyRing
from langgraph_checkpoint_s3.errors import DecryptionError, InvalidConfigError
from tests.support.keys import secret

OLD, NEW = secret("old"), secret("new")


def text(key: bytes) -> str:
    """A key in base64."""
    return base64.b64encode(key).decode()


def test_it_is_a_provider() -> None:
    ring = KeyRing({"old": OLD})
    assert isinstance(ring, KeyProvider)
    assert ring.cache_seconds == math.inf
    assert ring.names_key() is None


def test_one_writes_and_all_read() -> None:
    ring = KeyRing({"new": NEW, "old": OLD}, write_with="new", names_key=secret("names"))
    assert ring.current() == DataKey(KeyRef("new"), NEW)
    assert (ring.unlock(KeyRef("old")), ring.unlock(KeyRef("new"))) == (OLD, NEW)
    assert ring.names_key() == secret("names")
    assert KeyRing({"only": OLD}).current().ref.id == "only"


@pytest.mark.parametrize(
    "encoded",
    [
        text(OLD),
        text(OLD).rstrip("="),
        base64.urlsafe_b64encode(OLD).decode(),
        f" {text(OLD)}\n",
    ],
    ids=["base64", "without =", "for URLs", "with space around"],
)
def test_keys_may_be_base64(encoded: str) -> None:
    assert KeyRing({"old": encoded}).unlock(KeyRef("old")) == OLD


@pytest.mark.parametrize("ref", [KeyRef("third"), KeyRef("old", b"wrapped by KMS"), KeyRef("x" * 2_000)])
def test_a_missing_key_is_named(ref: KeyRef) -> None:
    ring = KeyRing({"new": NEW, "old": OLD}, write_with="new")
    with pytest.raises(DecryptionError, match=r"The ring has 'new', 'old'") as caught:
        ring.unlock(ref)
    assert repr(ref.id[:200]) in str(caught.value)
    assert len(str(caught.value)) < 500


WRONG: dict[str, tuple[Any, dict[str, Any], str]] = {
    "none": ({}, {}, "at least one id"),
    "no mapping": ([("old", OLD)], {}, "needs a mapping"),
    "short": ({"old": OLD[:31]}, {}, "Key 1 of 1 isn't 32 bytes"),
    "long": ({"old": OLD + b"x"}, {}, "Key 1 of 1 isn't 32 bytes"),
    "short base64": ({"a": OLD, "b": text(OLD[:16])}, {"write_with": "a"}, "Key 2 of 2 isn't 32 bytes"),
    "no base64": ({"old": "not base64!"}, {}, "isn't 32 bytes, or their base64"),
    "empty id": ({"": OLD}, {}, "has no id of 1 to 200"),
    "long id": ({"x" * 201: OLD}, {}, "has no id of 1 to 200"),
    "id with a line's end": ({"a\n": OLD}, {}, "has no id of 1 to 200"),
    "number for an id": ({1: OLD}, {}, "has no id of 1 to 200"),
    "swapped": ({text(OLD): "old"}, {}, "did id and key change places"),
    "swapped, in hex": ({OLD.hex(): "old"}, {}, "did id and key change places"),
    "which one?": ({"a": OLD, "b": NEW}, {}, "write_with must say which one writes: one of 'a', 'b'"),
    "another one": ({"a": OLD}, {"write_with": "b"}, "write_with isn't the id of one of the keys: 'a'"),
    "names": ({"a": OLD}, {"names_key": b"short"}, "names_key isn't 32 bytes"),
}


@pytest.mark.parametrize(("keys", "more", "why"), WRONG.values(), ids=WRONG)
def test_what_is_no_ring(keys: Any, more: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidConfigError, match=why) as caught:
        KeyRing(keys, **more)
    message = "".join(traceback.format_exception(caught.value))
    assert text(OLD) not in message
    assert OLD.hex() not in message
    frame = caught.tb.tb_next
    assert frame is not None
    shown = repr({name: value for name, value in frame.tb_frame.f_locals.items() if name != "self"})
    assert repr(OLD)[2:-1] not in shown  # which error reporters send


def test_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGGRAPH_S3_KEYS", f"new:{text(NEW)}, 2025:11:{text(OLD)}")
    monkeypatch.delenv("LANGGRAPH_S3_NAMES_KEY", raising=False)
    ring = KeyRing.from_env()
    assert ring.current() == DataKey(KeyRef("new"), NEW)
    assert ring.unlock(KeyRef("2025:11")) == OLD
    assert ring.names_key() is None
    monkeypatch.setenv("OURS", f"a:{text(OLD)}")
    monkeypatch.setenv("NAMES", text(NEW))
    assert KeyRing.from_env("OURS", names_variable="NAMES").names_key() == NEW


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (None, "LANGGRAPH_S3_KEYS is unset or empty"),
        ("", "is unset or empty"),
        (text(OLD), "Entry 1 of LANGGRAPH_S3_KEYS isn't id:key"),
        (f"a:{text(OLD)},", "Entry 2 of LANGGRAPH_S3_KEYS isn't id:key"),
        (f"a:{text(OLD)},a:{text(NEW)}", "Entry 2 of LANGGRAPH_S3_KEYS has the id of an earlier one"),
        ("a:short", "Key 1 of 1 isn't 32 bytes"),
    ],
)
def test_what_is_no_environment(monkeypatch: pytest.MonkeyPatch, value: str | None, why: str) -> None:
    if value is None:
        monkeypatch.delenv("LANGGRAPH_S3_KEYS", raising=False)
    else:
        monkeypatch.setenv("LANGGRAPH_S3_KEYS", value)
    with pytest.raises(InvalidConfigError, match=why) as caught:
        KeyRing.from_env()
    assert text(OLD) not in "".join(traceback.format_exception(caught.value))


def test_new_keys_are_keys() -> None:
    keys = {KeyRing.new_key() for _ in range(10)}
    assert len(keys) == 10
    assert {len(key) for key in keys} == {32}


def test_no_secret_leaves_it() -> None:
    ring = KeyRing({"new": NEW, "old": OLD}, write_with="new", names_key=secret("names"))
    assert repr(ring) == "KeyRing({'new', 'old'}, write_with='new', names_key=…)"
    assert repr(KeyRing({"old": OLD})) == "KeyRing({'old'}, write_with='old')"
    with pytest.raises(TypeError, match="can't be pickled"):
        pickle.dumps(ring)
    assert copy.deepcopy(ring) is copy.copy(ring) is ring
