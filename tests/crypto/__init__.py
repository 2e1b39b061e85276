"""Tests of `crypto/`."""
