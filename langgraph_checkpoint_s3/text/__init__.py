"""Formatting of sizes, counts and ages, and sanitizing of values for a terminal."""
