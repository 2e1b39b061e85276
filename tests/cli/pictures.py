"""Make the pictures in README and docs: `make pictures`, or `python -m tests.cli.pictures`.

With the same version of rich, a commit's SVGs are reproducible, and a test compares them. The screenshot
needs Chromium, and is left unchanged without it.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal
from unittest import mock

from rich.console import Console
from rich.terminal_theme import MONOKAI

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.admin.usage import history_lines
from langgraph_checkpoint_s3.cli import runtime
from langgraph_checkpoint_s3.cli.report_page import chart, chart_svg
from langgraph_checkpoint_s3.text.humanize import format_age
from tests.cli import example
from tests.cli.conftest import run
from tests.support.checkpoints import place
from tests.support.fake_s3 import FakeS3

PICTURES: Final = Path(__file__).parents[2] / "docs" / "pictures"
TURNS: Final = 100

_TERMINAL: Final = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font: {char_height}px Menlo, Consolas, "DejaVu Sans Mono", monospace; }}
.{unique_id}-title {{ font: bold 18px system-ui, "DejaVu Sans", sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""Rich's picture of a terminal, with local fonts: its own template loads one from a server."""

_CHART: Final = """\
<svg viewBox="0 0 1120 290" xmlns="http://www.w3.org/2000/svg">
<style>
text {{ font: 13px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1c2128; }}
.heading {{ font-size: 17px; font-weight: 600; }}
.axis {{ text-anchor: end; fill: #535c66; }}
.grid {{ stroke: #d5dae0; }}
.row {{ fill: none; }}
.bar {{ fill: #855800; opacity: .55; }}
polyline {{ fill: none; stroke-width: 2.5; stroke-linejoin: round; }}
polyline.state {{ stroke: #1a62c0; }}
polyline.sofar {{ stroke: #1a7f45; }}
</style>
<rect width="1120" height="290" rx="10" fill="#ffffff"/>
<text class="heading" x="24" y="34">{heading}</text>
<text x="24" y="58" style="fill: #1a62c0">■ the state</text>
<text x="116" y="58" style="fill: #855800">■ what each checkpoint stores</text>
<text x="338" y="58" style="fill: #1a7f45">■ stored so far</text>
{labels}
<svg x="106" y="76" width="990" height="170" {drawing}
<text x="106" y="272">checkpoints, the oldest first</text>
</svg>
"""


def terminal(width: int) -> str:
    """Draw `langgraph-s3 history` of the example in a terminal of this width."""
    console = Console(
        record=True,
        width=width,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        highlight=False,
    )
    title = f"langgraph-s3 history {example.THREAD}"
    console.print(f"$ {title}", style="bold", markup=False)
    with (
        mock.patch.object(runtime, "open_saver", return_value=example.built(FakeS3())),
        mock.patch.object(runtime, "make_console", return_value=console),
        mock.patch.object(history_lines, "format_age", partial(format_age, now=example.NOW)),
    ):
        ran = run("history", example.THREAD)
    assert ran.code == 0, ran.err
    svg = console.export_svg(title=title, theme=MONOKAI, code_format=_TERMINAL, unique_id="history")
    return re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE)


def sizes() -> str:
    """Draw the report's chart of a chat with large documents in its state."""
    saver = example.steady(FakeS3())
    weights = _chat(saver)
    stored = {each.checkpoint_id: each.bytes for each in S3Admin(saver).checkpoint_sizes("chat")}
    points = [("c", name, weight, stored[name]) for name, weight in weights.items()]
    drawn = re.sub(r"</?a\b[^>]*>|<title>.*?</title>|\n", "", chart_svg(points), flags=re.DOTALL)
    layout = chart(points)
    labels = "".join(
        f'<text class="axis" x="96" y="{80 + y * 170 / layout["height"]:.1f}">{label}</text>'
        for y, label in layout["ticks"]
    )
    total, last = sum(stored.values()), list(weights.values())[-1]
    heading = (
        f"{TURNS} turns of a chat with 100 kB of documents: {total / 1000:,.0f} kB are stored in all, "
        f"uncompressed, {total / last:.1f} times the last state"
    )
    drawing = drawn.removeprefix("<svg ")
    return _CHART.format(heading=heading, labels=labels, drawing=drawing)


def _chat(saver: S3Saver) -> dict[str, int]:
    """Put a checkpoint for each turn of a chat; return the states' sizes by id, the oldest first."""
    said: list[dict[str, Any]] = []
    versions: dict[str, Any] = {"documents": f"{1:032}.5"}
    weights: dict[str, int] = {}
    for number in range(TURNS):
        said = [*said, {"type": "human", "content": _text(number, 1_000)}]
        values = {"documents": [_text(-1 - each, 10_000) for each in range(10)], "messages": said}
        new = {**versions} if number == 0 else {}
        versions["messages"] = new["messages"] = f"{number + 1:032}.5"
        checkpoint: Any = {
            "v": 4,
            "id": f"{number:08}",
            "ts": example.BEGAN.isoformat(),
            "channel_values": values,
            "channel_versions": dict(versions),
            "versions_seen": {},
            "updated_channels": sorted(new),
        }
        where = place("chat", f"{number - 1:08}" if number else None)
        metadata: Any = {"source": "loop", "step": number}
        saver.put(where, checkpoint, metadata, new)
        weights[checkpoint["id"]] = len(saver.serde.dumps_typed(values)[1])
    return weights


def _text(seed: int, length: int) -> str:
    """Return a text that shares little with those of other seeds."""
    words = (f"{(seed * 7919 + each * 104729) % 1_000_003:06}" for each in range(length // 7 + 1))
    return " ".join(words)[:length]


def screenshots(folder: Path) -> bool:
    """Take screenshots of the report; return `False` if there is no browser."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        return False
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        page = Path(scratch) / "report.html"
        with mock.patch.object(runtime, "open_saver", return_value=example.built(FakeS3())):
            ran = run("report", example.THREAD, "--html", page)
        assert ran.code == 0, ran.err
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for name, (width, height, scheme) in SCREENSHOTS.items():
            shown = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            shown.goto(page.as_uri())
            shown.screenshot(path=folder / name)
        browser.close()
    return True


SCREENSHOTS: Final[dict[str, tuple[int, int, Literal["light", "dark"]]]] = {
    "report.png": (1400, 1400, "light"),
    "report-phone.png": (375, 1200, "light"),
    "report-dark.png": (1400, 1400, "dark"),
}
"""The screenshots of the report: their width, height and colours."""

MADE: Final[dict[str, Callable[[], str]]] = {
    "history.svg": partial(terminal, 80),
    "history-wide.svg": partial(terminal, 140),
    "sizes.svg": sizes,
}
"""The reproducible pictures."""


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    for name, make in MADE.items():
        (PICTURES / name).write_text(make(), encoding="utf-8")
    if not screenshots(PICTURES):
        sys.stderr.write(f"There is no Chromium: {', '.join(SCREENSHOTS)} stay as they are.\n")
