"""Server processes: started, awaited until they are ready, and reliably stopped.

A child's output goes to a file, so that it neither blocks on a full pipe nor is lost when the child dies.
On Linux the kernel ends the child with its parent.
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

# Run by a Python process that then becomes the server: PR_SET_PDEATHSIG (1) survives exec. The check of
# getppid is for a parent that ended before prctl ran.
_END_WITH_PARENT = """\
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, ctypes.c_ulong(signal.SIGKILL))
if os.getppid() != int(sys.argv[1]): sys.exit("the parent process has ended")
os.execvp(sys.argv[2], sys.argv[2:])
"""


class ServerError(RuntimeError):
    """A server didn't start, or ended early. The message has the end of its output."""


@dataclass(frozen=True)
class Child:
    """Server process, running or ended."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def output(self) -> str:
        """Return what the process has printed so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def error(self, what: str) -> ServerError:
        """Return an error about this process, with the end of its output."""
        tail = self.output()[-_LOG_TAIL:].strip() or "(it printed nothing)"
        return ServerError(f"{self.name} {what}. Its output:\n{tail}")

    def wait_for(self, ready: Callable[[], _T | None], *, what: str, timeout: float) -> _T:
        """Call `ready` until it returns something other than None.

        Args:
            ready: Returns None until the server is ready; called every few milliseconds.
            what: The condition, for the error message.
            timeout: Seconds to wait at most.

        Raises:
            ServerError: The process ended, or the timeout passed.
        """
        deadline = time.monotonic() + timeout
        while True:
            # Polled first, so that a process that ended isn't mistaken for a ready one.
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
    first_line: bytes | None = None,
) -> Iterator[Child]:
    """Run `command` for as long as the body runs.

    Args:
        name: Its name in error messages.
        command: Program and arguments.
        log: The file for its output.
        env: Its environment; the parent's by default.
        grace: Seconds between SIGTERM and SIGKILL.
        first_line: What to write to its standard input, which then stays open until the body or this process
            ends. Without, it has no input.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - the callers' own commands
            [*(_guard() if first_line is None else ()), *command],
            stdin=subprocess.DEVNULL if first_line is None else subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            bufsize=0,  # of its input
            env=None if env is None else dict(env),
            # Ctrl-C then reaches only the parent, which stops the child.
            start_new_session=True,
        )
    try:
        if process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # it ended, and its output says why
                process.stdin.write(first_line or b"")
        yield Child(name, process, log)
    finally:
        _stop(process, grace)


def _guard() -> list[str]:
    # The kernel sends the signal when the *thread* that started the child ends. Only the main thread lives
    # as long as the process.
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
        # Also after a second Ctrl-C during the wait.
        process.kill()
        process.wait()
        if process.stdin is not None:
            process.stdin.close()
