"""A thread's history as an object: its requests, its text, and its display in notebooks."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from langgraph_checkpoint_s3 import InvalidKeyError, S3Saver
from langgraph_checkpoint_s3.admin import History, HistoryEntry, S3Admin
from tests.support.checkpoints import make_checkpoint, place, put_chain
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver
from tests.support.modes import mode

HOSTILE = "</pre><script>alert(1)</script><img src=x onerror=\"alert('1')\">\u202e\x1b[31m\n●"


@pytest.fixture
def admin(fake: FakeS3, saver: S3Saver) -> S3Admin:
    """An admin in a new process, on a thread of four checkpoints and a fork from the second."""
    put_chain(saver, "t", 4)
    fork = make_checkpoint("00000007", {"n": "fork"})
    metadata: Any = {"source": "fork", "step": 2}
    saver.put(place("t", "00000001"), fork, metadata, fork["channel_versions"])
    return S3Admin(make_saver(fake))


def text_of(html: str) -> tuple[str, set[str]]:
    """Return a notebook's display of it as text, and the HTML elements used."""
    texts: list[str] = []
    tags: set[str] = set()

    class Reader(HTMLParser):
        def handle_data(self, data: str) -> None:
            texts.append(data)

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.add(tag)
            assert {name for name, _ in attrs} <= {"style", "title"}

    Reader().feed(html)
    return "".join(texts), tags


def test_it_is_a_sequence_of_entries(admin: S3Admin) -> None:
    found = admin.history("t")
    assert [each.checkpoint_id for each in found] == [f"0000000{n}" for n in (7, 3, 2, 1, 0)]
    assert (len(found), found[0], found[-1].parent_id, found.more) == (5, found.entries[0], None, False)
    assert found[1:3] == found.entries[1:3]
    fork, last = found[0], found[1]
    assert (fork.parent_id, fork.source, fork.step, fork.pending_writes) == ("00000001", "fork", 2, 0)
    assert (last.pending_writes, last.pending_tasks, last.interrupts, last.errors) == (1, 1, 0, 0)
    sizes = {each.checkpoint_id: each.bytes for each in admin.checkpoint_sizes("t")}
    assert {each.checkpoint_id: each.bytes for each in found} == sizes


def test_the_requests_are_those_of_list_and_a_listing_beside(fake: FakeS3, admin: S3Admin) -> None:
    with fake.counted() as count:
        admin.history("t")
    assert count.kinds == {"ListObjects": 3, "GetObject": 9}  # of `list` two: the thread and its namespaces
    assert count.round_trips == 2
    with fake.counted() as count:
        admin.history("t")
    assert count.kinds == {"ListObjects": 3}
    admin = S3Admin(make_saver(fake))
    with fake.counted() as count:
        found = admin.history("t", "", limit=1)
    assert count.kinds == {"ListObjects": 2, "GetObject": 3}  # one more tells whether there are more
    assert (len(found), found.more) == (1, True)


def test_a_limit(admin: S3Admin) -> None:
    assert not admin.history("t", limit=5).more
    assert admin.history("t", limit=4).more
    assert len(admin.history("t", limit=None)) == 5


def test_one_namespace_or_all(admin: S3Admin, saver: S3Saver) -> None:
    put_chain(saver, "t", 2, ns="sub:1")
    found = admin.history("t")
    assert {name: len(entries) for name, entries in found.namespaces().items()} == {"": 5, "sub:1": 2}
    assert len(admin.history("t", "")) == 5
    assert len(admin.history("t", "sub:1")) == 2
    assert str(found).splitlines()[0] == "thread t"
    assert "namespace sub:1" in str(found).splitlines()


def test_no_such_thread(admin: S3Admin) -> None:
    found = admin.history("nobody")
    assert not found
    assert str(found) == "There is no thread nobody"
    assert found._repr_html_() == "<div>There is no thread nobody</div>"
    with pytest.raises(InvalidKeyError):
        admin.history("")


def test_sizes_are_known_where_names_are_hashed_too(fake: FakeS3) -> None:
    with mode("private"):
        put_chain(make_saver(fake), "t", 2)
        found = S3Admin(make_saver(fake)).history("t")
    sizes = [each.bytes or 0 for each in found]
    assert all(sizes)
    assert sum(sizes) == sum(len(each.data) for each in fake.objects.values())


def test_it_prints_as_a_tree(admin: S3Admin) -> None:
    found = admin.history("t", limit=4)
    assert repr(found) == "<History of 't': 4 checkpoints, and more>"
    assert [line[:13] for line in str(found).splitlines()] == [
        *("thread t", "●    00000007", "│ ●  00000003", "│ ●  00000002", "├─╯", "●    00000001", "┆"),
    ]


def test_text_of_an_entry() -> None:
    entry = HistoryEntry("a", "", None, 1, "loop", "2026-01-01", 10, 2, 1, 1, 2)
    assert entry.facts("now") == "step 1  loop  now  10 B  2 pending writes of 1 task  1 interrupt  2 errors"


def test_a_notebook_shows_the_same_tree(admin: S3Admin) -> None:
    found = admin.history("t", limit=4)
    shown, tags = text_of(found._repr_html_())
    assert tags == {"div", "b", "pre", "span", "i"}
    lines = [line.rstrip() for line in re.sub(r"(thread t)", r"\1\n", shown).splitlines()]
    note = "Older ones than these 4 checkpoints are left out."
    assert lines[-1].endswith(note)
    assert [*lines[:-1], lines[-1].removesuffix(note)] == str(found).splitlines()


def test_names_from_the_bucket_are_escaped() -> None:
    hostile: Any = HOSTILE
    entry = HistoryEntry(hostile, hostile, hostile, hostile, hostile, hostile, 1, 1, 1, 1, 1)
    found = History(HOSTILE, (entry, HistoryEntry("a", "", None, 0, None, None, None, 0, 0, 0, 0)))
    shown, tags = text_of(found._repr_html_())
    assert tags == {"div", "b", "pre", "span"}
    assert "<script>alert(1)</script>" in shown
    for text in (shown, str(found)):
        assert not set("\u202e\x1b") & set(text)
        assert "\\u202e\\x1b[31m\\n●" in text
    assert len(str(found).splitlines()) == 4
