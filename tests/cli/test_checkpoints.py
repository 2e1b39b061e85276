"""Naming a checkpoint by id, part of an id, `latest` and steps back; and the requests that it takes."""

from __future__ import annotations

from typing import Any

import pytest

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.cli import runtime
from langgraph_checkpoint_s3.encryption import KeyRing
from tests.cli.conftest import Cli
from tests.support.checkpoints import make_checkpoint, place, put_chain
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver

IDS = [f"1f0a2c6e-0000-6000-800{number}-{'ab'[number % 2]}0000000000{number}" for number in range(5)]
ODD = "odd\x1b[31m"


@pytest.fixture
def agent(saver: S3Saver) -> str:
    """Five checkpoints in a row, one in a namespace, and two with control characters in their ids."""
    parent = None
    for number, name in enumerate(IDS):
        put(saver, name, parent, {"n": number})
        parent = name
    put(saver, "1f0a2c6e-5ub", None, {"n": "sub"}, ns="sub:1")
    for name in (ODD, f"{ODD}2"):
        put(saver, name, None, {"n": "odd"}, ns="sub:2")
    return "agent"


def put(saver: S3Saver, name: str, parent: str | None, values: dict[str, Any], ns: str = "") -> None:
    checkpoint = make_checkpoint(name, values)
    metadata: Any = {"source": "loop", "step": 1}
    saver.put(place("agent", parent, ns=ns), checkpoint, metadata, checkpoint["channel_versions"])


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("", 4),
        ("latest", 4),
        ("latest~1", 3),
        ("latest~", 3),
        ("~2", 2),
        ("latest~4", 0),
        (IDS[1], 1),
        (f"{IDS[3]}~2", 1),
        ("00002~1", 1),
        ("00002", 2),
        ("1f0a2c6e-0000-6000-8003", 3),
    ],
)
def test_a_checkpoint_is_found_by(cli: Cli, agent: str, text: str, number: int) -> None:
    for command in ("show", "resume-point"):
        assert cli(command, agent, text, "--json").data["checkpoint_id"] == IDS[number]


def test_what_history_prints_can_be_pasted(cli: Cli, agent: str) -> None:
    lines = [line.split()[1] for line in cli("history", agent).out.splitlines() if "●" in line]
    assert len(lines) == 8
    for shown in lines:
        assert cli("show", agent, shown).code == 0, shown
    assert cli("show", agent, "odd\\x1b[31m", "--json").data["checkpoint_id"] == ODD


def test_an_id_of_another_namespace(cli: Cli, agent: str) -> None:
    assert cli("show", agent, "5ub", "--json").data["checkpoint_ns"] == "sub:1"
    assert cli("show", agent, "5ub", "--ns", "sub:1", "--json").data["checkpoint_ns"] == "sub:1"
    ran = cli("show", agent, "5ub", "--ns", "sub:2")
    assert (ran.code, ran.err) == (3, "That checkpoint is in another namespace: --ns sub:1.\n")


def test_an_ambiguous_id_lists_the_matches(cli: Cli, agent: str) -> None:
    ran = cli("show", agent, "1f0a2c6e-0000")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert all(name in ran.err for name in IDS)
    assert "5ub" not in ran.err


def test_an_exact_id_wins_over_a_partial_match(cli: Cli, saver: S3Saver, agent: str) -> None:
    put(saver, "00002", None, {"n": "whole"})
    assert cli("show", agent, "00002", "--json").data["checkpoint_id"] == "00002"


@pytest.mark.parametrize("text", ["nonsense", "latest~5", "nonsense~1", "0002~9", "~999999"])
def test_no_match(cli: Cli, agent: str, text: str) -> None:
    ran = cli("show", agent, text)
    assert (ran.code, ran.out, ran.err.count("\n")) == (3, "", 1)


def test_a_parent_that_was_deleted(cli: Cli, saver: S3Saver) -> None:
    put(saver, "00000002", "00000001", {"n": 1})
    assert cli("show", "agent", "~1").code == 3
    ran = cli("diff", "agent")
    assert (ran.code, ran.err.count("\n")) == (3, 1)


def test_all_commands_take_these_names(cli: Cli, agent: str, fake: FakeS3) -> None:
    found = cli("diff", agent, "~3", "latest", "--json").data
    assert (found["a"], found["b"]) == (IDS[1], IDS[4])
    assert cli("diff", agent, "00001", "00002", "--json").data["b"] == IDS[2]
    assert cli("url", agent, "~1", "--json").data["checkpoint_id"] == IDS[3]
    assert cli("url", agent, "5ub", "--json").data["checkpoint_id"] == "1f0a2c6e-5ub"
    fake.set_versioning("Suspended")
    for text in ("latest", "~2", "5ub"):
        [version] = cli("versions", agent, text, "--json").data["versions"]
        ran = cli("restore", agent, text, "--version", version["version_id"])
        assert ran.out.startswith("Restored version ")


def test_a_deleted_checkpoint_still_has_versions(cli: Cli, saver: S3Saver, agent: str, fake: FakeS3) -> None:
    fake.set_versioning("Enabled")
    saver.delete_thread(agent)
    found = cli("versions", agent, IDS[2], "--json").data["versions"]
    assert [each["delete_marker"] for each in found] == [True, False]


def test_where_names_are_hashed(fake: FakeS3, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    settings: Any = {"encryption": KeyRing({"k": bytes(32)}, names_key=bytes(32)), "private_keys": True}
    monkeypatch.setattr(runtime, "open_saver", lambda uri, **_: make_saver(fake, **settings))
    saver = make_saver(fake, **settings)
    for number, ns in enumerate(("", "", "sub:1")):
        put(saver, IDS[number], None, {"n": number}, ns=ns)
    assert cli("show", "agent", "00001", "--json").data["checkpoint_id"] == IDS[1]
    found = cli("show", "agent", "00002", "--json").data
    assert (found["checkpoint_id"], found["checkpoint_ns"]) == (IDS[2], "sub:1")
    assert cli("show", "agent", IDS[2], "--ns", "sub:1").code == 0
    ran = cli("show", "agent", "00002", "--ns", "sub:1")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "whole id" in ran.err


class TestRequests:
    """A command sends the requests of LangGraph's own call."""

    def test_show(self, cli: Cli, agent: str, fake: FakeS3) -> None:
        for text in ("", IDS[2]):
            with fake.counted() as own:
                make_saver(fake).get_tuple(place(agent, text or None))
            with fake.counted() as count:
                cli("show", agent, text)
            assert count.kinds == own.kinds
        with fake.counted() as count:
            cli("show", agent, "00002")  # no id: the thread is listed
        assert count.kinds == {"ListObjects": 3, "GetObject": 1}

    def test_history(self, cli: Cli, saver: S3Saver, fake: FakeS3) -> None:
        put_chain(saver, "long", 100)
        with fake.counted() as own:
            list(make_saver(fake).list({"configurable": {"thread_id": "long"}}, limit=21))
        with fake.counted() as count:
            cli("history", "long", "--limit", 20)
        assert count.kinds == {**own.kinds, "ListObjects": own.kinds["ListObjects"] + 1}  # the sizes
