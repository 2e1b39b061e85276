"""A chat's turns on a real S3 server on this machine: Ceph, by default.

    python -m benchmarks.elsewhere                          this saver, a minute
    python -m benchmarks.elsewhere --peers --write FILE     its peers too; writes the tables to a file

The server writes to a disk and shares the cores. So this measures real times, where `turns` measures ratios
that hold at other latencies. Requests aren't counted, since they are the same.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import boto3

from benchmarks import report, turns, turns_report
from benchmarks.bucket import Bucket
from benchmarks.figures import Figure
from benchmarks.savers import OURS, PEERS
from tests import servers

_SERVERS: Final = ("ceph", "rclone")


class Elsewhere:
    """A real server with the interface that `turns.race` needs.

    Args:
        server: The running server.

    Attributes:
        buckets: Created on the server on first access. They count nothing.
        endpoint_url: URL of the server.
        latency: Ignored.
    """

    def __init__(self, server: servers.Server) -> None:
        self.endpoint_url = server.endpoint_url
        self.latency = 0.0
        self.buckets: defaultdict[str, Bucket] = _Made(server)


class _Made(defaultdict[str, Bucket]):
    def __init__(self, server: servers.Server) -> None:
        super().__init__(Bucket)
        self._client = boto3.client(
            "s3",
            endpoint_url=server.endpoint_url,
            region_name=server.region,
            aws_access_key_id=server.access_key,
            aws_secret_access_key=server.secret_key,
        )

    def __missing__(self, name: str) -> Bucket:
        self._client.create_bucket(Bucket=name)
        return super().__missing__(name)


@contextmanager
def _running(name: str) -> Iterator[servers.Server]:
    with (
        tempfile.TemporaryDirectory(prefix="benchmarks-") as folder,
        servers.running(name, Path(folder)) as server,
    ):
        yield server


def measure(name: str, count: int, savers: Sequence[str]) -> tuple[list[Figure], Mapping[str, str]]:
    """Play turns of a chat, with sync and with async methods.

    Returns:
        The figures, and the versions of this saver's packages.
    """
    found: list[Figure] = []
    versions: Mapping[str, str] = {}
    with ExitStack() as stack:
        server = stack.enter_context(_running(name))
        place: Any = Elsewhere(server)
        secrets = {"AWS_ACCESS_KEY_ID": server.access_key, "AWS_SECRET_ACCESS_KEY": server.secret_key}
        workers = stack.enter_context(turns.workers(savers, server.endpoint_url, secrets))
        for mode in ("sync", "async"):
            print(f"{count} turns of a chat, {mode}, on {name}", file=sys.stderr)
            heat = turns.Heat("chat", mode, 0, count)
            played = turns.race(place, heat, workers)
            versions = next((each.versions for who, each in played.items() if who in OURS), versions)
            found += turns.figures_of(heat, played)
    return found, versions


def tables(name: str, found: Sequence[Figure]) -> str:
    """Return the tables."""
    best = {
        mode: min((each.wall for each in found if each.mode == mode and each.saver in PEERS), default=None)
        for mode in ("sync", "async")
    }
    rows = []
    for each in found:
        least = best[each.mode]
        rows.append([each.saver, each.mode, f"{each.wall:,.1f}", f"{each.wall / least:.2f}" if least else ""])
    return "\n".join(
        [
            f"The chat of `benchmarks.turns`, {found[0].turns} turns, on {name} on this machine.\n",
            report.table(["saver", "", "a turn, ms, the median", "times the best S3 peer's"], rows) + "\n",
            "LangGraph's calls, in milliseconds, p50 / p99:\n",
            turns_report.calls(found),
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.elsewhere")
    parser.add_argument("--server", choices=_SERVERS, default="ceph")
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--peers", action="store_true", help="the peers too; installs them from PyPI")
    report.add_write_option(parser)
    chosen = parser.parse_args(arguments)
    try:
        found, versions = measure(chosen.server, chosen.turns, [*OURS, *(PEERS if chosen.peers else ())])
    except servers.Unavailable as reason:
        print(f"{chosen.server} can't be had here: {reason}", file=sys.stderr)
        return 1
    command = report.command("elsewhere", arguments)
    text = report.page("Turns on a real server", command, versions, tables(chosen.server, found))
    report.write(text, chosen.write)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
