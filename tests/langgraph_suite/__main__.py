"""Runs LangGraph's own tests twice, with its savers, stores and caches and with ours, and compares.

    python -m tests.langgraph_suite --python ENVIRONMENT/bin/python --suite FOLDER

The environment has langgraph, what its tests need, and this package; the folder has those of its source
packages, each with `tests`. With its own classes they run once and are remembered there, since nothing of
ours is in that. Those for SQLite and Postgres run only with ours: that they pass with its own is
LangGraph's word.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.langgraph_suite.known import KNOWN
from tests.langgraph_suite.verdict import Seen, assume, failed, problems, to_run

HERE: Final = Path(__file__).parent
SETTINGS: Final = ("AWS_", "S3_", "LANGCHAIN_", "LANGGRAPH_", "LANGSMITH_")
"""The beginnings of variables that would change the tests."""
PACKAGES: Final[Mapping[str, Sequence[str]]] = {
    "langgraph": ["tests"],
    "langgraph_checkpoint": ["tests/test_store.py", "tests/test_redis_cache.py"],
    "langgraph_checkpoint_sqlite": ["tests/test_store.py", "tests/test_async_store.py", "tests/test_ttl.py"],
    "langgraph_checkpoint_postgres": ["tests/test_store.py", "tests/test_async_store.py"],
}
"""LangGraph's packages, and which of their tests make a saver, store or cache that ours can stand for."""
ASSUMED: Final = ("langgraph_checkpoint_sqlite", "langgraph_checkpoint_postgres")
"""Packages whose own classes aren't run: they need an SQLite, or a Postgres, that compares vectors."""
TOO_MANY: Final = "not test_large_batches"
"""Without these: a thousand searches at once, each of up to 200 items, are more requests than moto answers in
minutes.
"""
AGAIN: Final = (1, 5, 25, 1)
"""How often a test that failed is run again, by itself, and how many times as long its pauses then take.

Some of LangGraph's expect that in 0.2 s, or in 10 ms, all else has happened. On a busy machine it hasn't.
"""


class Suite:
    """Tests of one of LangGraph's packages.

    Args:
        python: The environment's.
        folder: Where `tests` is, and where records go.
        tests: Which of them.
        known: The ids of those that aren't expected to pass.
        workers: How many processes run them.
        more: More arguments for pytest.
    """

    def __init__(
        self,
        python: Path,
        folder: Path,
        tests: Sequence[str],
        known: Mapping[str, str],
        workers: int,
        more: Sequence[str],
    ) -> None:
        self._python = python.absolute()
        self._folder = folder.resolve()
        self._tests = tests
        self._known = known
        self._workers = workers
        self._more = more

    def own(self) -> dict[str, Seen]:
        """Return what the tests do with LangGraph's own classes."""
        remembered = self._folder / "own.json"
        if not remembered.exists():
            record = self._settled("own", None)
            remembered.write_text(json.dumps(record), encoding="utf-8")
        return _read(remembered)

    def s3(self, names: Sequence[str] | None = None) -> dict[str, Seen]:
        """Return what these tests, or all, do with ours."""
        return self._settled("s3", names)

    def _settled(self, saver: str, names: Sequence[str] | None) -> dict[str, Seen]:
        found = self._run(saver, names, self._workers)
        for stretch in AGAIN:
            unsure = [name for name in failed(names or list(found), found) if name not in self._known]
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
            *(str(self._python), "-m", "pytest", *self._tests, "-p", "s3_instead", "-p", "no:cacheprovider"),
            *("-o", "addopts=--strict-markers", "-q", "-W", "ignore", "--tb=short", "--disable-warnings"),
            *("-n", str(workers), "--dist", "worksteal", f"--record={record}"),
            *(f"--stretch={stretch}", "-k", TOO_MANY),
        ]
        if names is not None:
            only.write_text(json.dumps(names), encoding="utf-8")
            command.append(f"--only={only}")
            # To collect all of them takes seconds.
            command[3 : 3 + len(self._tests)] = sorted({name.partition("::")[0] for name in names})
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
    parser.add_argument("--package", nargs="+", choices=PACKAGES, default=list(PACKAGES))
    parser.add_argument("--workers", type=int, default=(os.cpu_count() or 1) + 1)
    arguments, more = parser.parse_known_args()
    wrong: list[str] = []
    for package in arguments.package:
        began = time.monotonic()
        known = KNOWN.get(package, {})
        folder = arguments.suite / package
        suite = Suite(arguments.python, folder, PACKAGES[package], known, arguments.workers, more)
        if package in ASSUMED:
            s3 = suite.s3()
            own = assume(s3)
        else:
            own = suite.own()
            s3 = suite.s3(to_run(own))
        names = to_run(own)
        spent = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(
            f"{package}: {len(own)} tests, {len(names)} of which make a checkpointer, a store or a cache and "
            f"pass with LangGraph's own. Of them {len(names) - len(failed(names, s3))} pass with ours, "
            f"{len(known)} are known not to. {time.monotonic() - began:.0f} s, "
            f"{spent.ru_utime + spent.ru_stime:.0f} s of CPU so far."
        )
        found = problems(own, s3, known)
        print(*found, sep="\n")
        wrong += found
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
