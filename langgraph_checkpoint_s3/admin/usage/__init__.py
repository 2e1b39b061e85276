"""Threads, their history, sizes and costs."""
