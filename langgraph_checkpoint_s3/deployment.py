"""The checkpointer for `langgraph.json`: what LangGraph's server loads by its path.

```json
{"checkpointer": {"path": "langgraph_checkpoint_s3.deployment.checkpointer"}}
```

`docs/deployment.md` has a whole `langgraph.json`, and what to do for other settings.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from langgraph_checkpoint_s3 import S3Saver

__all__ = ["checkpointer"]


@contextlib.asynccontextmanager
async def checkpointer() -> AsyncIterator[S3Saver]:
    """A saver from the environment, whose connections are closed at the end.

    LangGraph's server enters it once for each event loop that runs graphs, and leaves it when it stops.
    Nothing is sent before the first use. Reads what `S3Saver.from_env` reads: `S3_BUCKET_NAME`,
    `S3_KEY_PREFIX`, `AWS_REGION`, `S3_ENDPOINT_URL` and `S3_FORCE_PATH_STYLE`. Credentials come from AWS's
    own variables, profiles and roles; the role needs what `S3Saver` names.

    Yields:
        The saver.

    Raises:
        InvalidConfigError: `S3_BUCKET_NAME` is missing, or a value is out of range.
    """
    async with S3Saver.from_env() as saver:
        yield saver
