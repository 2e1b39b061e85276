"""LangGraph checkpoints in Amazon S3, or in any S3-compatible store.

from langgraph_checkpoint_s3 import S3Saver

graph = builder.compile(checkpointer=S3Saver("my-bucket"))
"""

from typing import TYPE_CHECKING, Any, Final

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
from langgraph_checkpoint_s3.version import __version__

if TYPE_CHECKING:
    from langgraph_checkpoint_s3.config import S3Config
    from langgraph_checkpoint_s3.lease import Lease
    from langgraph_checkpoint_s3.s3.stats import Stats
    from langgraph_checkpoint_s3.saver import S3Saver

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

_LAZY: Final = {"Lease": "lease", "S3Config": "config", "S3Saver": "saver", "Stats": "s3.stats"}
"""The module of each name that is imported on first use.

The saver's module imports LangGraph, which takes twenty times as long as this module. The errors, and the
command line's help, do without it.
"""

if not TYPE_CHECKING:  # type checkers would take any name for an exported one

    def __getattr__(name: str) -> Any:
        if name not in _LAZY:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = globals()[name] = getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
