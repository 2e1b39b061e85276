"""The oracle of random histories: LangGraph's InMemorySaver, with what it lacks; and how states go on."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from langgraph.checkpoint.memory import InMemorySaver

from tests.support.checkpoints import place

COUNTERS = "counters_since_delta_snapshot"
EDITS = ("keep", "append", "insert", "edit", "trim", "cut", "repeat")


def derive(value: Any, edit: str, seed: int) -> Any:
    """Return a channel's next value: an edit of this one, or a new value if that can't be edited."""
    chosen = random.Random(seed)
    if type(value) not in (str, bytes, list) or not value:
        value = [f"{seed} {number} {chosen.random()}" for number in range(chosen.randrange(1, 60))]
    if isinstance(value, str):
        new: Any = f"new {chosen.random()}" * chosen.choice([1, 30])
    elif isinstance(value, bytes):
        new = chosen.randbytes(chosen.choice([5, 700]))
    else:
        new = [f"new {chosen.random()}"] * chosen.choice([1, 30])
    at = chosen.randrange(len(value))
    match edit:
        case "append":
            return value + new
        case "insert":
            return value[:at] + new + value[at:]
        case "edit":
            return value[:at] + new + value[at + len(new) :]
        case "trim":
            return value[at // 4 :]
        case "cut":
            return value[: at + 1]
        case "repeat":
            return (value + value)[:20_000]
    return value


class Model(InMemorySaver):
    """The oracle, with what it lacks."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: dict[tuple[str, str, str], set[Any]] = {}
        """The runs that put a checkpoint: of several, each one's deletion deletes it."""

    def has_thread(self, thread: str) -> bool:
        return any(self.storage.get(thread, {}).values()) or any(key[0] == thread for key in self.writes)

    def parent(self, thread: str, ns: str, checkpoint_id: str) -> str | None:
        entry = self.storage.get(thread, {}).get(ns, {}).get(checkpoint_id)
        return entry[2] if entry else None

    def remove(self, thread: str, ns: str, checkpoint_id: str) -> None:
        self.storage[thread][ns].pop(checkpoint_id, None)
        self.writes.pop((thread, ns, checkpoint_id), None)
        self.runs.pop((thread, ns, checkpoint_id), None)

    def all_keys(self) -> list[tuple[str, str, str]]:
        return [
            (thread, ns, each)
            for thread, spaces in self.storage.items()
            for ns, entries in spaces.items()
            for each in entries
        ]

    def delete_thread(self, thread_id: str) -> None:
        super().delete_thread(thread_id)
        self.runs = {key: runs for key, runs in self.runs.items() if key[0] != thread_id}

    def delete_for_runs(self, run_ids: Iterable[str]) -> None:
        for key in self.all_keys():
            if self.runs[key] & set(run_ids):
                self.remove(*key)

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        for thread, ns, each in self.all_keys():
            if thread != source_thread_id:
                continue
            new = (target_thread_id, ns, each)
            self.storage[target_thread_id][ns][each] = self.storage[thread][ns][each]
            self.runs[new] = set(self.runs[thread, ns, each])
            if (thread, ns, each) in self.writes:
                self.writes[new] = dict(self.writes[thread, ns, each])
        for key, blob in list(self.blobs.items()):
            if key[0] == source_thread_id:
                self.blobs[target_thread_id, key[1], key[2], key[3]] = blob

    def prune(self, thread_ids: Iterable[str], *, strategy: str = "keep_latest") -> None:
        for thread in thread_ids:
            if strategy != "keep_latest":
                self.delete_thread(thread)
                continue
            for ns, entries in list(self.storage.get(thread, {}).items()):
                keep = self._needed(thread, ns, max(entries, default=""))
                for each in list(entries):
                    if each not in keep:
                        self.remove(thread, ns, each)

    def _needed(self, thread: str, ns: str, newest: str) -> set[str]:
        found = self.get_tuple(place(thread, newest, ns))
        if found is None:
            return set()
        counted: Any = found.metadata.get(COUNTERS) or {}
        missing = {
            name
            for name in counted
            if name in found.checkpoint["channel_versions"] and name not in found.checkpoint["channel_values"]
        }
        needed, current = {newest}, self.parent(thread, ns, newest)
        while missing and current is not None:
            ancestor = self.get_tuple(place(thread, current, ns))
            if ancestor is None:
                break
            needed.add(current)
            missing -= ancestor.checkpoint["channel_values"].keys()
            current = self.parent(thread, ns, current)
        return needed
