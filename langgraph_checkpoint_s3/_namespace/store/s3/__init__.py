"""`S3Store` where LangGraph's own stores are: `from langgraph.store.s3 import S3Store`."""

from langgraph_checkpoint_s3.memory import S3Item, S3Store

__all__ = ["S3Item", "S3Store"]
