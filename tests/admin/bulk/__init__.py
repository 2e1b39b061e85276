"""Tests of `admin/bulk/`."""
