"""Objects with locks are told of a fork, which keeps none of them alive."""

from __future__ import annotations

import ast
import gc
import re
import threading
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

import langgraph_checkpoint_s3
from langgraph_checkpoint_s3 import S3Saver, fork_safety
from langgraph_checkpoint_s3.format.keys import Layout
from langgraph_checkpoint_s3.plans.place import Place
from langgraph_checkpoint_s3.plans.scan import Folder
from langgraph_checkpoint_s3.s3.cache import Lru
from langgraph_checkpoint_s3.s3.requests import Entry
from tests.support.hanging import HANG

ROOT = Path(langgraph_checkpoint_s3.__file__).parent
LOCKS = {"Lock", "RLock", "Condition", "Event", "Semaphore", "local", "Thread", "SimpleQueue", "LifoQueue"}
MADE = re.compile(rf"\b({'|'.join(sorted(LOCKS))})\(")
BEFORE_PYTHON_3_12 = "functools import cached_property"  # it has a lock that all instances share
PASSING = {
    "fork_safety.py": {"_ForkLock"},  # the fork's own
    "aws_client.py": {"ProcessState"},  # one for each process
    "encryption/kms_client.py": {"_NoLogging"},  # one for each thread
    "admin/inventory/report.py": {"Report"},  # of one operation
    "format/codecs.py": {"_Packers"},  # made anew by their owner
    "s3/store.py": {"Store"},  # its parts are told
    "s3/per_loop.py": {"_Holder"},  # left behind by its owner
    "admin/check/api.py": {"Check"},  # `local` is its machine's clock, and no thread's own
    "s3/hedged_call.py": {"_Runner"},  # of one call
    "s3/thread_pool.py": {"_Worker", "_Batch", "Stop"},  # of one thread, batch or operation
    "s3/coalescing.py": {"_Call"},  # of one call
    "s3/store_clock.py": {"StoreClock"},  # `local` is its machine's clock, and no thread's own
}
"""Classes that don't outlive a fork, or whose owner sees to them."""


def makers() -> list[tuple[str, str]]:
    """The classes in which something is made that a fork may break, with their files."""
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if name.startswith(("testing/", "cli/")):
            continue
        text = path.read_text(encoding="utf-8")
        if not MADE.search(text):
            continue
        for node in ast.parse(text).body:
            if not isinstance(node, ast.ClassDef):
                assert not makes(node) or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)), name
            elif makes(node) and node.name not in PASSING.get(name, ()):
                found.append((name, node.name))
    return found


def makes(tree: ast.AST) -> bool:
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names = {call.attr if isinstance(call, ast.Attribute) else getattr(call, "id", "") for call in calls}
    return bool(names & LOCKS)


@pytest.mark.parametrize(("path", "name"), makers())
def test_objects_with_locks_are_reset_by_a_fork(path: str, name: str) -> None:
    [made] = [
        node
        for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and node.name == name
    ]
    assert "after_fork" in {each.name for each in made.body if isinstance(each, ast.FunctionDef)}
    assert "renew_after_fork(self)" in ast.unparse(made)


def test_no_cached_property_has_a_lock() -> None:
    for path in ROOT.rglob("*.py"):
        if path.parent.name != "cli":
            assert BEFORE_PYTHON_3_12 not in path.read_text(encoding="utf-8"), path


def test_no_folder_waits_for_another_ones_key_to_be_read() -> None:
    """A thread that reads one while the process forks leaves its child nothing to wait for."""

    class Slow(Layout):
        def parse(self, key: str) -> Any:
            if key == first.key:
                thread = threading.Thread(target=lambda: read.append(second.place), daemon=True)
                thread.start()
                thread.join(HANG)
                assert not thread.is_alive()
            return super().parse(key)

    read: list[Place] = []
    layout = Slow("p/")
    first, second = (Folder(layout, layout.checkpoint(name, "", "1")) for name in "ab")
    for folder in (first, second):
        folder.checkpoints.append(Entry(f"{folder.path}checkpoint", 0, "", datetime.now(timezone.utc)))
    assert first.place is first.place
    assert [place.thread_id for place in (first.place, *read)] == ["a", "b"]


def test_the_classes_are_found() -> None:
    assert {"Lru", "BotoClient", "AioClients", "Coalescer", "Threads", "KeyCache", "Lease"} <= {
        name for _, name in makers()
    }


def test_registration_keeps_nothing_alive() -> None:
    gc.collect()
    before = len(fork_safety._owners)
    for _ in range(10):
        with S3Saver("bucket", client=object()) as saver:
            assert len(fork_safety._owners) > before
        del saver
    gc.collect()
    assert len(fork_safety._owners) <= before


def test_a_cache_counts_anew_what_it_holds() -> None:
    cache = Lru(1000)
    cache.keep("a", b"1", 10)
    size, cache._size = cache._size, 5  # as of one that another thread was just counting
    cache._lock.acquire()
    cache.after_fork()
    assert cache.size == size
    assert cache.recall("a") == b"1"


def test_a_fork_waits_for_nobody_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = fork_safety._ForkLock()
    monkeypatch.setattr(fork_safety._ForkLock, "MAX_WAIT", 0.01)
    with pytest.MonkeyPatch.context() as patch:
        taken: list[float] = []

        class Held:
            def acquire(self, timeout: float) -> bool:
                taken.append(timeout)
                return False

            def release(self) -> None:
                raise AssertionError

        patch.setattr(gate, "lock", Held())
        gate.before()
        gate.after_in_parent()
    assert taken == [0.01]
