"""The command line, on a fake S3: what it prints, what it refuses, and how it ends."""
