"""The application: all commands together, and how the process begins and ends."""

from __future__ import annotations

import logging
import os
import sys
from typing import Annotated

import typer

from langgraph_checkpoint_s3.cli import (
    bucket,
    decoding,
    delete,
    history,
    report,
    show,
    threads,
    transfer,
    versions,
)
from langgraph_checkpoint_s3.version import __version__

app = typer.Typer(
    name="langgraph-s3",
    help="Look at LangGraph's checkpoints in S3, and manage them.",
    epilog="Exit codes: 0 done, 1 failed or found problems, 2 wrong usage, 3 not found, 130 Ctrl-C.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


for _room in (threads, history, show, report, bucket, transfer, decoding, delete, versions):
    _room.add(app)


def run() -> None:
    """Run the process's command."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal that lacks a letter is no error
    # Types that a strict serializer leaves as data are no news here; what fails is told as an error.
    logging.getLogger("langgraph").setLevel(logging.ERROR)
    try:
        app()
    except BrokenPipeError:  # `… | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
