"""Public method that checks the bucket."""

from __future__ import annotations

import uuid
from datetime import datetime, timezone

from langgraph_checkpoint_s3.admin.base import BaseAdmin
from langgraph_checkpoint_s3.admin.check import check
from langgraph_checkpoint_s3.admin.check.report import CheckReport
from langgraph_checkpoint_s3.plans.plan import Plan


class Check(BaseAdmin):
    """Operation of `S3Admin` that checks the bucket."""

    def check(self) -> CheckReport:
        """Try all that a saver needs of its bucket, and inspect the bucket's settings.

            report = admin.check()
            print(report)  # a table
            assert report.ok, report

        Writes eleven small objects and an upload below `{prefix}.probe/` and removes them, with their
        versions if the bucket keeps some. Takes seven round trips, nine with versions: about 30 requests,
        half of which are billed as writes. A problem is a finding, never an error: a missing bucket, a store
        that can't be reached, wrong credentials, a denied permission.

        The findings are, in this order: `connection`, `credentials`, `bucket`, `region`, `clock`, `writes`
        (with the saver's tags, encryption and storage class), `reads`, `range reads`, `absence`, `lists`,
        `copies`, `deletes`, `multipart`, `conditional writes`, `conditional uploads`, `versioning`,
        `encryption`, `public access`, `TLS only`, `lifecycle`. If the store doesn't honour conditions, the
        saver sends none from then on, as after `setup()`.

        Needs what a saver needs: `s3:GetObject`, `s3:PutObject`, `s3:DeleteObject` and
        `s3:AbortMultipartUpload` on `BUCKET/PREFIX*`, `s3:ListBucket` on the bucket (and
        `s3:PutObjectTagging` with `object_tags`; `kms:GenerateDataKey` and `kms:Decrypt` with KMS). To read
        the bucket's settings: `s3:GetBucketVersioning`, `s3:GetEncryptionConfiguration`,
        `s3:GetBucketPublicAccessBlock`, `s3:GetBucketPolicy` and `s3:GetLifecycleConfiguration`. To remove
        the probe's versions: `s3:ListBucketVersions` and `s3:DeleteObjectVersion`. A setting that may not be
        read is `unknown`, not `missing`.

        Returns:
            The findings; `report.ok` is true if nothing that a saver needs is missing.
        """
        return self._apply(self._run(self._check(), "admin.check"))

    async def acheck(self) -> CheckReport:
        """`check`, as a coroutine."""
        return self._apply(await self._arun(self._check(), "admin.check"))

    def _check(self) -> Plan[CheckReport]:
        self._store.saver_state.conditional = True  # an earlier finding may be outdated
        return check.check(self.config, uuid.uuid4().hex, self._machine_time)

    def _machine_time(self) -> datetime:
        """Return the time by this machine's own clock, whatever the store's answers said before."""
        local = self._store.saver_state.store_time.local()
        return datetime.fromtimestamp(local / 1_000_000_000, timezone.utc)

    def _apply(self, report: CheckReport) -> CheckReport:
        if report["conditional writes"].status == "not supported":
            self._store.saver_state.without_conditions()
        return report
