"""The checkpointer under `langgraph dev`, from PyPI: `make test-langgraph-dev`."""
