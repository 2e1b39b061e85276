"""The options that all commands take, before or after the command: target, keys and output."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Annotated, Any, Final

import typer

OPTIONS: Final[dict[str, tuple[Any, str | bool]]] = {
    "uri": (
        Annotated[
            str,
            typer.Option(
                "--uri",
                metavar="s3://BUCKET/PREFIX",
                help="The bucket and prefix. Default: from S3_BUCKET_NAME.",
            ),
        ],
        "",
    ),
    "endpoint_url": (
        Annotated[
            str, typer.Option("--endpoint-url", metavar="URL", help="The address of another store than AWS.")
        ],
        "",
    ),
    "region": (
        Annotated[str, typer.Option("--region", metavar="REGION", help="The bucket's region: eu-west-1.")],
        "",
    ),
    "profile": (
        Annotated[
            str, typer.Option("--profile", metavar="NAME", help="The profile of AWS's configuration to use.")
        ],
        "",
    ),
    "keys": (
        Annotated[
            str,
            typer.Option(
                "--keys",
                metavar="MODULE:NAME",
                help="Your KeyProvider, if threads are encrypted; it is imported.",
            ),
        ],
        "",
    ),
    "as_json": (Annotated[bool, typer.Option("--json", help="Print JSON.")], False),
    "debug": (Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")], False),
}
"""Each option's name as a parameter, its annotation and its default."""

_CREDENTIALS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


def shared(context: typer.Context, given: dict[str, Any]) -> dict[str, Any]:
    """Return the values of `OPTIONS`: those behind the command, else those before it.

    Args:
        context: The command's context.
        given: The command's options. The shared ones are taken out.
    """
    before = context.parent.params if context.parent else {}
    return {
        name: given.pop(name, None) or before.get(name) or default for name, (_, default) in OPTIONS.items()
    }


@contextlib.contextmanager
def use_profile(name: str) -> Iterator[None]:
    """Use a profile of AWS's configuration, as the AWS CLI's `--profile` does: not the environment's keys."""
    if not name:
        yield
        return
    before = {each: os.environ.pop(each, None) for each in (*_CREDENTIALS, "AWS_PROFILE")}
    os.environ["AWS_PROFILE"] = name
    try:
        yield
    finally:
        del os.environ["AWS_PROFILE"]
        os.environ.update({each: value for each, value in before.items() if value is not None})


def complete_thread(context: typer.Context, incomplete: str) -> list[str]:
    """Return the threads whose ids begin with a text, for a shell. Any failure is silent.

    Nothing is sent unless a bucket is named, and then two LISTs: one is of hashed names.
    """
    try:
        from langgraph_checkpoint_s3.cli.runtime import open_saver

        values = shared(context, dict(context.params))
        if not (values["uri"] or os.environ.get("S3_BUCKET_NAME")):
            return []
        with (
            use_profile(values["profile"]),
            open_saver(values["uri"] or None, **store_settings(values), **_HASTE) as saver,
        ):
            from langgraph_checkpoint_s3.admin import S3Admin

            found = list(S3Admin(saver).threads(incomplete, limit=_MAX_COMPLETIONS))
    except Exception:  # noqa: BLE001  # a shell shows what is printed in the middle of a line
        return []
    return [name for name in found if name.isprintable()]


def store_settings(values: dict[str, Any]) -> dict[str, str]:
    """Return the settings of `S3Config` that the shared options give."""
    return {name: values[name] for name in ("endpoint_url", "region") if values[name]}


_MAX_COMPLETIONS: Final = 50
_HASTE: Final = {
    "max_attempts": 1,
    "connect_timeout": 1.0,
    "read_timeout": 2.0,
    "operation_timeout": 3.0,
}
"""Settings for a person who waits for a completion."""
