"""The pictures in README and docs are up to date, and safe to show anywhere."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from tests.cli.pictures import MADE, PICTURES, SCREENSHOTS

SVG = "{http://www.w3.org/2000/svg}"


def words(svg: str) -> str:
    """Return a picture's text. The drawing around it changes with rich's version."""
    return " ".join("".join(each.itertext()) for each in ET.fromstring(svg).iter(f"{SVG}text"))


@pytest.mark.parametrize("name", MADE)
def test_they_are_what_the_script_makes(name: str) -> None:
    shown = (PICTURES / name).read_text(encoding="utf-8")
    assert words(MADE[name]()) == words(shown), "make pictures makes them anew"
    assert len(words(shown)) > 100
    if not name.startswith("history"):
        assert MADE[name]() == shown, "make pictures makes them anew"


@pytest.mark.parametrize("name", MADE)
def test_they_ask_for_nothing_and_run_nothing(name: str) -> None:
    text = (PICTURES / name).read_text(encoding="utf-8")
    root = ET.fromstring(text)
    elements = {each.tag.removeprefix(SVG) for each in root.iter()}
    assert elements <= {
        *("svg", "style", "defs", "clipPath", "rect", "g", "circle", "text", "tspan", "path", "polyline")
    }
    names = {name for each in root.iter() for name in each.attrib}
    assert not [each for each in names if each.startswith("on") or "href" in each]
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "@" not in text
    assert len(text) < 50_000


def test_the_tree_is_the_examples() -> None:
    for name, shown in (("history.svg", "Book&#160;a"), ("history-wide.svg", "for&#160;89&#160;€?")):
        text = (PICTURES / name).read_text(encoding="utf-8")
        for part in (
            *("customer-42", "●", "failed:&#160;TimeoutError", "asks:", "namespace&#160;research:5f1c", "3h"),
            shown,
        ):
            assert part in text


@pytest.mark.parametrize("name", SCREENSHOTS)
def test_the_screenshots_are_there_and_small(name: str) -> None:
    data = (PICTURES / name).read_bytes()
    assert data.startswith(b"\x89PNG")
    assert len(data) < 200_000
