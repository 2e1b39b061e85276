"""Who is measured: this package in its variants, and its peers, each with what has to be installed for it.

Runs in every saver's environment. A peer's module is imported only when it is made: one of them has
this package's import name.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

Make = Callable[[str, str], "BaseCheckpointSaver[Any]"]
"""Makes a saver, given the server's URL and a bucket's name."""


@dataclass(frozen=True, slots=True)
class Saver:
    """One that is measured.

    Attributes:
        make: Makes it.
        distribution: The package that it comes from.
        requirements: What to install for it; nothing for this package, which is there.
    """

    make: Make
    distribution: str
    requirements: Sequence[str] = ()


def _ours(**settings: Any) -> Make:
    def make(endpoint_url: str, bucket: str) -> BaseCheckpointSaver[Any]:
        module = importlib.import_module("langgraph_checkpoint_s3")
        saver: BaseCheckpointSaver[Any] = module.S3Saver(bucket, endpoint_url=endpoint_url, **settings)
        return saver

    return make


def _tigris(endpoint_url: str, bucket: str) -> BaseCheckpointSaver[Any]:
    module = importlib.import_module("langgraph.checkpoint.tigris")
    saver: BaseCheckpointSaver[Any] = module.TigrisSaver(bucket, endpoint_url=endpoint_url)
    return saver


def _other_s3(endpoint_url: str, bucket: str) -> BaseCheckpointSaver[Any]:
    client = importlib.import_module("boto3").client("s3", endpoint_url=endpoint_url)
    module = importlib.import_module("langgraph_checkpoint_s3")
    saver: BaseCheckpointSaver[Any] = module.S3CheckpointSaver(bucket, s3_client=client)
    return saver


OURS: Final[Mapping[str, Saver]] = {
    "this saver": Saver(_ours(), "langgraph-checkpoint-s3"),
    "this saver, borrow=False": Saver(_ours(borrow=False), "langgraph-checkpoint-s3"),
}
PEERS: Final[Mapping[str, Saver]] = {
    "langgraph-checkpoint-tigris 0.1.0": Saver(
        _tigris, "langgraph-checkpoint-tigris", ["langgraph-checkpoint-tigris==0.1.0", "langgraph>=1.2,<2"]
    ),
    # langgraph-checkpoint 2.1.2 is the last that it works with.
    "langgraph-checkpoint-s3 0.1.3 (PyPI)": Saver(
        _other_s3,
        "langgraph-checkpoint-s3",
        ["langgraph-checkpoint-s3==0.1.3", "langgraph-checkpoint==2.1.2", "langgraph"],
    ),
}
SAVERS: Final[Mapping[str, Saver]] = {**OURS, **PEERS}
