"""Retries without their pauses."""

from __future__ import annotations

from types import SimpleNamespace

import botocore.endpoint
import pytest

from langgraph_checkpoint_s3.s3 import request_state


def shorten_pauses(monkeypatch: pytest.MonkeyPatch, seconds: float = 0.0) -> None:
    """Let requests be sent again after so many seconds at most, and by clients of the SDK at once."""
    for name in ("_FIRST_PAUSE", "_LONGEST_PAUSE", "_FIRST_THROTTLED_PAUSE", "_LONGEST_THROTTLED_PAUSE"):
        monkeypatch.setattr(request_state, name, seconds)
    monkeypatch.setattr(botocore.endpoint, "time", SimpleNamespace(sleep=lambda pause: None))
