"""Resolve the checkpoint that an argument names: by its id, a part of it, `latest`, or steps back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from langgraph_checkpoint_s3.cli.runtime import NOT_FOUND, USAGE, CommandExit, Invocation
from langgraph_checkpoint_s3.text.humanize import pluralize
from langgraph_checkpoint_s3.text.sanitize import sanitize

if TYPE_CHECKING:
    from langgraph.checkpoint.base import CheckpointTuple

LATEST: Final = "latest"
_STEPS_BACK: Final = re.compile(r"(?P<id>.*?)~(?P<steps>\d{0,6})", flags=re.DOTALL)
_MAX_LISTED: Final = 5


def config_of(thread: str, namespace: str | None = "", checkpoint: str = "") -> Any:
    """Return a config for the saver, of a thread or one checkpoint."""
    configurable = {"thread_id": thread, "checkpoint_ns": namespace, "checkpoint_id": checkpoint or None}
    return {"configurable": {name: value for name, value in configurable.items() if value is not None}}


def place_of(found: CheckpointTuple) -> tuple[str, str]:
    """Return a checkpoint's namespace and id."""
    configurable: dict[str, Any] = found.config["configurable"]
    return configurable.get("checkpoint_ns") or "", configurable["checkpoint_id"]


def get_checkpoint(ctx: Invocation, thread: str, ns: str | None, text: str) -> CheckpointTuple:
    """Read the checkpoint that an argument names.

    A full id or the latest costs the requests of `get_tuple`. The thread is listed only if no checkpoint has
    that id, to find one whose id begins or ends with the text.

    Args:
        ctx: The invocation.
        thread: The thread.
        ns: The namespace; `None` is the root one, or the one where the id is found.
        text: An id, its beginning or end, or `latest` or nothing for the latest; followed by `~2`, the parent
            of its parent.

    Raises:
        CommandExit: No checkpoint matches, or several do.
    """
    back = _STEPS_BACK.fullmatch(text)
    id_, steps = (back["id"], int(back["steps"] or 1)) if back else (text, 0)
    found = ctx.saver.get_tuple(config_of(thread, ns or "", "" if id_ == LATEST else id_))
    if found is None:
        if id_ in {"", LATEST}:
            raise ctx.not_found(thread)
        found = ctx.saver.get_tuple(config_of(thread, *_search(ctx, thread, ns, id_)))
    for step in range(steps):
        parent = found and found.parent_config
        if parent is None:
            raise CommandExit(
                NOT_FOUND, f"{text} is too far back: {id_ or LATEST} has {pluralize(step, 'ancestor')}."
            )
        found = ctx.saver.get_tuple(parent)
    if found is None:  # deleted meanwhile, or a parent that was pruned
        raise ctx.not_found(thread, text)
    return found


def resolve(ctx: Invocation, thread: str, ns: str | None, text: str) -> tuple[str, str]:
    """Return the namespace and id that an argument names, without reading the checkpoint if possible.

    Raises:
        CommandExit: No checkpoint matches, or several do.
    """
    if text == LATEST or _STEPS_BACK.fullmatch(text):
        return place_of(get_checkpoint(ctx, thread, ns, text))
    return _search(ctx, thread, ns, text)


def _search(ctx: Invocation, thread: str, ns: str | None, text: str) -> tuple[str, str]:
    """List the thread for an id that begins or ends with the text."""
    sizes = ctx.admin.checkpoint_sizes(thread)
    if not sizes:
        raise ctx.not_found(thread)
    # `history` prints cleaned ids, and they can be pasted.
    ids = [(each, (each.checkpoint_id, sanitize(each.checkpoint_id))) for each in sizes]
    matches = [each for each, both in ids if text in both] or [
        each for each, both in ids if text and any(id_.startswith(text) or id_.endswith(text) for id_ in both)
    ]
    here = [each for each in matches if each.checkpoint_ns == (ns or "")]
    found = here if here or ns is not None else matches
    if not found:
        if matches and ctx.saver.config.private_keys:
            raise CommandExit(USAGE, "Names are hashed here, and --ns can't be compared: write the whole id.")
        if matches:
            elsewhere = dict.fromkeys(sanitize(each.checkpoint_ns) for each in matches)
            raise CommandExit(
                NOT_FOUND, f"That checkpoint is in another namespace: --ns {' or '.join(elsewhere)}."
            )
        raise ctx.not_found(thread, text)
    if len(found) > 1:
        names = [f"{each.checkpoint_id} {each.checkpoint_ns}".strip() for each in found[:_MAX_LISTED]]
        more = f" and {len(found) - _MAX_LISTED} more" if len(found) > _MAX_LISTED else ""
        raise CommandExit(USAGE, f"{text!r} matches {', '.join(names)}{more}: write more of the id.")
    return found[0].checkpoint_ns, found[0].checkpoint_id
