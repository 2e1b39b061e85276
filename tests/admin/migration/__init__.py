"""Tests of `admin/migration/`."""
