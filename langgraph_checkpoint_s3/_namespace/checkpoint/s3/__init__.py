"""`S3Saver` where LangGraph's own savers are: `from langgraph.checkpoint.s3 import S3Saver`."""

from langgraph_checkpoint_s3 import S3Config, S3Saver

__all__ = ["S3Config", "S3Saver"]
