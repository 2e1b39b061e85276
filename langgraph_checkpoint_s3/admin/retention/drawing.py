"""A thread's history with marks on the checkpoints that were pruned, or would be."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from langgraph_checkpoint_s3.admin.usage.history_lines import GOES, line_text
from langgraph_checkpoint_s3.format.key_encoding import HashedName
from langgraph_checkpoint_s3.text.humanize import pluralize

if TYPE_CHECKING:
    from langgraph_checkpoint_s3.admin.retention.prune import PrunedCheckpoint
    from langgraph_checkpoint_s3.admin.usage.history import History


def going(history: History, namespace: str, victims: Iterable[PrunedCheckpoint]) -> set[str]:
    """Return the ids of the checkpoints of a history's namespace that are among the victims."""
    # Where names are hashed in keys, a victim has its namespace's hash, and the history may have the name.
    gone = {
        victim.checkpoint_id
        for victim in victims
        if victim.thread_id == history.thread_id
        and (victim.checkpoint_ns == namespace or isinstance(victim.checkpoint_ns, HashedName))
    }
    return gone & {entry.checkpoint_id for entry in history if entry.checkpoint_ns == namespace}


def draw(history: History, victims: Iterable[PrunedCheckpoint], *, dry_run: bool) -> str:
    """Draw a history with marks as text: each namespace's tree, and a last line on what the marks mean."""
    lines: list[str] = []
    gone, known = 0, list(victims)
    for name in history.namespaces():
        marked = going(history, name, known)
        lines += [history.heading(name), *map(line_text, history.lines(name, marked))]
        gone += len(marked)
    verb = "would go" if dry_run else "went"
    return "\n".join([*lines, f"{GOES} {verb}: {gone:,} of {pluralize(len(history), 'checkpoint')}"])
