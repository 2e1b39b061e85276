"""From nothing to a first answer, once: the other end of `cold`. The clock starts before the imports."""

from __future__ import annotations

import time

_STARTED = time.perf_counter()

import importlib  # noqa: E402  # the clock runs already
import json  # noqa: E402  # the clock runs already
import sys  # noqa: E402  # the clock runs already

_CONFIG = {"configurable": {"thread_id": "turns"}}


def main(kind: str, endpoint_url: str, bucket: str) -> None:
    """Import, make what talks to the server, and ask for one thing."""
    if kind in ("boto3", "langgraph.checkpoint, boto3"):
        if kind != "boto3":
            importlib.import_module("langgraph.checkpoint.base")
        client = importlib.import_module("boto3").client("s3", endpoint_url=endpoint_url)
        client.list_objects_v2(Bucket=bucket, MaxKeys=10)
    else:
        savers = importlib.import_module("benchmarks.savers")
        found = savers.SAVERS[kind].make(endpoint_url, bucket).get_tuple(_CONFIG)
        assert found
    print(json.dumps({"seconds": time.perf_counter() - _STARTED}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
