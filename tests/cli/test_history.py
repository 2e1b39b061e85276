"""The history as a tree, and watching a thread."""

from __future__ import annotations

import re
from typing import Any

import pytest
from rich.cells import cell_len

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.admin.usage.history_lines import draw_graph
from langgraph_checkpoint_s3.text.humanize import short_ids
from tests.cli import example
from tests.cli.conftest import Cli
from tests.support.checkpoints import make_checkpoint, place, put_chain
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver

SLEEP = "langgraph_checkpoint_s3.cli.history.sleep"


def uncoloured(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def drawing(*rows: tuple[str, str | None]) -> list[str]:
    return [f"{drawn} {name or ''}".rstrip() for drawn, name in draw_graph(rows)]


class TestGraph:
    def test_a_line(self) -> None:
        assert drawing(("c", "b"), ("b", "a"), ("a", None)) == ["● c", "● b", "● a"]

    def test_a_fork(self) -> None:
        rows = drawing(("d", "b"), ("c", "b"), ("b", "a"), ("a", None))
        assert rows == ["● d", "│ ● c", "├─╯", "● b", "● a"]

    def test_three_from_one(self) -> None:
        rows = drawing(("d", "a"), ("c", "a"), ("b", "a"), ("a", None))
        assert rows == ["● d", "│ ● c", "│ │ ● b", "├─┴─╯", "● a"]

    def test_a_line_between_two_that_join_goes_on(self) -> None:
        rows = drawing(("e", "b"), ("d", "a"), ("c", "b"), ("b", "a"), ("a", None))
        assert rows == ["● e", "│ ● d", "│ │ ● c", "├─┼─╯", "● │ b", "├─╯", "● a"]

    def test_one_that_ends_leaves_its_column_to_the_next(self) -> None:
        rows = drawing(("d", "gone"), ("c", "a"), ("b", "a"), ("a", None))
        assert rows == ["● d", "┆", "● c", "│ ● b", "├─╯", "● a"]

    def test_branches_whose_parents_are_left_out_arent_one_line(self) -> None:
        rows = drawing(("f", "c"), ("e", "b"), ("d", "a"))
        assert rows == ["● f", "┆", "● e", "┆", "● d", "┆"]
        rows = drawing(("f", "d"), ("e", "b"), ("d", "a"))
        assert rows == ["● f", "│ ● e", "│ ┆", "● d", "┆"]

    def test_nothing(self) -> None:
        assert draw_graph([]) == []


def test_rows_are_of_one_namespace(saver: S3Saver, thread: str) -> None:
    put_chain(saver, thread, 1, ns="sub:1")
    found = S3Admin(saver).history(thread)
    assert [drawing for drawing, _ in found.rows()] == ["●  ", "│ ●", "│ ●", "├─╯", "●  ", "●  "]
    assert [entry and entry.checkpoint_id for _, entry in found.rows()][2:4] == ["00000002", None]
    assert found.rows("sub:1") == [("●", found.namespaces()["sub:1"][0])]
    assert found.rows("none") == []


class TestHistory:
    def test_it_is_drawn(self, cli: Cli, thread: str) -> None:
        ran = cli("history", thread)
        assert ran.code == 0
        lines = ran.out.splitlines()
        assert lines[0] == f"thread {thread}"
        assert [line[:13] for line in lines[1:]] == [
            "●    00000007",
            "│ ●  00000003",
            "│ ●  00000002",
            "├─╯",
            "●    00000001",
            "●    00000000",
        ]
        assert re.search(r"  step 2  +\S+  \d+ B  fork  set n$", lines[1])
        assert "1 pending write of 1 task" in lines[2]
        assert "pending" not in lines[1]

    def test_namespaces_are_drawn_by_themselves(self, cli: Cli, saver: S3Saver, thread: str) -> None:
        put_chain(saver, thread, 2, ns="sub:1")
        lines = cli("history", thread).out.splitlines()
        assert "namespace sub:1" in lines
        only = cli("history", thread, "--ns", "sub:1").out.splitlines()
        assert [line[:11] for line in only] == ["namespace s", "●  00000001", "●  00000000"]

    def test_json(self, cli: Cli, thread: str, saver: S3Saver) -> None:
        saver.put_writes(place(thread, "00000003"), [("__interrupt__", ("sure?",))], "task-9")
        found = cli("history", thread, "--json").data
        assert found["thread_id"] == thread
        assert not found["more"]
        fork, last, *_ = found["checkpoints"]
        assert (fork["checkpoint_id"], fork["parent_id"], fork["source"]) == ("00000007", "00000001", "fork")
        assert (last["pending_writes"], last["pending_tasks"], last["interrupts"]) == (2, 2, 1)
        assert all(each["bytes"] > 0 for each in found["checkpoints"])

    def test_the_limit_is_mentioned(self, cli: Cli, thread: str) -> None:
        ran = cli("history", thread, "--limit", 2)
        assert [line[:3].rstrip() for line in ran.out.splitlines()] == ["thr", "●", "┆", "●", "┆"]
        assert "more than 2" in ran.err
        assert cli("history", thread, "--limit", 2, "--json").data["more"]

    @pytest.mark.parametrize("width", [40, 80, 140])
    def test_lines_are_cut_to_the_terminals_width(
        self, cli: Cli, fake: FakeS3, monkeypatch: pytest.MonkeyPatch, width: int
    ) -> None:
        example.build(make_saver(fake))
        whole = cli("history", example.THREAD).out.splitlines()
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("COLUMNS", str(width))
        lines = uncoloured(cli("history", example.THREAD).out).splitlines()
        assert [len(line) for line in lines] == [min(width, len(line)) for line in whole]
        assert all(full.startswith(line.rstrip("…")) for line, full in zip(lines, whole, strict=True))

    def test_wide_signs_count_twice(self, cli: Cli, saver: S3Saver, monkeypatch: pytest.MonkeyPatch) -> None:
        said = make_checkpoint("00000001", {"messages": [{"type": "ai", "content": "日本語" * 50}]})
        saver.put(place("t"), said, {"source": "loop", "step": 1}, said["channel_versions"])
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("COLUMNS", "80")
        assert cell_len(uncoloured(cli("history", "t").out).splitlines()[1]) in {79, 80}

    def test_ids_are_shortened_and_can_be_pasted(self, cli: Cli, saver: S3Saver) -> None:
        for end in ("00000001", "00000002"):
            checkpoint = make_checkpoint(f"1f0a2c6e-0000-6000-8001-c000{end}", {})
            saver.put(place("t"), checkpoint, {"source": "loop", "step": 1}, checkpoint["channel_versions"])
        lines = cli("history", "t").out.splitlines()
        assert [line.split()[1] for line in lines[1:]] == ["00000002", "00000001"]
        assert cli("show", "t", "00000002", "--json").data["checkpoint_id"].endswith("00000002")

    def test_short_ids_differ(self) -> None:
        same = [f"1f0a2c6e-0000-6000-800{n}-c00000000001" for n in range(2)]
        assert list(short_ids(same).values()) == ["8000-c00000000001", "8001-c00000000001"]
        assert short_ids([same[0], same[0], "mine"]) == {same[0]: "00000001", "mine": "mine"}
        ends_alike = [same[0], same[0].replace("1f0a", "2f0a")]
        assert short_ids(ends_alike) == dict(zip(ends_alike, ends_alike, strict=True))

    def test_it_says_what_each_step_did(self, cli: Cli, fake: FakeS3) -> None:
        example.build(make_saver(fake))
        told = cli("history", example.THREAD).out
        for part in (
            "  research  tool (search_trains): [ {",
            '  model     ai: I\'ll look it up.  → search_trains(to="Bergen", day="Friday")',
            "  model     asks: Book a couchette on R 607 for 89 €?  → book(train=",
            "  model     failed: TimeoutError: bicycle_places didn't answer within 10 s  ai: ",
            "  input     human: Is there a night train",
            "  search  set notes, question",
        ):
            assert part in told

    def test_the_sizes_are_what_is_stored(self, cli: Cli, saver: S3Saver, thread: str) -> None:
        found = cli("history", thread, "--json").data["checkpoints"]
        assert (
            sum(each["bytes"] for each in found) == cli("usage", "--thread", thread, "--json").data["bytes"]
        )


class TestWatch:
    def test_the_latest_and_then_what_comes(
        self, cli: Cli, saver: S3Saver, thread: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pauses: list[float] = []

        def meanwhile(seconds: float) -> None:
            pauses.append(seconds)
            new = make_checkpoint("00000009", {"messages": [{"type": "ai", "content": "Hello\nthere"}]})
            metadata: Any = {"source": "loop", "step": 9}
            saver.put(place(thread, "00000007"), new, metadata, new["channel_versions"])
            saver.put_writes(place(thread, "00000009"), [("__interrupt__", ("?",))], "task")

        monkeypatch.setattr(SLEEP, meanwhile)
        ran = cli("watch", thread, "--every", "3s", "--count", 2)
        assert pauses == [3]
        first, second = ran.out.splitlines()
        assert first.endswith("  00000007  step 2  fork  set n")
        assert second.endswith("  00000009  step 9  node  asks: ?  ai: Hello there")

    def test_a_later_interrupt_is_printed(
        self, cli: Cli, saver: S3Saver, thread: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        turns = iter([("d", 1), ("__interrupt__", ("?",))])

        def meanwhile(seconds: float) -> None:
            channel, value = next(turns)
            saver.put_writes(place(thread, "00000007"), [(channel, value)], f"task-{channel}")

        monkeypatch.setattr(SLEEP, meanwhile)
        ran = cli("watch", thread, "--count", 2, "--json")
        assert '"interrupts": 1' in ran.out.splitlines()[1]
        assert ran.out.count("\n") == 2

    def test_it_waits_for_a_thread_that_does_not_exist_yet(
        self, cli: Cli, saver: S3Saver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        turns = iter([False, False, True])

        def meanwhile(seconds: float) -> None:
            if next(turns):
                put_chain(saver, "new", 1)

        monkeypatch.setattr(SLEEP, meanwhile)
        ran = cli("watch", "new", "--count", 1)
        assert ran.err == "There is no thread 'new' in s3://fake-bucket/checkpoints/ yet: waiting for it.\n"
        assert ran.out.count("\n") == 1

    def test_polling_without_a_pause_is_refused(self, cli: Cli, thread: str) -> None:
        assert cli("watch", thread, "--every", "0s").code == 2

    def test_ctrl_c_ends_it(self, cli: Cli, thread: str, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupted(seconds: float) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(SLEEP, interrupted)
        ran = cli("watch", thread)
        assert (ran.code, ran.err) == (130, "Stopped.\n")
