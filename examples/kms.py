"""Encryption with AWS KMS, by S3 and before anything leaves your process; a new key; a key that is withdrawn.

    python -m examples.kms KEY [NEW_KEY]

The bucket is taken from S3_BUCKET_NAME, the keys are ARNs of symmetric KMS keys. Needs the extra `crypto` and
an account: the local server has no KMS.

1. By S3 (SSE-KMS): S3 encrypts each object at rest, and decrypts it for whoever may read it and use the key.
   A bucket key saves nearly all requests to KMS. Who lacks `kms:GenerateDataKey` (to write) or `kms:Decrypt`
   gets S3's 403, an `AccessDeniedError`; a disabled or missing key is an `InvalidConfigError`.
2. By the saver (`KmsKeys`): KMS gives the saver data keys, and what reaches S3 is encrypted already. Who
   reads the bucket, or administrates it, reads nothing without the key.
3. A new key: KMS rotates a key's material by itself, and nothing changes here. To go over to another key,
   name the old one in `also_read` wherever threads are read, and then write with the new one.
4. A key that is disabled or denied is a typed error, and nothing is written: `read` shows which.
"""

import argparse
import uuid
from contextlib import closing

import boto3
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig

from examples.quickstart import builder
from langgraph_checkpoint_s3 import (
    AccessDeniedError,
    DecryptionError,
    InvalidConfigError,
    S3Saver,
    StorageUnavailableError,
)
from langgraph_checkpoint_s3.encryption import KmsKeys


def say(saver: S3Saver, thread: str, text: str) -> str:
    config: RunnableConfig = {"configurable": {"thread_id": thread}}
    answer = builder.compile(checkpointer=saver).invoke({"messages": [HumanMessage(text)]}, config)
    return str(answer["messages"][-1].content)


def by_s3(key: str) -> S3Saver:
    return S3Saver.from_env(server_side_encryption="aws:kms", kms_key_id=key, bucket_key_enabled=True)


def sealed(keys: KmsKeys) -> S3Saver:
    """A saver that encrypts, and refuses what isn't encrypted."""
    return S3Saver.from_env(encryption=keys, require_encryption=True)


def at_rest(saver: S3Saver, thread: str) -> str:
    """Return the encryption with which S3 keeps a thread's first object."""
    config = saver.config
    with closing(boto3.client("s3", region_name=config.region, endpoint_url=config.endpoint_url)) as client:
        listed = client.list_objects_v2(Bucket=config.bucket, Prefix=f"{config.prefix}{thread}.thread/")
        head = client.head_object(Bucket=config.bucket, Key=listed["Contents"][0]["Key"])
    bucket_key = " by a bucket key" if head.get("BucketKeyEnabled") else ""
    return f"{head['ServerSideEncryption']}, {head['SSEKMSKeyId']}{bucket_key}"


def read(thread: str, keys: KmsKeys) -> str:
    """Read a thread, and say what an operator has to do if that fails."""
    with sealed(keys) as saver:
        try:
            found = saver.get_tuple({"configurable": {"thread_id": thread}})
        except DecryptionError as error:  # disabled, deleted, or none of this saver's keys
            return f"the key is of no use: {error.reason}"
        except AccessDeniedError as error:  # by a policy
            return f"may not use the key: {error.action} is missing"
        except StorageUnavailableError as error:  # after five attempts
            return f"KMS doesn't answer: {error.reason}"
    return f"{len(found.checkpoint['channel_values']['messages'])} messages" if found else "nothing there"


def write(thread: str, keys: KmsKeys) -> str:
    """Go on with a thread. Nothing is written in plain, whatever happens to the key."""
    with sealed(keys) as saver:
        try:
            return say(saver, thread, "Are you there?")
        except (DecryptionError, AccessDeniedError, InvalidConfigError, StorageUnavailableError) as error:
            return f"{type(error).__name__}, and nothing is written"


def main(key: str, new_key: str | None = None) -> str:
    mark = uuid.uuid4().hex[:8]
    with by_s3(key) as saver:
        print(say(saver, f"by-s3-{mark}", "My name is Ada."))
        print("at rest:", at_rest(saver, f"by-s3-{mark}"))

    thread = f"sealed-{mark}"
    keys = KmsKeys(key)
    with sealed(keys) as saver:
        print(say(saver, thread, "My name is Grace."))
    with S3Saver.from_env() as saver:  # may read the bucket, and has no keys
        try:
            saver.get_tuple({"configurable": {"thread_id": thread}})
        except DecryptionError:
            print("without the key: nothing to read")

    if new_key is not None:
        with sealed(KmsKeys(new_key, also_read=[key])) as saver:
            print(say(saver, thread, "What is my name?"))
        print("with the old key alone,", read(thread, keys))
        print("with the new key alone,", read(thread, KmsKeys(new_key)))
    return thread


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description="Encrypt threads with AWS KMS, in the bucket of S3_BUCKET_NAME."
    )
    parser.add_argument("key", metavar="KEY", help="the ARN of a symmetric KMS key")
    parser.add_argument("new_key", metavar="NEW_KEY", nargs="?", help="another one, to go over to")
    main(**vars(parser.parse_args()))
