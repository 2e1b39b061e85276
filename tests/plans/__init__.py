"""The operations on an in-memory S3: what they ask, what they answer, what a crash leaves."""
