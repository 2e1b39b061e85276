"""Encrypted threads of every version that was ever released are found and read.

`python -m tests.plans.test_encrypted_fixtures` wrote `fixtures/sealed-1.json` once: a bucket's objects by
their keys, in base64. It stays as it is.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
from typing import Any

import pytest

from langgraph_checkpoint_s3 import S3Saver
from tests.format.make_fixtures import FIXTURES
from tests.plans.borrowers import eager, step
from tests.support import checkpoints
from tests.support.checkpoints import place, shown
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver
from tests.support.keys import Keys

FILE = FIXTURES / "sealed-1.json"
DIGEST = "78468047995316b3be87ca6c322af95dde09dde569da16dcd90116c9c20f1fc8"
"""SHA-256 of the file: what was released never changes."""
SETTINGS: dict[bool, dict[str, Any]] = {
    private: {"encryption": Keys("2026-11", "2025-11", names="names"), "private_keys": private}
    for private in (False, True)
}
TEXT = "a text that the next checkpoint borrows " * 20


def fill(saver: S3Saver, thread: str) -> None:
    """Two checkpoints, of which one borrows, and writes."""
    where: Any = {"thread": thread, "ns": "sub|1"}
    first = step(saver, "01", run="run-1", text=TEXT, n=1, **where)
    step(saver, "02", first, run="run-1", n=2, **where)
    saver.put_writes(place(thread, "02", "sub|1"), [("c", [1, "two"]), ("__error__", "e")], "task-1", "~path")


@pytest.fixture
def bucket() -> FakeS3:
    """The file as a bucket."""
    fake = FakeS3()
    for key, data in json.loads(FILE.read_text()).items():
        fake.put(key, base64.b64decode(data))
    return fake


def test_it_never_changes() -> None:
    assert hashlib.sha256(FILE.read_bytes()).hexdigest() == DIGEST


@pytest.mark.parametrize("private", [False, True])
def test_it_is_read(bucket: FakeS3, private: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "_VERSIONS", itertools.count(3 if private else 1))  # as it was then
    thread = "private" if private else "sealed"
    expected = FakeS3()
    fill(eager(expected), thread)
    wanted = [shown(each) for each in make_saver(expected).list(place(thread, ns=None))]
    found = make_saver(bucket, **SETTINGS[private]).list(place(thread, ns=None))
    assert [shown(each) for each in found] == wanted


if __name__ == "__main__":
    made = FakeS3()
    for private, settings in SETTINGS.items():
        keys = Keys("2025-11", names="names")
        fill(eager(made, **{**settings, "encryption": keys}), "private" if private else "sealed")
    objects = {key: base64.b64encode(each.data).decode() for key, each in sorted(made.objects.items())}
    with FILE.open("x") as file:
        json.dump(objects, file, indent=1)
