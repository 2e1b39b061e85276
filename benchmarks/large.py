"""Time and peak memory of large states, compared with boto3's managed transfer.

The state is one channel of random bytes, which can't be compressed. boto3 transfers as many bytes with
`upload_fileobj` and `download_fileobj`, their defaults, and a client of the same settings.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.cold import quartiles
from benchmarks.instant import checkpoint_of
from benchmarks.measured import Measured, paired
from benchmarks.runs import BenchmarkError, start
from benchmarks.savers import OURS
from benchmarks.served import Served
from langgraph_checkpoint_s3 import S3Config, S3Saver
from langgraph_checkpoint_s3.s3.rest.settings import read_settings
from langgraph_checkpoint_s3.s3.sync_client import client_arguments, use_checksums
from langgraph_checkpoint_s3.saver import internals_of

if TYPE_CHECKING:
    from typing_extensions import Self

MB: Final = 1_000_000
AIMS: Final = {"up": 0.8, "down": 0.7}
"""Ratios of times to aim at: boto3 copies what it moves, and waits in fewer threads."""
MEMORY: Final = 2.1
"""Twice the state's size, and what a process needs besides."""
_CONFIG: Final[Any] = {"configurable": {"thread_id": "1", "checkpoint_ns": ""}}
_ABSENT: Final[Any] = {"configurable": {"thread_id": "2", "checkpoint_ns": ""}}
_KEY: Final = "boto3"
_OURS, _BOTO3 = "this saver", "boto3"

Work = Callable[[], object]


def large(served: Served, sizes: Sequence[int], pairs: int) -> Iterator[Measured]:
    """Yield transfers of states of these sizes."""
    for size in sizes:
        bucket = served.bucket()
        for mode in ("sync", "async"):
            with Mover(served.endpoint_url, bucket, size, mode, os.urandom(size)) as mover:
                for what, ours, boto3 in (
                    ("up", mover.up, mover.boto3_up),
                    ("down", mover.down, mover.boto3_down),
                ):
                    sent = [_counted(served, bucket, mover, work) for work in (ours, boto3)]
                    prepare = partial(_anew, served, bucket, mover, what)
                    found = paired(ours, boto3, pairs, prepare=prepare)
                    if what == "up":
                        mover.forget()
                        mover.up()  # for the downloads, as boto3 did
                        mover.boto3_up()
                    name = f"{size // MB} MB {what}"
                    rates = {"MB/s": size / 1e3 / found.found, "boto3's": size / 1e3 / found.beside}
                    times = found.found, found.beside, found.ratio
                    yield Measured("large", name, mode, *times, AIMS[what], sent[0], sent[1], rates)
                for what in ("up", "down"):
                    peak, boto3s = (_peak(served, bucket, size, mode, who, what) for who in (_OURS, _BOTO3))
                    name = f"{size // MB} MB {what}"
                    yield Measured("memory", name, mode, peak, boto3s, quartiles([peak]), MEMORY)
        served.ask("drop", bucket=bucket)


class Mover:
    """Transfers a state, and as many bytes with boto3, over open connections.

    Args:
        endpoint_url: URL of the server.
        bucket: Name of the bucket.
        size: Size of the state, in bytes.
        mode: `sync` or `async`.
        state: The state to upload; may be empty if none is.
    """

    def __init__(self, endpoint_url: str, bucket: str, size: int, mode: str, state: bytes) -> None:
        import boto3
        from botocore.config import Config

        self._bucket = bucket
        self._size = size
        self._config = S3Config(bucket=bucket, endpoint_url=endpoint_url)
        self._loop = asyncio.new_event_loop() if mode == "async" else None
        self._state = state
        arguments = client_arguments(self._config, "")
        session = boto3.Session()
        self._client: Any = session.client("s3", **{**arguments, "config": Config(**arguments["config"])})
        use_checksums(self._client, read_settings(self._config, session))
        self._client.list_objects_v2(Bucket=bucket, MaxKeys=1)
        self._saver = S3Saver(config=self._config)
        if self._loop:
            self._loop.run_until_complete(self._saver.aget_tuple(_ABSENT))
        else:
            self._saver.get_tuple(_ABSENT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
        if self._loop:
            self._loop.close()
        self._client.close()

    def up(self) -> None:
        """Upload with `put`."""
        given: Any = (
            _CONFIG,
            checkpoint_of(self._state, 1),
            {"source": "loop", "step": 0},
            {"messages": "1"},
        )
        if self._loop:
            self._loop.run_until_complete(self._saver.aput(*given))
        else:
            self._saver.put(*given)

    def down(self) -> None:
        """Download with `get_tuple`, after `forget`."""
        found = (
            self._loop.run_until_complete(self._saver.aget_tuple(_CONFIG))
            if self._loop
            else self._saver.get_tuple(_CONFIG)
        )
        assert found
        assert len(found.checkpoint["channel_values"]["messages"]) == self._size

    def boto3_up(self) -> None:
        """Upload the same bytes with boto3."""
        self._client.upload_fileobj(io.BytesIO(self._state), self._bucket, _KEY)

    def boto3_down(self) -> None:
        """Download the same bytes with boto3."""
        into = io.BytesIO()
        self._client.download_fileobj(self._bucket, _KEY, into)
        assert into.getbuffer().nbytes == self._size

    def forget(self) -> None:
        """Have the saver forget all that it remembers; its connections stay."""
        internals_of(self._saver).context.parent_cache.clear()

    def _close(self) -> None:
        if self._loop:
            self._loop.run_until_complete(self._saver.aclose())
        else:
            self._saver.close()


def _counted(served: Served, bucket: str, mover: Mover, work: Work) -> dict[str, int]:
    mover.forget()
    served.requests(bucket)
    work()
    return served.requests(bucket)


def _anew(served: Served, bucket: str, mover: Mover, what: str) -> None:
    """Reset caches, and the bucket before an upload."""
    mover.forget()
    if what == "up":
        served.ask("drop", bucket=bucket)


def _peak(served: Served, bucket: str, size: int, mode: str, who: str, what: str) -> float:
    """Return the peak growth of a new process that does only this, divided by the state's size."""
    arguments = json.dumps([served.endpoint_url, bucket, size, mode, who, what])
    with start(next(iter(OURS)), "benchmarks.large", arguments) as process:
        printed, _ = process.communicate()
    if process.returncode:
        raise BenchmarkError(f"{who} ended with status {process.returncode}; see above")
    return float(json.loads(printed)) / size


def main() -> None:
    """Transfer once, and print the process's peak growth in bytes."""
    endpoint_url, bucket, size, mode, who, what = json.loads(sys.argv[1])
    state = os.urandom(size) if what == "up" else b""
    with Mover(endpoint_url, bucket, size, mode, state) as mover:
        work = getattr(mover, what if who == _OURS else f"boto3_{what}")
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets the high-water mark
        before = _status("VmRSS")
        work()
        print(_status("VmHWM") - before, flush=True)


def _status(name: str) -> int:
    """Return a value of /proc/self/status, in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    main()
