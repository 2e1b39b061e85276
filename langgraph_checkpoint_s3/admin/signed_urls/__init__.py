"""Signed URLs for checkpoints."""
