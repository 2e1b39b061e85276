"""Tests of `admin/retention/`."""
