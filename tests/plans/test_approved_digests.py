"""On a machine in FIPS mode, only approved digests exist: nothing here needs another one."""

from __future__ import annotations

import ast
import hashlib
from pathlib import Path
from typing import Any

import pytest

import langgraph_checkpoint_s3
from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.admin import S3Admin, dumps, loads
from langgraph_checkpoint_s3.admin.bucket.configure import name_of
from langgraph_checkpoint_s3.admin.lifecycle.policy import rule_id
from tests.plans.borrowers import eager, noise, step
from tests.plans.helpers import get
from tests.support.checkpoints import place, put_chain
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver
from tests.support.keys import Keys

UNAPPROVED = ("blake2b", "blake2s", "md5", "sha1", "shake_128", "shake_256")
WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "encrypted": {"encryption": Keys(names="n")},
    "hashed names": {"encryption": Keys(names="n"), "private_keys": True},
}


@pytest.fixture
def fips(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse MD5 as OpenSSL does in FIPS mode, but for `usedforsecurity=False`: ETags are MD5s."""
    real = hashlib.md5

    def refuse(name: str) -> Any:
        def made(data: bytes = b"", *, usedforsecurity: bool = True, **_: Any) -> Any:
            if name == "md5" and not usedforsecurity:
                return real(data, usedforsecurity=False)
            raise ValueError(f"[digital envelope routines] unsupported: {name}")

        return made

    for name in UNAPPROVED:
        monkeypatch.setattr(hashlib, name, refuse(name))


def fill(saver: S3Saver) -> None:
    """A thread with a graph's subgraphs, wide fan-outs and borrowed bytes."""
    first = step(saver, "01", text=noise(5_000), run="r")
    second = step(saver, "02", first, n=1, run="r")
    step(saver, "03", second, n=2, run="q")
    put_chain(saver, "t", 2, ns="planner|7", writes=3)
    config = place("t", "03")
    saver.put_writes(config, [(f"c{slot}", slot) for slot in range(300)], "wide")
    scattered = [(f"c{slot}", slot) for slot in range(60)]
    scattered[1::2] = [("__error__", slot) for slot in range(30)]
    saver.put_writes(config, scattered, "scattered")
    saver.put_writes(config, [("__interrupt__", "?"), ("__resume__", "!")], "special")


@pytest.mark.usefixtures("fips")
@pytest.mark.parametrize("way", WAYS)
def test_every_operation_does_without_unapproved_digests(way: str, tmp_path: Path) -> None:
    fake, settings = FakeS3(), WAYS[way]
    saver = eager(fake, **settings)
    fill(saver)
    admin = S3Admin(make_saver(fake, **settings))
    found = get(make_saver(fake, **settings), place("t"))
    assert len(found.pending_writes or ()) > 300
    assert len(list(make_saver(fake, **settings).list(None, filter={"run_id": "r"}))) == 2
    admin.export_thread("t", tmp_path / "t.zip")
    admin.signed_url("t", "03")
    assert admin.import_thread(tmp_path / "t.zip").written == 0
    assert loads(dumps(found, encryption=settings.get("encryption")), **_keys(settings)).checkpoint
    assert admin.usage().threads == 1
    assert list(admin.threads()) == ["t"]
    saver.copy_thread("t", "u")
    saver.delete_for_runs(["r"])
    saver.prune(["t"])
    saver.delete_thread("u")
    saver.delete_thread("t")
    assert not [key for key in fake.objects if ".exports/" not in key and ".deleted/" not in key]


def _keys(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name == "encryption"}


@pytest.mark.usefixtures("fips")
def test_what_several_tasks_wrote_at_once() -> None:
    from langgraph_checkpoint_s3.format.keys import WritesLeaf

    assert len(WritesLeaf.of_several([("a", range(3)), ("b", [0])]).slots) == 1 + 32


@pytest.mark.usefixtures("fips")
def test_names_of_rules_and_settings() -> None:
    long = "a-prefix/" * 20
    assert len(rule_id(long, "expire", ("k" * 128, "v" * 256))) <= 255
    assert rule_id(long, "expire") != rule_id(f"{long}b/", "expire")
    assert len(name_of(long)) <= 64
    assert name_of(long) != name_of(f"{long}b/")


def test_an_import_compares_bytes_where_there_is_no_md5_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeS3()
    put_chain(make_saver(fake), "t", 2)
    admin = S3Admin(make_saver(fake))
    admin.export_thread("t", tmp_path / "t.zip")

    def refuse(*_: Any, **__: Any) -> Any:
        raise ValueError("unsupported hash type md5")

    with monkeypatch.context() as patched:
        patched.setattr("langgraph_checkpoint_s3.admin.transfer.export_import.hashlib.md5", refuse)
        done = admin.import_thread(tmp_path / "t.zip")
    assert (done.written, done.unchanged, done.kept) == (0, 4, ())


def test_no_line_of_the_package_asks_for_another_digest() -> None:
    """But for MD5 where it is said to be for no security: an ETag, or the Content-MD5 that stores ask for."""
    folder = Path(langgraph_checkpoint_s3.__file__).parent
    for path in folder.rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        if "hashlib" not in source:
            continue
        tree = ast.parse(source)
        harmless = {
            node.func
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            and any(
                each.arg == "usedforsecurity"
                and isinstance(each.value, ast.Constant)
                and not each.value.value
                for each in node.keywords
            )
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                if node.value.id == "hashlib" and not (node.attr == "md5" and node in harmless):
                    assert node.attr == "sha256", f"{path}:{node.lineno}"
            elif isinstance(node, ast.ImportFrom):
                assert node.module != "hashlib", f"{path}:{node.lineno}"
