"""Probe of an unknown store: its `Features`, tried on two buckets of its own."""

from __future__ import annotations

import contextlib
import json
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from botocore.exceptions import BotoCoreError, ClientError

from .base import Features

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_PREFIX = "a/"


def features_of(client: S3Client, with_wrong_secret: S3Client) -> Features:
    """Try each feature that a test asks for. What can't be tried from outside is taken for Amazon's."""
    with _bucket(client) as plain, _bucket(client) as versioned:
        tries = _Tries(client, with_wrong_secret, plain, versioned)
        found = {name: tries.works(name) for name in _Tries.NAMES}
    return Features(**found)


@contextlib.contextmanager
def _bucket(client: S3Client) -> Iterator[str]:
    name = f"probe-{uuid.uuid4().hex[:12]}"
    client.create_bucket(Bucket=name)
    try:
        yield name
    finally:
        with contextlib.suppress(ClientError):
            client.delete_bucket_policy(Bucket=name)
        try:
            _empty(client, name)
            client.delete_bucket(Bucket=name)
        except client.exceptions.NoSuchBucket:
            pass  # rclone takes the deletion of a setting for that of the bucket
        except ClientError as error:
            print(f"bucket {name} is left behind: {error}")


def _empty(client: Any, bucket: str) -> None:
    try:
        versions = client.list_object_versions(Bucket=bucket)
    except ClientError:
        versions = {}
    for item in [*versions.get("Versions", ()), *versions.get("DeleteMarkers", ())]:
        client.delete_object(Bucket=bucket, Key=item["Key"], VersionId=item["VersionId"])
    for item in client.list_objects_v2(Bucket=bucket).get("Contents", ()):
        client.delete_object(Bucket=bucket, Key=item["Key"])


class _Tries:
    """A method for each feature: it returns whether the store has it, or raises the store's refusal."""

    NAMES = (
        *("credentials", "conditional_put", "conditional_multipart", "conditional_versioned", "if_match"),
        *("versioning", "lifecycle", "lifecycle_exact", "lifecycle_legacy", "archive", "policies"),
        *("bucket_policy", "policy_conditions", "encryption", "presigned_expiry", "presigned_signature"),
        *("key_limit", "delete_limit", "public_access", "acceleration", "request_metrics", "replication"),
        "tags",
    )

    def __init__(self, client: S3Client, stranger: S3Client, plain: str, versioned: str) -> None:
        self.client: Any = client
        self.stranger: Any = stranger
        self.bucket = plain
        self.versioned = versioned

    def works(self, name: str) -> bool:
        attempt: Callable[[], bool] = getattr(self, name)
        try:
            return attempt()
        except (ClientError, BotoCoreError):
            return False

    def put(self, key: str, bucket: str | None = None, client: Any = None, **more: Any) -> Any:
        where = {"Bucket": bucket or self.bucket, "Key": key}
        return (client or self.client).put_object(**where, Body=b"probe", **more)

    def credentials(self) -> bool:
        return _refused(lambda: self.put("stranger", client=self.stranger))

    def conditional_put(self) -> bool:
        self.put("condition", IfNoneMatch="*")
        return _refused(lambda: self.put("condition", IfNoneMatch="*"), 412)

    def tags(self) -> bool:
        where = {"Bucket": self.bucket, "Key": "tags"}
        self.put("tags", Tagging="life=short")
        self.client.put_object_tagging(**where, Tagging={"TagSet": [{"Key": "life", "Value": "long"}]})
        kept = bool(self.client.get_object_tagging(**where).get("TagSet"))
        # A store without tags may take them for the object itself.
        return kept and self.client.get_object(**where)["Body"].read() == b"probe"

    def conditional_multipart(self) -> bool:
        def upload() -> None:
            where = {"Bucket": self.bucket, "Key": "parts"}
            name = self.client.create_multipart_upload(**where)["UploadId"]
            tag = self.client.upload_part(**where, UploadId=name, PartNumber=1, Body=b"probe")["ETag"]
            parts = {"Parts": [{"PartNumber": 1, "ETag": tag}]}
            try:
                self.client.complete_multipart_upload(
                    **where, UploadId=name, MultipartUpload=parts, IfNoneMatch="*"
                )
            except ClientError:
                self.client.abort_multipart_upload(**where, UploadId=name)
                raise

        upload()
        return _refused(upload, 412)

    def versioning(self) -> bool:
        self.client.put_bucket_versioning(
            Bucket=self.versioned, VersioningConfiguration={"Status": "Enabled"}
        )
        return bool(self.put("versions", self.versioned).get("VersionId"))

    def conditional_versioned(self) -> bool:
        self.versioning()
        self.put("condition", self.versioned, IfNoneMatch="*")
        return _refused(lambda: self.put("condition", self.versioned, IfNoneMatch="*"), 412)

    def if_match(self) -> bool:
        tag = self.put("match")["ETag"]
        self.client.put_object(Bucket=self.bucket, Key="match", Body=b"other", IfMatch=tag)
        return _refused(lambda: self.put("match", IfMatch=tag), 412)

    def rules(self, **rule: Any) -> list[dict[str, Any]]:
        """Put a lifecycle rule, and return the rules that are there then."""
        rule = {"ID": "probe", "Status": "Enabled", **rule}
        self.client.put_bucket_lifecycle_configuration(
            Bucket=self.bucket, LifecycleConfiguration={"Rules": [rule]}
        )
        found: list[dict[str, Any]] = self.client.get_bucket_lifecycle_configuration(Bucket=self.bucket)[
            "Rules"
        ]
        self.client.delete_bucket_lifecycle(Bucket=self.bucket)
        return [each for each in found if each == rule]

    def lifecycle(self) -> bool:
        return bool(self.rules(Filter={"Prefix": _PREFIX}, Expiration={"Days": 3}))

    def lifecycle_exact(self) -> bool:
        conditions = {"Prefix": _PREFIX, "ObjectSizeGreaterThan": 500}
        versions = {"NoncurrentDays": 3, "NewerNoncurrentVersions": 2}
        return bool(self.rules(Filter={"And": conditions}, NoncurrentVersionExpiration=versions))

    def lifecycle_legacy(self) -> bool:
        return bool(self.rules(Prefix=_PREFIX, Expiration={"Days": 3}))

    def archive(self) -> bool:
        self.put("archived", StorageClass="GLACIER")
        self.client.restore_object(Bucket=self.bucket, Key="archived", RestoreRequest={"Days": 1})
        moves = [{"Days": 1, "StorageClass": "GLACIER_IR"}]
        return bool(self.rules(Filter={"Prefix": _PREFIX}, Transitions=moves))

    def deny(self, **condition: Any) -> None:
        """Have the bucket's policy deny uploads below `denied/`."""
        resource = f"arn:aws:s3:::{self.bucket}/denied/*"
        statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": resource}
        policy = {"Version": "2012-10-17", "Statement": [{**statement, **condition}]}
        self.client.put_bucket_policy(Bucket=self.bucket, Policy=json.dumps(policy))

    def policies(self) -> bool:
        self.deny()
        return "denied/" in self.client.get_bucket_policy(Bucket=self.bucket)["Policy"]

    def bucket_policy(self) -> bool:
        self.deny()
        return _refused(lambda: self.put("denied/key"))

    def policy_conditions(self) -> bool:
        if not self.bucket_policy():
            return False
        self.deny(Condition={"StringLike": {"aws:UserAgent": "nobody-has-this-one"}})
        return not _refused(lambda: self.put("denied/key"))

    def encryption(self) -> bool:
        rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
        self.client.put_bucket_encryption(
            Bucket=self.bucket, ServerSideEncryptionConfiguration={"Rules": [rule]}
        )
        self.client.get_bucket_encryption(Bucket=self.bucket)
        return bool(self.put("encrypted", ServerSideEncryption="AES256").get("ServerSideEncryption"))

    def url(self, seconds: int) -> str:
        where = {"Bucket": self.bucket, "Key": "signed"}
        self.client.put_object(**where, Body=b"probe")
        signed: str = self.client.generate_presigned_url("get_object", Params=where, ExpiresIn=seconds)
        return signed

    def presigned_expiry(self) -> bool:
        then = datetime.now(timezone.utc) - timedelta(minutes=5)
        with patch(
            "botocore.auth.get_current_datetime", lambda remove_tzinfo=True: then.replace(tzinfo=None)
        ):
            old = self.url(1)
        return _fetched(self.url(60)) and not _fetched(old)

    def presigned_signature(self) -> bool:
        url = self.url(60)
        return not _fetched(url[:-1] + ("0" if url[-1] != "0" else "1"))

    def key_limit(self) -> bool:
        return _refused(lambda: self.put(("x" * 200 + "/") * 5 + "y" * 20), 400)

    def delete_limit(self) -> bool:
        keys = [{"Key": f"none/{number}"} for number in range(1001)]
        return _refused(lambda: self.client.delete_objects(Bucket=self.bucket, Delete={"Objects": keys}), 400)

    def public_access(self) -> bool:
        names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
        block = dict.fromkeys(names, True)
        self.client.put_public_access_block(Bucket=self.versioned, PublicAccessBlockConfiguration=block)
        found = self.client.get_public_access_block(Bucket=self.versioned)["PublicAccessBlockConfiguration"]
        self.put("private", self.versioned)
        return bool(found == block)

    def acceleration(self) -> bool:
        self.client.put_bucket_accelerate_configuration(
            Bucket=self.bucket, AccelerateConfiguration={"Status": "Enabled"}
        )
        found = self.client.get_bucket_accelerate_configuration(Bucket=self.bucket)
        return bool(found.get("Status") == "Enabled")

    def request_metrics(self) -> bool:
        self.client.put_bucket_metrics_configuration(
            Bucket=self.bucket, Id="probe", MetricsConfiguration={"Id": "probe"}
        )
        found = self.client.list_bucket_metrics_configurations(Bucket=self.bucket)
        tiers = self.client.list_bucket_intelligent_tiering_configurations(Bucket=self.bucket)
        return bool(found.get("MetricsConfigurationList")) and "ResponseMetadata" in tiers

    def replication(self) -> bool:
        self.versioning()
        self.client.put_bucket_versioning(Bucket=self.bucket, VersioningConfiguration={"Status": "Enabled"})
        rule = {
            "ID": "probe",
            "Priority": 1,
            "Status": "Enabled",
            "Filter": {"Prefix": _PREFIX},
            "DeleteMarkerReplication": {"Status": "Disabled"},
            "Destination": {"Bucket": f"arn:aws:s3:::{self.bucket}"},
        }
        document = {"Role": "arn:aws:iam::123456789012:role/probe", "Rules": [rule]}
        self.client.put_bucket_replication(Bucket=self.versioned, ReplicationConfiguration=document)
        found = self.client.get_bucket_replication(Bucket=self.versioned)["ReplicationConfiguration"]
        self.client.delete_bucket_replication(Bucket=self.versioned)
        return bool(found == document)


def _refused(call: Callable[[], object], status: int = 403) -> bool:
    """Return whether the store answers a call with this status."""
    try:
        call()
    except ClientError as error:
        return bool(error.response["ResponseMetadata"]["HTTPStatusCode"] == status)
    return False


def _fetched(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return bool(answer.read() == b"probe")
    except urllib.error.HTTPError as refused:
        refused.close()
        return False
