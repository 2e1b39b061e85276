"""Set-up of a bucket: its settings, policies, replication, and IAM policies."""
