"""Migration of threads from another checkpointer."""
