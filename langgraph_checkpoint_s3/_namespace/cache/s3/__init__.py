"""`S3Cache` where LangGraph's own caches are: `from langgraph.cache.s3 import S3Cache`."""

from langgraph_checkpoint_s3.memory import S3Cache

__all__ = ["S3Cache"]
