"""Check of a bucket: connection, credentials, objects and settings."""
