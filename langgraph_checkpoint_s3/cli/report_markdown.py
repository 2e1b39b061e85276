"""Markdown of untrusted messages as HTML that can't act: no raw HTML, no image, and only links to the web.

What Markdown would hide is shown: HTML and references stay text, and a link says where it leads.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from langgraph_checkpoint_s3.text.sanitize import sanitize

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markupsafe import Markup

_LINK: Final = re.compile(r"https?://|mailto:", re.IGNORECASE)
_OFF: Final = ("entity", "html_block", "html_inline", "image", "reference")
"""Rules of Markdown that are off: each of them would hide text, or load something."""
_MAX_NESTING: Final = 40
_MAX_BRACKETS: Final = 1_000
_MAX_CELLS: Final = 5_000


def render_markdown(text: str) -> Markup | None:
    """Render a message's Markdown; `None` if it is to be shown as it is.

    That is text in which blocks are nested so deeply that the parser would leave some out, or whose brackets
    or tables would take it seconds.
    """
    from markupsafe import Markup

    if text.count("[") > _MAX_BRACKETS:
        return None
    lines = text.split("\n")
    parser = _parser(tables=len(lines) * max(line.count("|") for line in lines) <= _MAX_CELLS)
    tokens = parser.parse(text)
    if any(token.level >= _MAX_NESTING - 1 for token in tokens):
        return None
    # The renderer escapes, and what it escapes may still turn the direction of text: it is cleaned, too.
    found = sanitize(parser.renderer.render(tokens, parser.options, {}), lines=True)
    return Markup(found)  # noqa: S704  # the renderer's own HTML


@cache
def _parser(*, tables: bool) -> MarkdownIt:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False, "breaks": True, "maxNesting": _MAX_NESTING})
    parser.enable(["strikethrough", *(["table"] if tables else [])]).disable(list(_OFF))
    parser.validateLink = _is_web_link  # type: ignore[method-assign, assignment]  # its option
    parser.add_render_rule("link_open", _link)
    parser.add_render_rule("fence", _fence)
    parser.add_render_rule("heading_open", _heading)
    parser.add_render_rule("heading_close", _heading)
    return parser


def _is_web_link(address: str) -> bool:
    return _LINK.match(address) is not None


def _link(renderer: Any, tokens: Any, number: int, options: Any, env: Any) -> str:
    """Render the start of a link, with the host that it leads to: its text may name another one."""
    token = tokens[number]
    address = str(token.attrGet("href"))
    try:
        host = urlsplit(address).netloc.rpartition("@")[2] or urlsplit(address).path
    except ValueError:  # an invalid IPv6 address
        host = address
    token.attrs = {"href": address, "title": address, "data-host": host, "rel": "noopener noreferrer"}
    return str(renderer.renderToken(tokens, number, options, env))


def _fence(renderer: Any, tokens: Any, number: int, options: Any, env: Any) -> str:
    """Render a code block. Its language is text, where the library makes it a class."""
    from markupsafe import escape

    token = tokens[number]
    language = f"<small>{escape(token.info.strip())}</small>" if token.info.strip() else ""
    return f"<pre>{language}<code>{escape(token.content)}</code></pre>\n"


def _heading(renderer: Any, tokens: Any, number: int, options: Any, env: Any) -> str:
    """Render a message's headings as the same small one: those of the page are its outline."""
    return "<p><b>" if tokens[number].nesting == 1 else "</b></p>\n"
