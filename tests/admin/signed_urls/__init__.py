"""Tests of `admin/signed_urls/`."""
