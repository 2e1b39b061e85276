"""The requests of the admin module, one of each kind and of each setting."""

from __future__ import annotations

from typing import Any

from langgraph_checkpoint_s3.s3 import bucket_settings
from langgraph_checkpoint_s3.s3.admin_requests import (
    DeleteVersions,
    GetTags,
    InspectBucket,
    InspectObject,
    ListUploads,
    ListVersions,
    PutTags,
    RestoreObject,
)
from langgraph_checkpoint_s3.s3.bucket_settings import DeleteSetting, GetSetting, PutSetting, Setting
from langgraph_checkpoint_s3.s3.requests import Request

DOCUMENTS: dict[Setting, tuple[Any, str | None, dict[str, Any]]] = {
    bucket_settings.LIFECYCLE: (
        {"Rules": [{"ID": "x", "Status": "Enabled", "Filter": {"Prefix": "p/"}, "Expiration": {"Days": 3}}]},
        None,
        {"TransitionDefaultMinimumObjectSize": "all_storage_classes_128K"},
    ),
    bucket_settings.VERSIONING: ({"Status": "Enabled"}, None, {}),
    bucket_settings.ENCRYPTION: (
        {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]},
        None,
        {},
    ),
    bucket_settings.PUBLIC_ACCESS: ({"BlockPublicAcls": True}, None, {}),
    bucket_settings.POLICY: ('{"Statement": []}', None, {}),
    bucket_settings.METRICS: ({"Id": "m", "Filter": {"Prefix": "p/"}}, "m", {}),
    bucket_settings.ACCELERATION: ({"Status": "Enabled"}, None, {}),
    bucket_settings.REPLICATION: ({"Role": "arn:aws:iam::1:role/r", "Rules": []}, None, {}),
    bucket_settings.TIERING: (
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
    GetTags("k"),
    PutTags("k", (("a", "b"), ("c", ""))),
    RestoreObject("k", 3, "Bulk"),
    RestoreObject("k", None),
    InspectBucket(),
    *(GetSetting(setting, name) for setting, (_, name, _) in DOCUMENTS.items()),
    *(PutSetting(setting, document, name, more) for setting, (document, name, more) in DOCUMENTS.items()),
    *(DeleteSetting(setting, name) for setting, (_, name, _) in DOCUMENTS.items() if setting.delete),
]
