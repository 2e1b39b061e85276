"""The site as it was built (`make docs`): complete, and nothing of it comes from elsewhere."""

from __future__ import annotations

import inspect
import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pytest

import langgraph_checkpoint_s3
from langgraph_checkpoint_s3 import admin, deployment, encryption, testing
from langgraph_checkpoint_s3.testing import faults

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
SITE = ROOT / "site"


class Page(HTMLParser):
    """A page: its ids, its links, and the files that a browser fetches for it."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.ids.add(found.get("id", ""))
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        elif tag == "link":
            self.fetched.append(found.get("href", ""))
        self.fetched += [found[name] for name in ("src", "srcset", "data", "poster") if name in found]


@cache
def parsed(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def pages() -> list[Path]:
    found = sorted(SITE.rglob("*.html"))
    assert len(found) > 30, "make docs builds the site"
    return found


def test_nothing_is_fetched_from_elsewhere() -> None:
    for path in pages():
        for url in parsed(path).fetched:
            assert not re.match(r"(?:\w+:)?//", url), f"{path.relative_to(SITE)}: {url}"
    for path in SITE.rglob("*.css"):
        assert not re.search(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", path.read_text(encoding="utf-8")), (
            path
        )


def test_links_lead_somewhere() -> None:
    for path in pages():
        if path.name == "404.html":  # whose links begin at the site's root, wherever that is
            continue
        for link in parsed(path).links:
            target, _, anchor = link.partition("#")
            if re.match(r"\w+:", link):
                continue
            led = (path.parent / target).resolve() if target else path
            led = led / "index.html" if led.is_dir() else led
            assert led.is_file(), f"{path.relative_to(SITE)}: {link}"
            if anchor and led.suffix == ".html":
                assert anchor in parsed(led).ids, f"{path.relative_to(SITE)}: {link}"


def test_each_document_is_a_page() -> None:
    for document in (ROOT / "docs").rglob("*.md"):
        page = document.relative_to(ROOT / "docs").with_suffix(".html")
        assert (SITE / page).is_file(), page
        home = (SITE / "index.html").read_text(encoding="utf-8")
        assert f'href="{page.as_posix()}"' in home or page.name == "index.html"


@pytest.mark.parametrize(
    ("module", "page"),
    [
        (langgraph_checkpoint_s3, None),
        (admin, "admin"),
        (encryption, "encryption"),
        (testing, "testing"),
        (faults, "testing"),
        (deployment, "deployment"),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_all_that_is_exported_is_in_the_reference(module: ModuleType, page: str | None) -> None:
    folder = SITE / "api"
    there = [*folder.rglob(f"{page or '*'}.html"), *(folder / (page or "")).glob("*.html")]
    ids = {each for path in there for each in parsed(path).ids}
    missing = [
        name
        for name in getattr(module, "__all__", dir(module))
        if (inspect.isclass(exported := getattr(module, name)) or inspect.isfunction(exported))
        and exported.__module__.startswith("langgraph_checkpoint_s3")
        and not any(each.endswith(f".{name}") for each in ids)
    ]
    assert not missing


def test_the_header_names_the_version_and_links_to_the_repository() -> None:
    address = re.findall(r'^Source = "(.*)"$', (ROOT / "pyproject.toml").read_text(), flags=re.MULTILINE)[0]
    home = (SITE / "index.html").read_text(encoding="utf-8")
    header = home[home.index("md-header__source") : home.index("</header>")]
    assert f'href="{address}"' in header
    assert langgraph_checkpoint_s3.__version__ in header
