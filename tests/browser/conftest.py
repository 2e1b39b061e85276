"""Fixtures: reports opened in Chromium, which must send no request, print nothing and open no dialog.

Playwright drives the system's Chromium: its wheel has everything but the browser. Unlike Selenium, it can
set colour schemes, screens and print, and observe requests, dialogs and the console.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Dialog,
    Page,
    Request,
    WebError,
    expect,
    sync_playwright,
)

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.cli import runtime
from tests.cli import example
from tests.cli.conftest import run
from tests.support.fake_s3 import FakeS3
from tests.support.hanging import HANG

Open = Callable[..., Page]

expect.set_options(timeout=HANG * 1000)


def reported(saver: S3Saver, thread: str, file: Path, limit: int = 100) -> Path:
    """Write the report of a thread with the command."""
    with mock.patch.object(runtime, "open_saver", return_value=saver):
        ran = run("report", thread, "--html", file, "--force", "--limit", limit)
    assert ran.code == 0, ran.err
    return file


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium. The variable `CHROMIUM` is its path."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("there is no Chromium: apt-get install chromium, or set CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def trip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the documents' example."""
    file = tmp_path_factory.mktemp("report") / "trip.html"
    return reported(example.built(FakeS3()), example.THREAD, file)


@pytest.fixture
def opened(browser: Browser) -> Iterator[Open]:
    """Open pages, and assert that they send no request, print nothing and open no dialog."""
    contexts = []
    wrong: list[str] = []

    def note(message: ConsoleMessage) -> None:
        wrong.append(f"console: {message.text}")

    def asked(dialog: Dialog) -> None:
        wrong.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def failed(error: WebError) -> None:
        wrong.append(f"error: {error.error}")

    def sent(request: Request) -> None:
        if request.resource_type != "document":
            wrong.append(f"request: {request.url}")

    def open_page(file: Path, anchor: str = "", *, width: int = 1280, dark: bool = False) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
        )
        context.set_default_timeout(HANG * 1000)
        contexts.append(context)
        context.on("console", note)
        context.on("dialog", asked)
        context.on("request", sent)
        context.on("weberror", failed)
        page = context.new_page()
        page.goto(file.as_uri() + anchor)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []
