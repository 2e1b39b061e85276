"""Decoding files, pipes, URLs and addresses, with and without keys, and damaged ones."""

from __future__ import annotations

import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from langgraph_checkpoint_s3 import CorruptObjectError, InvalidConfigError, S3Saver
from langgraph_checkpoint_s3.admin import KeyDescription, S3Admin, describe, describe_key, dumps
from langgraph_checkpoint_s3.cli import runtime
from langgraph_checkpoint_s3.encryption import KeyRing
from tests.cli.conftest import Cli
from tests.support.checkpoints import place, put_chain
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver

RING = KeyRing({"master-1": bytes(32)})
KEYS = ("--keys", "tests.cli.test_decoding:RING")
LAST = "\nn  2\n"


@pytest.fixture
def no_bucket(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "open_saver", None)


@pytest.fixture
def sealed(fake: FakeS3) -> S3Saver:
    """A saver that encrypts, with a thread of three checkpoints."""
    saver = make_saver(fake, encryption=RING)
    put_chain(saver, "sealed", 3)
    return saver


def made(saver: S3Saver, thread: str, **keywords: Any) -> bytes:
    found = saver.get_tuple(place(thread))
    assert found is not None
    return dumps(found, **keywords)


@pytest.mark.usefixtures("no_bucket")
class TestFiles:
    def test_a_file_a_pipe_and_stdin(self, cli: Cli, saver: S3Saver, tmp_path: Path) -> None:
        put_chain(saver, "t", 3)
        data = made(saver, "t")
        file, pipe = tmp_path / "state.zip", tmp_path / "pipe"
        file.write_bytes(data)
        assert LAST in cli("decode", file).out
        assert cli("decode", "-", "--json", stdin=data).data["channel_values"] == {"n": 2}
        os.mkfifo(pipe)
        writer = threading.Thread(target=pipe.write_bytes, args=(data,))
        writer.start()
        assert LAST in cli("decode", pipe).out
        writer.join()

    def test_an_object_by_itself(self, cli: Cli, saver: S3Saver, fake: FakeS3, tmp_path: Path) -> None:
        put_chain(saver, "t", 1)
        checkpoint, writes = tmp_path / "checkpoint", tmp_path / "writes"
        for key in fake.keys(".thread/"):
            file = writes if "/writes." in key else checkpoint
            file.write_bytes(fake.objects[key].data)
        assert "\nn  0\n" in cli("decode", checkpoint).out
        ran = cli("decode", writes)
        assert ran.code == 1
        assert ran.out.startswith("An object of a task's writes, ")
        assert "  checkpoint id: 00000000\n" in ran.out

    def test_a_whole_thread_is_described(self, cli: Cli, saver: S3Saver, tmp_path: Path) -> None:
        put_chain(saver, "t", 3)
        file = tmp_path / "t.zip"
        S3Admin(saver).export_thread("t", file)
        ran = cli("decode", file)
        assert ran.code == 0
        assert ran.out.startswith("A portable file of a thread, ")
        assert "  checkpoints: 3\n" in ran.out
        assert "langgraph-s3 import" in ran.err
        found = cli("decode", file, "--json").data
        assert (found["decoded"], found["kind"], found["thread_id"]) == (False, "thread", "t")

    def test_without_its_key_it_is_described(self, cli: Cli, sealed: S3Saver, tmp_path: Path) -> None:
        file = tmp_path / "state.zip"
        file.write_bytes(made(sealed, "sealed", encryption=RING))
        ran = cli("decode", file)
        assert (ran.code, ran.err.count("\n")) == (0, 1)
        assert ran.out.startswith("A portable file of a checkpoint, ")
        assert ", encrypted\n" in ran.out
        assert "  keys: master-1\n  thread id: sealed\n" in ran.out
        assert "  checkpoint id: 00000002\n" in ran.out
        assert "--keys MODULE:NAME" in ran.err
        assert LAST in cli("decode", file, *KEYS).out

    def test_an_encrypted_object_by_itself(
        self, cli: Cli, sealed: S3Saver, fake: FakeS3, tmp_path: Path
    ) -> None:
        file = tmp_path / "object"
        file.write_bytes(
            next(fake.objects[key].data for key in fake.keys(".thread/") if "/checkpoint." in key)
        )
        found = cli("decode", file, "--json").data
        assert (found["encrypted"], found["keys"], found["kind"]) == (True, ["master-1"], None)
        ran = cli("decode", file, *KEYS)
        assert (ran.code, ran.err.count("\n")) == (1, 1)

    @pytest.mark.parametrize(
        "data", [b"", b"nonsense", b"LGS3", b"LGS3" + bytes(40), b"PK\x03\x04" + bytes(40)]
    )
    def test_other_bytes_are_an_error_of_one_line(self, cli: Cli, data: bytes) -> None:
        ran = cli("decode", "-", stdin=data)
        assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)
        with pytest.raises(CorruptObjectError):
            describe(data)

    def test_no_file(self, cli: Cli, tmp_path: Path) -> None:
        for path in (tmp_path / "none", tmp_path):
            assert cli("decode", path).code == 3


def test_describing_takes_bytes() -> None:
    with pytest.raises(InvalidConfigError):
        describe("text")  # type: ignore[arg-type]  # which is the test


class TestUrls:
    @pytest.fixture
    def served(self) -> Iterator[tuple[str, dict[str, bytes]]]:
        """The URL of an HTTP server, and its bodies by path."""
        bodies: dict[str, bytes] = {}

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = bodies.get(self.path.partition("?")[0])
                self.send_response(200 if body is not None else 404)
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *_: object) -> None:
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield f"http://127.0.0.1:{server.server_port}", bodies
            server.shutdown()

    @pytest.mark.usefixtures("no_bucket")
    def test_a_signed_url(self, cli: Cli, sealed: S3Saver, saver: S3Saver, served: Any) -> None:
        url, bodies = served
        bodies["/sealed.zip"] = made(sealed, "sealed", encryption=RING)
        put_chain(saver, "t", 3)
        bodies["/t.zip"] = made(saver, "t")
        assert LAST in cli("decode", f"{url}/t.zip").out
        ran = cli("decode", f"{url}/sealed.zip?secret")
        assert ran.code == 0
        assert "  keys: master-1\n" in ran.out
        assert "secret" not in ran.out + ran.err
        assert LAST in cli("decode", f"{url}/sealed.zip", *KEYS).out
        ran = cli("decode", f"{url}/none?secret")
        assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
        assert "secret" not in ran.err


class TestAddresses:
    @pytest.fixture
    def opened(self, cli: Cli, fake: FakeS3, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
        """The arguments that savers were opened with."""
        seen: list[Any] = []

        def open_saver(uri: str | None, *, encryption: Any = None, **keywords: Any) -> S3Saver:
            seen.append((uri, keywords))
            return make_saver(fake, prefix=keywords["prefix"], encryption=encryption)

        monkeypatch.setattr(runtime, "open_saver", open_saver)
        return seen

    def test_an_objects_address(self, cli: Cli, fake: FakeS3, opened: list[Any]) -> None:
        for prefix in ("", "a/b/"):
            put_chain(make_saver(fake, prefix=prefix), "t", 3, ns="sub:1")
        for key in fake.keys(".thread/"):
            ran = cli("decode", f"s3://bucket/{key}", "--json")
            assert ran.data["channel_values"] == {"n": int(ran.data["checkpoint_id"])}
            assert ran.data["checkpoint_ns"] == "sub:1"
        assert (None, {"bucket": "bucket", "prefix": "a/b/"}) in opened
        assert (None, {"bucket": "bucket", "prefix": ""}) in opened
        cli("decode", f"s3://bucket/{key}?region=eu-west-1")
        assert opened[-1][0] == "s3://bucket/?region=eu-west-1"
        assert cli("decode", f"s3://bucket/elsewhere/{key}").code == 3

    def test_without_its_key_it_is_described(
        self, cli: Cli, sealed: S3Saver, fake: FakeS3, opened: Any
    ) -> None:
        key = next(key for key in fake.keys(".thread/") if "/checkpoint." in key)
        ran = cli("decode", f"s3://bucket/{key}")
        assert ran.code == 0
        assert ran.out.startswith("An object of a checkpoint, ")
        assert "  thread id: sealed\n" in ran.out
        assert "--keys" in ran.err
        assert LAST in cli("decode", f"s3://bucket/{key}", *KEYS).out

    def test_an_unknown_size_is_left_out(
        self, cli: Cli, sealed: S3Saver, fake: FakeS3, opened: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(S3Admin, "checkpoint_sizes", lambda self, thread_id: [])
        key = next(key for key in fake.keys(".thread/") if "/checkpoint." in key)
        assert cli("decode", f"s3://bucket/{key}").out.startswith("An object of a checkpoint, encrypted\n")
        assert cli("decode", f"s3://bucket/{key}", "--json").data["bytes"] is None

    def test_a_key_is_described(self, fake: FakeS3) -> None:
        put_chain(make_saver(fake, prefix="a/b/"), "t/1", 1, ns="sub:1")
        found = {describe_key(key) for key in fake.keys(".thread/")}
        kinds = ("checkpoint", "writes")
        assert found == {KeyDescription("a/b/", kind, "t/1", "sub:1", "00000000") for kind in kinds}
        assert describe_key("a/b/c") is None

    @pytest.mark.parametrize(
        "address", ["s3://", "s3://bucket", "s3://bucket/a/b/c/d", "s3://bucket/t.thread/.ns/x/y"]
    )
    def test_another_address_is_wrong_usage(self, cli: Cli, opened: list[Any], address: str) -> None:
        ran = cli("decode", address)
        assert (ran.code, ran.err.count("\n"), opened) == (2, 1, [])
        assert describe_key(address.removeprefix("s3://")) is None
