"""The requests of the admin module, one of each kind and of each setting."""

from __future__ import annotations

from typing import Any

from langgraph_checkpoint_s3.s3 import settings
from langgraph_checkpoint_s3.s3.administration import (
    DeleteVersions,
    InspectBucket,
    InspectObject,
    ListUploads,
    ListVersions,
    RestoreObject,
)
from langgraph_checkpoint_s3.s3.requests import Request
from langgraph_checkpoint_s3.s3.settings import DeleteSetting, GetSetting, PutSetting, Setting

DOCUMENTS: dict[Setting, tuple[Any, str | None, dict[str, Any]]] = {
    settings.LIFECYCLE: (
        {"Rules": [{"ID": "x", "Status": "Enabled", "Filter": {"Prefix": "p/"}, "Expiration": {"Days": 3}}]},
        None,
        {"TransitionDefaultMinimumObjectSize": "all_storage_classes_128K"},
    ),
    settings.VERSIONING: ({"Status": "Enabled"}, None, {}),
    settings.ENCRYPTION: (
        {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]},
        None,
        {},
    ),
    settings.PUBLIC_ACCESS: ({"BlockPublicAcls": True}, None, {}),
    settings.POLICY: ('{"Statement": []}', None, {}),
    settings.METRICS: ({"Id": "m", "Filter": {"Prefix": "p/"}}, "m", {}),
    settings.ACCELERATION: ({"Status": "Enabled"}, None, {}),
    settings.REPLICATION: ({"Role": "arn:aws:iam::1:role/r", "Rules": []}, None, {}),
    settings.TIERING: (
        {"Id": "t", "Status": "Enabled", "Tierings": [{"Days": 90, "AccessTier": "ARCHIVE_ACCESS"}]},
        "t",
        {},
    ),
}
ADMIN_REQUESTS: list[Request[Any]] = [
    ListVersions("p/"),
    ListVersions("p/", 5, ("k", "v")),
    DeleteVersions((("k", "v"),)),
    ListUploads("p/"),
    ListUploads("p/", ("k", "u")),
    InspectObject("k"),
    InspectObject("k", "v"),
    RestoreObject("k", 3, "Bulk"),
    RestoreObject("k", None),
    RestoreObject("k", 3, "Standard", "v"),
    InspectBucket(),
    *(GetSetting(setting, name) for setting, (_, name, _) in DOCUMENTS.items()),
    *(PutSetting(setting, document, name, more) for setting, (document, name, more) in DOCUMENTS.items()),
    *(DeleteSetting(setting, name) for setting, (_, name, _) in DOCUMENTS.items() if setting.delete),
]
