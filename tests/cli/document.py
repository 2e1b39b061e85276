"""Write the output of the commands in docs/cli.md into it: `python -m tests.cli.document`."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

from langgraph.checkpoint.sqlite import SqliteSaver
from typer.testing import CliRunner

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.cli import runtime
from langgraph_checkpoint_s3.cli.app import app
from tests.support.checkpoints import make_checkpoint, place, put_chain
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver

DOCUMENT = Path(__file__).parents[2] / "docs" / "cli.md"
_BLOCK = re.compile(r"^```console\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)


def answered(document: str) -> str:
    """Return the document with the commands' current output."""
    fake = FakeS3()
    build(make_saver(fake, prefix="agents/"))
    here = Path.cwd()

    def open_saver(uri: str | None, **keywords: Any) -> S3Saver:
        return make_saver(fake, prefix="agents/")

    def answer(block: re.Match[str]) -> str:
        commands = [line for line in block[1].splitlines() if line.startswith("$ ")]
        return "```console\n" + "".join(f"{each}\n{ran(each)}" for each in commands) + "```"

    with tempfile.TemporaryDirectory() as folder, mock.patch.object(runtime, "open_saver", open_saver):
        os.chdir(folder)
        try:
            with SqliteSaver.from_conn_string("checkpoints.sqlite") as source:
                put_chain(source, "customer-7", 3)
            fake.set_versioning("Suspended")
            return _BLOCK.sub(answer, document)
        finally:
            os.chdir(here)


def ran(command: str) -> str:
    """Return what a command prints."""
    command, _, head = command.removeprefix("$ langgraph-s3 ").partition(" | head -")
    result = CliRunner().invoke(app, command.split())
    lines = result.output.splitlines()
    if head and len(lines) > int(head):
        lines = lines[: int(head)]
    return "".join(f"{line}\n" for line in lines)


def comparable(document: str) -> str:
    """Return a document without what differs between runs: ages, times, sizes and version ids."""
    document = re.sub(r"\b\d+[smhd]\b", "AGE", document)
    document = re.sub(r"[\d.]+ (B|kB)\b", "SIZE", document)
    document = re.sub(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?", "TIME", document)
    return re.sub(r"^\S+(?=\tTIME)", "VERSION", document, flags=re.MULTILINE)


def build(saver: S3Saver) -> None:
    """Put a chat with a fork and an open interrupt."""
    said: list[Any] = [("human", "What's the weather in Oslo?")]
    call = {"name": "weather", "args": {"city": "Oslo"}}
    ends = ("5d41402abc4b", "9a3f2c7b61d0", "e07714d09b52", "40bd1f6a8e23", "c95e3a82f716")
    ids = [f"1f0a2c6e-0000-6000-800{number}-{end}" for number, end in enumerate(ends)]
    steps: list[tuple[int, int | None, str, dict[str, Any]]] = [
        (0, None, "input", {"__start__": {"messages": said}}),
        (1, 0, "loop", {"messages": said, "branch:to:model": None}),
        (2, 1, "loop", {"messages": [*said, ("ai", "", call)], "branch:to:tools": None}),
        (
            3,
            2,
            "loop",
            {"messages": [*said, ("ai", "", call), ("tool", "4 °C, rain")], "branch:to:model": None},
        ),
        (4, 1, "fork", {"messages": [("human", "What's the weather in Rome?")], "branch:to:model": None}),
    ]
    for number, parent, source, values in (steps[each] for each in (0, 1, 4, 2, 3)):
        spoken = [
            {"type": each[0], "content": each[1], "tool_calls": list(each[2:])}
            for each in values.get("messages", ())
        ]
        state = {**values, "messages": spoken} if spoken else {"__start__": {"city": "Oslo"}}
        checkpoint = make_checkpoint(ids[number], state)
        checkpoint["versions_seen"] = {}
        metadata: Any = {"source": source, "step": {4: 2}.get(number, number) - 1}
        config = place("customer-42", None if parent is None else ids[parent])
        saver.put(config, checkpoint, metadata, checkpoint["channel_versions"])
    saver.put_writes(place("customer-42", ids[4]), [("__interrupt__", ["Look up Rome?"])], "7d0f1c")
    put_chain(saver, "customer-1", 1)


if __name__ == "__main__":
    DOCUMENT.write_text(answered(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
