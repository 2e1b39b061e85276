"""A fake S3 with changeable responses, and helpers that run `check()` on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.admin.check import check
from langgraph_checkpoint_s3.admin.check.findings import FINDINGS, RETENTION
from langgraph_checkpoint_s3.admin.check.report import CheckReport
from langgraph_checkpoint_s3.s3.bucket_settings import (
    ENCRYPTION,
    LIFECYCLE,
    POLICY,
    PUBLIC_ACCESS,
    GetSetting,
    Setting,
)
from langgraph_checkpoint_s3.s3.requests import (
    Request,
)
from tests.support.fake_s3 import FakeS3, Moment, client_error
from tests.support.fake_store import make_saver
from tests.support.hooks import failing

ABORT = {
    "ID": "abort",
    "Status": "Enabled",
    "Filter": {"Prefix": ""},
    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
}
GOOD: dict[Setting, Any] = {
    ENCRYPTION: {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]},
    PUBLIC_ACCESS: {
        "BlockPublicAcls": True,
        "IgnorePublicAcls": True,
        "BlockPublicPolicy": True,
        "RestrictPublicBuckets": True,
    },
    POLICY: json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Deny",
                    "Principal": {"AWS": "*"},
                    "Action": "s3:*",
                    "Resource": ["arn:aws:s3:::fake-bucket", "arn:aws:s3:::fake-bucket/*"],
                    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                }
            ],
        }
    ),
    LIFECYCLE: {"Rules": [ABORT]},
}


class OddS3(FakeS3):
    """A fake S3 that can change its responses to some kinds of requests."""

    def __init__(self) -> None:
        super().__init__()
        self.odd: dict[type[Request[Any]], Callable[[Any, Any], Any]] = {}
        for setting, document in GOOD.items():
            self.settings[setting.name, None] = document

    def execute(self, request: Request[Any], *, conditional: bool = True) -> Any:
        answer = super().execute(request, conditional=conditional)
        change = self.odd.get(type(request))
        return answer if change is None else change(request, answer)

    def refuse(self, *kinds: type[Request[Any]], code: str = "AccessDenied", status: int = 403) -> None:
        """Answer all requests of these kinds with an error."""
        self.hook = failing(kinds, code, status)

    def refuse_setting(self, setting: Setting, code: str = "AccessDenied", status: int = 403) -> None:
        def hook(moment: Moment, request: Request[Any]) -> None:
            if moment == "before" and isinstance(request, GetSetting) and request.setting is setting:
                raise client_error(code, status, request)

        self.hook = hook


def run(fake: FakeS3, *, clock: Callable[[], datetime] | None = None, **settings: Any) -> CheckReport:
    report = run_and_leave(fake, clock=clock, **settings)
    assert nothing_left(fake)
    return report


def run_and_leave(
    fake: FakeS3, *, clock: Callable[[], datetime] | None = None, **settings: Any
) -> CheckReport:
    """Run `check()` without asserting that the probe was removed."""
    saver = make_saver(fake, **settings)
    report = S3Admin(saver)._run(check.check(saver.config, "nonce", clock or (lambda: fake.now)), "test")
    names = [name for name in FINDINGS if name != RETENTION or saver.config.retention]
    assert [finding.name for finding in report] == names
    return report


def nothing_left(fake: FakeS3) -> bool:
    return not fake.objects and not fake.uploads and not any(fake.versions.values())


def bad(report: CheckReport) -> dict[str, str]:
    return {finding.name: finding.status for finding in report if finding.status != "ok"}
