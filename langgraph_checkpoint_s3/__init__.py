"""LangGraph checkpoints in Amazon S3, or in any S3-compatible store.

from langgraph_checkpoint_s3 import S3Saver

graph = builder.compile(checkpointer=S3Saver("my-bucket"))
"""

from typing import TYPE_CHECKING, Any

from langgraph_checkpoint_s3.config import S3Config
from langgraph_checkpoint_s3.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    CheckpointArchivedError,
    ConflictError,
    CorruptObjectError,
    DecryptionError,
    InvalidConfigError,
    InvalidKeyError,
    NotSupportedError,
    S3CheckpointError,
    StorageUnavailableError,
)
from langgraph_checkpoint_s3.s3.stats import Stats
from langgraph_checkpoint_s3.saver import S3Saver
from langgraph_checkpoint_s3.version import __version__

if TYPE_CHECKING:
    from langgraph_checkpoint_s3.lease import Lease

__all__ = [
    "AccessDeniedError",
    "BucketNotFoundError",
    "CheckpointArchivedError",
    "ConflictError",
    "CorruptObjectError",
    "DecryptionError",
    "InvalidConfigError",
    "InvalidKeyError",
    "Lease",
    "NotSupportedError",
    "S3CheckpointError",
    "S3Config",
    "S3Saver",
    "Stats",
    "StorageUnavailableError",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name == "Lease":  # imported on first use, so that cold starts don't pay for it
        from langgraph_checkpoint_s3.lease import Lease

        return Lease
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
