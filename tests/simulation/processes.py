"""A process that deletes, copies, moves and restores besides."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from tests.simulation.actions import Action, File, nothing
from tests.simulation.facts import Copy, Op, Place
from tests.simulation.workers import RUNS, Worker
from tests.support.checkpoints import place


class Process(Worker):
    """A process."""

    def _removing(self, name: str, threads: list[str], run: Any, tell: Callable[[Op], None]) -> Action:
        return Action(name, run, tell, nothing, self._busy, removes=True)

    def _moved(self, op: Op, thread: str) -> bool:
        """Return if anything may have gone from a thread meanwhile, as what was never acknowledged may."""
        return self.model.disturbed([thread], op) or any(
            not each.done and each.closed >= op.begun for each in self.history.writers if each is not op
        )

    def _busy(self, op: Op) -> bool:
        """Return if any other operation was under way at the same time."""
        return any(each is not op and each.closed >= op.begun for each in self.history.writers)

    def prune(self) -> Action:
        """Prune a thread to its latest checkpoints."""
        thread = self._somewhere()[0]
        return self._removing(
            f"prune {thread}",
            [thread],
            lambda: self.saver.aprune([thread]),
            lambda op: self.model.prune(op, thread),
        )

    def prune_to_two(self) -> Action:
        """Prune a thread to its latest two."""
        thread = self._somewhere()[0]

        async def run() -> None:
            (await self.admin.aprune_threads(2, thread_ids=[thread], dry_run=False)).raise_errors()

        return self._removing(
            f"prune_threads {thread}", [thread], run, lambda op: self.model.prune(op, thread, 2)
        )

    def delete_runs(self) -> Action:
        """Delete a run."""
        run = self.chosen.choice(RUNS)
        return self._removing(
            f"delete_for_runs {run}",
            self.history.all_threads,
            lambda: self.saver.adelete_for_runs([run]),
            lambda op: self.model.delete_runs(op, run),
        )

    def delete_thread(self) -> Action:
        """Delete a thread."""
        some = [each for each in self.history.all_threads if self.model.places(each)]
        thread = self.chosen.choice(some or self.history.threads)
        return self._removing(
            f"delete_thread {thread}",
            [thread],
            lambda: self.saver.adelete_thread(thread),
            lambda op: self.model.delete_thread(op, thread),
        )

    def delete_one(self) -> Action | None:
        """Delete a checkpoint."""
        places = self.model.places()
        if not places:
            return None
        where = self.chosen.choice(places)

        async def run() -> None:
            for result in await self.admin.abatch_delete([place(where[0], where[2], where[1])]):
                if result.error is not None:
                    raise result.error

        return self._removing(
            f"batch_delete {where}", [where[0]], run, lambda op: self.model.delete_one(op, where)
        )

    def copy(self) -> Action | None:
        """Copy a thread to one that copies alone go to; more than once to the same, at times."""
        source = self.chosen.choice(self.history.threads)
        target = self.chosen.choice(self.history.targets[source])
        return Action(
            f"copy_thread {source}→{target}",
            lambda: self.saver.acopy_thread(source, target),
            lambda op: self.model.copies.append(Copy(op, source, target)),
            nothing,
            lambda op: self._moved(op, source),
        )

    def export(self) -> Action:
        """Export a thread, and import it next."""
        thread = self.chosen.choice(self.history.threads)
        file = io.BytesIO()

        def done(op: Op, _: Any) -> None:
            until = self.world.step
            places = [at for at in self.model.places(thread) if self.model.possible(at, op.begun, until)]
            certain = {at for at in places if self.model.certain(at, op.begun, until)}
            written = {at: self.model.written(at) for at in places}
            self.history.files.append(File(thread, file.getvalue(), certain, written))
            if self.chosen.random() < 0.7:
                self.next = self.bring_in()

        return Action(
            f"export_thread {thread}",
            lambda: self.admin.aexport_thread(thread, file),
            nothing,
            done,
            lambda op: self._moved(op, thread),
            again=False,
            missing=True,
        )

    def bring_in(self) -> Action | None:
        """Import what was exported, just now or long ago: into the same thread again, or into another one."""
        if not self.history.files:
            return None
        file = self.chosen.choice(self.history.files)
        target = thread = file.thread
        if not self.history.sealed and self.chosen.random() < 0.5:
            target = self.history.imports[thread]

        def tell(op: Op) -> None:
            for at, tasks in file.written.items():
                where: Place = (target, *at[1:])
                self.model.make(where, op, lambda at=at: at in file.certain)  # type: ignore[misc]  # mypy can't infer a lambda's default
                for task, calls in tasks.items():
                    for call in calls:
                        self.model.write(where, task, op, call.values, lambda: False, ordered=False)

        return Action(
            f"import_thread {thread}→{target}",
            lambda: self.admin.aimport_thread(io.BytesIO(file.data), target),
            tell,
            nothing,
            lambda op: self._moved(op, target),
        )

    def undelete(self) -> Action:
        """Bring a thread back."""
        thread = self.chosen.choice(self.history.threads)
        return Action(
            f"undelete_thread {thread}",
            lambda: self.admin.aundelete_thread(thread),
            lambda op: self.model.undelete(op, thread),
            nothing,
            self._busy,
        )

    def restore(self) -> Action | None:
        """Restore a version of a checkpoint."""
        places = [at for at in self.model.places() if at[0] in self.history.threads]
        if not places:
            return None
        where = thread, ns, wanted = self.chosen.choice(places)

        async def run() -> bool:
            versions = await self.admin.alist_checkpoint_versions(thread, wanted, ns)
            old = [each.version_id for each in versions if not each.delete_marker]
            if not old:
                return False
            await self.admin.arestore_checkpoint_version(thread, wanted, self.chosen.choice(old), ns)
            return True

        restored: list[bool] = []

        def tell(op: Op) -> None:
            self.model.make(where, op, lambda: bool(restored))
            for task, calls in self.model.written(where).items():
                for call in calls:
                    self.model.write(where, task, op, call.values, lambda: False, ordered=False)

        def done(op: Op, result: Any) -> None:
            if result:
                restored.append(True)

        return Action(f"restore {where}", run, tell, done, self._busy, again=False, missing=True)
