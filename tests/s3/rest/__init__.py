"""Tests of requests that are sent without an SDK's client."""
