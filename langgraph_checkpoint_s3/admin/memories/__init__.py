"""Long-term memory: export, import, and migration from other stores."""
