"""The checkpointer for `langgraph.json`, which LangGraph's server loads by its path.

```json
{"checkpointer": {"path": "langgraph_checkpoint_s3.deployment.checkpointer"}}
```

`docs/deployment.md` has a complete `langgraph.json`, and explains other settings.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from langgraph_checkpoint_s3 import S3Saver

__all__ = ["checkpointer"]


@contextlib.asynccontextmanager
async def checkpointer() -> AsyncIterator[S3Saver]:
    """Make a saver from environment variables, and close its connections at the end.

    LangGraph's server enters it once for each event loop that runs graphs, and leaves it when it stops.
    Nothing is sent before the first use. Like `S3Saver.from_env`, it reads `S3_BUCKET_NAME`,
    `S3_KEY_PREFIX`, `AWS_REGION`, `S3_ENDPOINT_URL` and `S3_FORCE_PATH_STYLE`. Credentials come from AWS's
    own variables, profiles and roles. Without `S3_BUCKET_NAME` the bucket is `langgraph-test`, on another
    store than AWS only. The role needs the permissions that `S3Saver` lists.

    Yields:
        The saver.

    Raises:
        InvalidConfigError: `S3_BUCKET_NAME` is missing on AWS, or a value is out of range.
    """
    async with S3Saver.from_env() as saver:
        yield saver
