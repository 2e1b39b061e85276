"""Move an application's threads from SQLite to S3: their histories come along, and go on there.

    python -m examples.from_sqlite          makes a file with two conversations, and moves those
    python -m examples.from_sqlite FILE     moves the threads of a file of yours

The bucket is taken from S3_BUCKET_NAME. FILE is only read; stop the agents that use it before. It can be cut
short and done again. Needs langgraph-checkpoint-sqlite.
"""

import argparse
import tempfile
from pathlib import Path

from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.sqlite import SqliteSaver

from examples.quickstart import builder
from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.admin import S3Admin


def make_sample(file: Path) -> None:
    """Leave a file as an application does that keeps its threads in SQLite."""
    with SqliteSaver.from_conn_string(str(file)) as source:
        graph = builder.compile(checkpointer=source)
        for name in ("Ada", "Grace"):
            config: RunnableConfig = {"configurable": {"thread_id": f"sample-{name}"}}
            graph.invoke({"messages": [HumanMessage(f"My name is {name}.")]}, config)


def move(file: Path, saver: S3Saver) -> None:
    with SqliteSaver.from_conn_string(str(file)) as source:
        moved = S3Admin(saver).migrate(source)
    print(f"{moved.threads} threads, {moved.checkpoints} checkpoints")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Move threads from SQLite to the bucket of S3_BUCKET_NAME.")
    parser.add_argument(
        "file", type=Path, nargs="?", metavar="FILE", help="of SqliteSaver; default: a sample"
    )
    file: Path | None = parser.parse_args(arguments).file
    if file is not None and not file.is_file():
        parser.error(f"there is no file {file}")  # SQLite would make an empty one
    with S3Saver.from_env() as saver, tempfile.TemporaryDirectory() as folder:
        saver.setup()
        if file is None:
            file = Path(folder, "sample.sqlite")
            make_sample(file)
        move(file, saver)


if __name__ == "__main__":
    main()
