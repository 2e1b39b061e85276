"""Portable files of every released version load.

`python -m tests.admin.transfer.test_portable_fixtures` wrote the files in `fixtures/portable-N/` once, and
they stay as they are: `checkpoint.zip` by `dumps` of what is here, `thread.zip` of `format-1/lender.bin` and
`borrowing.bin`.
"""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from langgraph.checkpoint.base import CheckpointTuple

from langgraph_checkpoint_s3.admin import dumps, loads
from langgraph_checkpoint_s3.admin.transfer.portable_file import VERSION, Manifest, PortableFile, pack
from langgraph_checkpoint_s3.format.keys import Layout
from tests.format import expected
from tests.format.make_fixtures import FIXTURES
from tests.support.checkpoints import place, shown

FOLDERS = sorted(FIXTURES.glob("portable-*"))
DIGESTS = {
    "portable-1/checkpoint.zip": "a91f101c7c61dca9f7ce68292c048c8cb228b9c0657528523d3715f7d5222460",
    "portable-1/thread.zip": "d4a55ebab309ba30bd73e732206c2fd757ef91639c1b560fa3b2b7ecab4d436e",
}
"""SHA-256 of each file. Released files never change."""
NS = "sub|1"
STATE: dict[str, Any] = {"text": "hello" * 50, "none": None, "raw": bytes(range(256)) * 20}
WRITES = [("a", "channel", None), ("b", "channel", 1), ("b", "other", [2])]


def packed() -> CheckpointTuple:
    """Return the checkpoint in `checkpoint.zip`."""
    checkpoint: Any = {
        "v": 4,
        "id": "2",
        "ts": "2026-01-01T00:00:00+00:00",
        "channel_values": STATE,
        "channel_versions": dict.fromkeys(STATE, f"{2:032}.5"),
        "versions_seen": {},
        "updated_channels": sorted(STATE),
    }
    metadata: Any = {"source": "loop", "step": 1, "run_id": "r"}
    return CheckpointTuple(
        place("customer-42", "2", NS), checkpoint, metadata, place("customer-42", "1", NS), WRITES
    )


def test_there_is_one_of_each_version() -> None:
    assert [folder.name for folder in FOLDERS] == [f"portable-{n}" for n in range(1, VERSION + 1)]


@pytest.mark.parametrize("name", DIGESTS)
def test_a_fixture_never_changes(name: str) -> None:
    assert hashlib.sha256((FIXTURES / name).read_bytes()).hexdigest() == DIGESTS[name]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_checkpoint_loads(folder: Any) -> None:
    assert shown(loads((folder / "checkpoint.zip").read_bytes())) == shown(packed())


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_thread_that_borrows_is_read(folder: Any) -> None:
    with (folder / "thread.zip").open("rb") as file:
        portable = PortableFile(file)
        assert portable.manifest.thread_id == "customer-42"
        bodies = [portable.read(member) for member in portable.members]
        borrowings = portable.check()
    format_1 = FIXTURES / "format-1"
    assert bodies == [(format_1 / f"{name}.bin").read_bytes() for name in ("lender", "borrowing")]
    assert {each.lender for each in borrowings} == {portable.members[0].name}
    assert {member.parsed.checkpoint_id for member in portable.members} == {
        expected.LENDER_ID,
        expected.CHECKPOINT_ID,
    }


def thread() -> bytes:
    """Return what is in `thread.zip`."""
    layout = Layout("")
    format_1, folder = FIXTURES / "format-1", layout.thread("customer-42")
    namespace = layout.namespace("customer-42", expected.NAMESPACE).removeprefix(folder)
    members = [
        (Layout.sibling(namespace, checkpoint_id, leaf), (format_1 / f"{name}.bin").read_bytes())
        for name, checkpoint_id, leaf in (
            ("lender", expected.LENDER_ID, expected.LENDER_LEAF),
            ("borrowing", expected.CHECKPOINT_ID, expected.BORROWER_LEAF),
        )
    ]
    return pack(Manifest("customer-42", "2026-01-31T12:00:00+00:00", expected.WRITER, 2, 0), members)


if __name__ == "__main__":
    here = FIXTURES / f"portable-{VERSION}"
    here.mkdir()
    (here / "checkpoint.zip").write_bytes(dumps(packed()))
    (here / "thread.zip").write_bytes(thread())
