"""Tests of `s3/`: requests, answers, errors, clients, limits."""
