"""Move an application's threads from SQLite to S3: their histories come along, and go on there.

    python -m examples.from_sqlite FILE

The bucket is taken from S3_BUCKET_NAME. FILE is only read; stop the agents that use it before. It can be cut
short and done again. Needs langgraph-checkpoint-sqlite.
"""

import sys

from langgraph.checkpoint.sqlite import SqliteSaver

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.admin import S3Admin


def main(file: str) -> None:
    with SqliteSaver.from_conn_string(file) as source, S3Saver.from_env() as saver:
        saver.setup()
        moved = S3Admin(saver).migrate(source)
        print(f"{moved.threads} threads, {moved.checkpoints} checkpoints")


if __name__ == "__main__":
    main(*sys.argv[1:])
