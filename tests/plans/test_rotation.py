"""Key rings are rolled out process by process: those before and after a step work on the same threads."""

from __future__ import annotations

import base64
from itertools import pairwise

import pytest

from langgraph_checkpoint_s3 import DecryptionError
from langgraph_checkpoint_s3.encryption import KeyRing
from tests.plans.helpers import put
from tests.support.checkpoints import place
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver
from tests.support.keys import secret

OLD = f"2025-11:{base64.b64encode(secret('old')).decode()}"
NEW = f"2026-11:{base64.b64encode(secret('new')).decode()}"
STEPS = (OLD, f"{OLD},{NEW}", f"{NEW},{OLD}")
"""The documented steps: add the new key everywhere, then write with it. Keep the old key for its objects."""


def ring_of(keys: str, monkeypatch: pytest.MonkeyPatch) -> KeyRing:
    """A process's keys."""
    monkeypatch.delenv("LANGGRAPH_S3_NAMES_KEY", raising=False)
    monkeypatch.setenv("LANGGRAPH_S3_KEYS", keys)
    return KeyRing.from_env()


def test_each_step_beside_the_one_before(fake: FakeS3, monkeypatch: pytest.MonkeyPatch) -> None:
    last = 0
    for before, after in pairwise(STEPS):
        both = [make_saver(fake, encryption=ring_of(keys, monkeypatch)) for keys in (before, after)]
        for saver in (*both, *reversed(both)):
            last += 1
            put(saver, f"{last:02}", f"{last - 1:02}" if last > 1 else None)
            for reader in both:
                assert len(list(reader.list(place("t")))) == last
    writer = make_saver(fake, encryption=ring_of(STEPS[-1], monkeypatch))
    put(writer, "01", thread="u")
    without_old = make_saver(fake, encryption=ring_of(NEW, monkeypatch))
    assert len(list(without_old.list(place("u")))) == 1
    with pytest.raises(DecryptionError, match=r"2025-11.*The ring has '2026-11'"):
        without_old.get_tuple(place("t", "01"))


def test_an_error_names_the_key_if_the_first_step_was_skipped(
    fake: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(make_saver(fake, encryption=ring_of(f"{NEW},{OLD}", monkeypatch)), "01")
    late = make_saver(fake, encryption=ring_of(OLD, monkeypatch))
    with pytest.raises(DecryptionError, match=r"2026-11.*The ring has '2025-11'") as caught:
        late.get_tuple(place("t"))
    assert caught.value.key in fake.objects
