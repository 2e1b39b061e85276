"""Tests of `admin/usage/`."""
