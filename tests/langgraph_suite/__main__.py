"""Runs LangGraph's own tests twice, with its savers and with `S3Saver`, and compares.

    python -m tests.langgraph_suite --python ENVIRONMENT/bin/python --suite FOLDER

The environment has langgraph, what its tests need, and this package; the folder has its source package's
`tests`. With its own savers they run once and are remembered there, since nothing of ours is in that.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.langgraph_suite.known import KNOWN
from tests.langgraph_suite.verdict import Seen, failed, problems, to_run

HERE: Final = Path(__file__).parent
SETTINGS: Final = ("AWS_", "S3_", "LANGCHAIN_", "LANGGRAPH_", "LANGSMITH_")
"""What the variables begin with that would change what the tests do."""
AGAIN: Final = (1, 5, 25, 1)
"""How often a test that failed is run again, by itself, and how many times as long its pauses then take.

Some of LangGraph's expect that in 0.2 s, or in 10 ms, all else has happened. On a busy machine it hasn't.
"""


class Suite:
    """LangGraph's tests.

    Args:
        python: The environment's.
        folder: Where `tests` is, and where records go.
        workers: How many processes run them.
        more: More arguments for pytest.
    """

    def __init__(self, python: Path, folder: Path, workers: int, more: Sequence[str]) -> None:
        self._python = python.absolute()
        self._folder = folder.resolve()
        self._workers = workers
        self._more = more

    def own(self) -> dict[str, Seen]:
        """Return what the tests do with LangGraph's own savers."""
        remembered = self._folder / "own.json"
        if not remembered.exists():
            record = self._settled("own", None)
            remembered.write_text(json.dumps(record), encoding="utf-8")
        return _read(remembered)

    def s3(self, names: Sequence[str]) -> dict[str, Seen]:
        """Return what these tests do with `S3Saver`."""
        return self._settled("s3", names)

    def _settled(self, saver: str, names: Sequence[str] | None) -> dict[str, Seen]:
        found = self._run(saver, names, self._workers)
        for stretch in AGAIN:
            unsure = [name for name in failed(names or list(found), found) if name not in KNOWN]
            unsure = [name for name in unsure if name not in found or found[name].outcome != "skipped"]
            if not unsure or len(unsure) > 50:
                break
            print(f"Again, by themselves, pauses times {stretch}: {', '.join(unsure)}", flush=True)
            found |= self._run(saver, unsure, 0, stretch)
        return found

    def _run(
        self, saver: str, names: Sequence[str] | None, workers: int, stretch: int = 1
    ) -> dict[str, Seen]:
        record, only = self._folder / "record.json", self._folder / "only.json"
        record.unlink(missing_ok=True)
        command = [
            *(str(self._python), "-m", "pytest", "tests", "-p", "s3_instead", "-p", "no:cacheprovider"),
            *("-o", "addopts=--strict-markers", "-q", "-W", "ignore", "--tb=short", "--disable-warnings"),
            *("-n", str(workers), "--dist", "worksteal", f"--record={record}"),
            f"--stretch={stretch}",
        ]
        if names is not None:
            only.write_text(json.dumps(names), encoding="utf-8")
            command.append(f"--only={only}")
            # To collect all of them takes seconds.
            command[3:4] = sorted({name.partition("::")[0] for name in names})
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}
        subprocess.run(
            [*command, *self._more],
            cwd=self._folder,
            env={
                **inherited,
                "SUITE_SAVER": saver,
                "NO_DOCKER": "true",
                "PYTHONPATH": str(HERE),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            check=False,
        )
        if not record.exists():
            sys.exit("pytest ended without a record: see above.")
        found = _read(record)
        if missing := [name for name in found if "::" not in name]:
            sys.exit(f"These files can't be collected: {', '.join(missing)}.")
        return found


def _read(path: Path) -> dict[str, Seen]:
    return {name: Seen(*test) for name, test in json.loads(path.read_text(encoding="utf-8")).items()}


def main() -> int:
    """Run both, say how it went, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", type=Path, required=True)
    parser.add_argument("--suite", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=(os.cpu_count() or 1) + 1)
    arguments, more = parser.parse_known_args()
    began = time.monotonic()
    suite = Suite(arguments.python, arguments.suite, arguments.workers, more)
    own = suite.own()
    names = to_run(own)
    s3 = suite.s3(names)
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"{len(own)} tests, {len(names)} of which make a checkpointer and pass with LangGraph's own. Of them "
        f"{len(names) - len(failed(names, s3))} pass with S3Saver, {len(KNOWN)} are known not to. "
        f"{time.monotonic() - began:.0f} s, {spent.ru_utime + spent.ru_stime:.0f} s of CPU."
    )
    found = problems(own, s3, KNOWN)
    print(*found, sep="\n")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
