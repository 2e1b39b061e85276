"""Links that leave docs/ lead to pages of the site."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from langgraph_checkpoint_s3 import admin

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    """The hooks, loaded by their path as mkdocs does."""
    spec = importlib.util.spec_from_file_location("site_hooks", ROOT / "docs" / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("page", "link", "led"),
    [
        ("index.md", "[a](../SECURITY.md)", "[a](security.md)"),
        ("index.md", "[a](../SECURITY.md#secrets)", "[a](security.md#secrets)"),
        ("api/admin.md", "[a](../../SECURITY.md)", "[a](../security.md)"),
        (
            "api/admin.md",
            "[a](../admin/lifecycle.md#delete-after-30-days)",
            "[a](../admin/lifecycle.md#delete-after-30-days)",
        ),
        ("security.md", "[a](docs/encryption.md)", "[a](encryption.md)"),
        ("examples.md", "[a](quickstart.py)", "[a](source/examples/quickstart.py.md)"),
        ("examples.md", "[a](../docs/benchmarks.md#turns)", "[a](benchmarks.md#turns)"),
        ("contributing.md", "[a](examples)", "[a](examples.md)"),
        ("contributing.md", "[a](examples/demo/)", "[a](source/examples/demo/__main__.py.md)"),
        ("benchmarks.md", "![a](charts/turns.svg)", "![a](charts/turns.svg)"),
        # What is no file stays, for the strict build to complain of.
        ("index.md", "[a](../NOTHING.md)", "[a](../NOTHING.md)"),
        ("index.md", "[a](../../elsewhere.md)", "[a](../../elsewhere.md)"),
        ("index.md", "[a](#here)", "[a](#here)"),
        ("index.md", "[a](https://example.com/x.md)", "[a](https://example.com/x.md)"),
        ("index.md", "```python\nx[0](../SECURITY.md)\n```", "```python\nx[0](../SECURITY.md)\n```"),
    ],
)
def test_a_link_leads_to_a_page(hooks: ModuleType, page: str, link: str, led: str) -> None:
    assert hooks.rewritten(link, page) == led


def test_no_link_leads_to_a_heading_of_a_shown_file(hooks: ModuleType) -> None:
    """A file that is shown as it is has no headings on the site, as README.md has on GitHub."""
    documents = [*(ROOT / "docs").rglob("*.md"), *(ROOT / path for path in hooks.PAGES)]
    pages = {path: str(path.relative_to(ROOT)) for path in documents}
    led = {
        name: hooks.rewritten(path.read_text(encoding="utf-8"), hooks.page_of(name))
        for path, name in pages.items()
    }
    found = {name: re.findall(r"\]\([^)\s]*source/[^)\s]*#[^)]*\)", text) for name, text in led.items()}
    assert len(found) > 20
    assert {name: links for name, links in found.items() if links} == {}


def test_what_is_linked_is_shown(hooks: ModuleType) -> None:
    document = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    needed = hooks.linked(document, "examples/README.md")
    assert "source/examples/quickstart.py.md" in needed
    shown = hooks.shown("examples/quickstart.py")
    assert shown.startswith("# `examples/quickstart.py`\n")
    assert (ROOT / "examples" / "quickstart.py").read_text(encoding="utf-8").strip() in shown


def test_each_document_has_its_place_among_the_others(hooks: ModuleType) -> None:
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    listed = re.findall(r"[\w/-]+\.md$", nav, flags=re.MULTILINE)
    documents = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]
    assert sorted(listed) == sorted([*documents, *hooks.PAGES.values()])


def test_the_admins_reference_has_each_method_and_class() -> None:
    """Its pages name them one by one, sorted by subject; asyncio's methods are described with the others."""
    pages = (path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "api" / "admin").glob("*.md"))
    shown = {
        name
        for page in pages
        for name in re.findall(r"^::: langgraph_checkpoint_s3\.admin\.(\S+)$", page, re.MULTILINE)
    }
    members = [name for name in dir(admin.S3Admin) if not name.startswith("_")]
    twins = {f"a{name}" for name in members}
    methods = {f"S3Admin.{name}" for name in members if name not in (*twins, "close", "config", "saver")}
    assert shown == methods | {name for name in admin.__all__ if name != "S3Admin"}
