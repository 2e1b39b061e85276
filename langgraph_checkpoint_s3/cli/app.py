"""The application: its commands, and how the process starts and ends."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from typing import Annotated, Final

import typer

from langgraph_checkpoint_s3 import __version__
from langgraph_checkpoint_s3.cli.bucket import check, iam_policy, lifecycle, serve, setup
from langgraph_checkpoint_s3.cli.decoding import decode
from langgraph_checkpoint_s3.cli.delete import delete, prune
from langgraph_checkpoint_s3.cli.history import history, watch
from langgraph_checkpoint_s3.cli.report import report
from langgraph_checkpoint_s3.cli.runtime import add_command
from langgraph_checkpoint_s3.cli.show import diff, resume_point, show
from langgraph_checkpoint_s3.cli.threads import threads, usage
from langgraph_checkpoint_s3.cli.transfer import copy, export, import_, migrate, url
from langgraph_checkpoint_s3.cli.versions import restore, versions

app = typer.Typer(
    name="langgraph-s3",
    help="Inspect and manage LangGraph checkpoints in S3.",
    epilog="Exit codes: 0 done, 1 failed or found problems, 2 wrong usage, 3 not found, 130 Ctrl-C.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

_COMMANDS: Final[tuple[tuple[Callable[..., None], str, str | None], ...]] = (
    (threads, "threads --prefix customer- --limit 20", None),
    (usage, "usage --thread customer-42", "Show what is stored and its monthly cost."),
    (history, "history customer-42 --limit 20", "Draw a thread's checkpoints as a tree."),
    (watch, "watch customer-42 --every 2s", "Follow a running agent, checkpoint by checkpoint."),
    (show, "show customer-42 --channel messages", "Show a checkpoint's state and its pending writes."),
    (diff, "diff customer-42 latest~2 latest", "Show how the states of two checkpoints differ."),
    (resume_point, "resume-point customer-42", "Show what would run next from a checkpoint."),
    (report, "report customer-42 --html customer-42.html", "Write a thread as one HTML file."),
    (check, "check --uri s3://my-bucket/agents", "Check that a saver can use the bucket."),
    (setup, "setup --harden --versioning", "Create the bucket, or check it."),
    (lifecycle, "lifecycle --delete-after 30 --dry-run", "Show or set when S3 deletes or archives objects."),
    (iam_policy, "iam-policy --role runtime --role retention", "Print a least-privilege IAM policy."),
    (serve, "serve ./data --port 9000", "Run a local S3 server for development."),
    (copy, "copy customer-42 customer-42-debug", None),
    (export, "export customer-42 customer-42.zip", "Write a whole thread to a file."),
    (import_, "import customer-42.zip --thread customer-42-debug", "Import a thread from a file."),
    (url, "url customer-42 --expires 1h", "Make a signed URL of one checkpoint."),
    (migrate, "migrate checkpoints.sqlite --thread customer-42", "Import threads from another saver."),
    (decode, "decode state.zip", "Show a checkpoint from a file, a URL or an object."),
    (delete, "delete customer-42 --dry-run", "Delete threads."),
    (prune, "prune --older-than 30d --dry-run", "Delete old checkpoints."),
    (versions, "versions customer-42 latest", "List the versions of a checkpoint."),
    (restore, "restore customer-42 --dry-run", "Restore a thread, a version, or an archive."),
)
"""Each command with its example, which begins with its name, and a short help of at most 56 characters.

Without a short help, the first sentence of the docstring is used.
"""


def _print_version(value: bool) -> None:
    if value:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


for _function, _example, _short in _COMMANDS:
    add_command(app, _function, _example, _short)


def run() -> None:
    """Run the command of this process."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # the terminal's encoding may lack characters
    # The strict serializer logs each type that it leaves as plain data, which is expected here.
    logging.getLogger("langgraph").setLevel(logging.ERROR)
    try:
        app()
    except BrokenPipeError:  # `… | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
