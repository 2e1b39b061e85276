"""Start a server as a child process, wait until it is ready, and be sure that it ends.

A child's output goes to a file, so that it can neither block on a full pipe nor be lost when it dies.
It is stopped by its process id, never by name, and on Linux the kernel ends it with its parent.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

_T = TypeVar("_T")

_POLL_SECONDS = 0.02
_LOG_TAIL = 4000

# Run by a small Python that then becomes the server: PR_SET_PDEATHSIG (1) outlives exec. The second
# line is for a parent that was gone before the first one ran.
_END_WITH_PARENT = """\
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, ctypes.c_ulong(signal.SIGKILL))
if os.getppid() != int(sys.argv[1]): sys.exit("the parent process has ended")
os.execvp(sys.argv[2], sys.argv[2:])
"""


class ServerError(RuntimeError):
    """A server didn't start, or ended early. The message carries the end of its output."""


@dataclass(frozen=True)
class Child:
    """A server process that is running, or was."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def output(self) -> str:
        """What the process has printed so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def error(self, what: str) -> ServerError:
        """An error about this process, with the end of its output."""
        tail = self.output()[-_LOG_TAIL:].strip() or "(it printed nothing)"
        return ServerError(f"{self.name} {what}. Its output:\n{tail}")

    def wait_for(self, ready: Callable[[], _T | None], *, what: str, timeout: float) -> _T:
        """Call `ready` until it returns something other than None.

        Args:
            ready: Looks whether the server is there; called every few milliseconds.
            what: What is waited for, for the error message.
            timeout: Seconds to wait at most.

        Raises:
            ServerError: The process ended, or the time is over.
        """
        deadline = time.monotonic() + timeout
        while True:
            # Asked first, so that a process that ended can't be mistaken for a ready one.
            ended = self.process.poll()
            if ended is not None:
                raise self.error(f"ended with status {ended} while starting")
            found = ready()
            if found is not None:
                return found
            if time.monotonic() > deadline:
                raise self.error(f"is not ready after {timeout:g} s: no {what}")
            time.sleep(_POLL_SECONDS)


@contextlib.contextmanager
def child(
    name: str,
    command: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    grace: float = 10.0,
) -> Iterator[Child]:
    """Run `command` for as long as the body runs.

    Args:
        name: What error messages call it.
        command: The program and its arguments.
        log: The file that takes its output.
        env: Its environment; the parent's own by default.
        grace: Seconds between asking it to end and killing it.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - the callers' own commands
            [*_guard(), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=None if env is None else dict(env),
            # Ctrl-C reaches the parent only, which then stops the child in its own time.
            start_new_session=True,
        )
    try:
        yield Child(name, process, log)
    finally:
        _stop(process, grace)


def _guard() -> list[str]:
    # The kernel's signal is tied to the *thread* that started the child, so only the main thread,
    # which lives as long as the process, may ask for it.
    if (
        sys.platform != "linux"
        or not sys.executable
        or threading.current_thread() is not threading.main_thread()
    ):
        return []
    return [sys.executable, "-I", "-S", "-c", _END_WITH_PARENT, str(os.getpid())]


def _stop(process: subprocess.Popen[bytes], grace: float) -> None:
    try:
        process.terminate()
        process.wait(grace)
    except subprocess.TimeoutExpired:
        pass
    finally:
        # Also when a second Ctrl-C cuts the wait short: nothing may stay behind.
        process.kill()
        process.wait()
