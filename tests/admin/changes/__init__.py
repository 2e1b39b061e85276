"""Tests of `admin/changes/`."""
