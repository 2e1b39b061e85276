"""Tests of the admin module over HTTP, on moto."""
