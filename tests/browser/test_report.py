"""The report in Chromium: layout, search, readability, and hostile values."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from langgraph_checkpoint_s3 import S3Saver
from tests.browser import measure
from tests.browser.conftest import Open, reported
from tests.cli import example
from tests.support.checkpoints import make_checkpoint, place, put_chain
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver

pytestmark = pytest.mark.integration

HOSTILE = [
    "<script>alert(1)</script>",
    "</style></title></pre></svg></script><img src=x onerror=alert(1)>",
    '"><img src=\'https://evil.example/x\' onerror="alert(1)">',
    "javascript:alert(1)",
    "' onmouseover='alert(1)' style='position:fixed'",
    "<svg><a xlink:href='javascript:alert(1)'><text>x</text></a></svg><iframe src='//evil.example'></iframe>",
    "<base href='https://evil.example/'><meta http-equiv=refresh content='0;url=https://evil.example'>",
    "\u202egnp.exe\u2066 \u2028 \x1b[31m",
    "![x](https://evil.example/x.png) [x](javascript:alert(1)) [\u202ex](data:text/html,<b>a</b>)",
    "x" * 3000,
]


def shown(page: Page) -> list[str]:
    """Return the ids of the visible steps."""
    found: list[str] = page.evaluate(
        "() => [...document.querySelectorAll('article')].filter(e => e.checkVisibility()).map(e => e.id)"
    )
    return found


def step_of(page: Page, number: float) -> Any:
    """Return the step of one of the example's checkpoints."""
    return (
        page.locator("article").filter(has=page.locator(f"code.id:text-is('{example.id_of(number)}')")).last
    )


class TestGettingAround:
    def test_it_is_read_from_top_to_bottom(self, opened: Open, trip: Path) -> None:
        page = opened(trip)
        assert page.title() == "thread customer-42"
        assert len(shown(page)) == 11  # the subgraph's two are folded
        boxes = [
            page.locator(each).first.bounding_box()
            for each in ("header", "form", "nav", "article", "main > article:last-of-type", ".costs")
        ]
        tops = [box["y"] for box in boxes if box]
        assert tops == sorted(tops)

    def test_the_timeline_leads_to_steps(self, opened: Open, trip: Path) -> None:
        page = opened(trip)
        links = page.locator("nav > .rows > ol > li > .what > a")
        anchors = [str(each.get_attribute("href")) for each in links.all()]
        assert len(anchors) == 11
        for number in (0, 5, 10):
            links.nth(number).click()
            step = page.locator(anchors[number])
            expect(step).to_be_in_viewport()
            box, form = step.bounding_box(), page.locator("form").bounding_box()
            assert box
            assert form
            assert box["y"] >= form["y"] + form["height"] - 1 or number == 10  # it isn't behind the search

    def test_a_link_into_a_folded_subgraph_unfolds_it(self, opened: Open, trip: Path) -> None:
        page = opened(trip)
        page.locator("nav details summary").click()
        link = page.locator("nav details a").last
        anchor = link.get_attribute("href")
        link.click()
        expect(page.locator(str(anchor))).to_be_visible()
        assert anchor in {f"#{each}" for each in shown(page)}
        assert len(shown(opened(trip, str(anchor)))) == 13  # when the page is opened there, too

    def test_the_chart_leads_there_too(self, opened: Open, trip: Path) -> None:
        page = opened(trip)
        page.locator(".chart a").nth(3).click(position={"x": 3, "y": 3})
        expect(step_of(page, 3)).to_be_in_viewport()

    def test_from_parent_to_children_and_back(self, opened: Open, trip: Path) -> None:
        page = opened(trip)
        step_of(page, 4).get_by_role("link", name="step 4").nth(2).click()
        expect(step_of(page, 9)).to_be_in_viewport()
        step_of(page, 9).get_by_role("link", name="step 3").click()
        expect(step_of(page, 4)).to_be_in_viewport()

    def test_only_the_branch_of_the_latest(self, opened: Open, trip: Path) -> None:
        page = opened(trip)
        page.get_by_label("Only the branch of the latest step").check()
        assert len(shown(page)) == 7
        expect(step_of(page, 6)).to_be_hidden()
        expect(page.locator("nav .name", has_text="waits")).to_be_hidden()

    def test_with_the_keyboard(self, opened: Open, trip: Path) -> None:
        page = opened(trip, width=375)
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")  # skip the timeline
        assert page.evaluate("() => document.activeElement.id") == "steps"
        page.keyboard.press("Tab")
        assert page.evaluate("() => !!document.activeElement.closest('article')")
        ring = "() => getComputedStyle(document.activeElement).outlineStyle"
        assert page.evaluate(ring) == "solid"
        page.keyboard.press("/")
        assert page.evaluate("() => document.activeElement.type") == "search"


class TestSearch:
    def test_it_shows_the_steps_that_have_a_word(self, opened: Open, trip: Path) -> None:
        page = opened(trip)
        page.keyboard.press("/")
        page.keyboard.type("Couchette is BOOKED")
        expect(page.locator("output")).to_have_text("9 of 13 steps")
        page.get_by_role("searchbox").fill("bicycle_places")
        expect(page.locator("output")).to_have_text("1 of 13 steps")
        assert shown(page) == [step_of(page, 8).get_attribute("id")]
        assert page.locator("nav > .rows > ol > li:not(.join) > .what").filter(visible=True).count() == 1
        page.keyboard.press("Escape")
        assert len(shown(page)) == 11

    def test_it_unfolds_and_marks_what_it_found(self, opened: Open, trip: Path) -> None:
        page = opened(trip)
        unfolded = "() => document.querySelectorAll('main details[open]').length"
        before = page.evaluate(unfolded)
        box = page.get_by_role("searchbox")
        box.fill("given back until 24 hours")
        expect(page.locator("output")).to_contain_text("steps")
        marked = "name => [...CSS.highlights.get(name)].map(each => each.toString())"
        found = page.evaluate(marked, "found")
        assert set(found) == {"given back until 24 hours"}
        assert page.evaluate(unfolded) > before
        box.press("Enter")
        expect(page.locator("output")).to_have_text(f"1 of {len(found)}")
        box.press("Enter")
        box.press("Shift+Enter")
        box.press("Shift+Enter")
        expect(page.locator("output")).to_have_text(f"{len(found)} of {len(found)}")
        assert page.evaluate(marked, "here") == ["given back until 24 hours"]
        box.fill("")
        expect(page.locator("output")).to_have_text("")
        assert page.evaluate(unfolded) == before

    def test_without_a_script_all_of_it_can_be_read(self, browser: Browser, trip: Path) -> None:
        context = browser.new_context(java_script_enabled=False)
        page = context.new_page()
        page.goto(trip.as_uri())
        expect(page.locator("form")).to_be_hidden()
        expect(page.locator(".said", has_text="By day, rather")).to_be_visible()
        page.locator("details.graph > summary").click()
        expect(page.locator("article article").first).to_be_visible()
        context.close()


class TestTheTimeline:
    def test_dots_are_in_the_columns_of_their_branches(self, opened: Open, trip: Path) -> None:
        page = opened(trip)
        dots = page.evaluate(measure.DOTS)
        assert len(dots) == 11
        across = [round(x) for _, x, _, _ in dots]
        assert len(set(across)) == 3
        assert len(set(across[:5] + across[9:])) == 1  # the branch of the latest step goes straight on
        assert across[5] == across[6] != across[7] == across[8]
        for (*_, bottom), (_, _, top, _) in itertools.pairwise(dots):
            assert top >= bottom - 0.5


class TestWhatIsShown:
    def test_a_conversation(self, opened: Open, trip: Path) -> None:
        page = opened(trip)
        customer, model = (page.locator(each).first.bounding_box() for each in (".said.human", ".said.ai"))
        assert customer
        assert model
        assert customer["x"] + customer["width"] > model["x"] + model["width"]
        call, result = (
            page.locator(f".call > div:nth-child({each})").first.bounding_box() for each in (1, 2)
        )
        assert call
        assert result
        assert result["x"] >= call["x"] + call["width"]
        assert abs(result["y"] - call["y"]) < 2
        expect(page.locator(".prose table td strong")).to_have_text("R 607")
        link = page.locator(".prose a")
        assert link.get_attribute("href") == "https://trains.example/night"
        host = link.evaluate("e => getComputedStyle(e, '::after').content")
        assert "trains.example" in host
        expect(
            step_of(page, 6).locator(".asked", has_text="Book a couchette on R 607 for 89 €?")
        ).to_be_visible()

    def test_printed_it_has_all_of_them(self, opened: Open, trip: Path) -> None:
        page = opened(trip)
        page.emulate_media(media="print")
        assert len(shown(page)) == 13
        assert page.locator("nav").evaluate("e => e.scrollHeight <= e.clientHeight + 1")
        assert page.pdf().startswith(b"%PDF")
        page.emulate_media(media="screen")
        assert len(shown(page)) == 11


class TestReadability:
    @pytest.mark.parametrize("width", [375, 901, 1280, 1920])
    def test_nothing_sticks_out(self, opened: Open, trip: Path, width: int) -> None:
        page = opened(trip, width=width)
        assert page.evaluate(measure.OVERFLOW) <= 0
        page.get_by_role("button", name="Unfold all").click()
        assert page.evaluate(measure.OVERFLOW) <= 0
        assert page.evaluate(measure.CUT) == []

    def test_on_a_phone(self, opened: Open, trip: Path) -> None:
        page = opened(trip, width=375)
        rows = page.locator("nav .rows")
        expect(rows).to_be_hidden()
        page.locator("nav label").click()
        expect(rows).to_be_visible()
        assert rows.evaluate("e => e.scrollHeight <= e.clientHeight + 1")
        assert page.evaluate(measure.OVERFLOW) <= 0
        for each in ("nav", "article", ".chart"):
            box = page.locator(each).first.bounding_box()
            assert box
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 375
            assert box["width"] > 200

    @pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
    def test_texts_have_contrast(self, opened: Open, trip: Path, dark: bool) -> None:
        page = opened(trip, dark=dark)
        ground = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
        assert (ground == "rgb(15, 19, 24)") is dark
        page.get_by_role("button", name="Unfold all").click()
        found = page.evaluate(measure.CONTRASTS)
        assert len(found) > 300
        assert [each for each in found if each[0] < 4.5] == []


class TestHostileValues:
    @pytest.fixture
    def hostile(self, tmp_path: Path) -> Path:
        """A thread in which every name and value tries to become markup."""
        saver = make_saver(FakeS3())
        thread = HOSTILE[1]
        for number, text in enumerate(HOSTILE):
            call = {"name": text, "args": {text: text}, "id": text}
            said = [{"type": text, "name": text, "content": text, "tool_calls": [call]}]
            said.append({"type": "ai", "content": f"[{text}]({text})\n\n```{text}\n{text}\n```"})
            said.append({"type": "tool", "content": text, "tool_call_id": text, "name": text})
            state = {text: text, "messages": said, "deep": {text: [text]}, "long": "x" * 3000}
            checkpoint = make_checkpoint(f"0000000{number}", state)
            checkpoint["ts"] = text
            metadata: Any = {"source": text, "step": text, "parents": {text: text}}
            parent = f"0000000{number - 1}" if number else None
            saver.put(place(thread, parent), checkpoint, metadata, checkpoint["channel_versions"])
            saver.put_writes(place(thread, checkpoint["id"]), [(text, text), ("__error__", text)], text[:9])
        put_chain(saver, thread, 1, ns=HOSTILE[0])
        return reported(saver, thread, tmp_path / "hostile.html")

    @pytest.mark.parametrize("width", [375, 1280])
    def test_they_stay_text(self, opened: Open, hostile: Path, width: int) -> None:
        page = opened(hostile, width=width)
        page.get_by_role("button", name="Unfold all").click()
        assert page.evaluate(measure.OVERFLOW) <= 0
        page.mouse.move(100, 500)
        text = page.locator("body").evaluate("e => e.textContent")
        for each in HOSTILE[:7]:
            assert each in text
        assert "\\u202egnp.exe\\u2066 \\u2028 \\x1b[31m" in text
        assert not {"\u202e", "\u2066", "\x1b"} & set(text)
        assert page.title() == f"thread {HOSTILE[1]}"
        made = page.evaluate(
            "() => document.querySelectorAll('img, iframe, base, svg svg, body style, main script').length"
        )
        assert made == 0
        assert page.locator("script").count() == 1
        links = page.evaluate(
            "() => [...document.querySelectorAll('[href]')].map(e => e.getAttribute('href'))"
        )
        assert {each.partition("c")[0] for each in links} <= {"#", "#steps", "https://evil.example/x.png"}
        names = page.evaluate("() => [...document.querySelectorAll('*')].flatMap(e => e.getAttributeNames())")
        assert not [each for each in names if each.startswith("on") or each in {"style", "src"}]
        page.get_by_role("searchbox").fill("<img src=x")
        expect(page.locator("output")).to_contain_text("steps")

    def test_the_policy_blocks_injected_markup(self, browser: Browser, trip: Path) -> None:
        page = browser.new_page()
        page.goto(trip.as_uri())
        refused = page.evaluate(
            """() => new Promise(resolve => {
            const found = [];
            document.addEventListener('securitypolicyviolation', event => {
                found.push(event.effectiveDirective);
                if (found.length === 4) resolve(found.sort());
            });
            document.body.insertAdjacentHTML('beforeend',
                '<img src="https://evil.example/x"><p style="color:red" onclick="alert(1)">x</p>');
            document.body.lastElementChild.click();
            const script = document.createElement('script');
            script.textContent = 'alert(1)';
            document.body.append(script);
            })"""
        )
        page.close()
        assert refused == ["img-src", "script-src-attr", "script-src-elem", "style-src-attr"]


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
        assert page.locator("article").count() == 1000
        assert page.locator("rect.bar").count() == 1000
        assert page.evaluate(measure.OVERFLOW) <= 0
        page.locator('nav a[href="#c999"]').click()
        expect(page.locator("#c999")).to_be_in_viewport()
        page.get_by_role("searchbox").fill("message 77 ")
        expect(page.locator("output")).to_contain_text("of 1000 steps")
        print(
            page.evaluate("() => performance.getEntriesByType('navigation')[0].loadEventEnd"),
            long.stat().st_size,
        )
