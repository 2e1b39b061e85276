"""Tests of `admin/transfer/`."""
