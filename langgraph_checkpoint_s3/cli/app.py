"""The application: its commands, and how the process starts and ends."""

from __future__ import annotations

import inspect
import logging
import os
import sys
from importlib import import_module
from keyword import iskeyword
from typing import Annotated, Any, Final

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup
from typer.main import get_command

from langgraph_checkpoint_s3 import __version__
from langgraph_checkpoint_s3.cli.target import OPTIONS

COMMANDS: Final = {
    "threads": ("threads", "--prefix customer- --limit 20", "List the threads."),
    "usage": ("threads", "--thread customer-42", "Show what is stored and its monthly cost."),
    "changes": ("changes", "--since 12h", "List what was written since a time."),
    "history": ("history", "customer-42 --limit 20", "Draw a thread's checkpoints as a tree."),
    "watch": ("history", "customer-42 --every 2s", "Follow a running agent, checkpoint by checkpoint."),
    "show": ("show", "customer-42 --channel messages", "Show a checkpoint's state and its pending writes."),
    "diff": ("show", "customer-42 latest~2 latest", "Show how the states of two checkpoints differ."),
    "resume-point": ("show", "customer-42", "Show what would run next from a checkpoint."),
    "report": ("report", "customer-42 --html customer-42.html", "Write a thread as one HTML file."),
    "memories": (
        "memories",
        'users/ada --filter \'{"kind": "fact"}\'',
        "Show, search or delete long-term memory.",
    ),
    "check": ("bucket", "--uri s3://my-bucket/agents", "Check that a saver can use the bucket."),
    "setup": ("bucket", "--harden --versioning", "Create the bucket, or check it."),
    "lifecycle": (
        "bucket",
        "--delete-after 30 --dry-run",
        "Show or set when S3 deletes or archives objects.",
    ),
    "iam-policy": ("bucket", "--role runtime --role retention", "Print a least-privilege IAM policy."),
    "serve": ("bucket", "./data --port 9000", "Run a local S3 server for development."),
    "copy": ("transfer", "customer-42 customer-42-debug", "Copy a thread within the store."),
    "export": ("transfer", "customer-42 customer-42.zip", "Write a whole thread to a file."),
    "import": ("transfer", "customer-42.zip --thread customer-42-debug", "Import a thread from a file."),
    "url": ("transfer", "customer-42 --expires 1h", "Make a signed URL of one checkpoint."),
    "migrate": ("transfer", "checkpoints.sqlite --thread customer-42", "Import threads from another saver."),
    "save": ("transfer", "customer-42 state.json", "Save a thread's state from JSON."),
    "decode": ("decoding", "state.zip", "Show a checkpoint from a file, a URL or an object."),
    "delete": ("delete", "customer-42 --dry-run", "Delete threads."),
    "purge": ("delete", "customer-42 --receipt purged.json", "Delete threads for good, with old versions."),
    "prune": ("prune", "--older-than 30d --dry-run", "Delete old checkpoints."),
    "pin": ("pins", "customer-42", "Keep threads, whatever their retention class."),
    "unpin": ("pins", "customer-42", "Put threads back under their retention class."),
    "versions": ("versions", "customer-42 latest", "List the versions of a checkpoint."),
    "restore": ("versions", "customer-42 --dry-run", "Restore a thread, a version, or an archive."),
}
"""Each command's module, its example's arguments, and a short help of at most 56 characters."""


class _Group(TyperGroup):
    """The commands. Lists of them need only names and short helps, and import none of their modules."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, (_, _, short) in COMMANDS.items():
            self.commands[name] = TyperCommand(name, short_help=short, rich_markup_mode=None)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments before the command's name."""
        # typer imports pydantic to convert a text, and a flag's None, the default of its --help and
        # --install-completion. That would take longer than all the rest of a completion.
        for each in self.get_params(ctx):
            if isinstance(OPTIONS.get(each.name, ("", False))[1], str):
                text: Any = each
                text.process_value = lambda ctx, value: value
            elif each.default is None:
                each.default = False
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the command that the arguments name, complete with its options and function."""
        name, listed, rest = super().resolve_command(ctx, args)
        return name, None if listed is None else _load(str(listed.name)), rest


def _load(name: str) -> Any:
    """Import a command's module, and return the command as click has it."""
    from langgraph_checkpoint_s3.cli.runtime import add_command

    module, arguments, _ = COMMANDS[name]
    function = name.replace("-", "_") + "_" * iskeyword(name)
    implementation = getattr(import_module(f"langgraph_checkpoint_s3.cli.{module}"), function)
    alone = typer.Typer(add_completion=False, rich_markup_mode=None)
    add_command(alone, name, implementation, arguments)
    command: Any = get_command(alone)
    for each in command.params:
        if isinstance(each, TyperArgument):
            argument: Any = each
            # The metavar says more than the type that newer versions of typer put behind it.
            argument.display_type_rich = lambda ctx: None
    return command


app = typer.Typer(
    name="langgraph-s3",
    cls=_Group,
    help="Inspect and manage LangGraph checkpoints in S3.",
    epilog="Exit codes: 0 done, 1 failed or found problems, 2 wrong usage, 3 not found, 130 Ctrl-C.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(__version__)
        raise typer.Exit


def _main(**_: Any) -> None:
    """Take the options before the command. The command reads them from its parent's context."""


_VERSION: Final = Annotated[
    bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
]
_main.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # typer reads it
    [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
        for name, (annotation, default) in {"version": (_VERSION, False), **OPTIONS}.items()
    ]
)
_main.__annotations__ = {"version": _VERSION, **{name: each for name, (each, _) in OPTIONS.items()}}
app.callback()(_main)


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
