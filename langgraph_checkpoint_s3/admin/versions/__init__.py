"""Versions of checkpoints, deleted threads, and purging."""
