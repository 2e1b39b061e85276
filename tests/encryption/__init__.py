"""Tests of `encryption/`."""
