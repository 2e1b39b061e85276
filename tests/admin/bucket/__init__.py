"""Tests of `admin/bucket/`."""
