"""Long-term memory and a node cache for LangGraph, on the saver's bucket.

from langgraph_checkpoint_s3.memory import S3Cache, S3Store

saver = S3Saver("my-bucket")
graph = builder.compile(checkpointer=saver, store=S3Store(saver=saver), cache=S3Cache(saver=saver))
"""

from langgraph_checkpoint_s3.memory.node_cache import S3Cache
from langgraph_checkpoint_s3.memory.store import S3Item, S3Store
from langgraph_checkpoint_s3.memory.vector_search import RebuiltVectors
from langgraph_checkpoint_s3.memory.vectors import S3Vectors

__all__ = ["RebuiltVectors", "S3Cache", "S3Item", "S3Store", "S3Vectors"]
