"""Export and import of threads, and the portable file."""
