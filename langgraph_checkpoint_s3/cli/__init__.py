"""The command line, `langgraph-s3`.

It is built on the package's public API. `app.py` lists the commands, `runtime.py` holds what they share, and
each other module implements one subject. Only this package imports typer, rich and Jinja2, the extra `cli`.

Help, completion and `--version` answer at once: a command's module is imported when the command is named, and
rich, Jinja2, LangGraph, the saver and the admin where a command uses them.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec


def main() -> None:
    """Run the command line."""
    try:
        import typer  # noqa: F401  # is it installed?

        missing = find_spec("rich") is None
    except ImportError:
        missing = True
    if missing:
        sys.exit(
            'The command line needs typer and rich: run pip install ".[cli]" in a clone of the repository.'
        )
    try:
        from langgraph_checkpoint_s3.cli.app import run

        run()
    except KeyboardInterrupt:  # before a command has started
        sys.exit(130)
