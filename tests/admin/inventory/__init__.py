"""Tests of `admin/inventory/`, and of the operations that read reports."""
