"""A thread's history with marks on the checkpoints that were pruned, or would be."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from langgraph_checkpoint_s3.format.key_encoding import HashedName
from langgraph_checkpoint_s3.text.humanize import pluralize
from langgraph_checkpoint_s3.text.sanitize import sanitize

if TYPE_CHECKING:
    from langgraph_checkpoint_s3.admin.retention.prune import PrunedCheckpoint
    from langgraph_checkpoint_s3.admin.usage.history import History, HistoryEntry

STAYS: Final = "●"
GOES: Final = "○"


def marked_rows(
    history: History, namespace: str, victims: Iterable[PrunedCheckpoint]
) -> list[tuple[str, HistoryEntry | None, bool]]:
    """Draw a namespace of a history as `History.rows` does, with `○` for the checkpoints that go.

    Returns:
        Rows of text, each with its checkpoint, and whether that goes.
    """
    # Where names are hashed in keys, a victim has its namespace's hash, and the history may have the name.
    gone = {
        victim.checkpoint_id
        for victim in victims
        if victim.thread_id == history.thread_id
        and (victim.checkpoint_ns == namespace or isinstance(victim.checkpoint_ns, HashedName))
    }
    rows: list[tuple[str, HistoryEntry | None, bool]] = []
    for drawing, entry in history.rows(namespace):
        goes = entry is not None and entry.checkpoint_id in gone
        rows.append((drawing.replace(STAYS, GOES) if goes else drawing, entry, goes))
    return rows


def draw(history: History, victims: Iterable[PrunedCheckpoint], *, dry_run: bool) -> str:
    """Draw a history with marks as text: each namespace's tree, and a last line on what the marks mean."""
    lines: list[str] = []
    gone, known = 0, list(victims)
    for name in history.namespaces():
        lines.append(sanitize(f"namespace {name}" if name else f"thread {history.thread_id}"))
        for drawing, entry, goes in marked_rows(history, name, known):
            told = f"  {sanitize(entry.checkpoint_id)}  {entry.facts()}" if entry else ""
            lines.append(f"{drawing}{told}{'  goes' if goes else ''}".rstrip())
            gone += goes
    verb = "would go" if dry_run else "went"
    return "\n".join([*lines, f"{GOES} {verb}: {gone:,} of {pluralize(len(history), 'checkpoint')}"])
