"""A process that ends, or drops a saver, leaves no socket open: on a server that keeps connections."""

from __future__ import annotations

import os

import pytest

from benchmarks.server import Server
from tests.contract.scripts import DEVELOPMENT, IMPORTS, assert_clean
from tests.support.forking import run_forked

BEGIN = """
saver = S3Saver("bucket", endpoint_url=sys.argv[1], region="us-east-1")

def use():
    saver.put(at("1"), checkpoint(), metadata(), {})
    assert saver.get_tuple(at("1"))

async def ause():
    await saver.aput(at("2"), checkpoint(), metadata(), {})
    assert await saver.aget_tuple(at("2"))
"""
ENDINGS = {
    "threads": "use()",
    "a dropped saver": "use(); del saver; gc.collect()",
    "a closed saver": "use(); saver.close(); use()",
    "a loop": "asyncio.run(ause()); asyncio.run(ause())",
    "both": "use(); asyncio.run(ause()); use()",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_no_socket_is_left_open_after(ending: str) -> None:
    with Server() as server:
        done = run_forked(
            BEGIN + ENDINGS[ending],
            server.endpoint_url,
            options=DEVELOPMENT,
            imports=IMPORTS,
            variables={**os.environ, "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"},
        )
    assert_clean(done)
