"""The report in Chromium: layout, links, readability, and hostile values."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from langgraph_checkpoint_s3 import S3Saver
from tests.browser import measure
from tests.browser.conftest import Open, reported
from tests.cli import example
from tests.support.checkpoints import make_checkpoint, place, put_chain
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver

pytestmark = pytest.mark.integration

LINES = [(1, 0), (2, 1), (3, 2), (4, 3), (5, 4), (6, 5), (7, 4), (8, 7), (9, 4), (10, 9)]
"""The numbers of the example's checkpoints and of their parents."""
HOSTILE = [
    "<script>alert(1)</script>",
    "</style></title></pre></svg><img src=x onerror=alert(1)>",
    '"><img src=\'https://evil.example/x\' onerror="alert(1)">',
    "javascript:alert(1)",
    "' onmouseover='alert(1)' style='position:fixed'",
    "<svg><a xlink:href='javascript:alert(1)'><text>x</text></a></svg><iframe src='//evil.example'></iframe>",
    "<base href='https://evil.example/'><meta http-equiv=refresh content='0;url=https://evil.example'>",
    "\u202egnp.exe\u2066 \u2028 \x1b[31m",
]


def shown(page: Page) -> list[str]:
    """Return the ids of the visible sections."""
    found: list[str] = page.evaluate(
        "() => [...document.querySelectorAll('section')].filter(e => e.checkVisibility()).map(e => e.id)"
    )
    return found


def anchor_of(page: Page, number: int) -> str:
    """Return the anchor of one of the example's checkpoints."""
    section = page.locator("section").filter(
        has=page.locator(f"p > code.id:text-is('{example.id_of(number)}')")
    )
    return f"#{section.get_attribute('id')}"


class TestGettingAround:
    def test_the_latest_is_shown_first(self, opened: Open, trip: Path) -> None:
        page = opened(trip)
        assert page.title() == "thread customer-42"
        assert shown(page) == ["c0"]

    def test_each_checkpoint_is_a_click_away(self, opened: Open, trip: Path) -> None:
        page = opened(trip)
        anchors = [str(each.get_attribute("href")) for each in page.locator("nav svg a").all()]
        assert sorted(anchors) == sorted(f"#c{number}" for number in range(13))
        assert page.evaluate(measure.MARKED) == ["#c0"]
        for anchor in anchors:
            page.locator(f'nav a[href="{anchor}"] text').click()
            page.mouse.move(1, 1)
            assert shown(page) == [anchor.removeprefix("#")]
            assert page.evaluate(measure.MARKED) == [anchor]
        page.go_back()
        assert shown(page) == [anchors[-2].removeprefix("#")]

    def test_the_chart_leads_there_too(self, opened: Open, trip: Path) -> None:
        page = opened(trip)
        page.locator(".chart").first.locator("a").first.click()
        assert shown(page) == [anchor_of(page, 0).removeprefix("#")]

    def test_from_parent_to_children_and_back(self, opened: Open, trip: Path) -> None:
        page = opened(trip, "")
        page.goto(trip.as_uri() + anchor_of(page, 4))
        section = page.locator("section:target")
        assert section.get_by_text("Forks into").count() == 3
        section.get_by_role("link", name="step 4, input").click()
        assert shown(page) == [anchor_of(page, 5).removeprefix("#")]
        page.locator("section:target").get_by_role("link", name="step 3, loop").click()
        assert shown(page) == [anchor_of(page, 4).removeprefix("#")]

    def test_pointing_shows_a_tooltip(self, opened: Open, trip: Path) -> None:
        page = opened(trip)
        link = page.locator(f'nav svg a[href="{anchor_of(page, 2)}"]')
        row = link.locator(".row")
        before = row.evaluate("e => getComputedStyle(e).fill")
        link.hover()
        assert row.evaluate("e => getComputedStyle(e).fill") != before
        tip = link.evaluate("e => e.firstElementChild.tagName === 'title' && e.firstElementChild.textContent")
        assert tip.splitlines()[0] == example.id_of(2)
        assert "step 1  loop  2026-01-01T00:00:08" in tip
        assert tip.splitlines()[2:] == ["messages: changed", "trip: added"]

    def test_with_the_keyboard(self, opened: Open, trip: Path) -> None:
        page = opened(trip)
        focused = "() => document.activeElement.getAttribute('href')"
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("() => !!document.activeElement.closest('nav')"):
                break
        first = page.evaluate(focused)
        assert first == "#c0"
        page.keyboard.press("Tab")
        second = page.evaluate(focused)
        assert second == page.locator("nav svg a").nth(1).get_attribute("href")
        ring = "() => getComputedStyle(document.activeElement.querySelector('.row')).stroke"
        assert page.evaluate(ring) == "rgb(31, 111, 214)"
        page.keyboard.press("Enter")
        assert shown(page) == [second.removeprefix("#")]


class TestTheGraph:
    def test_lines_lead_from_each_checkpoint_to_its_parent(self, opened: Open, trip: Path) -> None:
        page = opened(trip)
        # The newest first: every checkpoint is drawn before its parent.
        anchors = [each.get_attribute("href") for each in page.locator("nav svg").first.locator("a").all()]
        numbers = dict(zip(anchors, range(10, -1, -1), strict=True))
        found = [(numbers[of], numbers[to]) for of, to in page.evaluate(measure.LINES)]
        assert sorted(found) == LINES

    def test_nothing_lies_over_another_or_is_cut(self, opened: Open, trip: Path) -> None:
        boxes = opened(trip).evaluate(measure.BOXES)
        assert len(boxes) == 26
        for (left, top, right, bottom, width), other in itertools.product(boxes, boxes):
            assert left >= 0
            assert right <= width
            if other[:4] != [left, top, right, bottom]:
                apart = right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top
                assert apart, ((left, top, right, bottom), other)

    def test_forks_are_columns(self, opened: Open, trip: Path) -> None:
        page = opened(trip)
        xs = (
            page.locator("nav svg")
            .first.locator("circle")
            .evaluate_all("all => all.map(e => e.cx.baseVal.value)")
        )
        assert len(set(xs)) == 3
        assert len(set(xs[6:])) == 1


class TestWhatIsShown:
    def test_a_conversation(self, opened: Open, trip: Path) -> None:
        page = opened(trip)
        page.goto(trip.as_uri() + anchor_of(page, 6))
        section = page.locator("section:target")
        assert section.locator("summary", has_text="__interrupt__").is_visible()
        assert section.get_by_text("Book a couchette on R 607 for 89 €?").is_visible()
        said = section.locator(".said")
        assert said.count() == 6
        assert all(each.is_visible() for each in said.all())
        customer, model = said.nth(0).bounding_box(), said.nth(1).bounding_box()
        assert customer
        assert model
        assert customer["x"] > model["x"]
        assert customer["x"] + customer["width"] > model["x"] + model["width"]

    def test_what_changed(self, opened: Open, trip: Path) -> None:
        section = opened(trip).locator("section.latest")
        added = section.locator(".diff ins").first
        assert added.inner_text().strip() == "+ai: Then R 605, at 16:03. A seat is 54 €."
        assert added.is_visible()
        assert section.locator(".tag.added").inner_text() == "added"

    def test_the_chart_has_a_point_for_each_checkpoint(self, opened: Open, trip: Path) -> None:
        page = opened(trip)
        page.locator("summary", has_text="Sizes in namespace").click()
        for number, count in ((0, 11), (1, 2)):
            chart = page.locator(".chart").nth(number)
            frame = chart.bounding_box()
            assert frame
            assert chart.locator("rect.bar").count() == count
            for line in chart.locator("polyline").all():
                assert line.evaluate("e => e.points.numberOfItems") == count
                box = line.bounding_box()
                assert box
                assert frame["x"] <= box["x"]
                assert box["x"] + box["width"] <= frame["x"] + frame["width"] + 1
                assert frame["y"] <= box["y"]
                assert box["y"] + box["height"] <= frame["y"] + frame["height"] + 1

    def test_cost_and_sizes(self, opened: Open, trip: Path) -> None:
        tiles = opened(trip).locator("header dl div")
        titles = [each.split("\n")[0] for each in tiles.all_inner_texts()]
        assert titles == ["Checkpoints", "State", "Stored", "Keeping it", "Writing it"]

    def test_printed_it_has_all_of_them(self, opened: Open, trip: Path) -> None:
        page = opened(trip)
        page.emulate_media(media="print")
        assert len(shown(page)) == 13
        assert page.locator("nav").evaluate("e => e.scrollHeight <= e.clientHeight + 1")
        assert page.pdf().startswith(b"%PDF")


class TestReadability:
    @pytest.mark.parametrize("width", [375, 801, 1280, 1920])
    def test_nothing_sticks_out(self, opened: Open, trip: Path, width: int) -> None:
        page = opened(trip, width=width)
        for number in (0, 4, 6, 8):
            page.goto(trip.as_uri() + anchor_of(page, number))
            assert page.evaluate(measure.OVERFLOW) <= 0

    def test_a_narrow_screen_has_one_column(self, opened: Open, trip: Path) -> None:
        page = opened(trip, width=375)
        boxes = [page.locator(each).bounding_box() for each in ("header", ".charts", "nav", "section.latest")]
        for above, below in itertools.pairwise(boxes):
            assert above
            assert below
            assert above["y"] + above["height"] <= below["y"]
            assert below["width"] >= 320

    @pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
    def test_texts_have_contrast(self, opened: Open, trip: Path, dark: bool) -> None:
        page = opened(trip, dark=dark)
        ground = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
        assert (ground == "rgb(15, 19, 24)") is dark
        page.locator("summary", has_text="Sizes in namespace").click()
        for number in (10, 6, 8, 9):
            page.goto(trip.as_uri() + anchor_of(page, number))
            found = page.evaluate(measure.CONTRASTS)
            assert len(found) > 50
            assert [each for each in found if each[0] < 4.5] == []


class TestHostileValues:
    @pytest.fixture
    def hostile(self, tmp_path: Path) -> Path:
        """A thread in which every name and value tries to become markup."""
        saver = make_saver(FakeS3())
        thread = HOSTILE[1]
        for number, text in enumerate(HOSTILE):
            call = {"name": text, "args": text}
            said = [{"type": text, "name": text, "content": text, "tool_calls": [call]}]
            said.append({"type": "ai", "content": f"[{text}]({text})"})
            state = {text: text, "messages": said, "deep": {text: [text]}, "long": "x" * 3000}
            checkpoint = make_checkpoint(f"0000000{number}", state)
            metadata: Any = {"source": text, "step": text}
            parent = f"0000000{number - 1}" if number else None
            saver.put(place(thread, parent), checkpoint, metadata, checkpoint["channel_versions"])
            saver.put_writes(place(thread, checkpoint["id"]), [(text, text), ("__error__", text)], text[:9])
        put_chain(saver, thread, 1, ns=HOSTILE[0])
        return reported(saver, thread, tmp_path / "hostile.html")

    @pytest.mark.parametrize("width", [375, 1280])
    def test_they_stay_text(self, opened: Open, hostile: Path, width: int) -> None:
        page = opened(hostile, width=width)
        for number in range(len(HOSTILE)):
            page.goto(hostile.as_uri() + f"#c{number}")
            assert page.evaluate(measure.OVERFLOW) <= 0
        page.mouse.move(100, 500)
        text = page.locator("body").evaluate("e => e.textContent")
        for each in HOSTILE[:7]:
            assert each in text
        assert "\\u202egnp.exe\\u2066 \\u2028 \\x1b[31m" in text
        assert not {"\u202e", "\u2066", "\x1b"} & set(text)
        assert page.title() == f"thread {HOSTILE[1]}"
        made = page.evaluate(
            "() => document.querySelectorAll('script, img, iframe, base, svg svg, body style').length"
        )
        assert made == 0
        links = page.evaluate(
            "() => [...document.querySelectorAll('[href]')].map(e => e.getAttribute('href'))"
        )
        assert {each[:2] for each in links} == {"#c"}
        names = page.evaluate("() => [...document.querySelectorAll('*')].flatMap(e => e.getAttributeNames())")
        assert not [each for each in names if each.startswith("on") or each in {"style", "src"}]

    def test_the_policy_blocks_injected_markup(self, browser: Browser, trip: Path) -> None:
        page = browser.new_page()
        page.goto(trip.as_uri())
        refused = page.evaluate(
            """() => new Promise(resolve => {
            const found = [];
            document.addEventListener('securitypolicyviolation', event => {
                found.push(event.effectiveDirective);
                if (found.length === 3) resolve(found.sort());
            });
            document.body.insertAdjacentHTML('beforeend',
                '<img src="https://evil.example/x"><p style="color:red" onclick="alert(1)">x</p>');
            document.body.lastElementChild.click();
            })"""
        )
        page.close()
        assert refused == ["img-src", "script-src-attr", "style-src-attr"]


class TestALongThread:
    @pytest.fixture
    def long(self, tmp_path: Path) -> Path:
        """A chat of 1,000 checkpoints with a fork near its start."""
        saver: S3Saver = make_saver(FakeS3())
        said = [{"type": ("human", "ai")[n % 2], "content": f"message {n} " * 20} for n in range(400)]
        for number in range(1000):
            checkpoint = make_checkpoint(f"{number:08}", {"messages": said[: number * 2 // 5 + 1]})
            metadata: Any = {"source": "loop", "step": number}
            parent = None if number == 0 else 10 if number == 500 else number - 1
            where = place("t", None if parent is None else f"{parent:08}")
            saver.put(where, checkpoint, metadata, checkpoint["channel_versions"])
        return reported(saver, "t", tmp_path / "long.html", limit=1000)

    def test_it_opens_and_fits(self, opened: Open, long: Path) -> None:
        page = opened(long)
        assert page.locator("section").count() == 1000
        assert page.locator("rect.bar").count() == 1000
        assert page.evaluate(measure.OVERFLOW) <= 0
        page.locator('nav a[href="#c999"] text').click()
        assert shown(page) == ["c999"]
        assert page.evaluate(measure.OVERFLOW) <= 0
        print(
            page.evaluate("() => performance.getEntriesByType('navigation')[0].loadEventEnd"),
            long.stat().st_size,
        )
