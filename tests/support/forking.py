"""Programs in a process of their own, none of which has to import everything again.

A process imports what all of them need, and forks for each. The child runs the program as its `__main__`,
with its own arguments, variables and output, and ends as any process does. What depends on the imports
themselves, or on variables that they read, needs a new interpreter.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.support.hanging import HANG

ROOT = Path(__file__).parents[2]
FORKS = hasattr(os, "fork")

# Nothing of it is left in the child's namespace: what a program leaves behind is to be its own.
_PARENT = """
def _next_program():
    import json, os, sys
    with open(0, "rb", buffering=0, closefd=False) as asked:
        while line := asked.readline():
            pid = os.fork()
            if not pid:
                given = json.loads(line)
                for number in (0, 1, 2):
                    opened = os.open(given["files"][number], os.O_RDWR)
                    os.dup2(opened, number)
                    os.close(opened)
                os.chdir(given["cwd"])
                os.environ.clear()
                os.environ.update(given["variables"])
                sys.argv[1:] = given["arguments"]
                return compile(given["code"], "<string>", "exec")
            _, status = os.waitpid(pid, 0)
            os.write(1, b"%d\\n" % os.waitstatus_to_exitcode(status))
    sys.exit()

_program = _next_program()
del _next_program
exec(globals().pop("_program"))
"""


class _Parent:
    """The process that forks.

    Args:
        options: The interpreter's.
        imports: Code that imports what the programs need.
        variables: The environment in which it imports.
    """

    def __init__(self, options: Sequence[str], imports: str, variables: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, *options, "-c", imports + _PARENT],
            cwd=ROOT,
            env=dict(variables),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # a program that hangs is ended with it
        )
        atexit.register(self.end)

    def run(self, code: str, arguments: Sequence[str], variables: Mapping[str, str], files: list[str]) -> int:
        """Run a program to its end, and return its status."""
        asked = {
            "code": code,
            "arguments": list(arguments),
            "variables": dict(variables),
            "files": files,
            "cwd": str(ROOT),
        }
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        self._process.stdin.flush()
        if not select.select([self._process.stdout], [], [], HANG)[0]:
            _parent.cache_clear()
            self.end(signal.SIGKILL)
            raise AssertionError(f"A program hangs:\n{code}")
        return int(self._process.stdout.readline())

    def end(self, by: signal.Signals = signal.SIGTERM) -> None:
        """End it, and what it has forked."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, by)
        self._process.communicate()


@functools.cache
def _parent(options: tuple[str, ...], imports: str, variables: frozenset[tuple[str, str]]) -> _Parent:
    return _Parent(options, imports, dict(variables))


def inherited() -> dict[str, str]:
    """Return the variables that a process needs to find its way, and none of the user's settings."""
    names = ("PATH", "HOME", "LD_LIBRARY_PATH")
    return {"PYTHONPATH": str(ROOT), **{name: os.environ[name] for name in names if name in os.environ}}


def run_forked(
    code: str,
    *arguments: str,
    options: Sequence[str],
    imports: str,
    variables: Mapping[str, str],
    importing: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program as `subprocess.run` would run `python OPTIONS -c 'IMPORTS; CODE' ARGUMENTS`.

    Args:
        code: The program.
        *arguments: Its arguments.
        options: The interpreter's options.
        imports: Code that was run before, once for all programs with these imports and options.
        variables: The program's environment, besides `inherited`.
        importing: Those of its variables that count when it imports.
    """
    importing = {**inherited(), **(importing or {})}
    own = {**importing, **variables}
    if not FORKS:
        return subprocess.run(
            [sys.executable, *options, "-c", imports + code, *arguments],
            cwd=ROOT,
            env=own,
            capture_output=True,
            text=True,
            timeout=HANG,
            check=False,
        )
    parent = _parent(tuple(options), imports, frozenset(importing.items()))
    with tempfile.NamedTemporaryFile() as out, tempfile.NamedTemporaryFile() as err:
        status = parent.run(code, arguments, own, [os.devnull, out.name, err.name])
        said = [Path(each.name).read_text(encoding="utf-8") for each in (out, err)]
    return subprocess.CompletedProcess([sys.executable, "-c", code], status, *said)


_APPLICATION = """
import langchain_core.messages, langgraph.graph
import langgraph_checkpoint_s3.admin, langgraph_checkpoint_s3.saver
"""


def run_application(
    code: str, *arguments: str, variables: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a program that uses LangGraph and a saver, and says what it leaves open.

    Args:
        code: The program.
        *arguments: Its arguments.
        variables: Its environment.
    """
    options = ("-W", "default::ResourceWarning")
    return run_forked(code, *arguments, options=options, imports=_APPLICATION, variables=variables)


def run_module(
    module: str, *arguments: str, variables: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run `python -m` as `run_application` does."""
    code = f"import runpy; runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
    return run_application(code, *arguments, variables=variables)
