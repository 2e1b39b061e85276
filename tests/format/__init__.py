"""Tests of `format/`: keys, containers, checkpoints and writes, and damaged or hostile objects."""
