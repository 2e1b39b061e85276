"""Bucket settings, policies, replication, and IAM policies."""
