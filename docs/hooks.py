"""Pages of the site for files outside of docs/ that its documents link to.

Links are relative to the files, as on GitHub: `../SECURITY.md`, `../examples/quickstart.py`. On the site, a
document outside of docs/ is a page of its own (`PAGES`), and any other file is shown on a page under
`source/`. So no link leaves the site.
"""

from __future__ import annotations

import re
from pathlib import Path
from posixpath import dirname, join, normpath, relpath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
PAGES = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "examples/README.md": "examples.md",
}
_DOCUMENTS = {page: path for path, page in PAGES.items()}
_SOURCE = "source/"
# A code block, which stays unchanged, or a relative link.
_LINK = re.compile(r"^```.*?^```$|(?<=\]\()(?!\w+:|#)([^)\s#]+)", flags=re.MULTILINE | re.DOTALL)
_LANGUAGES = {".py": "python", ".md": "markdown", ".json": "json", ".yml": "yaml", ".toml": "toml"}


def place_of(page: str) -> str:
    """Return the path of a page's document in the repository."""
    return _DOCUMENTS.get(page, f"docs/{page}")


def page_of(path: str) -> str | None:
    """Return the page that shows a file or folder of the repository; `None` if there is none."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if (ROOT / path).is_dir():
        path = next(
            (each for each in (f"{path}/README.md", f"{path}/__main__.py") if (ROOT / each).is_file()), path
        )
    if path in PAGES:
        return PAGES[path]
    return f"{_SOURCE}{path}.md" if not path.startswith("..") and (ROOT / path).is_file() else None


def linked(document: str, place: str) -> set[str]:
    """Return the pages that a document links to."""
    found = (_target(match[1], place) for match in _LINK.finditer(document) if match[1])
    return {page for page in found if page is not None}


def rewritten(document: str, page: str) -> str:
    """Return a document with its links rewritten to pages of the site."""
    place = place_of(page)

    def lead(match: re.Match[str]) -> str:
        target = _target(match[1], place) if match[1] else None
        return match[0] if target is None else relpath(target, dirname(page) or ".")

    return _LINK.sub(lead, document)


def shown(path: str) -> str:
    """Return a page that shows a file."""
    text = (ROOT / path).read_text(encoding="utf-8")
    language = _LANGUAGES.get(Path(path).suffix, "text")
    return f"# `{path}`\n\n````{language}\n{text.rstrip()}\n````\n"


def on_config(config: MkDocsConfig) -> None:
    """Tell the header the package's version."""
    version = (ROOT / "langgraph_checkpoint_s3" / "version.py").read_text(encoding="utf-8")
    config.extra["release"] = re.findall(r'^__version__ = "(.*)"$', version, flags=re.MULTILINE)[0]


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the documents outside of docs/, and all files that documents link to."""
    from mkdocs.structure.files import File

    for path, page in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / path)))
    needed: set[str] = set()
    for file in files.documentation_pages():
        needed |= linked(file.content_string, place_of(file.src_uri))
    for page in sorted(page for page in needed if page.startswith(_SOURCE)):
        path = page.removeprefix(_SOURCE).removesuffix(".md")
        files.append(File.generated(config, page, content=shown(path)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite a page's links to pages of the site."""
    return markdown if page.file.src_uri.startswith(_SOURCE) else rewritten(markdown, page.file.src_uri)


def _target(link: str, place: str) -> str | None:
    return page_of(normpath(join(dirname(place), link)))
