"""Tests of `admin/versions/`."""
