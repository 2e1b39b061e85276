"""One saver under load for a long time: what it holds of memory, sockets and threads stays the same."""
