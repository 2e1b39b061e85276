"""The checkpointer and the store for `langgraph.json`, which LangGraph's server loads by their paths.

```json
{
  "checkpointer": {"path": "langgraph_checkpoint_s3.deployment.checkpointer"},
  "store": {"path": "langgraph_checkpoint_s3.deployment.store"}
}
```

`docs/deployment.md` has a complete `langgraph.json`, and explains other settings.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.memory import S3Store

__all__ = ["checkpointer", "store"]


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


@contextlib.asynccontextmanager
async def store() -> AsyncIterator[S3Store]:
    """Make a store for long-term memory from environment variables, and close its connections at the end.

    It reads the variables that `checkpointer` reads, and uses the same bucket and prefix. For semantic
    search, make one of your own, with `index`.

    Yields:
        The store.

    Raises:
        InvalidConfigError: `S3_BUCKET_NAME` is missing, or a value is out of range.
    """
    async with S3Store.from_env() as made:
        yield made
