"""The oracle: what a reader must see, may see, and can't see. It knows nothing of objects and keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from langgraph.checkpoint.base import CheckpointTuple

from tests.simulation.facts import Made, Place, Violation, place_of
from tests.simulation.model import Model


class Oracle(Model):
    """Checks what was seen at some time from one step to another."""

    def check(self, where: Place, found: CheckpointTuple, since: float, until: float) -> None:
        """Check a checkpoint that was seen at some time from one step to another."""
        name = "/".join(where)
        content = self.contents.get(where[1:])
        if content is None or not any(made.op.begun < until for made in self.made(where)):
            raise Violation("never put", name)
        if found.checkpoint != content.checkpoint:
            raise Violation("wrong values", f"{name}: {_differences(found.checkpoint, content.checkpoint)}")
        if dict(found.metadata) != dict(content.metadata):
            raise Violation("wrong metadata", f"{name}: {found.metadata} for {content.metadata}")
        parent = found.parent_config
        said = None if parent is None else place_of(parent)
        if said != (None if content.parent is None else (*where[:2], content.parent)):
            raise Violation("wrong parent", f"{name}: {said} for {content.parent}")
        if not self.possible(where, since, until) and not self._overlapped(where):
            raise Violation("deleted, and there", name)
        self._check_writes(where, found, since, until)

    def _overlapped(self, where: Place) -> bool:
        """Return if a put failed, or overlapped a deletion: who remembers its lenders may still show it."""
        return any(
            not made.op.done
            or any(
                each.may(where) and made.op.ended is not None and each.op.begun <= made.op.ended
                for each in self.removals
                if each.op.closed >= made.op.begun
            )
            for made in self.made(where)
        )

    def _check_writes(self, where: Place, found: CheckpointTuple, since: float, until: float) -> None:
        shown: dict[str, list[tuple[str, Any]]] = {}
        for task, channel, value in found.pending_writes or ():
            shown.setdefault(task, []).append((channel, value))
        written = self.written(where)
        for task in shown.keys() - written.keys():
            raise Violation("writes never written", f"{'/'.join(where)}: {task}")
        for task, calls in written.items():
            name = f"{'/'.join(where)}: {task}"
            sure = [
                call
                for call in calls
                if call.op.done
                and call.op.ended is not None
                and call.op.ended <= since
                and not self.threatened(where, call, until)
                and call.sure()
            ]
            if task not in shown:
                if sure:
                    raise Violation("acknowledged writes are gone", name)
                continue
            values = tuple(shown[task])
            theirs = [call for call in calls if call.values == values and call.op.begun < until]
            if not theirs:
                raise Violation("wrong writes", f"{name}: {values}")
            if not self.exact or not all(call.ordered for call in calls):
                continue
            last = task.startswith("special")
            if all(
                any(_before(one, call) if last is False else _before(call, one) for one in sure)
                for call in theirs
            ):
                raise Violation(
                    "the first write isn't kept" if not last else "the last write doesn't show", name
                )

    def check_all(
        self,
        found: Mapping[Place, CheckpointTuple],
        since: float,
        until: float,
        thread: str | None = None,
        ns: str | None = None,
    ) -> None:
        """Check all that was seen of a thread, or of all."""
        for where, each in found.items():
            self.check(where, each, since, until)
        for where in self.places(thread):
            if (ns is None or where[1] == ns) and where not in found and self.certain(where, since, until):
                raise Violation("acknowledged and not listed", "/".join(where))
        if ns is not None and not self._pruned(since, until):
            self.check_latest({at[2] for at in found}, since, until, thread, ns)

    def _pruned(self, since: float, until: float) -> bool:
        """Return if anything was pruned meanwhile: a list leaves that out, and what came after it began."""
        return any(each.keeps and each.op.closed > since and each.op.begun < until for each in self.removals)

    def check_latest(
        self, found: Iterable[str], since: float, until: float, thread: str | None, ns: str
    ) -> None:
        """Check that of a namespace something is there that is as late as it must be."""
        assert thread is not None
        standing = [at for at in self.places(thread) if at[1] == ns and self.stays(at, since, until)]
        newest = max(standing, key=lambda at: at[2], default=None)
        if newest is not None and max(found, default="") < newest[2]:
            raise Violation("the latest is gone", f"{'/'.join(newest)}, and nothing later is there")

    def check_got(self, where: Place, found: CheckpointTuple | None, since: float, until: float) -> None:
        """Check what was got by id."""
        if found is not None:
            if place_of(found.config) != where:
                raise Violation("another checkpoint", f"{place_of(found.config)} for {where}")
            self.check(where, found, since, until)
        elif self.certain(where, since, until):
            raise Violation("acknowledged and gone", "/".join(where))

    def check_newest(
        self, thread: str, ns: str, found: CheckpointTuple | None, since: float, until: float
    ) -> None:
        """Check what was got without an id."""
        if found is not None:
            self.check_got(place_of(found.config), found, since, until)
        self.check_latest([found.checkpoint["id"]] if found else [], since, until, thread, ns)

    def check_listed(
        self, found: Sequence[CheckpointTuple], since: float, until: float, thread: str | None, ns: str | None
    ) -> None:
        """Check what was listed."""
        ids = [each.checkpoint["id"] for each in found]
        if ids != sorted(ids, reverse=True):
            raise Violation("listed in another order", str(ids))
        places = {place_of(each.config): each for each in found}
        if len(places) < len(found):
            raise Violation("listed twice", str(ids))
        self.check_all(places, since, until, thread, ns)


def _before(one: Made, other: Made) -> bool:
    """Return if one operation was over when the other one began."""
    return one.op.closed < other.op.begun


def _differences(found: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    names = [name for name in expected if found.get(name) != expected[name]]
    values = [
        name
        for name in expected["channel_values"].keys() | found.get("channel_values", {}).keys()
        if found.get("channel_values", {}).get(name) != expected["channel_values"].get(name)
    ]
    return f"{', '.join(names)} differ: {', '.join(sorted(values))}"
