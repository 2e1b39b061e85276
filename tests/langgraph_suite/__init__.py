"""LangGraph's own tests with `S3Saver` in the place of its checkpointers: `make test-langgraph`."""
