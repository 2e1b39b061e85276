"""Tests of the command line, on a fake S3."""
