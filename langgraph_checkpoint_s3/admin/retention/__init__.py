"""Pruning of old checkpoints, and removal of orphans."""
