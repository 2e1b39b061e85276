"""The project's tests: the suite, which needs nothing but Python, and `integration/` against S3 servers."""
