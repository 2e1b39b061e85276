"""Run one of the servers in the foreground: `python -m tests.servers ceph`, until Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

from . import NAMES, Unavailable, running


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.servers", description=__doc__)
    parser.add_argument("name", choices=[name for name in NAMES if name != "external"])
    parser.add_argument(
        "--dir", type=Path, help="where its data goes while it runs; a temporary folder by default"
    )
    options = parser.parse_args()
    # A plain `kill` should clean up as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    started = time.perf_counter()
    with contextlib.ExitStack() as stack:
        work_dir = options.dir or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="s3-server-")))
        try:
            server = stack.enter_context(running(options.name, work_dir))
        except Unavailable as reason:
            print(f"{options.name} is not available: {reason}", file=sys.stderr)
            return 1
        print(f"# {server.name} is ready after {time.perf_counter() - started:.1f} s; Ctrl-C stops it")
        print(f"export S3_TEST_ENDPOINT={server.endpoint_url}")
        print(f"export AWS_ACCESS_KEY_ID={server.access_key}")
        print(f"export AWS_SECRET_ACCESS_KEY={server.secret_key}")
        print(f"export AWS_REGION={server.region}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
