"""The benchmarks run, and their figures add up: `make test-benchmarks`, since they start many processes."""
