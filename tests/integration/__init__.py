"""Tests against real S3 servers: `make test-integration`, or `pytest -m integration tests/integration`."""
