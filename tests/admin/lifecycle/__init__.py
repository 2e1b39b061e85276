"""Tests of `admin/lifecycle/`."""
