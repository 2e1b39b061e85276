"""The report's HTML: it shows what happened in a thread, and values from the bucket can't act."""

from __future__ import annotations

import base64
import hashlib
import random
import re
import stat
import sys
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, Interrupt, interrupt

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.admin import HistoryEntry
from langgraph_checkpoint_s3.cli import report_page, state_diff
from langgraph_checkpoint_s3.cli.report import file_name
from langgraph_checkpoint_s3.cli.report_markdown import render_markdown
from langgraph_checkpoint_s3.cli.report_steps import Checkpoint
from langgraph_checkpoint_s3.cli.state_diff import ChannelDiff
from langgraph_checkpoint_s3.text.humanize import format_size
from tests.admin.usage.test_resume_point import HISTORIES, STEPS, Puts, random_graph, step
from tests.cli.conftest import THREAD, Cli
from tests.support.checkpoints import make_checkpoint, place, put_chain
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver
from tests.support.modes import mode

VOID = {"meta", "br", "hr", "input"}
HOSTILE = (
    "<script>alert(1)</script>",
    "</pre></article></style><img src=https://evil.example/x onerror=alert(1)>",
    "\"' onmouseover=alert(1) x='",
    "<!-- ]]> &lt;b&gt; &#x202e; \u202egnp.exe \x1b[31m \u2028",
    "[x](javascript:alert(1)) ![y](https://evil.example/y.png) <https://evil.example> </script>",
)


class Read(HTMLParser):
    """A parsed page: its elements, and the text in each kind of them."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.inside: dict[str, str] = {}
        """The text in each element that has an id, and in those below it."""
        self._open: list[tuple[str, str | None]] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append((tag, dict(attrs).get("id")))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self._open[-1][0] if self._open else "", data))
        for _, name in self._open:
            if name is not None:
                self.inside[name] = f"{self.inside.get(name, '')} {data}"

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def text(self, *tags: str) -> str:
        """Return the text in elements of these kinds."""
        return "\n".join(text for tag, text in self.texts if not tags or tag in tags)

    def having(self, name: str) -> list[str]:
        """Return the values of an attribute, in order."""
        return [str(attrs[name]) for _, attrs in self.elements if name in attrs]

    def ids(self) -> list[str]:
        """Return the ids of the steps, in order."""
        return [str(attrs["id"]) for tag, attrs in self.elements if tag == "article"]

    def step(self, anchor: str) -> str:
        """Return the text of a step, with single spaces."""
        return " ".join(self.inside[anchor].split())


def put(saver: S3Saver, name: str, values: dict[str, Any], parent: str | None = None, **more: Any) -> None:
    ns = more.pop("ns", "")
    checkpoint = make_checkpoint(name, values)
    metadata: Any = {"source": "loop", "step": 1, **more}
    saver.put(place(THREAD, parent, ns), checkpoint, metadata, checkpoint["channel_versions"])


@pytest.fixture
def made(cli: Cli, tmp_path: Path) -> Any:
    """Write the page and parse it."""

    def make(*options: Any) -> Read:
        file = tmp_path / "out.html"
        ran = cli("report", THREAD, "--html", file, "--force", *options)
        assert ran.code == 0, ran.err
        return Read(file.read_text(encoding="utf-8"))

    return make


class TestSteps:
    def test_they_are_in_order_with_their_forks(self, made: Any, thread: str) -> None:
        found = made()
        assert found.ids() == ["c1", "c2", "c3", "c4", "c5"]
        ids = [re.findall(r"0000000\d", found.inside[each])[-1] for each in found.ids()]
        assert ids == ["00000000", "00000001", "00000002", "00000003", "00000007"]
        assert "Forks into step 2 (node), step 2 (fork)" in found.step("c2")
        assert "Follows step 1" in found.step("c5")
        assert [name for name in found.ids() if "another branch" in found.step(name)] == ["c3", "c4"]
        assert "only" in found.having("id")

    def test_the_timeline_draws_the_tree(self, made: Any, thread: str) -> None:
        found = made()
        cells = [str(attrs["class"]).split() for tag, attrs in found.elements if tag == "i"]
        dots = [each for each in cells if "dot" in each]
        assert dots == [["dot", "d"], ["dot", "u", "d"], ["dot", "u", "d"], ["dot", "u"], ["dot", "u"]]
        assert cells.count(["u", "d", "r"]) == 1  # where the branches part
        assert cells.count(["l", "d"]) == 1

    def test_every_link_leads_to_a_step(self, made: Any, thread: str) -> None:
        found = made()
        links = set(found.having("href"))
        assert links == {"#steps", *(f"#{each}" for each in found.ids())}

    def test_a_missing_parent_is_mentioned(self, made: Any, thread: str) -> None:
        found = made("--limit", 2)
        assert "which isn't on this page" in found.step("c1")
        assert "cut" in found.having("class")
        assert "more than 2 checkpoints" in found.text("p")

    def test_subgraphs_are_in_the_step_that_ran_them(self, made: Any, saver: S3Saver) -> None:
        put(saver, "00000001", {"n": 1})
        put(saver, "00000002", {"n": 2}, ns="research:a", parents={"": "00000001"})
        put(
            saver,
            "00000003",
            {"n": 3},
            ns="research:a|deep:b",
            parents={"": "00000001", "research:a": "00000002"},
        )
        put(saver, "00000004", {"n": 4}, "00000002", ns="research:a", parents={"": "00000001"})
        put(saver, "00000005", {"n": 5}, "00000001")
        put(saver, "00000006", {"n": 6}, ns="lost:c", parents={"": "00000000"})
        found = made()
        assert "research a subgraph of 2 steps" in found.step("c5")
        assert all(f"00000000{each}"[-8:] in found.step("c5") for each in (2, 3, 4))
        assert "deep a subgraph of 1 step " in found.step("c4")
        assert "00000002" not in found.step("c1")
        assert "Subgraph lost:c" in found.text("h2")
        only = made("--ns", "research:a")
        assert len(only.ids()) == 2

    def test_a_run_of_a_subgraph_that_has_not_ended(self, made: Any, saver: S3Saver) -> None:
        put(saver, "00000001", {"n": 1})
        put(saver, "00000002", {"n": 2}, ns="research:a", parents={"": "00000001"})
        assert "research a subgraph of 1 step" in made().step("c1")

    def test_deep_subgraphs_are_on_the_page(self, made: Any, saver: S3Saver) -> None:
        put(saver, "00000000", {"n": 0})
        for depth in range(60):
            ns = "|".join(["a:1"] * (depth + 1))
            above = ns.rpartition("|")[0]
            put(saver, f"{depth + 1:08}", {"n": depth}, ns=ns, parents={above: f"{depth:08}"})
        assert len(made().ids()) == 61

    def test_hostile_parents_of_subgraphs(self, made: Any, saver: S3Saver) -> None:
        put(saver, "00000001", {"n": 1}, parents="x")
        put(saver, "00000002", {"n": 1}, ns="a:1", parents={"": ["00000001"]})
        assert len(made().ids()) == 2

    def test_sizes_and_cost_come_last(self, made: Any, thread: str, cli: Cli) -> None:
        found = made()
        order = [tag for tag, _ in found.elements if tag in {"nav", "article", "dl"}]
        assert order == ["nav", *["article"] * 5, "dl"]
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

    def test_each_namespace_has_its_bytes(self, made: Any, thread: str, saver: S3Saver) -> None:
        put_chain(saver, thread, 2, ns="sub:1")
        found = made()
        assert "sub:1" in found.text("td")
        assert "2 checkpoints" in found.text("td")

    def test_with_hashed_names_no_sizes_are_shown(self, made: Any, fake: FakeS3) -> None:
        with mode("private"):
            put_chain(make_saver(fake), THREAD, 2)
            found = made()
        lines = [attrs["class"] for tag, attrs in found.elements if tag == "polyline"]
        assert lines == ["state"]
        assert "stored" not in found.text("figcaption", "b", "title")
        assert "2" in found.text("dd").split()


class TestWhatStepsDid:
    def test_of_a_real_agent(self, made: Any, saver: S3Saver, cli: Cli) -> None:
        call = {"name": "weather", "args": {"city": "Oslo"}, "id": "call-1", "type": "tool_call"}
        usage = {"input_tokens": 1234, "output_tokens": 5, "total_tokens": 1239}

        def agent(state: MessagesState) -> dict[str, Any]:
            if len(state["messages"]) == 1:
                thought: list[Any] = [
                    {"type": "thinking", "thinking": "North?"},
                    {"type": "text", "text": "I'll look."},
                ]
                return {"messages": [AIMessage(thought, tool_calls=[call], usage_metadata=usage)]}
            return {"messages": [AIMessage("It is **cold**.")]}

        def tools(state: MessagesState) -> dict[str, Any]:
            allowed = interrupt({"question": "May I ask the weather?"})
            return {"messages": [ToolMessage(f"minus 3, {allowed}", tool_call_id="call-1", name="weather")]}

        builder = StateGraph(MessagesState)
        builder.add_node("agent", agent)
        builder.add_node("tools", tools)
        builder.add_edge(START, "agent")
        builder.add_conditional_edges(
            "agent", lambda state: "tools" if len(state["messages"]) == 2 else "__end__"
        )
        builder.add_edge("tools", "agent")
        graph = builder.compile(checkpointer=saver)
        config: Any = {"configurable": {"thread_id": THREAD}}
        graph.invoke({"messages": [HumanMessage("How is Oslo?")]}, config)
        found = made()
        assert "Waits for an answer" in found.text("b")
        assert "next: tools" in found.text("div")
        assert '{"question": "May I ask the weather?"}' in found.text("p")
        assert "no result on this page" in found.step("c3")
        assert "Waits for an answer." in found.step("c3")

        graph.invoke(Command(resume="yes, you may"), config)
        found = made()
        assert "Finished" in found.text("b")
        assert "waits" not in " ".join(found.having("class"))
        said = [found.step(each) for each in found.ids()]
        assert said[0].startswith("-1 input")
        assert "human How is Oslo?" in said[0]
        assert "How is Oslo?" not in said[1].partition("State")[0]
        assert said[2].startswith("1 agent")
        assert "1,234 → 5 tokens" in said[2]
        assert "Thought North? " in said[2]
        assert 'weather (city="Oslo") result, step 2 minus 3, yes, you may' in said[2]
        assert re.search("Question .*May I ask the weather.*Answer yes, you may", said[2])
        assert "weather answered: the result is beside its call in step 1" in said[3]
        assert said[4].startswith("3 agent")
        assert "cold" in found.text("strong")
        assert "1,234 → 5 tokens" in found.text("p")
        timeline = found.text("small")
        assert "I'll look." in timeline
        assert "May I ask the weather" in timeline

    def test_what_changed(self, made: Any, saver: S3Saver) -> None:
        put(saver, "00000001", {"city": "Oslo", "n": 1, "plan": "a\nb", "branch:to:x": None})
        put(saver, "00000002", {"n": 2, "plan": "a\nc", "list": [1, 2]}, "00000001")
        found = made()
        step = found.step("c2")
        for told in ("city removed Oslo", "n changed 1 → 2", "list added [1, 2]"):
            assert told in step
        assert found.text("ins").split() == ["2", "+c"]
        assert found.text("del").split() == ["1", "-b"]
        assert "branch:to:x removed" not in step
        assert "LangGraph's own channels: branch:to:x" in found.step("c1")

    def test_messages_that_were_removed_edited_or_repeated(self, made: Any, saver: S3Saver) -> None:
        ok = {"type": "human", "content": "ok"}
        put(saver, "00000001", {"messages": [HumanMessage("one", id="1"), AIMessage("two", id="2"), ok]})
        put(saver, "00000002", {"messages": [AIMessage("TWO", id="2"), ok, ok]}, "00000001")
        step = made().step("c2").partition("State")[0]
        assert "1 message removed human one" in step
        assert "ai edited TWO" in step
        assert step.count("human ok") == 1

    def test_conversations_of_other_names_and_delta_channels(self, made: Any, saver: S3Saver) -> None:
        put(saver, "00000001", {"chat": [HumanMessage("hello", id="1")]})
        saver.put_writes(place(THREAD, "00000001"), [("delta", [AIMessage("a write", id="2")])], "task-1")
        put(saver, "00000002", {"chat": [HumanMessage("hello", id="1")]}, "00000001")
        found = made()
        assert "human in chat hello" in found.step("c1")
        assert "ai in delta a write" in found.step("c2").partition("State")[0]

    def test_results_of_other_branches_and_of_calls_without_ids(self, made: Any, saver: S3Saver) -> None:
        call = {"name": "f", "args": {"x": "y" * 200}, "id": "1", "type": "tool_call"}
        asked = [AIMessage("", tool_calls=[call], id="a")]
        put(saver, "00000001", {"messages": asked})
        first, second = (
            ToolMessage("one", tool_call_id="1"),
            ToolMessage("two", tool_call_id="1", status="error"),
        )
        put(saver, "00000002", {"messages": [*asked, first]}, "00000001")
        put(saver, "00000003", {"messages": [*asked, second]}, "00000001")
        put(saver, "00000004", {"messages": [{"type": "tool", "content": "alone"}]})
        found = made()
        assert "result, step 1 one" in found.step("c1")
        assert "tool error two" in found.step("c3")
        assert "tool alone" in found.step("c4")

    def test_errors_and_pending_writes(self, made: Any, saver: S3Saver) -> None:
        put(saver, "00000001", {"n": 1})
        where = place(THREAD, "00000001")
        saver.put_writes(where, [("__error__", "TimeoutError: slow")], "task-1")
        saver.put_writes(where, [("__interrupt__", (Interrupt("Really?", id="i"),))], "task-2")
        saver.put_writes(where, [("done", b"\x00" * 3000)], "task-3")
        found = made()
        step = found.step("c1")
        assert "failed" in found.text("span")
        assert "Error TimeoutError: slow" in step
        assert "Question Really? Waits for an answer." in step
        assert "Pending writes 3" in step
        assert "done (task task-3)" in step

    def test_a_question_that_was_passed_over(self, made: Any, saver: S3Saver) -> None:
        put(saver, "00000001", {"n": 1})
        saver.put_writes(
            place(THREAD, "00000001"), [("__interrupt__", (Interrupt("Really?", id="i"),))], "task-2"
        )
        put(saver, "00000002", {"n": 2}, "00000001", source="update")
        assert "the thread went on without an answer" in made().step("c1")

    @pytest.mark.parametrize(
        ("text", "shown"),
        [("[1]", "[1]"), ('{"a": "' + "b" * 100 + '"}', '{\n  "a"'), ("[" * 200, "[[["), ("x" * 200, "xxx")],
    )
    def test_results_that_are_json_are_indented(self, text: str, shown: str) -> None:
        assert report_page.indent_json(text).startswith(shown)

    @pytest.mark.parametrize(
        ("times", "shown"),
        [
            (("2026-01-01T00:00:00+00:00", "2026-01-01T00:00:01.25Z"), "2026-01-01 00:00:01 +1.2 s"),
            (("2026-01-01T00:00:00+00:00", "2026-01-01T02:00:00+01:00"), "2026-01-01 01:00:00 +60 min"),
            (("2026-01-01T00:00:00", "2026-01-04T00:00:00"), "2026-01-04 00:00:00 +3 d"),
            (("yesterday", "0001-01-01T00:00:00+23:00"), "0001-01-01T00:00:00+23:00"),
        ],
    )
    def test_times(self, made: Any, saver: S3Saver, times: tuple[str, str], shown: str) -> None:
        for number, each in enumerate(times):
            checkpoint = make_checkpoint(f"{number}", {"n": number})
            checkpoint["ts"] = each
            saver.put(
                place(THREAD, "0" if number else None),
                checkpoint,
                {"source": "loop", "step": number},
                checkpoint["channel_versions"],
            )
        assert shown in made().step("c2")


@pytest.mark.parametrize("seed", range(0, HISTORIES, 6))
def test_it_agrees_with_langgraph(
    cli: Cli, fake: FakeS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """The report of a random history has its steps, and the questions that wait for an answer."""
    draw = random.Random(seed)
    saver = make_saver(fake)
    puts = Puts(saver)
    monkeypatch.setattr(saver, "put", puts)
    graph = random_graph(draw, saver)
    for _ in range(STEPS):
        step(draw, graph, puts)
    ran = cli("report", "t", "--html", tmp_path / "out.html")
    history = list(graph.get_state_history(place("t")))
    if not history:
        assert ran.code == 3
        return
    found = Read((tmp_path / "out.html").read_text(encoding="utf-8"))
    assert len(found.ids()) == len(history)
    state = graph.get_state(place("t"))
    waiting = [task for task in state.tasks if task.interrupts]
    latest = next(name for name in found.ids() if " latest " in found.step(name))
    assert found.step(latest).count("Waits for an answer.") == len(waiting)
    assert sum(found.step(name).count("Waits for an answer.") for name in found.ids()) == len(waiting)
    # LangGraph shows the error of a failed try also beside the result of a later one.
    failed = any(task.error and task.result is None for task in state.tasks)
    assert ("status waiting" in found.having("class")) == bool(waiting and not failed)
    assert ("status failed" in found.having("class")) == failed
    numbers = [found.step(name).split()[0] for name in found.ids()]
    assert numbers == [str((each.metadata or {})["step"]) for each in reversed(history)]


class TestBounds:
    def test_the_page_says_what_it_leaves_out(
        self, made: Any, saver: S3Saver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(report_page, "MAX_CHARACTERS", 10)
        put(
            saver,
            "00000001",
            {"text": "0123456789abc\n", "messages": [HumanMessage("0123456789abcdef", id="1")]},
        )
        found = made()
        assert "4 characters more" in found.text("p")
        assert "6 characters more" in found.text("p")
        assert "abc" not in found.text("pre", "p")

    def test_a_long_conversation_shows_its_end(
        self, made: Any, saver: S3Saver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(report_page, "MAX_PAGE", 8800)
        put(saver, "00000001", {"messages": [{"type": "human", "content": f"m{n}."} for n in range(50)]})
        step = made().step("c1").partition("State")[0]
        assert "30 messages more human m30." in step
        assert "human m49." in step

    def test_a_page_of_a_thousand_checkpoints_is_bounded(self) -> None:
        text = "<&" * 30_000
        said = [{"type": "human", "content": f"{n} {text}", "id": str(n)} for n in range(3)]
        checkpoints = []
        for number in range(1000):
            parent = f"{number - 1:08}" if number % 100 else None
            values = {
                "n": f"{number} {text}",
                "messages": said,
                **{f"c{n}": n for n in range(number, number + 9)},
            }
            pending = [("task", "__interrupt__", (Interrupt(text, id="i"),))]
            entry = HistoryEntry(f"{number:08}", "", parent, 1, "loop", None, None, 0, 0, 0, 0)
            checkpoints.append(Checkpoint(entry, values, pending))
        page = report_page.render(report_page.Thread("t", "s3://b/", checkpoints[::-1]))
        assert page.count("<article") == 1000
        assert len(page) < 10_000_000
        assert "characters more" in page

    def test_the_requests_are_those_of_the_checkpoints_on_it(
        self, made: Any, saver: S3Saver, fake: FakeS3
    ) -> None:
        put_chain(saver, THREAD, 130)
        with fake.counted() as count:
            assert len(made("--limit", 20).ids()) == 20
        # The newest 21, each with an object of writes: one more than are shown tells whether there are more.
        assert count.kinds == {"ListObjects": 6, "GetObject": 42}

    def test_many_branches_are_drawn_in_few_columns(self, made: Any, saver: S3Saver) -> None:
        put(saver, "00000000", {"n": 0})
        for number in range(1, 60):
            put(saver, f"{number:08}", {"n": number}, "00000000")
        found = made()
        assert len(found.ids()) == 60
        assert sum(tag == "i" for tag, _ in found.elements) < 60 * 2 * 24
        assert "39 steps more" in found.step("c1")

    def test_long_differences(self, monkeypatch: pytest.MonkeyPatch) -> None:
        old = "\n".join(map(str, range(5000)))
        assert ChannelDiff("changed", old, f"{old}\nnew").changed_lines() == ["+new"]
        assert ChannelDiff("changed", f"a\n{old}", f"b\n{old}").changed_lines() == ["-a", "+b"]
        assert ChannelDiff("changed", "x\nx", "x").changed_lines() == ["-x"]
        assert ChannelDiff("added", None, None).changed_lines() == ["+null"]
        monkeypatch.setattr(state_diff, "MAX_LINES", 3)
        assert ChannelDiff("changed", "a\nb", "c\nd").changed_lines() is None


class TestMarkdown:
    @pytest.mark.parametrize(
        ("text", "html"),
        [
            ("**a** `b`", "<p><strong>a</strong> <code>b</code></p>"),
            ("# Title", "<p><b>Title</b></p>"),
            ("a\nb", "<p>a<br />\nb</p>"),
            ("```py\nx < 1\n```", "<pre><small>py</small><code>x &lt; 1\n</code></pre>"),
            ("<b onclick=x>", "<p>&lt;b onclick=x&gt;</p>"),
            ("<!-- hidden -->", "<p>&lt;!-- hidden --&gt;</p>"),
            ("[//]: # (hidden)", "<p>[//]: # (hidden)</p>"),
            ("&#x202e;&lt;", "<p>&amp;#x202e;&amp;lt;</p>"),
            ("a \u202e b", "<p>a \\u202e b</p>"),
            ("[a](javascript:alert(1))", "<p>[a](javascript:alert(1))</p>"),
            ("[a](java&#115;cript:x)", "<p>[a](java&amp;#115;cript:x)</p>"),
            ("[a](file:///etc/passwd)", "<p>[a](file:///etc/passwd)</p>"),
            ("[a](//evil.example)", "<p>[a](//evil.example)</p>"),
            ("[a](data:text/html,x)", "<p>[a](data:text/html,x)</p>"),
            ("![a](data:image/png;base64,AA)", "<p>![a](data:image/png;base64,AA)</p>"),
        ],
    )
    def test_what_it_makes(self, text: str, html: str) -> None:
        assert str(render_markdown(text)).strip() == html

    @pytest.mark.parametrize(
        "text", ["[a](HTTPS://b.example/c)", "![a](https://b.example/c)", "<https://b.example>"]
    )
    def test_links_say_where_they_lead(self, text: str) -> None:
        found = Read(str(render_markdown(text)))
        (link,) = [attrs for tag, attrs in found.elements if tag == "a"]
        assert link["data-host"] == "b.example"
        assert link["rel"] == "noopener noreferrer"
        assert {tag for tag, _ in found.elements} == {"p", "a"}

    def test_a_link_with_a_user_says_its_host(self) -> None:
        assert 'data-host="evil.example"' in str(render_markdown("[x](https://bank.example@evil.example/)"))

    @given(st.text(alphabet="ab19 \n\t\\`*_~#>-+.|:!()[]<>&;\"'/\x1b\u202e\x00", max_size=200))
    @example("- " * 100 + "a")
    @example(">" * 200 + "a")
    @example("".join("  " * depth + "- a\n" for depth in range(60)))
    @example("[a](<" * 300)
    @example("|a" * 100 + "\n" + "|-" * 100 + "\n" + "|\n" * 500)
    def test_nothing_is_lost_and_nothing_acts(self, text: str) -> None:
        html = render_markdown(text)
        if html is None:
            return
        found = Read(str(html))
        allowed = "p br hr b strong em s code pre small blockquote ul ol li a table thead tbody tr th td"
        assert {tag for tag, _ in found.elements} <= set(allowed.split())
        names = {name for _, attrs in found.elements for name in attrs}
        assert names <= {"href", "title", "data-host", "rel", "start"}
        assert all(re.match("https?://|mailto:", each) for each in found.having("href"))
        assert not set("\u202e\x1b\x00") & set(html)
        shown = found.text() + "".join(found.having("href")) + "".join(found.having("start"))
        for sign in "ab":
            assert shown.count(sign) >= text.count(sign)
        assert len(html) < 60 * len(text) + 100

    @pytest.mark.parametrize(
        "text", ["[" * 1001, ">" * 100 + " x", "- a\n" + "".join("  " * n + "- a\n" for n in range(1, 60))]
    )
    def test_what_would_take_long_or_be_lost_is_shown_as_it_is(
        self, text: str, made: Any, saver: S3Saver
    ) -> None:
        assert render_markdown(text) is None
        put(saver, "00000001", {"messages": [HumanMessage(text, id="1")]})
        assert text.strip() in made().text("pre")


class TestSafety:
    @pytest.fixture
    def hostile(self, saver: S3Saver) -> None:
        """A thread in which every name and value is hostile."""
        for number, text in enumerate(HOSTILE):
            said = [
                {"type": text, "name": text, "content": text, "tool_calls": [{"name": text, "args": text}]},
                {"type": "ai", "content": text, "id": text},
            ]
            state = {text: text, "messages": said, "deep": {text: [text]}}
            parent = f"0000000{number - 1}" if number else None
            put(saver, f"0000000{number}", state, parent, source=text, step=text)
            where = place(THREAD, f"0000000{number}")
            saver.put_writes(where, [(text, text)], f"task {number}")
            saver.put_writes(where, [("__interrupt__", (Interrupt(text, id=text),))], text)
        put(saver, "00000009", {"n": 1}, ns=f"{HOSTILE[0]}:1", parents={"": "00000001"})

    def test_values_are_text(self, made: Any, hostile: None) -> None:
        found = made()
        for text in HOSTILE[:3]:
            assert text in found.text("pre")
            assert text in found.text("b")
            assert text in found.text("p")
        assert "\\x1b[31m" in found.text("pre")
        assert not set("\u202e\x1b\u2028") & set(found.text())

    def test_they_make_no_elements_and_no_attributes(self, made: Any, hostile: None) -> None:
        found = made()
        allowed = (
            "html head meta title style script body header nav main section article footer form input output "
            "button label figure figcaption h1 h2 h3 dl dt dd ol li small em span code p b a i pre div "
            "details summary ins del svg path rect polyline table tr td"
        )
        assert {tag for tag, _ in found.elements} <= set(allowed.split())
        names = {name for _, attrs in found.elements for name in attrs}
        assert not [name for name in names if name.startswith("on") or name in {"style", "src", "xlink:href"}]
        written = {
            (name, value)
            for _, attrs in found.elements
            for name, value in attrs.items()
            if value and re.search("alert|evil", value)
        }
        assert written == {
            ("href", "https://evil.example"),
            ("title", "https://evil.example"),
            ("data-host", "evil.example"),
            *(
                (name, f"{start}evil.example{end}")
                for name, start, end in (
                    ("href", "https://", "/y.png"),
                    ("title", "https://", "/y.png"),
                )
            ),
        }

    def test_unhashable_and_unencodable_values(self) -> None:
        source: Any = ["<i>"]
        step: Any = {"<i>": 1}
        entry = HistoryEntry("1", "", None, step, source, None, None, 0, 0, 0, 1)
        values = {"a": "\ud800", "b": float("nan"), "c": b"\xff"}
        text = report_page.render(report_page.Thread("1", "s3://b/", [Checkpoint(entry, values)]))
        found = Read(text.encode().decode())
        assert "\\ud800" in found.text("code")
        assert "other failed" in found.having("class")
        assert "['<i>']" in found.text("h3")

    def test_names_of_a_thread_and_a_namespace(self, cli: Cli, saver: S3Saver, tmp_path: Path) -> None:
        name = "<b>&\"'\n</title>"
        put_chain(saver, name, 1)
        put_chain(saver, name, 1, ns=name)
        file = tmp_path / "out.html"
        assert cli("report", name, "--html", file).code == 0
        found = Read(file.read_text(encoding="utf-8"))
        assert "<b>&\"'\\n</title>" in found.text("h1")
        assert "<b>&\"'\\n</title>" in found.text("title")

    def test_it_refers_to_nothing_outside(self, made: Any, thread: str) -> None:
        found = made()
        assert all(re.fullmatch(r"#c\d+|#steps", each) for each in found.having("href"))
        assert not {"link", "img", "iframe", "object", "base"} & {tag for tag, _ in found.elements}
        css, script = found.text("style"), found.text("script")
        assert css == files("langgraph_checkpoint_s3.cli").joinpath("report.css").read_text(encoding="utf-8")
        assert script == files("langgraph_checkpoint_s3.cli").joinpath("report.js").read_text(
            encoding="utf-8"
        )
        assert not re.search(r"url\(|@import", css)
        assert not re.search(r"fetch|XMLHttp|import|innerHTML|outerHTML|insertAdjacent|eval|\bwrite", script)

    def test_the_policy_allows_its_own_style_sheet_and_script_alone(self, made: Any, thread: str) -> None:
        found = made()
        policy = next(attrs["content"] for _, attrs in found.elements if "http-equiv" in attrs)
        digests = [
            base64.b64encode(hashlib.sha256(found.text(tag).encode()).digest()).decode()
            for tag in ("style", "script")
        ]
        assert policy == (
            "default-src 'none'; base-uri 'none'; form-action 'none'; "
            f"style-src 'sha256-{digests[0]}'; script-src 'sha256-{digests[1]}'"
        )


def test_the_templates_are_part_of_the_package() -> None:
    package = files("langgraph_checkpoint_s3.cli")
    for name in ("report.html.jinja", "report_svg.jinja", "report.css", "report.js"):
        assert package.joinpath(name).is_file()


class TestTheCommand:
    def test_a_file_that_is_there_stays(self, cli: Cli, thread: str, tmp_path: Path) -> None:
        file = tmp_path / "out.html"
        file.write_text("mine")
        file.chmod(0o644)
        ran = cli("report", thread, "--html", file)
        assert (ran.code, file.read_text()) == (2, "mine")
        assert "--force" in ran.err
        ran = cli("report", thread, "--html", file, "--force", "--json")
        assert ran.data == {"file": str(file), "checkpoints": 5, "more": False}
        assert file.read_text().startswith("<!DOCTYPE html>")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600

    def test_its_name_is_the_threads(
        self, cli: Cli, thread: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        ran = cli("report", thread)
        assert ran.out == f"Wrote 5 checkpoints of {thread} to {thread}.html.\n"
        assert stat.S_IMODE((tmp_path / f"{thread}.html").stat().st_mode) == 0o600
        assert cli("report", thread).code == 2
        assert cli("report", thread, "--force").code == 0
        assert [each.name for each in tmp_path.iterdir()] == [f"{thread}.html"]

    @pytest.mark.parametrize(
        ("thread", "name"),
        [
            ("user@x.org:42", "user@x.org_42.html"),
            ("../../etc/passwd", "_.._etc_passwd.html"),
            ("-rf *", "rf_.html"),
            (".hidden", "hidden.html"),
            ("Ø\u202ex\n", "Ø_x_.html"),
            ("...", "thread.html"),
            ("x" * 500, "x" * 100 + ".html"),
        ],
    )
    def test_names_of_files_are_safe(self, thread: str, name: str) -> None:
        assert file_name(thread) == name

    def test_to_standard_output(
        self, cli: Cli, thread: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        ran = cli("report", thread, "--html", "-")
        assert Read(ran.out).ids() == ["c1", "c2", "c3", "c4", "c5"]
        assert cli("report", thread, "--html", "-", "--json").code == 2
        assert list(tmp_path.iterdir()) == []

    def test_to_a_folder_that_is_not_there(self, cli: Cli, thread: str, tmp_path: Path, fake: FakeS3) -> None:
        with fake.counted() as count:
            assert cli("report", thread, "--html", tmp_path / "none" / "x.html").code == 3
        assert not count.requests

    @pytest.mark.parametrize("module", ["jinja2", "markdown_it"])
    def test_without_a_library_it_says_how_to_get_it(
        self, cli: Cli, thread: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str
    ) -> None:
        monkeypatch.setitem(sys.modules, module, None)
        ran = cli("report", thread, "--html", tmp_path / "out.html")
        assert (ran.code, ran.err.count("\n")) == (1, 1)
        assert 'pip install ".[cli]"' in ran.err

    def test_no_such_thread(self, cli: Cli, tmp_path: Path) -> None:
        ran = cli("report", "nobody", "--html", tmp_path / "out.html")
        assert ran.code == 3
        assert list(tmp_path.iterdir()) == []

    def test_the_output(self, cli: Cli, thread: str, tmp_path: Path) -> None:
        ran = cli("report", thread, "--html", tmp_path / "out.html", "--limit", 2)
        assert ran.out == f"Wrote 2 checkpoints of {thread} to {tmp_path / 'out.html'}.\n"
        assert "--limit takes more" in ran.err
