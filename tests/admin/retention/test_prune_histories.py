"""Random histories, pruned by random rules: kept checkpoints read as before, and no unneeded one remains.

`HISTORIES=2000 pytest tests/admin/retention/test_prune_histories.py` runs more of them, each time others.
"""

from __future__ import annotations

import os
import random
from contextlib import ExitStack
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest

from langgraph_checkpoint_s3.admin import Pruned, RetentionPolicy
from langgraph_checkpoint_s3.format.keys import is_gathered
from tests.admin.retention.test_prune import admin_of, counters, named
from tests.plans.borrowers import eager
from tests.plans.oracle import COUNTERS, EDITS, derive
from tests.plans.test_delta_channels import config, counting
from tests.support import inside
from tests.support.checkpoints import make_checkpoint, place, shown
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver
from tests.support.sampling import sample

PLANS = "langgraph_checkpoint_s3.plans."
CHANNELS = ["d", "e", "f"]
HISTORIES = os.environ.get("HISTORIES")
SEEDS = [random.randrange(1 << 40) for _ in range(int(HISTORIES))] if HISTORIES else sample(range(12), 5)


class History:
    """Threads with a few namespaces, forks, borrowing and randomly stored delta channels.

    Args:
        seed: What is random.
        counted: Whether each delta channel is counted in each checkpoint, as LangGraph does it.
    """

    def __init__(self, seed: int, *, counted: bool = False) -> None:
        self.counted = counted
        self.chosen = random.Random(seed)
        self.fake = FakeS3()
        self.fake.shuffle = random.Random(seed)
        self.saver = eager(self.fake, max_lenders=self.chosen.choice([1, 3]))
        self.made: dict[tuple[str, str, str], Any] = {}
        self.put: set[tuple[str, ...]] = set()  # also what was pruned
        for number in range(self.chosen.randrange(1, 40)):
            self.grow(number)

    def grow(self, number: int) -> None:
        chosen = self.chosen
        where = chosen.choice(["t", "u"]), chosen.choice(["", "", "sub"])
        there = [name for name in self.made if name[:2] == where]
        parent = None
        if there and chosen.random() < 0.95:
            parent = there[-1] if chosen.random() < 0.75 else chosen.choice(there)
        old = self.made[parent] if parent else make_checkpoint("0", {})
        held = {
            name: derive(value, chosen.choice(EDITS), number)
            for name, value in old["channel_values"].items()
            if name not in CHANNELS
        }
        held |= {"text": derive(None, "append", number)} if "text" not in held else {}
        stored = [name for name in CHANNELS if chosen.random() < 0.15]
        held |= {name: [f"{name} of {number}"] for name in stored}
        absent = [name for name in CHANNELS if name not in stored and chosen.random() < 0.7]
        counted = [name for name in CHANNELS if chosen.random() < 0.6]
        if self.counted:
            absent = counted = [name for name in CHANNELS if name not in stored]
        checkpoint_id = f"{number:04}" if chosen.random() < 0.97 else f"{chosen.randrange(number + 1):04}"
        if (*where, checkpoint_id) in self.put:
            checkpoint_id = f"{number:04}"
        checkpoint = make_checkpoint(checkpoint_id, held, absent=absent)
        said: Any = counters(*counted) if counted else {}
        config = place(where[0], parent[2] if parent else None, where[1])
        put_at = self.saver.put(config, checkpoint, said, checkpoint["channel_versions"])
        if chosen.random() < 0.05:  # and again, with other metadata
            self.saver.put(config, checkpoint, said | {"step": number}, {})
        for task in range(chosen.randrange(3)):
            self.saver.put_writes(put_at, [(chosen.choice(CHANNELS), [f"{number}.{task}"])], f"task-{task}")
        self.made[where[0], where[1], checkpoint_id] = checkpoint
        self.put.add((*where, checkpoint_id))

    def view(self) -> dict[Any, Any]:
        """Return what a new process reads, and the history of each delta channel without a stored value."""
        saver = make_saver(self.fake)
        seen: dict[Any, Any] = {}
        for thread in ("t", "u"):
            for found in saver.list(place(thread, ns=None)):
                at_ns: Any = found.config["configurable"]
                held, versions = found.checkpoint["channel_values"], found.checkpoint["channel_versions"]
                counted: Any = found.metadata.get(COUNTERS) or {}
                rebuilt = sorted(name for name in counted if name in versions and name not in held)
                history = (
                    saver.get_delta_channel_history(config=found.config, channels=rebuilt) if rebuilt else {}
                )
                seen[thread, at_ns["checkpoint_ns"], found.checkpoint["id"]] = (shown(found), history)
        return seen

    def needed(self, seen: dict[Any, Any], kept: set[Any]) -> set[Any]:
        """Return the ancestors that kept checkpoints need, found by a plain search."""
        needed: set[Any] = set()
        for name in kept:
            (_, parent, checkpoint, metadata, _), _ = seen[name]
            missing = {
                each
                for each in metadata.get(COUNTERS) or {}
                if each in checkpoint["channel_versions"] and each not in checkpoint["channel_values"]
            }
            while missing and parent in seen:
                needed.add(parent)
                (_, after, checkpoint, *_), _ = seen[parent]
                missing -= checkpoint["channel_values"].keys()
                parent = after
        return needed


def prune(history: History, *, dry_run: bool) -> tuple[Pruned, Any]:
    """Prune by a random rule. Return the result and the rule."""
    chosen = random.Random(f"rule of {len(history.made)}")
    admin = admin_of(history.fake)
    kind = chosen.random()
    if kind < 0.35:
        number = chosen.choice([1, 1, 2, 5])
        return admin.prune_threads(number, dry_run=dry_run), number
    if kind < 0.7:
        now = history.fake.now
        policy = RetentionPolicy(
            first=chosen.choice([1, 2, None]),
            within=timedelta(seconds=chosen.randrange(1, 40)),
            metadata=chosen.choice([{}, {COUNTERS: counters("d", "e")[COUNTERS]}]),
        )
        return admin_of(history.fake, now).prune_threads(policy, dry_run=dry_run), (now, policy)
    moment = history.fake.now - timedelta(seconds=chosen.uniform(0, 120))
    keep_latest = chosen.random() < 0.5
    return admin.prune_older_than(moment, keep_latest=keep_latest, dry_run=dry_run), (moment, keep_latest)


def staying(history: History, rule: Any, seen: dict[Any, Any]) -> set[Any]:
    """Return the checkpoints that a rule keeps, without the ancestors that they need.

    Args:
        history: The threads.
        rule: The rule.
        seen: What a new process reads.
    """
    spaces: dict[Any, list[Any]] = {}
    for name in history.made:
        spaces.setdefault(name[:2], []).append(name)
    if isinstance(rule, int):
        return {name for names in spaces.values() for name in sorted(names)[-rule:]}
    layout = inside.layout(history.saver)
    if isinstance(rule[1], RetentionPolicy):
        now, policy = rule
        kept = {max(names) for names in spaces.values()}
        kept |= {name for names in spaces.values() for name in sorted(names)[: policy.first or 0]}
        for name in history.made:
            found = history.fake.keys(f"{layout.checkpoint(*name)}checkpoint")
            moment = max(history.fake.objects[key].modified for key in found)
            kept |= {name} if moment >= now - (policy.within or timedelta(0)) else set()
            (_, _, _, metadata, _), _ = seen[name]
            if policy.metadata and policy.metadata.items() <= metadata.items():
                kept.add(name)
        return kept
    moment, keep_latest = rule
    fresh = {
        name
        for name in history.made
        if any(
            history.fake.objects[key].modified >= moment
            for key in history.fake.keys(layout.checkpoint(*name))
        )
    }
    live = {name[0] for name in fresh}
    latest = {max(names) for names in spaces.values()}
    return fresh | {name for name in latest if keep_latest or name[0] in live}


@pytest.mark.parametrize("seed", SEEDS)
def test_any_history_any_rule(seed: int) -> None:
    """Reported checkpoints are deleted, the others read as before, and no unneeded one remains."""
    history = History(seed)
    fake = history.fake
    with ExitStack() as stack:
        if seed % 2:
            small = {"scan.PAGE": 4, "delta_ancestors._AT_ONCE": 3, "gather._AT_ONCE": 2}
            small |= {"delta_history._FIRST_WINDOW": 1, "delta_history._LAST_WINDOW": 2}
            small |= {"delete._BATCH": 3, "materialize._HEADS_AT_ONCE": 2}
            for name, size in small.items():
                stack.enter_context(mock.patch(PLANS + name, size))
        before, objects = history.view(), dict(fake.objects)
        with fake.counted() as count:
            would, rule = prune(history, dry_run=True)
        assert set(count.kinds) <= {"ListObjects", "GetObject"}
        assert fake.objects == objects
        kept = staying(history, rule, before)
        assert set(named(would)) == before.keys() - kept
        went, _ = prune(history, dry_run=False)
        assert went.victims == would.victims
        assert not went.errors
        gone = objects.keys() - fake.objects.keys()
        assert (went.objects, went.bytes) == (len(gone), sum(len(objects[key].data) for key in gone))
        gathered = [key for key in fake.objects.keys() - objects.keys() if is_gathered(key)]
        assert bool(gathered) <= bool(history.needed(before, kept) - kept)
        assert history.view() == {name: before[name] for name in kept}
        if isinstance(rule, int):
            assert prune(history, dry_run=False)[0].victims == ()


@pytest.mark.parametrize("seed", SEEDS)
def test_any_history_is_pruned_again_and_again_while_it_grows(seed: int) -> None:
    """A history that was never pruned grows alike, and tells what each checkpoint must be rebuilt from."""
    history, whole = History(seed, counted=True), History(seed, counted=True)
    for number in range(100, 130, 6):
        pruned, _ = prune(history, dry_run=False)
        assert not pruned.errors
        for name in named(pruned):
            del history.made[name], whole.made[name]
        now, expected = rebuilt(history), rebuilt(whole)
        assert now == {name: expected[name] for name in history.made}
        for step in range(6):
            state = history.chosen.getrandbits(64)
            for each in (history, whole):
                each.chosen = random.Random(state)
                each.grow(number + step)


def rebuilt(history: History) -> dict[Any, Any]:
    """Return the state of each checkpoint, and what its delta channels are rebuilt from."""
    return {
        name: (checkpoint["channel_values"], writes, found)
        for name, ((_, _, checkpoint, _, writes), found) in history.view().items()
    }


def test_the_histories_cover_all_cases() -> None:
    """Among them are borrowing, forks, needed ancestors, and each kind of rule."""
    wanted = {
        "int",
        "policy",
        "metadata",
        "tuple True",
        "tuple False",
        "needs",
        "forks",
        "victims",
        "rewrites",
    }
    seen: set[str] = set()
    for seed in (0, 2, 3, 4, 26, *range(40)):  # those that are enough come first
        if seen == wanted:
            break
        history = History(seed)
        before = history.view()
        would, rule = prune(history, dry_run=True)
        kept = staying(history, rule, before)
        if isinstance(rule, tuple) and isinstance(rule[1], RetentionPolicy):
            seen.add("metadata" if rule[1].metadata else "policy")
        else:
            seen.add(type(rule).__name__ + (f" {rule[1]}" if isinstance(rule, tuple) else ""))
        seen |= {"needs"} if history.needed(before, kept) - kept else set()
        parents = [parent for (_, parent, *_), _ in before.values() if parent]
        seen |= {"forks"} if len(set(parents)) < len(parents) else set()
        seen |= {"victims"} if would.victims else set()
        with history.fake.counted() as count:
            prune(history, dry_run=False)
        seen |= {"rewrites"} if "PutObject" in count.kinds else set()
    assert seen == wanted


@pytest.mark.parametrize("frequency", [1, 3, 1000])
@pytest.mark.parametrize("number", [1, 4])
def test_a_graph_with_delta_channels_goes_on(frequency: int, number: int) -> None:
    fake = FakeS3()
    graph = counting(make_saver(fake), frequency)
    graph.invoke({"log": ["input"], "total": 0, "rounds": 12}, config(), durability="sync")
    past = list(graph.get_state_history(config()))[:number]
    went = admin_of(fake).prune_threads(number, dry_run=False)
    assert went.victims
    graph = counting(make_saver(fake), frequency)
    for state in past:
        assert graph.get_state(state.config).values == state.values
    more = graph.invoke({"log": ["more"], "rounds": 15}, config(), durability="sync")
    assert more["log"] == ["input", *map(str, range(12)), "more", *map(str, range(12, 15))]
