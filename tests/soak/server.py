"""A server in a process of its own, so that the memory that is measured is the saver's.

Says on stdout, as JSON, where it is; ends with its stdin.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import select
import sys
import tempfile
from pathlib import Path

from tests.contract.chaos import Chaos
from tests.contract.fixtures import environment
from tests.contract.front import Front
from tests.integration.conftest import make_client
from tests.servers import Unavailable, running

BUCKET = "soak"


def main(name: str, rate: float, seed: int) -> None:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="soak-", ignore_cleanup_errors=True))
        try:
            server = stack.enter_context(running(name, Path(folder)))
        except Unavailable as reason:
            sys.exit(f"{name} is not available: {reason}")
        make_client(server).create_bucket(Bucket=BUCKET)
        front = stack.enter_context(Front(server.endpoint_url))
        where = {"url": front.url, "bucket": BUCKET, "region": server.region}
        print(json.dumps({**where, "environment": environment(server)}), flush=True)
        for number in itertools.count(seed):
            front.schedule = Chaos(number, rate)
            front.log = []  # or it would fill the memory
            if select.select([sys.stdin], [], [], 10)[0]:
                return


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))
