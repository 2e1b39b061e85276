"""Contents of a thread in forms that can be compared. Savers and admins may be a contract test's `Calls`."""

from __future__ import annotations

from typing import Any

from tests.support.checkpoints import place, shown


def thread_contents(saver: Any, thread: str) -> dict[tuple[str, str], Any]:
    """Return a thread's checkpoints as `shown`, by namespace and id."""
    found = [shown(each) for each in saver.list(place(thread, ns=None))]
    assert {each[0][0] for each in found} <= {thread}
    contents = {each[0][1:]: each for each in found}
    assert len(contents) == len(found), "something is listed twice"
    return contents


def nameless_contents(saver: Any, thread: str) -> list[Any]:
    """Return a thread's checkpoints without its name, in order, to compare it with a copy of another name."""
    found = sorted(thread_contents(saver, thread).items())
    return [(where, parent and parent[1:], *rest) for where, (_, parent, *rest) in found]


def data_versions(admin: Any, checkpoint_id: str, thread: str) -> list[str]:
    """Return the ids of a checkpoint's versions that aren't delete markers, newest first."""
    found = admin.list_checkpoint_versions(thread, checkpoint_id)
    return [each.version_id for each in found if not each.delete_marker]
