"""Listing threads, and what they store."""

from __future__ import annotations

from typing import Any

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.admin import S3Admin
from tests.cli.conftest import Cli
from tests.support.checkpoints import make_checkpoint, place, put_chain


class TestThreads:
    def test_they_are_listed(self, cli: Cli, saver: S3Saver) -> None:
        for name in ("a-1", "a-2", "b"):
            put_chain(saver, name, 1)
        assert cli("threads").out == "a-1\na-2\nb\n"
        assert cli("threads", "--prefix", "a", "--json").data == {"threads": ["a-1", "a-2"], "more": False}
        ran = cli("threads", "--limit", 2)
        assert ran.out == "a-1\na-2\n"
        assert "more than 2" in ran.err

    def test_by_metadata(self, cli: Cli, saver: S3Saver) -> None:
        for name, user in (("a", "42"), ("b", 42), ("c", "x")):
            checkpoint = make_checkpoint("1", {"v": 1})
            metadata: Any = {"source": "loop", "step": 0, "user_id": user}
            saver.put(place(name), checkpoint, metadata, checkpoint["channel_versions"])
        assert cli("threads", "--metadata", "user_id=x").out == "c\n"
        assert cli("threads", "--metadata", "user_id=42", "--metadata", "step=0").out == "b\n"
        assert cli("threads", "--metadata", 'user_id="42"').out == "a\n"
        assert cli("threads", "--metadata", "user_id=y").out == ""
        ran = cli("threads", "--metadata", "user_id")
        assert ran.code == 2
        assert "--metadata user_id=42" in ran.err

    def test_none_is_no_error(self, cli: Cli) -> None:
        ran = cli("threads")
        assert (ran.code, ran.out) == (0, "")
        assert "no threads" in ran.err

    def test_usage(self, cli: Cli, thread: str) -> None:
        assert cli("usage").out.startswith("1 thread, 1 namespace, 5 checkpoints, 4 objects of writes: ")
        found = cli("usage", "--thread", thread, "--json").data
        assert (found["threads"], found["checkpoints"]) == (1, 5)
        assert found["classes"]["STANDARD"]["objects"] == 9


def test_an_admins_sizes_are_those_of_checkpoints(saver: S3Saver, thread: str) -> None:
    saver.put_writes(place(thread, "00000099"), [("c", 1)], "early")
    sizes = S3Admin(saver).checkpoint_sizes(thread)
    assert {each.checkpoint_id: each.objects for each in sizes} == {
        "00000007": 1,
        "00000003": 2,
        "00000002": 2,
        "00000001": 2,
        "00000000": 2,
    }
    assert all(each.bytes > 0 for each in sizes)
    assert S3Admin(saver).checkpoint_sizes("nobody") == []
