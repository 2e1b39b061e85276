"""Threads that no retention class deletes."""
