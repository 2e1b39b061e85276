"""Tests of the admin module on real servers."""
