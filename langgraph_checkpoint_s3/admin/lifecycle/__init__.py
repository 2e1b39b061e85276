"""Lifecycle policies, and archived threads."""
