"""A demo of a checkpoint saver in six scenes: kill, resume, answer, travel back, fork, and count.

    python -m examples.demo                  on an S3 server of its own, which it starts and stops
    python -m examples.demo --keep DIR       the same; keeps the thread in DIR to be looked at
    S3_BUCKET_NAME=… python -m examples.demo on that bucket; deletes what it stored, and nothing else

Every line that starts with `ok` was checked. If a check fails, the demo ends with an error.
"""

import argparse
import contextlib
import os
import shlex
import sys
import tempfile
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.types import Command, StateSnapshot

from examples import bookings
from examples.demo import account
from examples.demo.history import branches, checkpoint_id, lineage
from examples.demo.stage import Worker, finish, storage, wait_until, worker
from examples.demo.terminal import ClaimError, claim, say, section, table
from examples.trip import TripGraph, trip_graph
from examples.worker import ANSWERS_ASYNC
from langgraph_checkpoint_s3 import S3Saver

ALL = ["train", "hotel", "ferry", "dinner"]
SLOW = "ferry"
FINISHED = sorted(set(ALL) - {SLOW})


class Demo:
    """One thread, in scenes. Each scene is a method, and continues from what the one before stored in S3."""

    def __init__(self, saver: S3Saver, folder: Path) -> None:
        self.saver = saver
        self.graph: TripGraph = trip_graph(saver)
        self.thread = f"trip-{uuid.uuid4().hex[:8]}"
        self.config: RunnableConfig = {"configurable": {"thread_id": self.thread}}
        self.folder = folder
        self.reports: dict[str, Path] = {}
        os.environ["BOOKINGS_LOG"] = str(folder / "bookings.jsonl")

    def kill(self) -> None:
        section("A worker is killed in the middle of a step")
        say("An agent picks four things for a weekend in Lisbon. Four parallel tasks reserve them.")
        say(f"The booking service doesn't answer for the {SLOW}.")
        with self.worker("start", BOOKINGS_STALL=SLOW) as process:
            wait_until(lambda: bookings.items(process.pid, "held") == FINISHED, process)
            wait_until(lambda: bookings.items(process.pid, "asked") == sorted(ALL), process)
            wait_until(lambda: self.stored_holds() == FINISHED, process)
            wait_until(lambda: self.puts("start") >= self.contents().objects, process)
            process.kill()
            process.wait()
        print_bookings(process.pid)
        claim(process.returncode != 0, f"process {process.pid} was killed (exit status {process.returncode})")
        stored = self.stored_holds()
        claim(stored == FINISHED, f"S3 has the writes of the finished tasks: {', '.join(stored)}")
        left = self.graph.get_state(self.config).next
        claim(left == ("hold",), "of the four tasks, one is left to run")

    def resume(self) -> None:
        section("A new process resumes from S3 alone: graph.invoke(None, config)")
        with self.worker("resume") as process:
            finish(process)
        print_bookings(process.pid)
        claim(bookings.items(process.pid, "asked") == [SLOW], f"only the {SLOW} ran again")
        held = [hold["item"] for hold in self.graph.get_state(self.config).values["holds"]]
        claim(held == ALL, "the state has all four reservations, each once, in order")

    def answer(self) -> None:
        how = "await graph.ainvoke" if ANSWERS_ASYNC else "graph.invoke"
        section("A third process resumes with a person's answer")
        say(f"{how}(Command(resume=...), config)")
        state = self.graph.get_state(self.config)
        claim(state.next == ("approve",) and len(state.interrupts) == 1, "the graph waits at the interrupt")
        question = state.interrupts[0].value
        say(f"{question['question']} {question['plan']}")
        say("> yes")
        with self.worker("yes") as process:
            finish(process)
        state = self.graph.get_state(self.config)
        claim(state.next == (), "the graph has ended")
        claim(last_message(state).startswith("Booked"), last_message(state))

    def fork(self) -> None:
        section("An earlier state is forked: graph.update_state(earlier.config, ...)")
        before = list(self.graph.get_state_history(self.config))
        booked = before[0]
        earlier = next(state for state in before if state.next == ("plan",))
        say(f"All {len(before)} states are stored. The fork changes the one after the reservations:")
        say("four travellers instead of two.")
        forked = self.graph.update_state(earlier.config, {"travellers": 4}, as_node="hold")
        calls = len(bookings.calls())
        stopped = self.graph.invoke(None, forked)
        say(f"{stopped['__interrupt__'][0].value['question']} {stopped['plan']}")
        say("> no")
        self.graph.invoke(Command(resume="no"), self.config)

        after = list(self.graph.get_state_history(self.config))
        released = after[0]
        table(branches(after, {"booked": booked, "released": released}), right=[1])
        claim(len(bookings.calls()) == calls, "the fork began after the reservations: none was made again")
        claim(last_message(released).startswith("Released"), f"the fork: {last_message(released)}")
        again = self.graph.get_state(booked.config)
        claim(again.values == booked.values, "the first branch is unchanged")
        ours, theirs = lineage(after, released), lineage(after, booked)
        shared = [at for at in ours if at in theirs]
        parted = shared[:1] == [checkpoint_id(earlier)]
        claim(parted, f"both branches share the {len(shared)} states up to the reservations")

    def bill(self) -> None:
        section("Objects, requests and cost")
        there = self.contents()
        claim(there.checkpoints > 0, f"the thread stores {there.size:,} bytes below {there.prefix}")
        where = f"in {there.namespaces} namespaces (the subgraph has its own)"
        table(
            [(there.checkpoints, f"checkpoints, {where}"), (there.writes, "objects with the writes of tasks")]
        )
        total: Counter[str] = Counter()
        rows: list[tuple[object, ...]] = [("requests", *account.PRICES, "dollars")]
        stats = self.saver.stats()
        requests = {f"worker, {step}": account.reported(path) for step, path in self.reports.items()}
        for name, sent in {**requests, "this process": stats.requests}.items():
            counts = account.by_kind(sent)
            total.update(counts)
            rows.append((name, *counts.values(), f"{account.dollars(counts):.6f}"))
        rows.append(("in total", *(total[name] for name in account.PRICES), f"{account.dollars(total):.6f}"))
        table(rows, right=range(1, 6))
        say(f"This process found {stats.cache_hits} objects in its cache, and didn't read them from S3.")
        cents = account.dollars(total) * 1000 * 100
        say(f"1,000 such trips cost {cents:.0f} US cents in requests (S3 Standard, us-east-1).")
        claim(there.objects <= total["PUT"], f"{there.objects} objects were stored with {total['PUT']} PUTs")

    def contents(self) -> account.Contents:
        return account.contents(self.saver.config, self.thread)

    def puts(self, step: str) -> int:
        """The number of PUTs that a worker has reported."""
        return account.by_kind(account.reported(self.reports[step]))["PUT"]

    def stored_holds(self) -> list[str]:
        """The items whose finished tasks have their writes in S3, though their step isn't finished."""
        found = self.saver.get_tuple(self.config)
        writes = (found.pending_writes or []) if found else []
        return sorted(hold["item"] for _, channel, value in writes if channel == "holds" for hold in value)

    def worker(self, step: str, **environment: str) -> contextlib.AbstractContextManager[Worker]:
        self.reports[step] = self.folder / f"{step}.json"
        return worker(self.thread, step, self.reports[step], environment)


def print_bookings(pid: int) -> None:
    held = bookings.items(pid, "held")
    asked = bookings.items(pid, "asked")
    table((f"process {pid}", item, "held" if item in held else "no answer") for item in asked)


def print_commands(folder: Path, prefix: str, thread: str) -> None:
    """Print the commands that show a thread in a folder of the local server."""
    say("Start the server again, and paste the lines that it prints into another terminal:")
    table([[f"langgraph-s3 serve {shlex.quote(str(folder))}"]])
    say("Then, in that terminal:")
    table(
        [
            [f"export S3_KEY_PREFIX={shlex.quote(prefix)}"],
            [f"langgraph-s3 history {thread}    # checkpoints and forks"],
            [f"langgraph-s3 show {thread}       # the latest state"],
        ]
    )


def last_message(state: StateSnapshot) -> str:
    messages: list[Any] = state.values["messages"]
    return str(messages[-1].content)


def main() -> int:
    about = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description=about)
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="keep the local server's data and the thread here"
    )
    keep: Path | None = parser.parse_args().keep
    if keep and os.environ.get("S3_BUCKET_NAME"):
        parser.error("--keep is for the local server, but S3_BUCKET_NAME names a bucket")

    began = time.monotonic()
    try:
        with storage(keep) as place, tempfile.TemporaryDirectory() as folder, S3Saver.from_env() as saver:
            demo = Demo(saver, Path(folder))
            section("A trip planner that keeps its checkpoints in S3")
            say(place)
            try:
                for scene in (demo.kill, demo.resume, demo.answer, demo.fork, demo.bill):
                    scene()
            finally:
                if keep is None:
                    saver.delete_thread(demo.thread)
            section("Look at the thread")
            if keep is None:
                claim(saver.get_tuple(demo.config) is None, f"the thread {demo.thread} was deleted again")
                say("To keep it and look at it: python -m examples.demo --keep trip-data")
            else:
                print_commands(keep, saver.config.prefix, demo.thread)
    except ClaimError as error:
        print(f"\nThis check failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130
    section(f"All checks passed, in {time.monotonic() - began:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
