"""What a thread takes up in the bucket, and what its requests would cost on AWS.

It lists the bucket with plain boto3, without the saver: one checkpoint is one object, what one task wrote is
another, and the keys say which is which.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import boto3
from botocore.config import Config

from langgraph_checkpoint_s3 import S3Config

# US dollars for 1,000 requests, S3 Standard in us-east-1. Deleting is free.
PRICES = {"PUT": 0.005, "LIST": 0.005, "GET": 0.0004, "DELETE": 0.0}
CHARGED_AS = {"List": "LIST", "Get": "GET", "Head": "GET", "Delete": "DELETE", "Abort": "DELETE"}


@dataclass(frozen=True)
class Contents:
    prefix: str
    namespaces: int
    checkpoints: int
    writes: int
    size: int

    @property
    def objects(self) -> int:
        return self.checkpoints + self.writes


def contents(config: S3Config, thread: str) -> Contents:
    """Count what a thread has, from the keys alone.

    {prefix}{thread}.thread/{namespace}.ns/{rank}/checkpoint.…
    {prefix}{thread}.thread/{namespace}.ns/{rank}/writes.…
    """
    style: Literal["path", "auto"] = "path" if config.endpoint_url else "auto"
    client = boto3.client(
        "s3",
        region_name=config.region,
        endpoint_url=config.endpoint_url,
        config=Config(s3={"addressing_style": style}),
    )
    prefix = f"{config.prefix}{thread}.thread/"
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=config.bucket, Prefix=prefix)
    keys: dict[str, int] = {}
    for page in pages:
        keys.update({entry["Key"]: entry["Size"] for entry in page.get("Contents", [])})
    client.close()

    places = [key.removeprefix(prefix).split("/") for key in keys]
    return Contents(
        prefix=prefix,
        namespaces=len({namespace for namespace, _, _ in places}),
        checkpoints=sum(leaf.startswith("checkpoint.") for _, _, leaf in places),
        writes=sum(leaf.startswith("writes.") for _, _, leaf in places),
        size=sum(keys.values()),
    )


def kind(request: str) -> str:
    """What AWS charges for: `ListObjectsV2` as a LIST, `HeadObject` as a GET, `CopyObject` as a PUT."""
    for start, charged_as in CHARGED_AS.items():
        if request.startswith(start):
            return charged_as
    return "PUT"


def reported(path: Path) -> dict[str, int]:
    """The requests that a worker has reported, none if it hasn't yet."""
    if not path.exists():
        return {}
    requests: dict[str, int] = json.loads(path.read_text(encoding="utf-8"))["requests"]
    return requests


def by_kind(requests: Mapping[str, int]) -> dict[str, int]:
    counts = dict.fromkeys(PRICES, 0)
    for request, count in requests.items():
        counts[kind(request)] += count
    return counts


def dollars(counts: Mapping[str, int]) -> float:
    return sum(PRICES[name] * count / 1000 for name, count in counts.items())
