"""Long-term memory on the command line."""

from __future__ import annotations

import pytest

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.memory import S3Store
from tests.cli.conftest import Cli
from tests.support.fake_s3 import FakeS3


@pytest.fixture
def store(saver: S3Saver) -> S3Store:
    store = S3Store(saver=saver)
    store.put(("users", "ada"), "diet", {"text": "Ada eats no meat", "kind": "fact"})
    store.put(("users", "ada"), "mood", {"text": "cheerful \x1b[31m", "kind": "guess"})
    store.put(("users", "a/b%"), "x", {"text": "long " * 100})
    return store


@pytest.mark.usefixtures("store")
def test_namespaces_are_listed(cli: Cli) -> None:
    assert cli("memories").out.splitlines() == ["users/a%2Fb%25", "users/ada"]
    assert cli("memories", "--limit", 1).err == "There are more than 1: --limit shows more.\n"
    assert cli("memories", "--json").data == {
        "namespaces": [["users", "a/b%"], ["users", "ada"]],
        "more": False,
    }


@pytest.mark.usefixtures("store")
def test_items_are_listed_and_searched(cli: Cli) -> None:
    lines = cli("memories", "users").out.splitlines()
    assert [line.split("\t")[:2] for line in lines] == [
        ["namespace", "key"],
        ["users/a%2Fb%25", "x"],
        ["users/ada", "mood"],
        ["users/ada", "diet"],
    ]
    assert "…" in lines[1]
    assert "\x1b" not in "".join(lines)
    assert [each["key"] for each in cli("memories", "users/a%2Fb%25", "--json").data["items"]] == ["x"]
    facts = cli("memories", "users", "--filter", '{"kind": "fact"}', "--json").data["items"]
    assert [each["key"] for each in facts] == ["diet"]
    assert [each["key"] for each in cli("memories", "--text", "MEAT", "--json").data["items"]] == ["diet"]
    assert "There are 3: --limit shows more than 2" in cli("memories", "users", "--limit", 2).err
    assert "no such memories" in cli("memories", "nobody").err


@pytest.mark.usefixtures("store")
def test_one_item(cli: Cli) -> None:
    assert "Ada eats no meat" in cli("memories", "users/ada", "diet").out
    ran = cli("memories", "users/ada", "size")
    assert ran.code == 3
    assert "There is no 'size' in users/ada" in ran.err


def test_deleting(cli: Cli, fake: FakeS3, store: S3Store) -> None:
    before = len(fake.objects)
    assert cli("memories", "users/ada", "--delete", "--dry-run").out == "Would delete 2 items.\n"
    assert cli("memories", "users/ada", "--delete").code == 2
    assert len(fake.objects) == before
    assert cli("memories", "users/ada", "diet", "--delete", "--yes").out == "Deleted 1 item.\n"
    assert store.get(("users", "ada"), "diet") is None
    assert cli("memories", "--delete", "--yes").out == "Deleted 2 items.\n"
    assert "no memories" in cli("memories").err
    assert cli("memories", "users", "--delete", "--yes").out == "Deleted 0 items.\n"


@pytest.mark.parametrize("text", ["{", "[]", "3"])
def test_a_bad_filter(cli: Cli, text: str) -> None:
    ran = cli("memories", "users", "--filter", text)
    assert ran.code == 2
    assert "--filter" in ran.err
