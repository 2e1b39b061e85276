"""Tests of `admin/check/`."""
