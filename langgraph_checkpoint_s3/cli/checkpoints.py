"""Which checkpoint is meant: by its id, by one end of it, as the latest, or so many steps before one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from langgraph_checkpoint_s3.cli.options import place
from langgraph_checkpoint_s3.cli.runtime import NOT_FOUND, USAGE, CommandExit, Invocation
from langgraph_checkpoint_s3.text.sanitize import clean

if TYPE_CHECKING:
    from langgraph.checkpoint.base import CheckpointTuple

LATEST: Final = "latest"

_BACK: Final = re.compile(r"(?P<name>.*?)~(?P<steps>\d{0,6})", flags=re.DOTALL)
_MOST_TOLD: Final = 5


def find(run: Invocation, thread: str, ns: str | None, text: str) -> CheckpointTuple:
    """The checkpoint that is meant.

    A whole id, or the latest, takes the requests of LangGraph's `get_tuple`. Only for an id that isn't
    there the thread is listed, for one that begins or ends so.

    Args:
        run: The run.
        thread: The thread.
        ns: The namespace; `None` is the root, or wherever an id is found.
        text: An id, the beginning or the end of one, `latest` or nothing for the latest; `~2` behind it
            are two steps back, to the parent's parent.

    Raises:
        Stop: There is none, or there are several.
    """
    back = _BACK.fullmatch(text)
    name, steps = (back["name"], int(back["steps"] or 1)) if back else (text, 0)
    found = run.saver.get_tuple(place(thread, ns or "", "" if name == LATEST else name))
    if found is None:
        if name in {"", LATEST}:
            raise run.not_found(thread)
        found = run.saver.get_tuple(place(thread, *_listed(run, thread, ns, name)))
    for step in range(steps):
        parent = found and found.parent_config
        if parent is None:
            raise CommandExit(NOT_FOUND, f"{text} is too far back: {name or LATEST} has {step} before it.")
        found = run.saver.get_tuple(parent)
    if found is None:  # deleted meanwhile, or a parent that was pruned
        raise run.not_found(thread, text)
    return found


def identify(run: Invocation, thread: str, ns: str | None, text: str) -> tuple[str, str]:
    """The namespace and id of the checkpoint that is meant, for where it may be a deleted one.

    Raises:
        Stop: There is none, or there are several.
    """
    if text == LATEST or _BACK.fullmatch(text):
        return place_of(find(run, thread, ns, text))
    return _listed(run, thread, ns, text)


def place_of(found: CheckpointTuple) -> tuple[str, str]:
    """Its namespace and id."""
    configurable: dict[str, Any] = found.config["configurable"]
    return configurable.get("checkpoint_ns") or "", configurable["checkpoint_id"]


def _listed(run: Invocation, thread: str, ns: str | None, text: str) -> tuple[str, str]:
    sizes = run.admin.checkpoint_sizes(thread)
    if not sizes:
        raise run.not_found(thread)
    # As they are, and as `history` shows them: what it prints can be pasted.
    near = [
        each
        for each in sizes
        if text and any(id_.startswith(text) or id_.endswith(text) for id_ in _written(each.checkpoint_id))
    ]
    if exact := [each for each in near if text in _written(each.checkpoint_id)]:
        near = exact
    here = [each for each in near if each.checkpoint_ns == (ns or "")]
    found = here if here or ns is not None else near
    if not found:
        if near and run.saver.config.private_keys:
            raise CommandExit(USAGE, "Names are hashed here, and --ns can't be compared: write the whole id.")
        elsewhere = {clean(each.checkpoint_ns) for each in near}
        if elsewhere:
            raise CommandExit(
                NOT_FOUND, f"That checkpoint is in another namespace: --ns {' or '.join(elsewhere)}."
            )
        raise run.not_found(thread, text)
    if len(found) > 1:
        told = [f"{each.checkpoint_id} {each.checkpoint_ns}".strip() for each in found[:_MOST_TOLD]]
        more = f" and {len(found) - _MOST_TOLD} more" if len(found) > _MOST_TOLD else ""
        raise CommandExit(USAGE, f"{text!r} may be any of {', '.join(told)}{more}: write more of it.")
    return found[0].checkpoint_ns, found[0].checkpoint_id


def _written(name: str) -> tuple[str, str]:
    return name, clean(name)
