"""Tests of `admin/` on the fake S3, one folder a subject."""
