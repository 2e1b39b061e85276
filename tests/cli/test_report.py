"""The report's HTML: it shows the whole thread, and values from the bucket stay text."""

from __future__ import annotations

import base64
import hashlib
import re
import sys
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.admin import HistoryEntry
from langgraph_checkpoint_s3.cli import report_page, state_diff
from langgraph_checkpoint_s3.cli.state_diff import ChannelDiff
from langgraph_checkpoint_s3.text.humanize import format_size
from tests.cli.conftest import THREAD, Cli
from tests.support.checkpoints import make_checkpoint, place, put_chain
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver
from tests.support.modes import mode

VOID = {"meta", "br"}
HOSTILE = (
    "<script>alert(1)</script>",
    "</pre></section></style><img src=https://evil.example/x onerror=alert(1)>",
    "\"' onmouseover=alert(1) x='",
    "<!-- ]]> &lt;b&gt; \u202egnp.exe \x1b[31m \u2028",
)


class Read(HTMLParser):
    """A parsed page: its elements, and the text in each kind of them."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self._open[-1] if self._open else "", data))

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def text(self, *tags: str) -> str:
        """Return the text in elements of these kinds."""
        return "\n".join(text for tag, text in self.texts if not tags or tag in tags)

    def having(self, name: str) -> list[str]:
        """Return the values of an attribute, in order."""
        return [str(attrs[name]) for _, attrs in self.elements if name in attrs]


def put(saver: S3Saver, name: str, values: dict[str, Any], parent: str | None = None, **more: Any) -> None:
    checkpoint = make_checkpoint(name, values)
    metadata: Any = {"source": "loop", "step": 1, **more}
    saver.put(place(THREAD, parent, more.get("ns", "")), checkpoint, metadata, checkpoint["channel_versions"])


@pytest.fixture
def made(cli: Cli, tmp_path: Path) -> Any:
    """Write the page and parse it."""

    def make(*options: Any) -> Read:
        file = tmp_path / "out.html"
        ran = cli("report", THREAD, "--html", file, "--force", *options)
        assert ran.code == 0, ran.err
        return Read(file.read_text(encoding="utf-8"))

    return make


class TestWhatIsThere:
    def test_each_checkpoint_and_the_fork(self, made: Any, thread: str) -> None:
        found = made()
        ids = ["00000000", "00000001", "00000002", "00000003", "00000007"]
        assert sorted(set(re.findall(r"0000000\d", found.text("code")))) == ids
        assert sum(tag == "section" for tag, _ in found.elements) == 5
        assert sum(tag == "circle" for tag, _ in found.elements) == 5
        kinds = [str(attrs["class"]) for tag, attrs in found.elements if tag == "circle"]
        assert kinds.count("fork") == 1
        assert "Forks into" in found.text("p")
        columns = {attrs["cx"] for tag, attrs in found.elements if tag == "circle"}
        assert len(columns) == 2  # the fork has a column of its own
        bends = [
            attrs["d"] for tag, attrs in found.elements if attrs.get("class") == "line" and tag == "path"
        ]
        assert sum("Q" in str(each) for each in bends) == 1
        assert len(bends) == 4

    def test_every_link_leads_to_a_section(self, made: Any, thread: str) -> None:
        found = made()
        sections = [str(attrs["id"]) for tag, attrs in found.elements if tag == "section"]
        assert sections == ["c4", "c3", "c2", "c1", "c0"]
        links = found.having("href")
        assert {f"#{each}" for each in sections} == set(links)
        assert [attrs["class"] for tag, attrs in found.elements if tag == "section"].count("latest") == 1

    def test_messages_are_a_conversation(self, made: Any, saver: S3Saver) -> None:
        said: list[Any] = [HumanMessage("Oslo?", id="1")]
        put(saver, "00000001", {"messages": said, "city": "Oslo"})
        call = {"name": "weather", "args": {"city": "Oslo"}, "id": "c", "type": "tool_call"}
        put(saver, "00000002", {"messages": [*said, AIMessage("", tool_calls=[call], id="2")]}, "00000001")
        saver.put_writes(place(THREAD, "00000002"), [("__interrupt__", ("Really?",))], "task-9")
        found = made()
        assert found.having("class").count("said human") == 2
        assert found.having("class").count("said ai") == 1
        assert 'weather(city="Oslo")' in found.text("pre")
        assert found.text("ins").strip() == '+ai: → weather(city="Oslo")'
        assert found.text("del").strip() == "-Oslo"
        tags = [text for tag, text in found.texts if tag == "span"]
        assert [each for each in tags if each in {"added", "changed", "removed"}] == ["removed", "changed"]
        assert "__interrupt__ (task task-9)" in found.text("summary")
        assert "Really?" in found.text("pre")
        assert "loop waits" in found.having("class")
        assert "city: removed" in found.text("title")

    def test_sizes_and_cost(self, made: Any, thread: str, cli: Cli) -> None:
        found = made()
        bars = [attrs for tag, attrs in found.elements if attrs.get("class") == "bar" and tag == "rect"]
        assert len(bars) == 5
        lines = [attrs for tag, attrs in found.elements if tag == "polyline"]
        assert [line["class"] for line in lines] == ["state", "sofar"]
        heights = [float(spot.split(",")[1]) for spot in str(lines[1]["points"]).split()]
        assert heights == sorted(heights, reverse=True)
        assert len(set(heights)) == 5
        total = cli("usage", "--thread", thread, "--json").data
        assert format_size(total["bytes"]) in found.text("dd")
        puts = total["checkpoints"] + total["writes"]
        assert f"${puts * 0.005 / 1000:.6f}" in found.text("dd")
        assert f"{puts} PUTs" in found.text("small")
        assert "a month" in found.text("small")

    def test_namespaces_are_drawn_by_themselves(self, made: Any, thread: str, saver: S3Saver) -> None:
        put_chain(saver, thread, 2, ns="sub:1")
        found = made()
        assert sum(attrs.get("class") == "graph" for _, attrs in found.elements) == 2
        assert sum(attrs.get("class") == "chart" for _, attrs in found.elements) == 2
        assert "Namespace sub:1" in found.text("h2")
        assert "Sizes in namespace sub:1" in found.text("summary")
        assert sum(text == " in namespace sub:1" for _, text in found.texts) == 2
        only = made("--ns", "sub:1")
        assert sum(tag == "section" for tag, _ in only.elements) == 2

    def test_with_hashed_names_no_sizes_are_shown(self, made: Any, fake: FakeS3) -> None:
        with mode("private"):
            put_chain(make_saver(fake), THREAD, 2)
            found = made()
        lines = [attrs["class"] for tag, attrs in found.elements if tag == "polyline"]
        assert lines == ["state"]
        assert "stored" not in found.text("figcaption", "b", "title")
        assert "2" in found.text("dd").split()

    def test_a_missing_parent_is_mentioned(self, made: Any, thread: str) -> None:
        found = made("--limit", 2)
        assert "which isn't on this page" in found.text("p")
        assert "line gone" in found.having("class")
        assert "more than 2 checkpoints" in found.text("p")

    def test_the_page_says_what_it_leaves_out(
        self, made: Any, saver: S3Saver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(report_page, "MAX_CHARACTERS", 10)
        monkeypatch.setattr(report_page, "MAX_MESSAGES", 2)
        messages = [{"type": "human", "content": f"m{number}"} for number in range(5)]
        put(saver, "00000001", {"text": "0123456789abc", "messages": messages})
        found = made()
        assert "3 more characters" in found.text("p")
        assert "3 earlier messages" in found.text("p")
        assert "m2" not in found.text("pre")
        assert "m3" in found.text("pre")

    def test_of_many_checkpoints_less_is_shown(
        self, made: Any, saver: S3Saver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(report_page, "MAX_MESSAGES", 4)
        monkeypatch.setattr(report_page, "FULL_DETAIL", 1)
        messages = [{"type": "human", "content": f"m{number}"} for number in range(6)]
        put(saver, "00000001", {"messages": messages})
        put(saver, "00000002", {"messages": messages}, "00000001")
        found = made()
        assert [text for tag, text in found.texts if tag == "pre"] == ["m4", "m5", "m2", "m3", "m4", "m5"]

    def test_of_very_many_checkpoints_the_last_message_is_shown(
        self, made: Any, saver: S3Saver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(report_page, "MAX_MESSAGES", 1)
        monkeypatch.setattr(report_page, "FULL_DETAIL", 1)
        messages = [{"type": "human", "content": f"m{number}"} for number in range(3)]
        put(saver, "00000001", {"messages": messages})
        put(saver, "00000002", {"messages": messages}, "00000001")
        assert [text for tag, text in made().texts if tag == "pre"] == ["m2", "m2"]

    def test_long_differences(self, monkeypatch: pytest.MonkeyPatch) -> None:
        old = "\n".join(map(str, range(5000)))
        assert ChannelDiff("changed", old, f"{old}\nnew").changed_lines() == ["+new"]
        assert ChannelDiff("changed", f"a\n{old}", f"b\n{old}").changed_lines() == ["-a", "+b"]
        assert ChannelDiff("changed", "x\nx", "x").changed_lines() == ["-x"]
        assert ChannelDiff("added", None, None).changed_lines() == ["+null"]
        monkeypatch.setattr(state_diff, "MAX_LINES", 3)
        assert ChannelDiff("changed", "a\nb", "c\nd").changed_lines() is None


class TestSafety:
    @pytest.fixture
    def hostile(self, saver: S3Saver) -> None:
        """A thread in which every name and value is hostile."""
        for number, text in enumerate(HOSTILE):
            said = [
                {"type": text, "name": text, "content": text, "tool_calls": [{"name": text, "args": text}]}
            ]
            state = {text: text, "messages": said, "deep": {text: [text]}}
            parent = f"0000000{number - 1}" if number else None
            put(saver, f"0000000{number}", state, parent, source=text, step=text)
            saver.put_writes(place(THREAD, f"0000000{number}"), [(text, text)], f"task {number}")

    def test_values_are_text(self, made: Any, hostile: None) -> None:
        found = made()
        shown = found.text("pre")
        for text in HOSTILE[:3]:
            assert text in shown
            assert text in found.text("b")
            assert text in found.text("summary")
        assert "\\x1b[31m" in shown
        assert not set("\u202e\x1b\u2028") & set(found.text())

    def test_they_make_no_elements_and_no_attributes(self, made: Any, hostile: None) -> None:
        found = made()
        allowed = (
            "html head meta title style body header nav main section figure figcaption h1 h2 h3 dl dt dd "
            "small span code p b a pre div details summary ins del svg path circle rect text tspan polyline"
        )
        assert {tag for tag, _ in found.elements} == set(allowed.split())
        names = {name for _, attrs in found.elements for name in attrs}
        assert not [name for name in names if name.startswith("on") or name in {"style", "src", "xlink:href"}]
        written = {value for _, attrs in found.elements for value in attrs.values()}
        assert not [value for value in written if value and ("alert" in value or "evil" in value)]

    def test_unhashable_and_unencodable_values(self) -> None:
        source: Any = ["<i>"]
        step: Any = {"<i>": 1}
        entry = HistoryEntry("1", "", None, step, source, None, None, 0, 0, 0, 1)
        text = report_page.render(
            "1",
            [report_page.Checkpoint(entry, {"a": "\ud800", "b": float("nan"), "c": b"\xff"}, [], 0)],
            "s3://b/",
            [],
        )
        found = Read(text.encode().decode())
        assert "\\ud800" in found.text("pre")
        assert "other failed" in found.having("class")
        assert "['<i>']" in found.text("tspan")

    def test_names_of_a_thread_and_a_namespace(self, cli: Cli, saver: S3Saver, tmp_path: Path) -> None:
        name = "<b>&\"'\n</title>"
        put_chain(saver, name, 1)
        put_chain(saver, name, 1, ns=name)
        file = tmp_path / "out.html"
        assert cli("report", name, "--html", file).code == 0
        found = Read(file.read_text(encoding="utf-8"))
        assert "<b>&\"'\\n</title>" in found.text("h1")
        assert sum(tag == "b" for tag, _ in found.elements) == 6  # those of the charts' captions

    def test_it_refers_to_nothing_outside(self, made: Any, thread: str) -> None:
        found = made()
        assert all(re.fullmatch(r"#c\d+", each) for each in found.having("href"))
        assert not {"script", "link", "img", "iframe", "object", "base", "form"} & {
            tag for tag, _ in found.elements
        }
        css = files("langgraph_checkpoint_s3.cli").joinpath("report.css").read_text(encoding="utf-8")
        assert "url(" not in css
        assert "@import" not in css
        assert found.text("style") == report_page.style_sheet(5)
        assert found.text("style").startswith(css)

    def test_the_policy_allows_its_own_style_sheet_alone(self, made: Any, thread: str) -> None:
        found = made()
        policy = next(attrs["content"] for _, attrs in found.elements if "http-equiv" in attrs)
        digest = base64.b64encode(hashlib.sha256(found.text("style").encode()).digest()).decode()
        assert policy == (
            f"default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-{digest}'"
        )


def test_the_templates_are_part_of_the_package() -> None:
    package = files("langgraph_checkpoint_s3.cli")
    for name in ("report.html.jinja", "report_svg.jinja", "report.css"):
        assert package.joinpath(name).is_file()


class TestTheCommand:
    def test_a_file_that_is_there_stays(self, cli: Cli, thread: str, tmp_path: Path) -> None:
        file = tmp_path / "out.html"
        file.write_text("mine")
        ran = cli("report", thread, "--html", file)
        assert (ran.code, file.read_text()) == (2, "mine")
        assert "--force" in ran.err
        ran = cli("report", thread, "--html", file, "--force", "--json")
        assert ran.data == {"file": str(file), "checkpoints": 5, "more": False}
        assert file.read_text().startswith("<!DOCTYPE html>")

    def test_without_jinja_it_says_how_to_get_it(
        self, cli: Cli, thread: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "jinja2", None)
        ran = cli("report", thread, "--html", tmp_path / "out.html")
        assert (ran.code, ran.err.count("\n")) == (1, 1)
        assert 'pip install ".[cli]"' in ran.err

    def test_no_such_thread(self, cli: Cli, tmp_path: Path) -> None:
        ran = cli("report", "nobody", "--html", tmp_path / "out.html")
        assert ran.code == 3
        assert not (tmp_path / "out.html").exists()

    def test_the_output(self, cli: Cli, thread: str, tmp_path: Path) -> None:
        file = tmp_path / "out.html"
        ran = cli("report", thread, "--html", file, "--limit", 2)
        assert ran.out == f"Wrote 2 checkpoints of {thread} to {file}.\n"
        assert "--limit takes more" in ran.err
