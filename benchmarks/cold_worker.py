"""One cold start, for `cold`. The clock starts before the imports."""

from __future__ import annotations

import time

_STARTED = time.perf_counter()

import importlib  # noqa: E402  # the clock runs already
import json  # noqa: E402  # the clock runs already
import sys  # noqa: E402  # the clock runs already

_CONFIG = {"configurable": {"thread_id": "turns"}}


def main(kind: str, endpoint_url: str, bucket: str) -> None:
    """Import, create a client or saver, and send one request or read one thread."""
    if kind.endswith((", async", "aiobotocore")):
        importlib.import_module("asyncio").run(_coroutine(kind, endpoint_url, bucket))
    elif kind in ("boto3", "langgraph.checkpoint, boto3"):
        if kind != "boto3":
            importlib.import_module("langgraph.checkpoint.base")
        client = importlib.import_module("boto3").client("s3", endpoint_url=endpoint_url)
        client.list_objects_v2(Bucket=bucket, MaxKeys=10)
    else:
        savers = importlib.import_module("benchmarks.savers")
        found = savers.SAVERS[kind].make(endpoint_url, bucket).get_tuple(_CONFIG)
        assert found
    print(json.dumps({"seconds": time.perf_counter() - _STARTED}), flush=True)


async def _coroutine(kind: str, endpoint_url: str, bucket: str) -> None:
    """Do the same with aiobotocore."""
    if kind.endswith("aiobotocore"):
        if kind != "aiobotocore":
            importlib.import_module("langgraph.checkpoint.base")
        session = importlib.import_module("aiobotocore.session").get_session()
        async with session.create_client("s3", endpoint_url=endpoint_url) as client:
            await client.list_objects_v2(Bucket=bucket, MaxKeys=10)
        return
    savers = importlib.import_module("benchmarks.savers")
    saver = savers.SAVERS[kind.removesuffix(", async")].make_async(endpoint_url, bucket)
    assert await saver.aget_tuple(_CONFIG)
    await saver.aclose()


if __name__ == "__main__":
    main(*sys.argv[1:])
