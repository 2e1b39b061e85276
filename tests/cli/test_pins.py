"""Pinning threads, and one lifecycle rule for each retention class."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.cli import runtime
from langgraph_checkpoint_s3.s3.bucket_settings import LIFECYCLE
from tests.cli.conftest import Cli
from tests.support.checkpoints import put_chain
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver

CLASSES = {"default": timedelta(days=90), "trial": timedelta(days=7)}


def test_threads_are_pinned_and_unpinned(cli: Cli, thread: str, fake: FakeS3) -> None:
    ran = cli("pin", thread, "tomorrow", thread)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == [
        f"{thread} is pinned: 9 objects, 9 newly tagged.",
        "tomorrow is pinned. It has no objects yet.",
    ]
    assert cli("threads", "--pinned").out.split() == [thread, "tomorrow"]
    assert cli("threads", "--pinned", "--prefix", "to").out.split() == ["tomorrow"]
    assert (
        cli("unpin", "tomorrow", thread, "--yes").out.splitlines()[1].startswith(f"{thread} isn't pinned: 9")
    )
    assert "no pinned threads" in cli("threads", "--pinned").err
    assert {fake.objects[key].tag for key in fake.keys(thread)} == {"default"}


def test_without_a_terminal_unpinning_needs_yes(cli: Cli, thread: str, fake: FakeS3) -> None:
    cli("pin", thread)
    before = dict(fake.objects)
    ran = cli("unpin", thread)
    assert (ran.code, "--yes" in ran.err, fake.objects) == (2, True, before)


def test_pruning_leaves_pinned_threads_out(cli: Cli, thread: str, saver: S3Saver) -> None:
    put_chain(saver, "other", 3)
    cli("pin", thread)
    found = cli("prune", "--keep-last", 1, "--dry-run", "--json").data
    assert {each["thread_id"] for each in found["checkpoints"]} == {"other"}


class TestRules:
    @pytest.fixture
    def cli(self, fake: FakeS3, monkeypatch: pytest.MonkeyPatch, cli: Cli) -> Cli:
        def open_saver(uri: str | None, **keywords: Any) -> S3Saver:
            return make_saver(fake, retention=CLASSES)

        monkeypatch.setattr(runtime, "open_saver", open_saver)
        return cli

    def test_they_are_set(self, cli: Cli, fake: FakeS3) -> None:
        assert cli("lifecycle", "--classes").code == 2
        ran = cli("lifecycle", "--classes", "--dry-run")
        assert ran.out == "Would have S3 delete: default after 90 days, trial after 7 days.\n"
        assert fake.settings == {}
        ran = cli("lifecycle", "--classes", "--yes", "--json")
        assert ran.data["classes"] == {"default": 90, "trial": 7}
        rules = fake.settings[LIFECYCLE.name, None]["Rules"]
        assert sorted(rule["Expiration"]["Days"] for rule in rules if "Expiration" in rule) == [8, 91]
        assert cli("lifecycle", "--classes", "--yes").out == "Nothing had to be changed.\n"

    def test_with_other_options_they_are_an_error(self, cli: Cli) -> None:
        for more in (("--remove",), ("--delete-after", 3)):
            assert "--classes goes with no other option" in cli("lifecycle", "--classes", *more).err


def test_without_classes_the_error_shows_how_to_name_them(cli: Cli) -> None:
    ran = cli("lifecycle", "--classes")
    assert (ran.code, "?retention.default=90d" in ran.err) == (2, True)
