"""The command line, `langgraph-s3`: what is in the bucket, shown and managed, from a terminal.

It uses the public `S3Saver` and `S3Admin` alone. `runtime.py` is what all commands share; each other file
has a few of them. typer and rich are the extra `cli`, and are imported in this room alone.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line."""
    try:
        import rich  # noqa: F401  # is it there?
        import typer  # noqa: F401  # is it there?
    except ImportError:
        sys.exit(
            'The command line needs typer and rich: run pip install ".[cli]" in a clone of the repository.'
        )
    try:
        from langgraph_checkpoint_s3.cli.app import run

        run()
    except KeyboardInterrupt:  # before a command had begun
        sys.exit(130)
