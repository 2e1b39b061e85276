from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.sqlite import SqliteSaver

from examples import (
    agent,
    approval,
    async_quickstart,
    bookings,
    durability,
    files,
    from_sqlite,
    memory,
    quickstart,
    subgraphs,
    time_travel,
)
from examples.demo import __main__ as demo
from examples.demo.account import by_kind, dollars
from examples.demo.stage import wait_until, worker
from examples.demo.terminal import ClaimError, claim
from examples.trip import trip_graph
from examples.worker import take
from langgraph_checkpoint_s3 import InvalidConfigError, S3Saver
from langgraph_checkpoint_s3.testing import local_s3
from tests.support.forking import run_module


def run(*command: str | Path) -> str:
    """Run `python -m …`, expect it to succeed and to leave nothing open, and return what it printed."""
    module, *arguments = map(str, command)
    done = run_module(module, *arguments, variables=os.environ)
    assert done.returncode == 0, done.stderr
    for trouble in ("ResourceWarning", "Unclosed", "never awaited", "Traceback"):
        assert trouble not in done.stderr
    return done.stdout


@pytest.mark.usefixtures("bucket")
def test_quickstart_remembers_within_a_process_and_from_one_to_the_next(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("examples.quickstart").splitlines() == [
        "You have told me 1 things, first: My name is Ada.",
        "You have told me 2 things, first: My name is Ada.",
    ]
    quickstart.main()
    assert "You have told me 4 things" in capsys.readouterr().out


@pytest.mark.usefixtures("bucket")
def test_async_quickstart_keeps_its_threads_apart() -> None:
    assert run("examples.async_quickstart").splitlines() == [
        f"You have told me 2 things, first: My name is {name}." for name in ("Ada", "Grace", "Edsger")
    ]


@pytest.mark.usefixtures("bucket")
def test_agent_calls_its_tools() -> None:
    printed = run("examples.agent")
    assert "Lisbon: sunny, 24 degrees" in printed
    assert "4 items on the list" in printed
    assert printed.rstrip().endswith("take the train, the hotel, the ferry and the dinner.")


@pytest.mark.usefixtures("bucket")
def test_memory_goes_from_thread_to_thread(capsys: pytest.CaptureFixture[str]) -> None:
    memory.main()
    assert capsys.readouterr().out.splitlines() == [
        "monday: What do I eat? I know nothing about you yet.",
        "monday: I eat no meat. I'll remember that.",
        "monday: I live in Turin. I'll remember that.",
        "friday: What do I eat? You told me: I eat no meat.",
    ]


@pytest.mark.usefixtures("bucket")
def test_approval_is_asked_and_answered_in_two_processes(capsys: pytest.CaptureFixture[str]) -> None:
    approval.main([])
    question, advice = capsys.readouterr().out.splitlines()
    assert question == "Pay 540 EUR?"
    assert run(*advice.split()[-3:]) == "540 EUR: paid\n"  # what it advised, in a process of its own


@pytest.mark.usefixtures("bucket")
def test_approval_may_be_refused(capsys: pytest.CaptureFixture[str]) -> None:
    approval.main([])
    thread = capsys.readouterr().out.split()[-2]
    approval.main([thread, "no"])
    assert capsys.readouterr().out == "540 EUR: refused\n"


@pytest.mark.usefixtures("bucket")
def test_time_travel_keeps_both_ways(capsys: pytest.CaptureFixture[str]) -> None:
    time_travel.main()
    assert capsys.readouterr().out.splitlines() == [
        "after 2 messages: My name is Ada.",
        "after 4 messages: I live in London.",
        "the fork: My name is Ada. I live in Paris.",
        "the first way: My name is Ada. I live in London.",
        "states at which a turn ended: 3",
    ]


@pytest.mark.usefixtures("bucket")
def test_a_subgraph_is_asked_and_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    subgraphs.main()
    assert capsys.readouterr().out.splitlines() == [
        "Where shall the train bring it?",
        "the subgraph has: {'carrier': 'the train'}",
        "a lamp goes to Lisbon",
        "namespaces: ['(the graph itself)', 'deliver']",
    ]


@pytest.mark.usefixtures("bucket")
def test_durability_exit_saves_once_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    durability.main()
    assert capsys.readouterr().out.splitlines() == [
        "sync: 4 steps, 6 checkpoints, 11 PUTs",
        "exit: 4 steps, 1 checkpoints, 1 PUTs",
    ]


@pytest.mark.usefixtures("bucket")
def test_files_in_the_state_are_stored_once(capsys: pytest.CaptureFixture[str]) -> None:
    files.main(chapters=4, sentences=600)  # it checks what it says
    first, *lines = capsys.readouterr().out.splitlines()
    assert first.startswith("0.4 MB of reference, 4 edits")
    names = [line.partition(": 21 checkpoints, ")[0] for line in lines]
    assert names == ["without borrowing", "borrowing", "a delta channel"]


@pytest.mark.usefixtures("bucket")
def test_threads_come_from_sqlite_and_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "checkpoints.sqlite"
    config: RunnableConfig = {"configurable": {"thread_id": "ada"}}
    with SqliteSaver.from_conn_string(str(file)) as source:
        graph = quickstart.builder.compile(checkpointer=source)
        graph.invoke({"messages": [HumanMessage("My name is Ada.")]}, config)
    from_sqlite.main([str(file)])
    from_sqlite.main([str(file)])
    assert capsys.readouterr().out.splitlines() == ["1 threads, 3 checkpoints", "1 threads, 0 checkpoints"]
    with S3Saver.from_env() as saver:
        graph = quickstart.builder.compile(checkpointer=saver)
        said = graph.invoke({"messages": [HumanMessage("And now?")]}, config)["messages"]
    assert said[-1].content == "You have told me 2 things, first: My name is Ada."


@pytest.mark.usefixtures("bucket")
def test_a_sample_comes_from_sqlite(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from_sqlite.main([])
    assert capsys.readouterr().out == "2 threads, 6 checkpoints\n"
    assert threads() == {"sample-Ada", "sample-Grace"}
    with pytest.raises(SystemExit):
        from_sqlite.main([str(tmp_path / "absent.sqlite")])
    assert "there is no file" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("clean_environment")
@pytest.mark.parametrize(
    "main",
    [
        *(agent.main, durability.main, files.main, memory.main, quickstart.main, subgraphs.main),
        *(time_travel.main, lambda: approval.main([]), lambda: from_sqlite.main([])),
        lambda: asyncio.run(async_quickstart.main()),
    ],
)
def test_without_a_bucket_an_example_says_so_at_once(main: Callable[[], object]) -> None:
    with pytest.raises(InvalidConfigError, match=r"S3_BUCKET_NAME is not set.*langgraph-s3 serve"):
        main()


def test_demo_on_a_server_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_KEY_PREFIX", "kept/")
    printed = run("examples.demo", "--keep", tmp_path)
    for line in (
        "ok  S3 has the writes of the finished tasks: dinner, hotel, train",
        "ok  only the ferry ran again",
        "ok  the graph waits at the interrupt",
        "ok  the fork: Released train, hotel, ferry, dinner for 4: 1080 EUR.",
        "ok  Booked train, hotel, ferry, dinner for 2: 540 EUR (T120, H95, F15, D40).",
        "ok  the first branch is unchanged",
        "ok  both branches share the 4 states up to the reservations",
        "All checks passed",
    ):
        assert line in printed
    assert "\x1b" not in printed  # no colours where nobody sees them
    assert max(map(len, printed.replace(str(tmp_path), "DIR").splitlines())) <= 80

    assert f"langgraph-s3 serve {tmp_path}\n" in printed
    assert "export S3_KEY_PREFIX=kept/\n" in printed
    commands = re.findall(r"langgraph-s3 (history|show) (trip-\w+)", printed)
    assert [name for name, _ in commands] == ["history", "show"]
    with local_s3(tmp_path) as server:  # what `serve` runs
        for name, value in (*server.environment().items(), ("S3_BUCKET_NAME", "checkpoints")):
            monkeypatch.setenv(name, value)
        shown = [run("langgraph_checkpoint_s3", *command) for command in commands]
    assert "Released train" in shown[0]
    assert "Booked train" in shown[0]
    assert "Released train" in shown[1]


@pytest.fixture
def short_story(bucket: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the demo's scenes, only the first, and that in this process: it stops at the question."""
    monkeypatch.setattr(sys, "argv", ["demo"])
    monkeypatch.setenv("BOOKINGS_LOG", "set by the demo, and set back at the end")
    for scene in ("resume", "answer", "fork", "bill"):
        monkeypatch.setattr(demo.Demo, scene, lambda _: None)
    monkeypatch.setattr(demo.Demo, "kill", lambda story: take(story.graph, story.thread, "start"))


@pytest.mark.usefixtures("short_story")
def test_demo_on_a_named_bucket_deletes_what_it_stored_and_nothing_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    quickstart.main()
    assert demo.main() == 0
    assert "The bucket checkpoints, named by S3_BUCKET_NAME." in capsys.readouterr().out
    assert threads() == {"quickstart"}


@pytest.mark.usefixtures("short_story")
def test_demo_ends_with_an_error_when_a_claim_does_not_hold(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo.Demo, "answer", lambda _: claim(False, "the moon is made of cheese"))
    assert demo.main() == 1
    assert "This check failed: the moon is made of cheese" in capsys.readouterr().err
    assert threads() == set()


@pytest.mark.usefixtures("short_story")
def test_demo_keeps_nothing_in_a_named_bucket(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["demo", "--keep", str(tmp_path)])
    with pytest.raises(SystemExit):
        demo.main()
    assert "--keep is for the local server" in capsys.readouterr().err


def test_demo_notices_a_worker_that_ends_too_early() -> None:
    with (
        subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"]) as process,
        pytest.raises(ClaimError, match="should be waiting; it ended with 3"),
    ):
        wait_until(lambda: False, process)


@pytest.mark.usefixtures("bucket")
def test_killed_and_resumed_gives_the_same_answer_as_undisturbed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(thread: str, step: str) -> None:
        with S3Saver.from_env() as saver:  # a new one, that knows nothing
            take(trip_graph(saver), thread, step)

    monkeypatch.setenv("BOOKINGS_LOG", str(tmp_path / "undisturbed.jsonl"))
    step("undisturbed", "start")
    step("undisturbed", "yes")

    monkeypatch.setenv("BOOKINGS_LOG", str(tmp_path / "killed.jsonl"))
    with worker("killed", "start", tmp_path / "report.json", {"BOOKINGS_STALL": "hotel"}) as process:
        wait_until(lambda: holds_stored("killed") == 3, process)
        process.kill()
    step("killed", "resume")
    step("killed", "yes")

    assert outcome("killed") == outcome("undisturbed")
    assert outcome("killed")["messages"][-1][1].startswith("Booked train, hotel, ferry, dinner for 2")
    held = [call["item"] for call in bookings.calls() if call["event"] == "held"]
    assert sorted(held) == sorted(bookings.PRICES)


def threads() -> set[str]:
    with S3Saver.from_env() as saver:
        return {found.config["configurable"]["thread_id"] for found in saver.list(None)}


def holds_stored(thread: str) -> int:
    with S3Saver.from_env() as saver:
        found = saver.get_tuple({"configurable": {"thread_id": thread}})
    writes = (found.pending_writes or []) if found else []
    return sum(channel == "holds" for _, channel, _ in writes)


def outcome(thread: str) -> dict[str, Any]:
    config: RunnableConfig = {"configurable": {"thread_id": thread}}
    with S3Saver.from_env() as saver:
        values = dict(trip_graph(saver).get_state(config).values)
    values["messages"] = [(message.type, message.content) for message in values["messages"]]
    return values


def test_requests_are_priced_as_aws_charges_them() -> None:
    counts = by_kind(
        {"PutObject": 600, "CopyObject": 200, "CreateMultipartUpload": 200, "ListObjectsV2": 1000}
        | {"GetObject": 900, "HeadObject": 100, "DeleteObjects": 5, "AbortMultipartUpload": 1}
    )
    assert counts == {"PUT": 1000, "LIST": 1000, "GET": 1000, "DELETE": 6}
    assert dollars(counts) == pytest.approx(0.005 + 0.005 + 0.0004)
