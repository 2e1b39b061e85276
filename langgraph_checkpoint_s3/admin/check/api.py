"""An admin's check of the bucket."""

from __future__ import annotations

import uuid

from langgraph_checkpoint_s3.admin.base import BaseAdmin
from langgraph_checkpoint_s3.admin.check import check
from langgraph_checkpoint_s3.admin.check.report import CheckReport
from langgraph_checkpoint_s3.plans.plan import Plan


class Doctor(BaseAdmin):
    """An admin's check of the bucket."""

    def check(self) -> CheckReport:
        """Try all that a saver needs of its bucket and look at its settings: what is missing, and what to do.

            report = admin.check()
            print(report)  # a table
            assert report.ok, report

        Eleven small objects and an upload are made below `{prefix}.probe/` and removed again, with their
        versions where the bucket keeps some. It takes seven round trips, nine where it does: about 30
        requests, half of which are billed as writes. What is wrong is a finding and never an error: a bucket
        that isn't there, a store that can't be reached, wrong credentials, a permission that is denied.

        The findings are, in this order: `connection`, `credentials`, `bucket`, `region`, `clock`, `writes`
        (with the saver's tags, encryption and storage class), `reads`, `range reads`, `lists`, `copies`,
        `deletes`, `multipart`, `conditional writes`, `conditional uploads`, `versioning`, `encryption`,
        `public access`, `TLS only`, `lifecycle`. If the store doesn't honour conditions, the saver asks it
        for none any more, as after `setup()`.

        Needs what a saver needs: `s3:GetObject`, `s3:PutObject`, `s3:DeleteObject` and
        `s3:AbortMultipartUpload` on `BUCKET/PREFIX*`, `s3:ListBucket` on the bucket (and
        `s3:PutObjectTagging` with `object_tags`; `kms:GenerateDataKey` and `kms:Decrypt` with KMS). To see
        the bucket's settings: `s3:GetBucketVersioning`, `s3:GetEncryptionConfiguration`,
        `s3:GetBucketPublicAccessBlock`, `s3:GetBucketPolicy` and `s3:GetLifecycleConfiguration`. To remove
        the probe's versions: `s3:ListBucketVersions` and `s3:DeleteObjectVersion`. What a permission is
        missing to see is `unknown`, and not `missing`.

        Returns:
            The findings; `report.ok` is whether nothing is missing that a saver can't do without.
        """
        return self._noted(self._run(self._check()))

    async def acheck(self) -> CheckReport:
        """`check`, as a coroutine."""
        return self._noted(await self._arun(self._check()))

    def _check(self) -> Plan[CheckReport]:
        self._store.saver_state.conditional = True  # what was found before may have been mended
        return check.check(self.config, uuid.uuid4().hex, self._now)

    def _noted(self, report: CheckReport) -> CheckReport:
        if report["conditional writes"].status == "not supported":
            self._store.saver_state.without_conditions()
        return report
