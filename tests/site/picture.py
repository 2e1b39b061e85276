"""Take a picture of the site's home, docs/pictures/site.png: `make pictures`, after `make docs`."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
HOME: Final = ROOT / "site" / "index.html"
PICTURE: Final = ROOT / "docs" / "pictures" / "site.png"


def take() -> str | None:
    """Take the picture; return why there is none, or `None`."""
    browser = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        return "there is no Chromium"
    if not HOME.is_file():
        return "the site isn't built: make docs"
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": 1400, "height": 1000})
        page.goto(HOME.as_uri())
        page.screenshot(path=PICTURE)
        chromium.close()
    return None


if __name__ == "__main__":
    reason = take()
    if reason is not None:
        sys.stderr.write(f"docs/pictures/site.png stays as it is: {reason}.\n")
