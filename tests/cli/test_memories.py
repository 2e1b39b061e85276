"""Long-term memory on the command line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from langgraph.store.sqlite import SqliteStore

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


def test_export_and_import(cli: Cli, fake: FakeS3, store: S3Store, tmp_path: Path) -> None:
    file = tmp_path / "ada.zip"
    out = cli("memories", "users/ada", "--export", file).out
    assert re.fullmatch(r"Wrote 2 items, .*, to .*ada\.zip\.\n", out)
    assert cli("memories", "--export", file).code == 2
    assert cli("memories", "--export", file, "--force", "--json").data["items"] == 3
    store.put(("users", "ada"), "diet", {"text": "fish, too"})
    before = dict(fake.objects)
    ran = cli("memories", "users/ada", "--import", file)
    assert ran.out == ("Imported 2 items: 0 written, 1 already there, 1 newer there and kept, 0 expired.\n")
    assert fake.objects == before
    assert cli("memories", "--import", file, "--overwrite", "--json").data["written"] == 1
    item = store.get(("users", "ada"), "diet")
    assert item
    assert item.value["text"] == "Ada eats no meat"
    ran = cli("memories", "nobody", "--export", tmp_path / "n.zip")
    assert (ran.code, "no memories of nobody" in ran.err) == (3, True)
    assert cli("memories", "users//x", "--export", tmp_path / "n.zip").code == 2
    file.write_bytes(b"damaged")
    ran = cli("memories", "--import", file)
    assert (ran.code, "ZIP" in ran.err) == (1, True)


def test_purging(cli: Cli, fake: FakeS3, store: S3Store) -> None:
    fake.set_versioning("Enabled")
    store.put(("users", "ada"), "diet", {"text": "fish, too"})
    out = cli("memories", "users/ada", "--purge", "--dry-run").out
    assert out == "Would purge 3 versions of items and indexes of users/ada.\n"
    assert cli("memories", "users/ada", "--purge").code == 2
    assert cli("memories", "users/ada", "--purge", "--yes", "--json").data["versions"] == 3
    assert [each.key for each in store.search(())] == ["x"]
    assert cli("memories", "users/ada", "--purge").out.startswith("Purged 0 versions")


@pytest.mark.parametrize(
    "arguments",
    [
        ("users", "x", "--purge"),
        ("--purge", "--delete"),
        ("--export", "a", "--import", "b"),
        ("--export", "a", "--text", "x"),
        ("--export", "a", "--dry-run"),
        ("--overwrite",),
    ],
    ids=str,
)
def test_options_that_dont_go_together(cli: Cli, arguments: tuple[str, ...]) -> None:
    assert cli("memories", *arguments).code == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("--export", "none/x"), "no folder"), (("--import", "none"), "no file")],
    ids=str,
)
def test_files_that_arent_there(cli: Cli, arguments: tuple[str, ...], said: str) -> None:
    ran = cli("memories", *arguments)
    assert ran.code == 3
    assert said in ran.err


def test_migrating(cli: Cli, store: S3Store, tmp_path: Path) -> None:
    file = tmp_path / "m.sqlite"
    with SqliteStore.from_conn_string(str(file)) as source:
        source.setup()
        source.put(("notes",), "a", {"n": 1})
    assert cli("migrate", file, "--memories", "--dry-run").out == (
        "Would migrate 1 namespace of long-term memory.\n"
    )
    assert cli("migrate", file, "--memories", "--json").data["written"] == 1
    assert store.get(("notes",), "a")
    assert "3 already there" not in cli("migrate", file, "--memories").out
    assert cli("migrate", "s3://elsewhere/x", "--memories").out == (
        "Migrated 4 items: 0 written, 4 already there, 0 newer there and kept, 0 expired.\n"
    )
    assert cli("migrate", file, "--memories", "--thread", "x").code == 2


@pytest.mark.parametrize("text", ["{", "[]", "3"])
def test_a_bad_filter(cli: Cli, text: str) -> None:
    ran = cli("memories", "users", "--filter", text)
    assert ran.code == 2
    assert "--filter" in ran.err
