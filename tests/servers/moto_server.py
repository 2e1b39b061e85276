"""moto in a thread of this process: the quickest server, which checks no credentials and keeps no data.

It looks and writes in two steps: of conditional PUTs at the same moment, more than one can win. Races
are for Ceph to judge.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from moto.core import serialize
from moto.moto_server.werkzeug_app import DomainDispatcherApplication
from moto.server import ThreadedMotoServer

from .base import LOOPBACK, Features, Server

FEATURES = Features(
    credentials=False,
    lifecycle_exact=False,
    presigned_expiry=False,
    presigned_signature=False,
    key_limit=False,
    delete_limit=False,
    persistent=False,
    policy_conditions=False,
    request_metrics=False,
    replication=False,
)


@contextlib.contextmanager
def running(work_dir: Path) -> Iterator[Server]:
    """Run moto; `work_dir` is not used, as everything is in memory."""
    del work_dir
    # For each request, moto lists its folder of services and matches all of their hosts: a third of its time.
    find = functools.cache(DomainDispatcherApplication.get_backend_for_host)
    DomainDispatcherApplication.get_backend_for_host = find  # type: ignore[method-assign]  # as intended
    # For each object that it lists, it parses the time that it has just printed: a fifth of its time.
    serializer: Any = serialize
    if not hasattr(serializer.parse_to_aware_datetime, "cache_info"):
        serializer.parse_to_aware_datetime = functools.lru_cache(10_000)(serializer.parse_to_aware_datetime)
    server = ThreadedMotoServer(ip_address=LOOPBACK, port=0, verbose=False)
    server.start()
    try:
        _, port = server.get_host_and_port()
        yield Server("moto", f"http://{LOOPBACK}:{port}", "test", "test-secret", FEATURES)
    finally:
        server.stop()
