"""Tests of the pure modules, and of what each of them makes of bad input."""
