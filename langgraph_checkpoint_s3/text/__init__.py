"""Text for people: sizes, counts and ages, and values from a bucket made safe for a terminal."""
