"""S3 and its relatives: the connection string of each, and a conversation that shows whether a store is fit.

    python -m examples.stores                     lists the connection strings
    python -m examples.stores 's3://my-bucket/agents?endpoint_url=http://localhost:9000'

The second form talks to a graph twice, with two savers, as two processes would; deletes what it stored, and
tells what the store lacks. Credentials come from AWS's own chain, such as AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY. The bucket has to be there. `docs/stores.md` says what each store lacks, and what
follows.
"""

import sys
import uuid
from typing import Final

from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig

from examples.quickstart import builder
from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.admin import S3Admin

STORES: Final = {
    "Amazon S3": "s3://my-bucket/agents?region=eu-west-1",
    "Cloudflare R2": "s3://my-bucket/agents?endpoint_url=https://ACCOUNT.r2.cloudflarestorage.com&region=auto",
    "Tigris": "s3://my-bucket/agents?endpoint_url=https://t3.storage.dev&region=auto",
    "Backblaze B2": (
        "s3://my-bucket/agents?endpoint_url=https://s3.us-west-004.backblazeb2.com&region=us-west-004"
    ),
    "Google Cloud Storage": "s3://my-bucket/agents?endpoint_url=https://storage.googleapis.com&region=auto",
    "DigitalOcean Spaces": "s3://my-bucket/agents?endpoint_url=https://fra1.digitaloceanspaces.com&region=fra1",
    "Ceph": "s3://my-bucket/agents?endpoint_url=https://rgw.example.org&region=us-east-1",
    "MinIO": "s3://my-bucket/agents?endpoint_url=http://localhost:9000&region=us-east-1",
    "SeaweedFS": "s3://my-bucket/agents?endpoint_url=http://localhost:8333&region=us-east-1",
    "Garage": "s3://my-bucket/agents?endpoint_url=http://localhost:3900&region=garage",
    "LocalStack": "s3://my-bucket/agents?endpoint_url=http://localhost:4566&region=us-east-1",
    "rclone": "s3://my-bucket/agents?endpoint_url=http://localhost:8080&region=us-east-1",
}


def converse(uri: str) -> str:
    """Talk twice, and return the last answer. The second saver knows nothing but what is in the bucket."""
    answer = ""
    config: RunnableConfig = {"configurable": {"thread_id": f"stores-{uuid.uuid4().hex[:8]}"}}
    try:
        for text in ("My name is Ada.", "What is my name?"):
            with S3Saver.from_conn_string(uri) as saver:
                graph = builder.compile(checkpointer=saver)
                answer = graph.invoke({"messages": [HumanMessage(text)]}, config)["messages"][-1].content
    finally:
        with S3Saver.from_conn_string(uri) as saver:
            saver.delete_thread(config["configurable"]["thread_id"])
    return answer


def lacking(uri: str) -> list[str]:
    """Findings of `check()` that aren't `ok`, one line each."""
    with S3Saver.from_conn_string(uri) as saver:
        report = S3Admin(saver).check()
    return [f"{each.status}: {each.name}" for each in report if each.status != "ok"]


def main(uri: str | None = None) -> None:
    if uri is None:
        for name, example in STORES.items():
            print(f"{name:<22}{example}")
        return
    print(converse(uri))
    print(*lacking(uri), sep="\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
