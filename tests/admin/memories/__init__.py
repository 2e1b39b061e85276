"""Tests of `admin/memories/`."""
