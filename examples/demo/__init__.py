"""The demo: `python -m examples.demo`. The scenes are in `__main__`, what they stand on is in `stage`."""
