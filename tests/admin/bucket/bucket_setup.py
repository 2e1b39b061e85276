"""Helpers of the tests of bucket configuration."""

from __future__ import annotations

import json
from typing import Any

from langgraph_checkpoint_s3.admin.bucket.configure import IntelligentTieringArchive
from langgraph_checkpoint_s3.admin.setting_changes import Change
from langgraph_checkpoint_s3.s3 import bucket_settings
from langgraph_checkpoint_s3.s3.bucket_settings import GetSetting, Setting
from langgraph_checkpoint_s3.s3.requests import ListObjects, Request
from tests.support.fake_s3 import FakeS3, Moment, client_error

ID = "langgraph-checkpoint-s3.checkpoints.2F"
NOTHING: dict[str, Any] = {
    "encryption": None,
    "block_public_access": None,
    "tls_only": None,
    "abort_incomplete_uploads_days": None,
}
ARCHIVE = IntelligentTieringArchive(archive_after_days=90, allow_offline_archive=True)
ALL: dict[str, Any] = {"request_metrics": True, "accelerate": True, "intelligent_tiering": ARCHIVE}
FOREIGN = {"Sid": "Theirs", "Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": "arn:x"}


def names(changes: list[Change]) -> list[str]:
    return [change.setting for change in changes]


def written(fake: FakeS3, setting: Setting, name: str | None = None) -> Any:
    return fake.settings.get((setting.name, name))


def policy(fake: FakeS3) -> list[dict[str, Any]]:
    statements: list[dict[str, Any]] = json.loads(written(fake, bucket_settings.POLICY))["Statement"]
    return statements


def refuse(fake: FakeS3, kind: type[Request[Any]], code: str, status: int, *refused: Setting) -> None:
    """Refuse requests of a kind, for these settings or for all."""

    def hook(moment: Moment, request: Request[Any]) -> None:
        meant = isinstance(request, kind) and (not refused or getattr(request, "setting", None) in refused)
        if moment == "before" and meant:
            raise client_error(code, status, request)

    fake.hook = hook


def writes(requests: list[Request[Any]]) -> list[Request[Any]]:
    reads = (GetSetting, ListObjects)
    return [request for request in requests if not isinstance(request, reads) and hasattr(request, "setting")]
