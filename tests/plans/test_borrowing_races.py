"""Two processes on one bucket: what was put, and not deleted, is read exactly, whatever the other one does.

One puts lines and forks that borrow all the time. The other one prunes, deletes runs, copies and
reads, at random requests of the first, before and after their effect; and the first one puts at
random requests of the other. `RACES=2000 pytest tests/plans/test_borrowing_races.py` runs more of
them, each time others.
"""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Callable
from typing import Any

import pytest
from langgraph.checkpoint.base import Checkpoint

from langgraph_checkpoint_s3 import ConflictError, S3Saver
from langgraph_checkpoint_s3.format.keys import ParsedKey
from langgraph_checkpoint_s3.plans.transfer import Sizes
from langgraph_checkpoint_s3.s3.requests import DeleteObjects, Request
from tests.plans.borrowers import eager, layout, step
from tests.support.checkpoints import place
from tests.support.fake_s3 import FakeS3, Moment
from tests.support.fake_store import make_saver
from tests.support.sampling import sample

RACES = os.environ.get("RACES")
SEEDS = [random.randrange(1 << 40) for _ in range(int(RACES))] if RACES else sample(range(24), 8)
IN_PARTS = Sizes(multipart_threshold=900, part_size=400)


class Race:
    """A history of both.

    Attributes:
        there: What was acknowledged, and not deleted since.
        parent: What is being gone on from at this moment. It isn't deleted meanwhile, nor is gone on
            from what is just being deleted: see `docs/design.md`.
        child: What is being put.
        pruned: The thread that is being pruned.
        deleted: The run that is being deleted.
    """

    def __init__(self, seed: int) -> None:
        self.chosen = random.Random(seed)
        self.fake = FakeS3()
        self.fake.shuffle = self.chosen if self.chosen.random() < 0.7 else None
        sizes = IN_PARTS if self.chosen.random() < 0.2 else None
        self.putter, self.other = eager(self.fake, sizes=sizes), eager(self.fake, sizes=sizes)
        self.there: dict[tuple[str, str], Checkpoint] = {}
        self.runs = {"0000": "r0"}
        self.parent: tuple[str, str] | None = None
        self.child = ("", "")
        self.pruned = self.deleted = ""
        self.gone: set[tuple[str, str]] = set()
        self.count = 0
        self.depth = self.left = 0
        self.rate = self.chosen.choice([0.02, 0.1, 0.4])
        self.begin("t")

    def begin(self, thread: str) -> None:
        documents = self.chosen.randbytes(300)
        first = step(self.putter, "0000", thread=thread, run="r0", documents=documents, log=b"")
        self.there[thread, "0000"] = first

    def hook(self, moment: Moment, request: Request[Any]) -> None:
        """Note what goes, and let the other one in, now and then."""
        if isinstance(request, DeleteObjects) and moment == "before":
            for key in request.keys:
                self.note_deletion(layout().parse(key))
        if self.depth < 2 and self.there and self.left and self.chosen.random() < self.rate:
            self.left -= 1
            self.run(self.chosen.choice(self.actions(during=True)))

    def note_deletion(self, key: ParsedKey) -> None:
        where = (key.thread_id, key.checkpoint_id)
        if self.runs[where[1]] != self.deleted:
            assert key.thread_id == self.pruned
            assert where != self.newest(key.thread_id), "the latest one stays"
        self.there.pop(where, None)
        self.gone.add(where)

    def newest(self, thread: str) -> tuple[str, str]:
        """A thread's newest checkpoint that has arrived, acknowledged or not."""
        return thread, layout().parse(self.fake.keys(layout().thread(thread))[0]).checkpoint_id

    def run(self, action: Callable[[], None]) -> None:
        self.depth += 1
        try:
            action()
        finally:
            self.depth -= 1

    def actions(self, *, during: bool) -> list[Callable[[], None]]:
        others: list[Callable[[], None]] = [self.prune, self.delete_runs, self.copy, self.read]
        if not during:
            return [self.put] * 6 + others
        return others if self.parent else [self.put]  # each process does one thing at a time

    def put(self) -> None:
        where = self.chosen.choice(sorted(self.there)) if self.chosen.random() < 0.3 else max(self.there)
        if where[0] == self.pruned:
            where = self.newest(where[0])
        if where not in self.there or self.runs[where[1]] == self.deleted:
            return
        thread, parent = where[0], self.there[where]
        self.parent, self.child = where, (thread, f"{self.count + 1:04}")
        try:
            self.count += 1
            if self.chosen.random() < 0.4:
                self.putter.get_tuple(place(*where))
            new, run = self.child[1], f"r{self.chosen.randrange(4)}"
            log = parent["channel_values"]["log"]
            at = self.chosen.randrange(len(log) + 1)
            grown = self.chosen.choice([log + self.noise(), log[at // 3 :] + self.noise(), log[:at], log])
            changed: dict[str, Any] = {} if grown is log else {"log": grown}
            self.runs[new] = run
            try:
                child = step(self.putter, new, parent, thread=thread, run=run, **changed)
            except ConflictError:  # its run was deleted when it had just arrived
                assert (thread, new) in self.gone
            else:
                if (thread, new) not in self.gone:  # its run was deleted when it had just arrived
                    self.there[thread, new] = child
        finally:
            self.parent = None

    def noise(self) -> bytes:
        return self.chosen.randbytes(self.chosen.choice([3, 20, 90, 400]))

    def prune(self) -> None:
        thread = self.chosen.choice(sorted({thread for thread, _ in self.there}))
        stays = self.newest(thread)
        if self.parent is None or self.parent[0] != thread or stays in (self.parent, self.child):
            self.pruned = thread
            self.other.prune([thread])
            self.pruned = ""

    def delete_runs(self) -> None:
        run = f"r{self.chosen.randrange(1, 4)}"  # the first one's run stays
        if self.parent is None or self.runs[self.parent[1]] != run:
            self.deleted = run
            self.other.delete_for_runs([run])
            self.deleted = ""

    def copy(self) -> None:
        source = self.chosen.choice(sorted({thread for thread, _ in self.there}))
        if len({thread for thread, _ in self.there}) > 3:
            return
        target = f"c{self.count:04}"
        self.count += 1
        before = {each: found for each, found in self.there.items() if each[0] == source}
        with contextlib.suppress(ConflictError):
            self.other.copy_thread(source, target)
            for (_, name), found in before.items():
                self.there[target, name] = found

    def read(self) -> None:
        for thread, name in self.chosen.sample(sorted(self.there), min(3, len(self.there))):
            found = self.other.get_tuple(place(thread, name))
            assert found is not None
            assert found.checkpoint == self.there[thread, name]

    def check(self) -> None:
        """A process that has just begun reads everything as it was put."""
        hook, self.fake.hook = self.fake.hook, None
        reader: S3Saver = make_saver(self.fake)
        for (thread, name), expected in self.there.items():
            found = reader.get_tuple(place(thread, name))
            assert found is not None, f"{name} is gone"
            assert found.checkpoint == expected
        self.fake.hook = hook


def run_race(seed: int) -> None:
    race = Race(seed)
    race.fake.hook = race.hook
    for number in range(25):
        if not race.there:
            race.begin(f"t{number}")
        race.left = 8  # each of them makes more requests at which another could begin
        race.run(race.chosen.choice(race.actions(during=False)))
        race.check()
    race.fake.hook = None
    assert not race.fake.uploads


@pytest.mark.parametrize("part", range(4))
def test_nothing_acknowledged_is_ever_unreadable(part: int) -> None:
    for seed in list(SEEDS)[part::4]:
        try:
            run_race(seed)
        except Exception as error:
            raise AssertionError(f"race {seed}") from error
