"""The command line over HTTP: how many requests leave the process, and a bucket that isn't there."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from typer.testing import CliRunner

from langgraph_checkpoint_s3.cli.app import app
from tests.contract.front import Front
from tests.contract.support import MakeSaver, Place, at, build_thread
from tests.contract.test_budgets import identifier, seed

LONG = 1000


@pytest.fixture
def uri(place: Place) -> str:
    arguments = place.arguments()
    settings = "&".join(f"{name}={quote(arguments[name])}" for name in ("endpoint_url", "region"))
    return f"s3://{place.bucket}?{settings}"


def answer(uri: str, *arguments: str) -> Any:
    ran = CliRunner().invoke(app, [*arguments, "--json", "--uri", uri])
    assert ran.exit_code == 0, ran.output
    return json.loads(ran.stdout)


def test_show_asks_what_langgraphs_own_call_asks(uri: str, make_saver: MakeSaver, front: Front) -> None:
    configs = build_thread(make_saver())
    name = configs[1]["configurable"]["checkpoint_id"]
    with front.counted() as own:
        make_saver().get_tuple(at())
    for text in ((), ("latest",), (name,)):
        with front.counted() as found:
            answer(uri, "show", "thread", *text)
        assert found == own == {"ListObjectsV2": 1, "GetObject": 3}
    with front.counted() as found:
        assert answer(uri, "show", "thread", name[-6:])["checkpoint_id"] == name
    assert found == {"ListObjectsV2": 3, "GetObject": 3}
    with front.counted() as found:
        assert answer(uri, "show", "thread", "latest~1")["checkpoint_id"] == name
    assert found["ListObjectsV2"] == 2


def test_a_long_thread(uri: str, place: Place, make_saver: MakeSaver, front: Front) -> None:
    seed(place, make_saver(), LONG)
    with front.counted() as found:
        shown = answer(uri, "history", "thread")
    assert [each["checkpoint_id"] for each in shown["checkpoints"]][:2] == [
        identifier(LONG - 1),
        identifier(LONG - 2),
    ]
    assert found == {"ListObjectsV2": 3, "GetObject": 101}
    for arguments, most in (
        (("threads",), {"ListObjectsV2": 1}),
        (("usage", "--thread", "thread"), {"ListObjectsV2": 2}),
        (("watch", "thread", "--count", "1"), {"ListObjectsV2": 2, "GetObject": 1}),
        (("resume-point", "thread"), {"ListObjectsV2": 1, "GetObject": 1}),
        (("diff", "thread"), {"ListObjectsV2": 2, "GetObject": 2}),
        (("url", "thread"), {"ListObjectsV2": 2, "GetObject": 1}),
        (("iam-policy",), {}),
    ):
        with front.counted() as found:
            CliRunner().invoke(app, [*arguments, "--json", "--uri", uri])
        assert found == most, arguments


def test_a_bucket_that_is_not_there(uri: str, place: Place) -> None:
    ran = CliRunner().invoke(app, ["threads", "--uri", uri.replace(place.bucket, "no-such-bucket")])
    assert (ran.exit_code, ran.stdout, ran.stderr.count("\n")) == (3, "", 1)
    assert "langgraph-s3 setup" in ran.stderr
