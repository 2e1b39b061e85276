"""One process that carries the trip a step further. All it knows of the trip is the thread's name.

    python -m examples.worker THREAD start        invoke(REQUEST)
    python -m examples.worker THREAD resume       invoke(None): go on after a crash
    python -m examples.worker THREAD yes|no       ainvoke(Command(resume=…)): answer the question

It may be killed at any moment, so with `--report FILE` it keeps writing down how many requests it has sent.
"""

import argparse
import asyncio
import contextlib
import json
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from langchain_core.runnables import RunnableConfig
from langgraph.types import Command

from examples.trip import REQUEST, TripGraph, trip_graph
from langgraph_checkpoint_s3 import S3Saver

# LangGraph's `interrupt` finds its run through a context variable, which async tasks take along from 3.11 on.
ANSWERS_ASYNC = sys.version_info >= (3, 11)


def main() -> None:
    parser = argparse.ArgumentParser(description="Carry the trip a step further.")
    parser.add_argument("thread")
    parser.add_argument("step", choices=["start", "resume", "yes", "no"])
    parser.add_argument("--report", type=Path, metavar="FILE")
    arguments = parser.parse_args()

    with S3Saver.from_env() as saver, reporting(saver, arguments.report):
        take(trip_graph(saver), arguments.thread, arguments.step)


def take(graph: TripGraph, thread: str, step: str) -> None:
    config: RunnableConfig = {"configurable": {"thread_id": thread}}
    if step == "start":
        graph.invoke(REQUEST, config)
    elif step == "resume":
        graph.invoke(None, config)
    elif ANSWERS_ASYNC:
        asyncio.run(graph.ainvoke(Command(resume=step), config))
    else:
        graph.invoke(Command(resume=step), config)


@contextlib.contextmanager
def reporting(saver: S3Saver, path: Path | None, every: float = 0.05) -> Iterator[None]:
    """Write the saver's request counts to `path`, again and again, and once more at the end."""
    if path is None:
        yield
        return
    draft = path.with_suffix(".draft")
    over = threading.Event()

    def write() -> None:
        counts = {"pid": os.getpid(), "requests": dict(saver.stats().requests)}
        draft.write_text(json.dumps(counts), encoding="utf-8")
        draft.replace(path)  # a reader sees the whole report or the one before

    def keep_writing() -> None:
        while not over.wait(every):
            write()

    thread = threading.Thread(target=keep_writing, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        write()


if __name__ == "__main__":
    main()
